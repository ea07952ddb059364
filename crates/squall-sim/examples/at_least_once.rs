//! A sender that repeats what was not confirmed, under a thousand storms: everything arrives at least once.
//!
//! Run it with `cargo run -p squall-sim --example at_least_once`. Then let the sender give up too early, with
//! `TRIES` at 5, and see which seed shows it, and what the network did there.

use std::collections::BTreeSet;
use std::time::Duration;

use squall_proto::{Input, Origin, Outbox, Peer, Protocol, Transport};
use squall_sim::{Time, Weather, explore};

const RECEIVER: &str = "192.0.2.1:5000";
const SENDER: &str = "192.0.2.2:40000";
/// How often a number is sent before the sender gives up. A storm's bursts are long.
const TRIES: u32 = 100;

/// Sends numbers, one after the other, each until it is confirmed.
struct Sender {
    receiver: Origin,
    number: u32,
    count: u32,
    tries: u32,
    deadline: Option<Time>,
    gave_up: bool,
}

impl Sender {
    fn new(count: u32) -> Self {
        let peer = Peer::Ip(RECEIVER.parse().expect("it is an address"));
        let receiver = Origin { peer, local: None, transport: Transport::Udp, validated: true };
        Self { receiver, number: 0, count, tries: 0, deadline: None, gave_up: false }
    }

    fn start(&mut self, now: Time, out: &mut Outbox) {
        self.tries = 0;
        self.send(now, out);
    }

    fn send(&mut self, now: Time, out: &mut Outbox) {
        // The check sum catches what the storm corrupts.
        let number = self.number.to_be_bytes();
        let check = self.number.wrapping_mul(0x9e37_79b1).to_be_bytes();
        let _ = out.to(&self.receiver).write(&[number, check].concat());
        self.tries += 1;
        // Each wait is twice as long as the one before.
        self.deadline = Some(now + Duration::from_millis(200) * 2_u32.pow(self.tries.min(6)));
    }
}

impl Protocol for Sender {
    fn handle_input(&mut self, now: Time, input: Input<'_>, out: &mut Outbox) {
        let Input::Message(request) = input else { return };
        // A late confirmation of an earlier number says nothing of this one.
        if checked(request.payload) == Some(self.number) && self.deadline.is_some() {
            self.number += 1;
            self.deadline = None;
            if self.number < self.count {
                self.start(now, out);
            }
        }
    }

    fn handle_timeout(&mut self, now: Time, out: &mut Outbox) {
        if self.deadline.is_some_and(|deadline| deadline <= now) {
            self.deadline = None;
            self.gave_up = self.tries >= TRIES;
            if !self.gave_up {
                self.send(now, out);
            }
        }
    }

    fn poll_timeout(&self) -> Option<Time> {
        self.deadline
    }
}

/// Confirms each number by sending it back.
#[derive(Default)]
struct Receiver {
    seen: BTreeSet<u32>,
}

impl Protocol for Receiver {
    fn handle_input(&mut self, _now: Time, input: Input<'_>, out: &mut Outbox) {
        let Input::Message(request) = input else { return };
        if let Some(number) = checked(request.payload) {
            self.seen.insert(number);
            let _ = out.answer(&request).write(request.payload);
        }
    }

    fn handle_timeout(&mut self, _now: Time, _out: &mut Outbox) {}

    fn poll_timeout(&self) -> Option<Time> {
        None
    }
}

/// The number in a datagram, if it is whole.
fn checked(payload: &[u8]) -> Option<u32> {
    let (number, check) = payload.split_first_chunk()?;
    let number = u32::from_be_bytes(*number);
    (check == number.wrapping_mul(0x9e37_79b1).to_be_bytes()).then_some(number)
}

fn main() {
    let storm = Weather::preset("storm").expect("there is such a preset");
    let count = 20;
    let took = explore(1000, |sim| {
        let receiver = sim.host(RECEIVER, Receiver::default());
        let sender = sim.host(SENDER, Sender::new(count));
        sim.link(sender, receiver, &storm);
        // Timeouts come late and for nothing, too.
        sim.hostile(Duration::from_millis(50));

        sim.act(sender, |sender, now, out| sender.start(now, out));
        assert!(sim.run_until_idle(Duration::from_secs(3600)), "it never comes to an end");
        assert!(!sim.machine(sender).gave_up, "number {} was given up", sim.machine(sender).number);
        assert!(sim.machine(receiver).seen.iter().copied().eq(0..count), "not all arrived");
        sim.now().since(Time::ZERO)
    });
    let longest = took.iter().max().expect("there were runs");
    println!("{} storms, {count} numbers each; the longest took {longest:?}", took.len());
}
