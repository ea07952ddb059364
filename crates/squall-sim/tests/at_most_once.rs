//! A request that is repeated until it is answered, and a server that executes it once: under every preset,
//! at most one execution, always an end in time, and as many answers as the loss rates say.

mod chance;
mod common;

use std::collections::BTreeMap;
use std::time::Duration;

use common::{CLIENT, SERVER, to};
use squall_proto::{Input, Outbox, Peer, Protocol};
use squall_sim::{Sim, Time, Weather, explore};
use squall_weather::PRESETS;

/// The timing of confirmable CoAP messages (RFC 7252 §4.8): attempts after 0, T, 3 T, 7 T and 15 T, and
/// the end after 31 T, where T is 2 to 3 seconds.
const ATTEMPTS: u32 = 5;
const LONGEST: Duration = Duration::from_secs(93);
const LATE: Duration = Duration::from_millis(100);

/// Sends one request until it is answered or the time is over.
struct Caller {
    wait: Duration,
    attempts: u32,
    deadline: Option<Time>,
    began: Time,
    ended: Option<(Time, bool)>,
}

impl Caller {
    /// A caller whose first wait is 2 s and a part of one more.
    fn new(part: f64) -> Self {
        let wait = Duration::from_secs(2) + Duration::from_secs(1).mul_f64(part);
        Self { wait, attempts: 0, deadline: None, began: Time::ZERO, ended: None }
    }

    fn call(&mut self, now: Time, out: &mut Outbox) {
        self.began = now;
        self.attempt(now, out);
    }

    fn attempt(&mut self, now: Time, out: &mut Outbox) {
        out.to(&to(SERVER)).write(b"pay 5").unwrap();
        self.deadline = Some(now + self.wait * 2_u32.pow(self.attempts));
        self.attempts += 1;
    }

    fn end(&mut self, now: Time, answered: bool) {
        self.deadline = None;
        self.ended.get_or_insert((now, answered));
    }
}

impl Protocol for Caller {
    fn handle_input(&mut self, now: Time, input: Input<'_>, _out: &mut Outbox) {
        if let Input::Message(request) = input
            && request.payload == b"paid 5"
        {
            self.end(now, true);
        }
    }

    fn handle_timeout(&mut self, now: Time, out: &mut Outbox) {
        if self.deadline.is_some_and(|deadline| deadline <= now) {
            match self.attempts {
                ATTEMPTS => self.end(now, false),
                _ => self.attempt(now, out),
            }
        }
    }

    fn poll_timeout(&self) -> Option<Time> {
        self.deadline
    }
}

/// Executes what it is asked, once for each peer if it has a memory.
struct Server {
    forgets: bool,
    answers: BTreeMap<Peer, &'static [u8]>,
    executions: u32,
}

impl Protocol for Server {
    fn handle_input(&mut self, _now: Time, input: Input<'_>, out: &mut Outbox) {
        let Input::Message(request) = input else { return };
        if self.forgets {
            self.answers.clear();
        }
        let executions = &mut self.executions;
        let answer = self.answers.entry(request.origin.peer).or_insert_with(|| {
            *executions += 1;
            b"paid 5"
        });
        out.answer(&request).write(answer).unwrap();
    }

    fn handle_timeout(&mut self, _now: Time, _out: &mut Outbox) {}

    fn poll_timeout(&self) -> Option<Time> {
        None
    }
}

/// One call; returns whether it was answered.
fn call(sim: &mut Sim, weather: &Weather, forgets: bool) -> bool {
    // Half of all runs have a driver that is late and calls for nothing.
    let late = if sim.seed().is_multiple_of(2) { Duration::ZERO } else { LATE };
    if late > Duration::ZERO {
        sim.hostile(late);
    }
    // As with UDP, which has one, nobody takes 5 for 7.
    sim.checksums(true);
    let part = sim.random().unit();
    let server = sim.host(SERVER, Server { forgets, answers: BTreeMap::new(), executions: 0 });
    let caller = sim.host(CLIENT, Caller::new(part));
    sim.link(caller, server, weather);
    sim.act(caller, Caller::call);
    assert!(sim.run_until_idle(2 * LONGEST), "it never comes to an end");

    let executions = sim.machine(server).executions;
    assert!(executions <= 1, "executed {executions} times");
    let caller = sim.machine(caller);
    let Some((end, answered)) = caller.ended else { panic!("the caller was told nothing") };
    assert!(end.since(caller.began) <= LONGEST + late * ATTEMPTS, "told after {:?}", end.since(caller.began));
    assert!(!answered || executions == 1, "answered and not executed");
    answered
}

#[test]
fn requests_are_executed_at_most_once_and_answered_as_often_as_the_loss_rates_say() {
    for preset in PRESETS {
        let weather = Weather::preset(preset.name).unwrap();
        let answered = explore(10_000, |sim| call(sim, &weather, false));
        let (seen, count) = (answered.iter().filter(|answered| **answered).count(), answered.len());
        chance::check(preset.name, seen as u64, count as u64, chance::answered(&weather, ATTEMPTS));
    }
}

#[test]
#[should_panic(expected = "executed 2 times")]
fn a_server_without_a_memory_is_found() {
    let weather = Weather::preset("satellite").unwrap();
    explore(10_000, |sim| call(sim, &weather, true));
}
