//! A driver that does all that a protocol must bear.

use std::time::Duration;

use squall_proto::{Input, Origin, Outbox, Peer, Protocol, Transport};
use squall_time::Time;
use squall_time::random::SplitMix64;

/// What a hostile driver draws from. Each run's pranks follow from the seed, and those of one host do not
/// depend on the weather.
#[derive(Debug)]
pub(crate) struct Hostile {
    random: SplitMix64,
    late: Duration,
}

impl Hostile {
    pub(crate) fn new(seed: u64, late: Duration) -> Self {
        Self { random: SplitMix64::new(seed), late }
    }

    /// How late a timeout comes: half of them on time.
    pub(crate) fn lateness(&mut self) -> Duration {
        let late = self.random.below(self.late.as_nanos() as u64 + 1);
        if self.random.below(2) == 0 { Duration::ZERO } else { Duration::from_nanos(late) }
    }

    /// Whether of two things at one moment the second comes first.
    pub(crate) fn swaps(&mut self) -> bool {
        self.random.below(2) == 0
    }

    /// What is done to a machine after it was called for a reason.
    pub(crate) fn prank(&mut self) -> Option<Prank> {
        match self.random.below(16) {
            0..4 => Some(Prank::Timeout),
            4 => Some(Prank::Closed),
            5 => Some(Prank::Writable),
            _ => None,
        }
    }
}

/// A call for nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Prank {
    /// [`Protocol::handle_timeout`], though nothing may be due.
    Timeout,
    /// A connection ended of which the machine never heard.
    Closed,
    /// So did the queue of a connection empty itself.
    Writable,
}

impl Prank {
    /// Calls `machine`.
    ///
    /// # Panics
    /// When the machine does something at a timeout that is not due.
    pub(crate) fn play(self, machine: &mut dyn Protocol, now: Time, out: &mut Outbox) {
        match self {
            Prank::Timeout => {
                let due = machine.poll_timeout().is_some_and(|deadline| deadline <= now);
                let before = (out.len(), out.closes().len());
                machine.handle_timeout(now, out);
                let after = (out.len(), out.closes().len());
                assert!(
                    due || before == after,
                    "at a timeout that was not due, the machine wrote {} message(s) and ended {} connection(s)",
                    after.0 - before.0,
                    after.1 - before.1
                );
            }
            Prank::Closed => machine.handle_input(now, Input::Closed(SOMEBODY_ELSE), out),
            Prank::Writable => machine.handle_input(now, Input::Writable(SOMEBODY_ELSE), out),
        }
    }
}

/// Asks twice when `machine` wants to be woken.
///
/// # Panics
/// When the answers differ.
pub(crate) fn poll_twice(machine: &dyn Protocol) {
    let (first, second) = (machine.poll_timeout(), machine.poll_timeout());
    assert_eq!(first, second, "asked twice when it wants to be woken, the machine said two things");
}

/// Leaves a message of somebody else's in the outbox, as a server does that sends what several requests
/// of a batch brought forth together.
pub(crate) fn leave_message(out: &mut Outbox) {
    out.to(&SOMEBODY_ELSE).write(MESSAGE).expect("the outbox is empty");
}

/// Whether the message of somebody else is still there.
///
/// # Panics
/// When it is not.
pub(crate) fn check_message(out: &Outbox) {
    let there = out
        .frames()
        .next()
        .is_some_and(|frame| *frame.destination == SOMEBODY_ELSE && frame.payload == MESSAGE);
    assert!(there, "the machine took away what was in the outbox before it was called");
}

/// A connection of which no machine ever heard.
const STRANGER: Peer = Peer::Conn(u32::MAX);
const SOMEBODY_ELSE: Origin =
    Origin { peer: STRANGER, local: None, transport: Transport::Unixgram, validated: true };
const MESSAGE: &[u8] = b"somebody else's";
