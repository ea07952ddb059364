//! Requests that are answered elsewhere than on their shard: by a pool, or asynchronously.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use squall_proto::{Handler, MAX_DATAGRAM, Origin, Outbox, Refusal, Request, Time};
use tokio::runtime;

use crate::engine::returns::{Done, Outcome, Returns};
use crate::hooks::panic_message;
use crate::pool::{Back, Job, Pool};
use crate::verdict::Verdict;

/// A request that owns its bytes, for handlers that wait.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct OwnedRequest {
    /// When it arrived, on the server's clock.
    pub now: Time,
    /// The bytes of the datagram or frame.
    pub payload: Vec<u8>,
    /// Where it came from.
    pub origin: Origin,
}

/// Answers requests where the work waits on something: a database, another server, a timer.
///
/// It runs on the server's runtime, at most [`limit`](Self::limit) requests at a time; more are shed.
/// Each element of the answer is a datagram or frame. The limits of [`Reply`](squall_proto::Reply) hold: an answer that would
/// be too long or too much for an unvalidated address is refused whole.
pub trait AsyncHandler: Send + Sync + 'static {
    /// Answers `request`.
    fn handle(&self, request: OwnedRequest) -> impl Future<Output = Result<Vec<Vec<u8>>, Refusal>> + Send;

    /// How many requests may wait at a time; 1024 by default.
    fn limit(&self) -> usize {
        1024
    }
}

impl<F, R> AsyncHandler for F
where
    F: Fn(OwnedRequest) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Vec<Vec<u8>>, Refusal>> + Send,
{
    fn handle(&self, request: OwnedRequest) -> impl Future<Output = Result<Vec<Vec<u8>>, Refusal>> + Send {
        self(request)
    }
}

type Answer = Pin<Box<dyn Future<Output = Result<Vec<Vec<u8>>, Refusal>> + Send>>;

/// An [`AsyncHandler`] of any type, with the count of what it is working on.
#[derive(Clone)]
pub(crate) struct Asynchronous {
    call: Arc<dyn Fn(OwnedRequest) -> Answer + Send + Sync>,
    running: Arc<AtomicUsize>,
    limit: usize,
}

impl Asynchronous {
    pub(crate) fn new(handler: impl AsyncHandler) -> Self {
        let limit = handler.limit();
        let handler = Arc::new(handler);
        let call = Arc::new(move |request| {
            let handler = Arc::clone(&handler);
            Box::pin(async move { handler.handle(request).await }) as Answer
        });
        Self { call, running: Arc::new(AtomicUsize::new(0)), limit }
    }

    /// Answers `request` within the limits of its origin.
    pub(crate) async fn answer(self, request: OwnedRequest) -> Outcome {
        let (now, origin, size) = (request.now, request.origin, request.payload.len());
        // A task of its own, so that a panic is its own.
        let answer = tokio::spawn((self.call)(request)).await;
        self.running.fetch_sub(1, Ordering::Relaxed);
        match answer {
            Err(error) => Outcome {
                panic: error.try_into_panic().ok().map(|panic| panic_message(&*panic)),
                ..Outcome::without(Verdict::Panicked)
            },
            Ok(Err(refusal)) => Outcome::without(Verdict::Refused(refusal)),
            Ok(Ok(replies)) => within_limits(now, origin, size, &replies),
        }
    }

    /// Takes a place; false when all are taken.
    pub(crate) fn begin(&self) -> bool {
        let taken = self.running.fetch_add(1, Ordering::Relaxed);
        if taken >= self.limit {
            self.running.fetch_sub(1, Ordering::Relaxed);
        }
        taken < self.limit
    }
}

fn within_limits(now: Time, origin: Origin, size: usize, replies: &[Vec<u8>]) -> Outcome {
    let bytes = replies.iter().map(Vec::len).sum::<usize>();
    let mut outbox = Outbox::with_limits(bytes.max(MAX_DATAGRAM), replies.len());
    // Only the length of the request counts.
    let request = vec![0; if origin.validated { 0 } else { size }];
    let mut reply = outbox.answer(&Request::new(now, &request, origin));
    let written = replies.iter().try_for_each(|payload| reply.write(payload).and_then(|()| reply.next()));
    let verdict = match reply.finish(written) {
        Ok(0) => Verdict::Silent,
        Ok(count) => Verdict::Answered(count),
        Err(refusal) => Verdict::Refused(refusal),
    };
    Outcome::of(Ok(verdict), &outbox)
}

/// Where requests go that their shard does not answer itself.
#[derive(Clone)]
pub(crate) enum Work {
    Pool(Arc<Pool>, Arc<dyn Handler>),
    Runtime(runtime::Handle, Asynchronous),
}

impl Work {
    /// Gets work on what was given away under way.
    pub(crate) fn kick(&self) {
        if let Work::Pool(pool, _) = self {
            pool.kick();
        }
    }

    /// Gives away a copy of `request`, whose answer returns to `returns` for `endpoint`. A row of them
    /// ends with [`kick`](Self::kick).
    pub(crate) fn give(
        &self,
        request: &Request<'_>,
        returns: &Arc<Returns>,
        endpoint: usize,
    ) -> Result<(), Refusal> {
        let payload = request.payload.to_vec();
        let (arrived, origin) = (request.now, request.origin);
        match self {
            Work::Pool(pool, handler) => {
                let back = Back::Shard(Arc::clone(returns), endpoint);
                let job = Job { handler: Arc::clone(handler), arrived, origin, payload, back };
                pool.submit(job)
            }
            Work::Runtime(runtime, handler) => {
                if !handler.begin() {
                    return Err(Refusal::Overload("too many requests are waiting"));
                }
                let (handler, returns) = (handler.clone(), Arc::clone(returns));
                let owned = OwnedRequest { now: arrived, payload: payload.clone(), origin };
                runtime.spawn(async move {
                    let outcome = handler.answer(owned).await;
                    returns.put(Done { endpoint, arrived, origin, request: payload, outcome });
                });
                Ok(())
            }
        }
    }
}
