//! The threads of a running server, and their end.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::sync::oneshot;

use super::bind::Bound;
use crate::control::Control;
use crate::engine::Shard;
use crate::pool::Pool;
use crate::verdict::contain;
use crate::workers;

/// The threads of a server.
pub(crate) struct Parts {
    pub(super) shards: Vec<JoinHandle<()>>,
    pub(super) runtime: Option<(JoinHandle<()>, oneshot::Sender<()>)>,
    pub(super) workers: Option<workers::Supervisor>,
    /// Joins multicast groups on new interfaces.
    pub(super) groups: Option<JoinHandle<()>>,
    /// Socket files to remove, and the pool to end, after all else.
    pub(super) _bound: Vec<Bound>,
    pub(super) pool: Option<Arc<Pool>>,
}

/// A shard that waits for its thread.
pub(crate) struct Seat {
    pub(super) number: usize,
    pub(super) shard: Shard,
}

impl Seat {
    pub(super) fn run(self, control: &Control) {
        let Self { number, shard } = self;
        match contain(|| shard.run()) {
            Ok(Ok(())) => {}
            Ok(Err(source)) => {
                let address = format!("shard {number}");
                control.hooks().report(&crate::ServerError::Receive { address, source });
                control.stop(None);
            }
            // A panic of the engine itself is a bug, and not hidden; a server without a shard is none.
            Err(panic) => {
                control.stop(None);
                std::panic::resume_unwind(panic);
            }
        }
    }
}

impl Parts {
    /// Gives each shard its thread.
    pub(crate) fn spawn(&mut self, control: &Arc<Control>, seats: Vec<Seat>) -> io::Result<()> {
        for seat in seats {
            let own = Arc::clone(control);
            let thread = thread::Builder::new().name(format!("squall-shard-{}", seat.number));
            let started = thread.spawn(move || {
                let _end = PartEnd(&own);
                seat.run(&own);
            });
            match started {
                Ok(thread) => self.shards.push(thread),
                Err(error) => {
                    // Nothing that was started goes on.
                    control.stop(Some(Duration::ZERO));
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    pub(crate) fn finish(self, control: &Control) {
        if let Some(workers) = self.workers {
            workers.finish();
        }
        if let Some(groups) = self.groups {
            // It holds sockets, whose ports are free only when it has ended, and waits for nothing but the stop.
            let _ = groups.join();
        }
        // A handler that does not come back holds its thread, and nothing can end that from outside: after
        // the deadline it is left alone.
        let mut threads = self.shards;
        control.wait_for_parts(threads.len(), LEAVE);
        if let Some((thread, drained)) = self.runtime {
            // Asynchronous handlers answer their shards to the last.
            let _ = drained.send(());
            threads.push(thread);
            control.wait_for_parts(threads.len(), LEAVE);
        }
        for thread in threads {
            if !control.has_ended(thread.thread().id()) {
                control.add_unfinished(1);
            } else if let Err(panic) = thread.join() {
                std::panic::resume_unwind(panic);
            }
        }
    }
}

/// Tells that a thread of the server has come to its end, however it did.
pub(super) struct PartEnd<'a>(pub(super) &'a Control);

impl Drop for PartEnd<'_> {
    fn drop(&mut self) {
        self.0.end_part();
    }
}

/// How long after the deadline the threads of a server may take to see that it is over.
const LEAVE: Duration = Duration::from_millis(250);
