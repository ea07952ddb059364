//! Calling a protocol from other threads while a server runs it.

mod machine;

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::{self, ThreadId};

pub(crate) use machine::{Machine, Plain, with_calls};
use squall_proto::{Outbox, Time};
use squall_socket::Waker;

/// Calls a protocol that a server runs, from any thread; made by
/// [`Service::protocol_with_remote`](crate::Service::protocol_with_remote). Clones call the same protocol.
///
/// Calls run on the protocol's thread, one at a time and in turn with what arrives, in the order in which they were
/// made. Before the server starts they wait. At most 1024 wait.
/// When the server stops, those that wait then still run, before [`Input::Stopping`](squall_proto::Input::Stopping);
/// later ones are refused. In a server of worker processes, a protocol has its only owner in the first worker:
/// calls in other processes, the parent among them, are answered with [`RemoteError::Stopped`].
pub struct Remote<P> {
    calls: Arc<Calls<P>>,
}

/// Why a protocol could not be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RemoteError {
    /// As many calls as may wait do.
    #[error("cannot call the protocol: {MAX_WAITING} calls wait for it already")]
    Full,
    /// The server has stopped, or never started, or another process has the protocol.
    #[error("cannot call the protocol: no server of this process runs it any more")]
    Stopped,
    /// What was called panicked; the protocol was left as it was then, and nothing was sent.
    #[error("the call panicked")]
    Panicked,
    /// It would wait for itself: asked on the protocol's own thread, by a handler, a hook or another call.
    #[error("cannot ask the protocol on its own thread, which would wait for itself")]
    OwnThread,
}

impl<P> Remote<P> {
    /// Runs `f` on the protocol's thread, in turn with what arrives; what it writes is sent. It must not wait, as all
    /// that the thread serves would wait with it. When it panics, what it wrote is taken back and
    /// [`Server::on_error`](crate::Server::on_error) is told.
    ///
    /// # Errors
    /// [`RemoteError::Full`] and [`RemoteError::Stopped`]; `f` is dropped without a run.
    pub fn call(
        &self,
        f: impl FnOnce(&mut P, Time, &mut Outbox) + Send + 'static,
    ) -> Result<(), RemoteError> {
        self.calls.put(Box::new(f))
    }

    /// The same, and waits for what it returns: before the server starts, until it does.
    ///
    /// # Errors
    /// [`RemoteError`], also when the server stops meanwhile.
    pub fn ask<R: Send + 'static>(
        &self,
        f: impl FnOnce(&mut P, Time, &mut Outbox) -> R + Send + 'static,
    ) -> Result<R, RemoteError> {
        if self.calls.lock().owner == Some(thread::current().id()) {
            return Err(RemoteError::OwnThread);
        }
        let (tell, told) = mpsc::sync_channel(1);
        let mut answer = Answer { tell: Some(tell) };
        self.call(move |protocol, now, out| {
            let returned = f(protocol, now, out);
            answer.give(Ok(returned));
        })?;
        // A call that is dropped says so.
        told.recv().unwrap_or(Err(RemoteError::Stopped))
    }
}

impl<P> Clone for Remote<P> {
    fn clone(&self) -> Self {
        Self { calls: Arc::clone(&self.calls) }
    }
}

impl<P> fmt::Debug for Remote<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").field("waiting", &self.calls.lock().waiting.len()).finish_non_exhaustive()
    }
}

/// Where an asked call tells what it returned, or that it never will.
struct Answer<R> {
    tell: Option<mpsc::SyncSender<Result<R, RemoteError>>>,
}

impl<R> Answer<R> {
    fn give(&mut self, answer: Result<R, RemoteError>) {
        if let Some(tell) = self.tell.take() {
            // There is room for the one answer, and whoever asked waits for it.
            let _ = tell.send(answer);
        }
    }
}

impl<R> Drop for Answer<R> {
    fn drop(&mut self) {
        let panics = thread::panicking();
        self.give(Err(if panics { RemoteError::Panicked } else { RemoteError::Stopped }));
    }
}

type Call<P> = Box<dyn FnOnce(&mut P, Time, &mut Outbox) + Send>;

/// The calls that wait for a protocol.
struct Calls<P> {
    queue: Mutex<Queue<P>>,
}

struct Queue<P> {
    waiting: VecDeque<Call<P>>,
    /// Wakes the protocol's shard, once it has one.
    waker: Option<Waker>,
    /// The protocol's thread, once it has one.
    owner: Option<ThreadId>,
    /// Whether the shard has been woken for what waits.
    announced: bool,
    /// The protocol is no more.
    ended: bool,
}

impl<P> Calls<P> {
    fn new() -> Self {
        Self {
            queue: Mutex::new(Queue {
                waiting: VecDeque::new(),
                waker: None,
                owner: None,
                announced: false,
                ended: false,
            }),
        }
    }

    fn put(&self, call: Call<P>) -> Result<(), RemoteError> {
        let mut queue = self.lock();
        let refusal = if queue.ended {
            RemoteError::Stopped
        } else if queue.waiting.len() == MAX_WAITING {
            RemoteError::Full
        } else {
            queue.waiting.push_back(call);
            let waker = queue.waker.clone().filter(|_| !queue.announced);
            queue.announced |= waker.is_some();
            drop(queue);
            if let Some(waker) = waker {
                waker.wake();
            }
            return Ok(());
        };
        // What the call holds may call again when it is dropped.
        drop(queue);
        drop(call);
        Err(refusal)
    }

    /// The number of calls that wait; the next one wakes the shard again.
    fn announced(&self) -> usize {
        let mut queue = self.lock();
        queue.announced = false;
        queue.waiting.len()
    }

    fn pop(&self) -> Option<Call<P>> {
        self.lock().waiting.pop_front()
    }

    fn attach(&self, waker: Waker) {
        let mut queue = self.lock();
        if !queue.waiting.is_empty() {
            queue.announced = true;
            waker.wake();
        }
        queue.waker = Some(waker);
    }

    fn own(&self) {
        self.lock().owner = Some(thread::current().id());
    }

    /// Refuses calls from now on, and drops those that wait.
    fn end(&self) {
        let mut queue = self.lock();
        queue.ended = true;
        let waiting = std::mem::take(&mut queue.waiting);
        queue.waker = None;
        drop(queue);
        drop(waiting);
    }

    fn lock(&self) -> MutexGuard<'_, Queue<P>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Calls that wait for one protocol at most.
const MAX_WAITING: usize = 1024;

#[cfg(test)]
mod tests;
