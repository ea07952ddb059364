//! Requests and answers that are dropped on purpose.

use std::sync::{Arc, Mutex, PoisonError};

use squall::{Effect, Handler, Input, Method, Origin, Outbox, Peer, Protocol, Refusal, Reply, Request};
use squall::{Time, Transport};
use squall_weather::{Conditions, Decision, Direction, Link, Packet, Probability, Weather};

use crate::weather::parse_weather;

/// Drops requests and answers as a link drops datagrams: one link each for all services and threads of a node.
///
/// A request that is lost on its way `up` is not handled; one whose answer is lost on its way `down` is. An answer of
/// several datagrams is lost as a whole. Of UDP, sizes are counted with the headers of IP and UDP. Times of the weather
/// count from the node's start.
#[derive(Clone, Debug)]
pub struct Loss {
    /// Up and down.
    links: Arc<[Mutex<Link>; 2]>,
    /// Whether answers can be lost.
    down: bool,
}

impl Loss {
    /// Drops what `weather` drops; what else it does, [`parse_drop`] refuses, is not done. Runs with one `seed` drop the
    /// same ones of a sequence.
    pub fn new(weather: &Weather, seed: u64) -> Self {
        let link = |direction| {
            let mut link = weather.link(direction, seed);
            link.begin(Time::ZERO);
            Mutex::new(link)
        };
        Self { links: Arc::new(Direction::ALL.map(link)), down: !weather.down.is_clear() }
    }

    /// Whether the next request is dropped.
    pub(crate) fn check(&self, request: &Request<'_>) -> Result<(), Refusal> {
        self.decide(0, request.now, &request.origin, request.payload)
    }

    /// Whether the next answer is dropped, which goes to `origin`.
    pub(crate) fn check_answer(&self, now: Time, origin: &Origin, payload: &[u8]) -> Result<(), Refusal> {
        if self.down { self.decide(1, now, origin, payload) } else { Ok(()) }
    }

    fn decide(&self, link: usize, now: Time, origin: &Origin, payload: &[u8]) -> Result<(), Refusal> {
        let peer = match origin.peer {
            Peer::Ip(address) => Some(address),
            Peer::Conn(_) => None,
        };
        let headers = match peer {
            Some(peer) if origin.transport == Transport::Udp => {
                if peer.is_ipv4() {
                    28
                } else {
                    48
                }
            }
            _ => 0,
        };
        let packet = Packet { size: payload.len() + headers, payload, peer };
        // A panic elsewhere leaves a link whole: it decides, or it has not yet.
        let mut link = self.links[link].lock().unwrap_or_else(PoisonError::into_inner);
        match link.decide(now, &packet) {
            Decision::Dropped(_) => Err(Refusal::Dropped),
            Decision::Delivered(_) => Ok(()),
        }
    }
}

/// What a node is to lose: a share of the requests, `50%`, or a weather that only loses, such as `half`,
/// `burst=1%:25%` or `up.loss=30%,down.loss=10%`; requests go up, and answers down.
///
/// # Errors
/// What is wrong with it, in one line; also a weather that delays, reorders or alters.
pub fn parse_drop(text: &str) -> Result<Weather, String> {
    // What begins so is no key, no preset and hardly a file.
    if text.starts_with(|first: char| first.is_ascii_digit() || matches!(first, '.' | '-'))
        && !text.contains('=')
    {
        let share: Probability = text.parse().map_err(|error| format!("{text:?}: {error}"))?;
        let up = Conditions::default().loss(share);
        return Ok(Weather { up, down: Conditions::default() });
    }
    let weather = parse_weather(text).map_err(|error| error.to_string())?;
    match weather.keys_beyond_loss()[..] {
        [] => Ok(weather),
        [key, ..] => Err(format!("a node only loses, and {key} does more: put `squall relay` before it")),
    }
}

/// A handler or a protocol behind a loss.
pub(crate) struct Lossy<H>(pub(crate) Option<Loss>, pub(crate) H);

impl<H: Handler> Handler for Lossy<H> {
    fn handle(&self, request: &Request<'_>, reply: &mut Reply<'_>) -> Result<(), Refusal> {
        let Some(loss) = &self.0 else { return self.1.handle(request, reply) };
        loss.check(request)?;
        self.1.handle(request, reply)?;
        match reply.written() {
            Some(answer) => loss.check_answer(request.now, &request.origin, answer),
            None => Ok(()),
        }
    }

    fn effect(&self, method: Method) -> Effect {
        self.1.effect(method)
    }
}

impl<P> Lossy<P> {
    /// Runs `act`, and takes back what it sends if that is lost; whether it is.
    fn lose(&mut self, now: Time, out: &mut Outbox, act: impl FnOnce(&mut P, &mut Outbox)) -> bool {
        let (mark, frames, closes) = (out.mark(), out.len(), out.closes().len());
        act(&mut self.1, out);
        let Some(loss) = &self.0 else { return false };
        let lost = out
            .frames()
            .nth(frames)
            .is_some_and(|frame| loss.check_answer(now, frame.destination, frame.payload).is_err());
        // The end of a connection is no datagram.
        let lost = lost && out.closes().len() == closes;
        if lost {
            out.rewind(mark);
        }
        lost
    }
}

impl<P: Protocol> Protocol for Lossy<P> {
    fn handle_input(&mut self, now: Time, input: Input<'_>, out: &mut Outbox) {
        if let (Some(loss), Input::Message(request)) = (&self.0, &input)
            && let Err(refusal) = loss.check(request)
        {
            return out.refuse(refusal);
        }
        if self.lose(now, out, |protocol, out| protocol.handle_input(now, input, out)) {
            out.refuse(Refusal::Dropped);
        }
    }

