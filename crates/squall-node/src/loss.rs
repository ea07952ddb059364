//! Requests that are dropped on purpose.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use squall::{Effect, Handler, Method, Refusal, Reply, Request, random::SplitMix64};

/// Drops each request with the same probability.
#[derive(Clone, Debug)]
pub struct Loss {
    ratio: f64,
    state: Arc<AtomicU64>,
}

impl Loss {
    /// Drops the share `ratio` of all requests, 0.0 to 1.0; runs with one `seed` drop the same ones.
    pub fn new(ratio: f64, seed: u64) -> Self {
        Self { ratio: ratio.clamp(0.0, 1.0), state: Arc::new(AtomicU64::new(seed)) }
    }

    /// Whether the next request is dropped.
    pub(crate) fn check(&self) -> Result<(), Refusal> {
        let seed = self.state.fetch_add(1, Ordering::Relaxed);
        if SplitMix64::new(seed).unit() < self.ratio { Err(Refusal::Dropped) } else { Ok(()) }
    }
}

/// A handler behind a loss.
pub(crate) struct Lossy<H>(pub(crate) Option<Loss>, pub(crate) H);

impl<H: Handler> Handler for Lossy<H> {
    fn handle(&self, request: &Request<'_>, reply: &mut Reply<'_>) -> Result<(), Refusal> {
        if let Some(loss) = &self.0 {
            loss.check()?;
        }
        self.1.handle(request, reply)
    }

    fn effect(&self, method: Method) -> Effect {
        self.1.effect(method)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_is_about_half_and_the_ends_are_all_and_none() {
        let dropped = |ratio| {
            let loss = Loss::new(ratio, 7);
            (0..10_000).filter(|_| loss.check().is_err()).count()
        };
        assert!((4_800..5_200).contains(&dropped(0.5)), "{}", dropped(0.5));
        assert_eq!((dropped(0.0), dropped(1.0)), (0, 10_000));
        assert_eq!(dropped(0.3), dropped(0.3), "one seed, one run");
    }
}
