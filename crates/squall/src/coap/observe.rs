//! The states of a resource, one after the other.

use std::net::SocketAddr;
use std::time::Duration;

use squall_proto::Time;
use squall_proto::coap::client::{Event, RequestId, Response};

use super::link::Link;
use super::{CoapAnswer, CoapError, Watcher, failed};

/// See [`CoapClient::observe`](super::CoapClient::observe). An iterator over the states; it ends after the answer of
/// a server that does not, or no longer, let the resource be observed, and after a failure.
pub struct Observation<'a> {
    link: &'a mut Link,
    watcher: &'a mut Option<Watcher>,
    id: RequestId,
    started: Time,
    is_over: bool,
}

impl<'a> Observation<'a> {
    pub(super) fn new(
        link: &'a mut Link,
        watcher: &'a mut Option<Watcher>,
        id: RequestId,
        started: Time,
    ) -> Self {
        Self { link, watcher, id, started, is_over: false }
    }

    /// Whether no state follows those that were given.
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// The next state, if it comes within `wait`; `None` when it does not, and when it
    /// [`is_over`](Self::is_over).
    pub fn next_within(&mut self, wait: Duration) -> Option<Result<CoapAnswer, CoapError>> {
        let deadline = self.link.now() + wait;
        self.next_until(Some(deadline))
    }

    /// Tells the server that no more states are wanted, and waits for its answer, for `wait` at most.
    pub fn end(mut self, wait: Duration) {
        let deadline = self.link.now() + wait;
        self.cancel();
        while matches!(self.link.next_event(self.watcher, Some(deadline)), Ok(Some(event)) if !self.is_last(&event))
        {
        }
    }

    fn is_last(&self, event: &Event) -> bool {
        event.id() == self.id && matches!(event, Event::Failed { .. } | Event::Answered { .. })
    }

    fn cancel(&mut self) {
        if !self.is_over {
            self.is_over = true;
            let id = self.id;
            self.link.act(self.watcher, |machine, now, out| machine.cancel(now, id, out));
        }
    }

    fn next_until(&mut self, deadline: Option<Time>) -> Option<Result<CoapAnswer, CoapError>> {
        while !self.is_over {
            let event = match self.link.next_event(self.watcher, deadline) {
                Ok(Some(event)) => event,
                Ok(None) => return None,
                Err(error) => {
                    self.is_over = true;
                    return Some(Err(error));
                }
            };
            if event.id() != self.id {
                continue;
            }
            return match event {
                Event::Notification { from, response, .. } => Some(Ok(self.answer(from, response))),
                Event::Answered { from, response, .. } => {
                    self.is_over = true;
                    Some(Ok(self.answer(from, response)))
                }
                Event::Failed { failure, .. } => {
                    self.is_over = true;
                    Some(Err(failed(self.link, failure, self.started)))
                }
                _ => continue,
            };
        }
        None
    }

    fn answer(&self, server: SocketAddr, response: Response) -> CoapAnswer {
        let elapsed = self.link.now().since(self.started);
        CoapAnswer { response, server, messages: 1, elapsed, truncated: false }
    }
}

impl Iterator for Observation<'_> {
    type Item = Result<CoapAnswer, CoapError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_until(None)
    }
}

impl Drop for Observation<'_> {
    fn drop(&mut self) {
        // Sent once; the server learns it from a reset if that is lost.
        self.cancel();
    }
}

impl std::fmt::Debug for Observation<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Observation")
            .field("id", &self.id)
            .field("is_over", &self.is_over)
            .finish_non_exhaustive()
    }
}
