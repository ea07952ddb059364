//! A hostile driver leaves a good machine alone and finds what is wrong with a bad one.

mod common;

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use common::{CLIENT, SERVER, Ticker, echo, to};
use squall_proto::{Input, Outbox, Protocol};
use squall_sim::{Outcome, Sim, Time, Weather, explore};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_good_machine_does_all_it_should_and_not_much_later() {
    let late = Duration::from_millis(20);
    let latest = explore(200, |sim| {
        sim.hostile(late);
        sim.host(SERVER, echo());
        let client = sim.host(CLIENT, Ticker::new(SECOND, 10));
        assert!(sim.run_until_idle(20 * SECOND));
        assert_eq!(sim.machine(client).heard.len(), 10);
        assert!(sim.trace().entries().any(|entry| entry.outcome == Outcome::Spurious));
        sim.now()
    });
    let (first, last) = (latest.iter().min().unwrap(), latest.iter().max().unwrap());
    assert_eq!(*first, Time::from_epoch(10 * SECOND), "half of all timeouts are on time");
    assert!((Duration::from_millis(18)..=late).contains(&last.since(*first)), "{last}");
}

#[test]
fn its_pranks_follow_from_the_seed() {
    let run = |seed| {
        let mut sim = Sim::new(seed);
        sim.hostile(SECOND);
        sim.weather(&Weather::preset("storm").unwrap());
        sim.host(SERVER, echo());
        sim.host(CLIENT, Ticker::new(SECOND / 10, 100));
        sim.run_for(30 * SECOND);
        sim.fingerprint()
    };
    assert_eq!(run(5), run(5));
    assert_ne!(run(5), run(6));
}

/// What is wrong with a machine.
#[derive(Clone, Copy, Debug)]
enum Fault {
    /// It takes each call of `handle_timeout` for one that is due.
    BelievesTimeouts,
    /// It says something else each time it is asked when it wants to be woken.
    Wavers,
    /// It throws away what was in the outbox.
    Clears,
    /// It knows all connections that ever close.
    KnowsAll,
    /// It knows all connections that ever take bytes again.
    WritesOn,
    /// It thinks that a timeout always comes before what arrives later.
    TrustsTheOrder,
}

/// Expects a tick from its peer between two of its own timeouts.
struct Faulty {
    fault: Fault,
    next: Time,
    asked: Cell<u64>,
}

impl Protocol for Faulty {
    fn handle_input(&mut self, now: Time, input: Input<'_>, out: &mut Outbox) {
        match (self.fault, input) {
            (Fault::KnowsAll, Input::Closed(origin)) => {
                panic!("a connection to {} closed that I do not have", origin.peer)
            }
            (Fault::WritesOn, Input::Writable(origin)) => {
                panic!("{} takes bytes again and I have none for it", origin.peer)
            }
            (Fault::TrustsTheOrder, Input::Message(_)) => {
                assert!(now <= self.next, "nobody told me of my timeout")
            }
            (Fault::Clears, Input::Message(_)) => out.clear(),
            _ => {}
        }
    }

    fn handle_timeout(&mut self, now: Time, out: &mut Outbox) {
        if now >= self.next || matches!(self.fault, Fault::BelievesTimeouts) {
            self.next = now + SECOND;
            out.to(&to(CLIENT)).write(b"timeout").unwrap();
        }
    }

    fn poll_timeout(&self) -> Option<Time> {
        self.asked.set(self.asked.get() + 1);
        let wavers = matches!(self.fault, Fault::Wavers);
        Some(self.next + Duration::from_nanos(if wavers { self.asked.get() } else { 0 }))
    }
}

fn run(sim: &mut Sim, fault: Fault) {
    sim.host(SERVER, Faulty { fault, next: Time::from_epoch(SECOND), asked: Cell::new(0) });
    sim.host(CLIENT, Ticker::new(SECOND / 8, 100));
    sim.run_for(20 * SECOND);
}

#[test]
fn each_fault_is_found_by_a_hostile_driver_and_by_no_other() {
    let expected = [
        (Fault::BelievesTimeouts, "at a timeout that was not due, the machine wrote 1 message(s)"),
        (Fault::Wavers, "asked twice when it wants to be woken, the machine said two things"),
        (Fault::Clears, "the machine took away what was in the outbox before it was called"),
        (Fault::KnowsAll, "a connection to #4294967295 closed that I do not have"),
        (Fault::WritesOn, "#4294967295 takes bytes again and I have none for it"),
        (Fault::TrustsTheOrder, "nobody told me of my timeout"),
    ];
    for (fault, complaint) in expected {
        explore(20, |sim| run(sim, fault));
        let found = catch_unwind(AssertUnwindSafe(|| {
            explore(20, |sim| {
                sim.hostile(SECOND / 2);
                run(sim, fault);
            })
        }));
        let message = *found.unwrap_err().downcast::<String>().unwrap();
        assert!(message.contains(complaint), "{fault:?}: {message}");
        assert!(message.starts_with("seed "), "{message}");
    }
}
