//! A hub as the keeper of members.

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};

use squall_proto::chat::wire::Reason;
use squall_proto::chat::{Event, Hub, HubConfig, HubStats, LivenessConfig, NoHistory};
use squall_proto::{Input, Origin, Outbox, Peer, Protocol, Request, Transport};
use squall_sim::Time;

use super::Keeper;

/// A hub, and what a driver has.
pub(crate) struct Kept {
    pub(crate) hub: Hub,
    out: Outbox,
    text: Vec<u8>,
}

impl Kept {
    pub(crate) fn new(config: LivenessConfig, members: usize) -> Self {
        let members = u32::try_from(members).unwrap_or(u32::MAX);
        let config = HubConfig::default().seed(9).members(members).liveness(config);
        Self { hub: Hub::new(config, Box::new(NoHistory)), out: Outbox::new(), text: Vec::with_capacity(32) }
    }

    pub(crate) fn stats(&self) -> HubStats {
        self.hub.stats()
    }

    fn quiet(&mut self) {
        assert!(self.out.is_empty(), "heartbeats have no answer");
    }
}

impl Keeper for Kept {
    fn heartbeat(&mut self, now: Time, member: u32, number: u32) {
        self.text.clear();
        write!(self.text, "^hb^ {number}").expect("memory can be written to");
        let request = Request::new(now, &self.text, origin(member));
        self.hub.handle_input(now, Input::Message(request), &mut self.out);
        self.quiet();
    }

    fn due(&self) -> Option<Time> {
        self.hub.poll_timeout()
    }

    fn evict(&mut self, now: Time, gone: &mut Vec<u32>) {
        self.hub.handle_timeout(now, &mut self.out);
        self.quiet();
        while let Some(event) = self.hub.poll_event() {
            if let Event::Went { who, reason, .. } = event {
                assert_eq!(reason, Reason::Silent);
                gone.push(number(&who.origin));
            }
        }
    }
}

/// Each member has an address of its own, of a network that may have as many as it likes.
fn origin(member: u32) -> Origin {
    let [.., second, third, fourth] = member.to_be_bytes();
    let peer = SocketAddr::from((Ipv4Addr::new(127, second + 1, third, fourth), 40_000));
    Origin { peer: Peer::Ip(peer), local: None, transport: Transport::Udp, validated: true }
}

fn number(origin: &Origin) -> u32 {
    match origin.peer {
        Peer::Ip(SocketAddr::V4(peer)) => (peer.ip().to_bits() & 0x00ff_ffff) - (1 << 16),
        _ => panic!("no member has the address {:?}", origin.peer),
    }
}
