//! A hub with members that only send heartbeats, without a network in between.

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use squall_proto::chat::wire::Reason;
use squall_proto::chat::{Event, Hub, HubConfig, HubStats, LivenessConfig, NoHistory};
use squall_proto::{Input, Origin, Outbox, Peer, Protocol, Request, Transport};
use squall_sim::Time;

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

    /// A member says something that has no answer; it may be a new one, or one that was evicted.
    pub(crate) fn say(&mut self, now: Time, member: u32, text: &[u8]) {
        let request = Request::new(now, text, origin(member));
        self.hub.handle_input(now, Input::Message(request), &mut self.out);
        assert!(self.out.is_empty(), "there is no answer");
    }

    /// A heartbeat of a member came.
    pub(crate) fn heartbeat(&mut self, now: Time, member: u32, number: u32) {
        self.text.clear();
        write!(self.text, "^hb^ {number}").expect("memory can be written to");
        let text = std::mem::take(&mut self.text);
        self.say(now, member, &text);
        self.text = text;
    }

    /// When to call `evict` next.
    pub(crate) fn due(&self) -> Option<Time> {
        self.hub.poll_timeout()
    }

    /// Lets the hub evict whose time has come, and tells `gone` of each: who, how long it was silent, how long it
    /// could have been.
    pub(crate) fn evict(&mut self, now: Time, mut gone: impl FnMut(u32, Duration, Duration)) {
        self.hub.handle_timeout(now, &mut self.out);
        assert!(self.out.is_empty(), "there is nobody to tell");
        while let Some(event) = self.hub.poll_event() {
            if let Event::Went { who, reason, silence, limit, .. } = event {
                assert_eq!(reason, Reason::Silent);
                gone(number(&who.origin), silence, limit.expect("it sends datagrams"));
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
