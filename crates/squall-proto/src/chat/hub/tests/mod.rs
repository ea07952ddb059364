mod commands;
mod crowds;
mod floods;
mod hostile;
mod limits;
mod lines;
mod liveness;
mod operator;
mod streams;
mod wire;

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::net::{Ipv4Addr, SocketAddr};
use core::time::Duration;

use super::*;
use crate::chat::NoHistory;
use crate::{Input, Origin, Peer, Request, Transport};

/// A hub, its driver, and what everybody got.
struct Bench {
    hub: Hub,
    out: Outbox,
    now: Time,
    got: BTreeMap<u32, Vec<String>>,
    /// Whole datagrams.
    raw: BTreeMap<u32, Vec<String>>,
    datagrams: BTreeMap<u32, usize>,
    closed: Vec<Origin>,
}

/// Test members from this number on are ports of one address.
const PORTS: u32 = 100_000;

/// The address of test member `number`; a stream if it is 1000 or more.
fn origin(number: u32) -> Origin {
    if let Some(port) = number.checked_sub(PORTS) {
        return udp(SocketAddr::from((Ipv4Addr::new(127, 1, 0, 1), port as u16 + 1)));
    }
    if number >= 1000 {
        return Origin { peer: Peer::Conn(number), local: None, transport: Transport::Unix, validated: true };
    }
    let ip = Ipv4Addr::new(127, 0, (number / 250) as u8, (number % 250 + 1) as u8);
    udp(SocketAddr::from((ip, 4000)))
}

fn udp(peer: SocketAddr) -> Origin {
    let local = Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 9999)));
    let validated = peer.ip().is_loopback();
    Origin { peer: Peer::Ip(peer), local, transport: Transport::Udp, validated }
}

fn number(origin: &Origin) -> u32 {
    match origin.peer {
        Peer::Conn(number) => number,
        Peer::Ip(SocketAddr::V4(peer)) if peer.ip().octets()[1] == 1 => PORTS + u32::from(peer.port()) - 1,
        Peer::Ip(SocketAddr::V4(peer)) => {
            let [_, _, high, low] = peer.ip().octets();
            u32::from(high) * 250 + u32::from(low) - 1
        }
        Peer::Ip(_) => u32::MAX,
    }
}

impl Bench {
    fn new() -> Self {
        Self::with(HubConfig::default())
    }

    fn with(config: HubConfig) -> Self {
        Self::with_history(config, Box::new(NoHistory))
    }

    fn with_history(config: HubConfig, history: Box<dyn History>) -> Self {
        Self {
            hub: Hub::new(config, history),
            out: Outbox::new(),
            now: Time::from_epoch(Duration::from_secs(1)),
            got: BTreeMap::new(),
            raw: BTreeMap::new(),
            datagrams: BTreeMap::new(),
            closed: Vec::new(),
        }
    }

    /// Members say something, all in one batch.
    fn say(&mut self, texts: &[(u32, &str)]) -> &mut Self {
        for (member, text) in texts {
            self.give(&origin(*member), text.as_bytes());
        }
        self.settle()
    }

    fn give(&mut self, origin: &Origin, payload: &[u8]) {
        let request = Request::new(self.now, payload, *origin);
        self.input(Input::Message(request));
    }

    fn input(&mut self, input: Input<'_>) {
        self.hub.handle_input(self.now, input, &mut self.out);
        self.flush();
    }

    fn open(&mut self, member: u32) -> &mut Self {
        self.input(Input::Opened(origin(member)));
        self
    }

    /// Timeouts until nothing waits.
    fn settle(&mut self) -> &mut Self {
        let mut rounds = 0;
        while self.hub.poll_timeout().is_some_and(|deadline| deadline <= self.now) {
            self.hub.handle_timeout(self.now, &mut self.out);
            self.flush();
            self.check();
            rounds += 1;
            assert!(rounds < 10_000, "the hub does not come to an end");
        }
        self
    }

    /// Time passes, and what is due is done.
    fn wait(&mut self, time: Duration) -> &mut Self {
        let end = self.now + time;
        while let Some(deadline) = self.hub.poll_timeout().filter(|deadline| *deadline <= end) {
            self.now = self.now.max(deadline);
            self.hub.handle_timeout(self.now, &mut self.out);
            self.flush();
        }
        self.now = end;
        self.check();
        self
    }

    fn flush(&mut self) {
        for frame in self.out.frames() {
            let member = number(frame.destination);
            let text = core::str::from_utf8(frame.payload).unwrap();
            assert!(!text.is_empty());
            let lines = text.split('\n').filter(|line| !line.is_empty()).map(ToString::to_string);
            self.got.entry(member).or_default().extend(lines);
            self.raw.entry(member).or_default().push(text.to_string());
            *self.datagrams.entry(member).or_default() += 1;
            let plain = !text.starts_with("ack #");
            assert!(!plain || frame.payload.len() <= 1024, "{} bytes", frame.payload.len());
        }
        self.closed.extend(self.out.closes());
        self.out.clear();
    }

    /// What a member got since it was asked for last.
    fn got(&mut self, member: u32) -> Vec<String> {
        self.got.remove(&member).unwrap_or_default()
    }

    /// The datagrams that a member got since it was asked for last.
    fn raw(&mut self, member: u32) -> Vec<String> {
        self.raw.remove(&member).unwrap_or_default()
    }

    fn check(&mut self) {
        self.hub.check();
    }
}

impl Hub {
    /// Whether all tables say the same.
    pub(super) fn check(&mut self) {
        self.members.check(&self.rooms);
        self.rooms.check(&self.members);
        self.senders.check();
        let mut counted = 0;
        for (index, member) in self.members.iter() {
            let origin = self.rooms.origin(member);
            counted += u64::from(self.config.counted(origin).is_some());
            let scheduled = self.wheel.deadline(index);
            assert_eq!(scheduled.is_some(), !origin.transport.is_stream(), "{member:?}");
            let lines = member.lines == members::Lines::On;
            assert!(member.row == rooms::Row::Gone || member.row.has_line_ends() == lines, "{member:?}");
            let numbers = member.numbers || matches!(member.row, rooms::Row::Gone | rooms::Row::Behind);
            assert!(numbers || !member.row.has_numbers());
            if let Some(sender) = member.sender() {
                assert_eq!(self.senders.get(sender).member.number, member.number);
            }
        }
        assert_eq!(self.limits.counted(), counted);
    }
}
