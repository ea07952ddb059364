//! Requests that are dropped on purpose.

use std::sync::{Arc, Mutex, PoisonError};

use squall::{Effect, Handler, Input, Method, Outbox, Protocol, Refusal, Reply, Request, Time};
use squall_weather::{Conditions, Decision, Link, Packet, Probability};

/// Drops requests as a link drops datagrams: one link for all services and threads of a node.
#[derive(Clone, Debug)]
pub struct Loss {
    link: Arc<Mutex<Link>>,
}

impl Loss {
    /// Drops each request with this probability. Runs with one `seed` drop the same ones of a sequence.
    pub fn new(probability: Probability, seed: u64) -> Self {
        let link = Link::new(&Conditions::default().loss(probability), seed);
        Self { link: Arc::new(Mutex::new(link)) }
    }

    /// Whether the next request is dropped.
    pub(crate) fn check(&self, request: &Request<'_>) -> Result<(), Refusal> {
        let packet = Packet { size: request.payload.len(), payload: request.payload, peer: None };
        // A panic elsewhere leaves a link whole: it decides, or it has not yet.
        let mut link = self.link.lock().unwrap_or_else(PoisonError::into_inner);
        match link.decide(request.now, &packet) {
            Decision::Dropped(_) => Err(Refusal::Dropped),
            Decision::Delivered(_) => Ok(()),
        }
    }
}

/// A handler or a protocol behind a loss.
pub(crate) struct Lossy<H>(pub(crate) Option<Loss>, pub(crate) H);

impl<H: Handler> Handler for Lossy<H> {
    fn handle(&self, request: &Request<'_>, reply: &mut Reply<'_>) -> Result<(), Refusal> {
        if let Some(loss) = &self.0 {
            loss.check(request)?;
        }
        self.1.handle(request, reply)
    }

    fn effect(&self, method: Method) -> Effect {
        self.1.effect(method)
    }
}

impl<P: Protocol> Protocol for Lossy<P> {
    fn handle_input(&mut self, now: Time, input: Input<'_>, out: &mut Outbox) {
        if let (Some(loss), Input::Message(request)) = (&self.0, &input)
            && let Err(refusal) = loss.check(request)
        {
            return out.refuse(refusal);
        }
        self.1.handle_input(now, input, out);
    }

    fn handle_timeout(&mut self, now: Time, out: &mut Outbox) {
        self.1.handle_timeout(now, out);
    }

    fn poll_timeout(&self) -> Option<Time> {
        self.1.poll_timeout()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use squall::{Origin, Peer, Time, Transport};

    #[test]
    fn half_is_about_half_and_the_ends_are_all_and_none() {
        let dropped = |probability| {
            let loss = Loss::new(probability, 7);
            let peer = Peer::Ip("127.0.0.1:50000".parse().unwrap());
            let origin = Origin { peer, local: None, transport: Transport::Udp, validated: true };
            let request = Request::new(Time::ZERO, b"x", origin);
            (0..10_000).filter(|_| loss.check(&request).is_err()).count()
        };
        // 4.9 standard deviations of 50.
        assert!((4_755..5_245).contains(&dropped(Probability::HALF)), "{}", dropped(Probability::HALF));
        assert_eq!((dropped(Probability::ZERO), dropped(Probability::ONE)), (0, 10_000));
        assert_eq!(dropped(Probability::HALF), dropped(Probability::HALF), "one seed, one run");
    }
}
