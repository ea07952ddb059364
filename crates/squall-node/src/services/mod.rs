//! The plain services: each one handler, for every transport.

mod echo;
mod exec;
mod length;
mod reply;
mod resources;
mod scratch;
mod stamp;
mod time;

pub use echo::Echo;
pub use exec::{Exec, ExecMode};
pub use length::Length;
pub use reply::FixedReply;
pub(crate) use resources::resources;
pub use scratch::Scratch;
pub use stamp::Stamp;
pub use time::TimeOfDay;

use squall::guard::Repeats;
use squall::{Peer, Refusal, Request, Target, Transport};

/// Withholds an answer now and then from a UDP peer that sends the same again and again, so that two
/// servers that answer each other come to an end. A request with a target is none's answer: those of CoAP are
/// told apart from requests by their form.
fn check_repeats(repeats: &Repeats, request: &Request<'_>) -> Result<(), Refusal> {
    match request.origin.peer {
        Peer::Ip(peer) if request.origin.transport == Transport::Udp && request.target == Target::PLAIN => {
            repeats.admit(peer, request.payload)
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use squall::{Handler, Origin, Outbox, Time};

    use super::*;

    /// What `handler` answers to `payload` from a UDP peer on loopback.
    pub(crate) fn answer(handler: &impl Handler, payload: &[u8]) -> Result<Vec<Vec<u8>>, Refusal> {
        let peer = Peer::Ip("127.0.0.1:50000".parse().unwrap());
        let origin = Origin { peer, local: None, transport: Transport::Udp, validated: true };
        let request = Request::new(Time::ZERO, payload, origin);
        let mut outbox = Outbox::new();
        let mut reply = outbox.answer(&request);
        let outcome = handler.handle(&request, &mut reply);
        reply.finish(outcome)?;
        Ok(outbox.frames().map(|frame| frame.payload.to_vec()).collect())
    }

    #[test]
    fn each_service_answers_as_its_wire_says() {
        assert_eq!(answer(&Length, b"").unwrap(), [b"Your data was 0 bytes long"]);
        assert_eq!(answer(&Length, &[0; 65_507]).unwrap(), [b"Your data was 65507 bytes long"]);
        assert_eq!(answer(&FixedReply::default(), b"x").unwrap(), ["你好".as_bytes()]);
        assert_eq!(answer(&Echo::default(), b"").unwrap(), [b""]);
        let time = answer(&TimeOfDay, b"").unwrap();
        assert_eq!(time[0].len(), 24);
        let stamped = answer(&Stamp, b"hi\r\n").unwrap();
        assert_eq!((stamped[0][0], &stamped[0][25..]), (b'[', b"] hi\r\n".as_slice()));
    }

    #[test]
    fn a_peer_that_returns_what_it_gets_is_left_alone_at_last() {
        let echo = Echo::default();
        let withheld = (0..100).filter(|_| answer(&echo, b"same").is_err()).count();
        assert!((1..10).contains(&withheld), "{withheld}");
        let different = (0..100_u8).filter(|number| answer(&echo, &[*number]).is_err()).count();
        assert_eq!(different, 0);
    }

    #[test]
    fn a_stamp_that_would_not_fit_a_datagram_is_refused() {
        assert_eq!(answer(&Stamp, &[b'x'; 65_507]), Err(Refusal::TooLong { limit: 65_507 }));
    }
}