    fn handle_timeout(&mut self, now: Time, out: &mut Outbox) {
        self.lose(now, out, |protocol, out| protocol.handle_timeout(now, out));
    }

    fn poll_timeout(&self) -> Option<Time> {
        self.1.poll_timeout()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin() -> Origin {
        let peer = Peer::Ip("127.0.0.1:50000".parse().unwrap());
        Origin { peer, local: None, transport: Transport::Udp, validated: true }
    }

    /// Which of 10,000 requests are dropped, and which of their answers.
    fn dropped(text: &str, seed: u64) -> [Vec<bool>; 2] {
        let loss = Loss::new(&parse_drop(text).unwrap(), seed);
        let request = Request::new(Time::ZERO, b"x", origin());
        let up = (0..10_000).map(|_| loss.check(&request).is_err()).collect();
        let down = (0..10_000).map(|_| loss.check_answer(Time::ZERO, &origin(), b"y").is_err()).collect();
        [up, down]
    }

    fn count(text: &str) -> [usize; 2] {
        dropped(text, 7).map(|dropped| dropped.iter().filter(|dropped| **dropped).count())
    }

    #[test]
    fn half_is_about_half_and_the_ends_are_all_and_none() {
        for text in ["half", "50%", "0.5", "up.loss=50%"] {
            let [up, down] = count(text);
            // 4.9 standard deviations of 50.
            assert!((4_755..5_245).contains(&up) && down == 0, "{text}: {up} {down}");
        }
        assert_eq!((count("0%"), count("100%")), ([0, 0], [10_000, 0]));
        assert_eq!((count("down.loss=100%"), count("loss=100%")), ([0, 10_000], [10_000, 10_000]));
        assert_eq!(dropped("half", 7), dropped("half", 7), "one seed, one run");
        assert_ne!(dropped("half", 7), dropped("half", 8));
    }

    #[test]
    fn bursts_blackouts_and_rules_lose_too() {
        let [up, _] = dropped("burst=1%:25%", 7);
        let starts = up.windows(2).filter(|pair| !pair[0] && pair[1]).count();
        let lost = up.iter().filter(|lost| **lost).count();
        assert!(lost > 2 * starts && starts > 20, "{lost} in {starts}");
        assert_eq!(count("blackout=0s+1s"), [10_000, 10_000]);
        assert_eq!(count("up.rule=every:4 drop"), [2_500, 0]);
        assert_eq!(count("rule=size:29 prefix:y drop"), [0, 10_000], "headers are counted");
        assert_eq!(count("clear@1s:half"), [0, 0]);
    }

    #[test]
    fn what_only_a_relay_can_do_is_refused_and_what_is_ambiguous() {
        for (text, says) in [
            ("delay=5ms", "a node only loses, and delay does more: put `squall relay` before it"),
            ("storm", "a node only loses, and delay does more"),
            ("loss=5%@10s:duplicate=1%", "duplicate does more"),
            ("rule=every:3 delay:5ms", "rule does more"),
            ("mtu=1400", "mtu does more"),
            ("1", "\"1\": a probability is written from 0% to 100%"),
            ("200%", "\"200%\": a probability"),
            ("-5%", "\"-5%\": a probability"),
            ("Half", "half is near"),
            ("", "empty"),
        ] {
            let error = parse_drop(text).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }

    #[test]
    fn a_request_whose_answer_is_lost_has_been_handled() {
        let ran = std::sync::atomic::AtomicUsize::new(0);
        let handler = |request: &Request<'_>, reply: &mut Reply<'_>| {
            ran.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            if request.payload == b"silent" { Ok(()) } else { reply.write(request.payload) }
        };
        let lossy = Lossy(Some(Loss::new(&parse_drop("down.loss=100%").unwrap(), 7)), handler);
        for (payload, outcome) in [(&b"x"[..], Err(Refusal::Dropped)), (b"silent", Ok(0))] {
            let request = Request::new(Time::ZERO, payload, origin());
            let mut out = Outbox::new();
            let mut reply = out.answer(&request);
            let handled = lossy.handle(&request, &mut reply);
            assert_eq!(reply.finish(handled), outcome);
            assert!(out.is_empty());
        }
        assert_eq!(ran.into_inner(), 2);
    }

    #[test]
    fn what_a_protocol_answers_is_lost_too() {
        struct Twice;
        impl Protocol for Twice {
            fn handle_input(&mut self, _: Time, input: Input<'_>, out: &mut Outbox) {
                if let Input::Message(request) = input {
                    for _ in 0..2 {
                        let mut reply = out.answer(&request);
                        let written = reply.write(request.payload);
                        reply.finish(written).unwrap();
                    }
                }
            }
            fn handle_timeout(&mut self, _: Time, _: &mut Outbox) {}
            fn poll_timeout(&self) -> Option<Time> {
                None
            }
        }
        for (text, frames, refusal) in
            [("down.loss=0%", 2, None), ("down.loss=100%", 0, Some(Refusal::Dropped))]
        {
            let mut lossy = Lossy(Some(Loss::new(&parse_drop(text).unwrap(), 7)), Twice);
            let mut out = Outbox::new();
            let request = Request::new(Time::ZERO, b"x", origin());
            lossy.handle_input(Time::ZERO, Input::Message(request), &mut out);
            assert_eq!((out.len(), out.take_refusal()), (frames, refusal), "{text}");
        }
    }
}
