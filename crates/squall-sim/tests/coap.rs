//! Squall's CoAP client and server in every weather: a request with effect is executed at most once, its caller
//! is told in time how it went, and is told the truth.

mod chance;
mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use common::{CLIENT, SERVER};
use squall_proto::coap::client::{Client, ClientRequest, Event, Executed, Settings, Why};
use squall_proto::coap::server::{Resource, Server, ServerConfig};
use squall_proto::guard::{Network, Trust};
use squall_proto::{Effect, Handler, Method, Refusal, Reply, Request, Status};
use squall_sim::{Host, Sim, Time, Weather, explore};
use squall_weather::PRESETS;

/// MAX_TRANSMIT_WAIT (RFC 7252 §4.8.2): the longest that a confirmable request waits for its acknowledgement, and
/// in Squall's client the longest that it then waits for its answer.
const LONGEST: Duration = Duration::from_secs(93);
const LATE: Duration = Duration::from_millis(100);
/// MAX_RETRANSMIT and the first.
const ATTEMPTS: u32 = 5;

/// Counts how often it is run, and answers with its number and the length of what it was given.
#[derive(Clone, Default)]
struct Counter {
    runs: Arc<AtomicU32>,
}

impl Counter {
    fn runs(&self) -> u32 {
        self.runs.load(Ordering::Relaxed)
    }
}

impl Handler for Counter {
    fn handle(&self, request: &Request<'_>, reply: &mut Reply<'_>) -> Result<(), Refusal> {
        let run = self.runs.fetch_add(1, Ordering::Relaxed) + 1;
        reply.status(Status::CHANGED);
        reply.write(format!("{run}: {} bytes", request.payload.len()).as_bytes())
    }
}

/// How a request ended.
#[derive(Debug)]
enum End {
    Answered(Status, Vec<u8>),
    Failed(Why, Executed),
}

fn small(resources: Vec<Resource>, key: u128) -> Server {
    let config = ServerConfig::default().marks(1024).answer_bytes(64 * 1024);
    Server::new(&config, resources, key)
}

fn everybody() -> Trust {
    ["0.0.0.0/0".parse::<Network>().unwrap()].into_iter().collect()
}

fn client(sim: &mut Sim) -> Host<Client> {
    let seed = sim.random().next_u64();
    sim.host(CLIENT, Client::new(Settings::default(), seed).unwrap())
}

/// Half of all runs have a driver that is late and calls for nothing; returns by how much.
fn drive_badly(sim: &mut Sim) -> Duration {
    // As with UDP, which has one, nobody takes 5 for 7.
    sim.checksums(true);
    let late = if sim.seed().is_multiple_of(2) { Duration::ZERO } else { LATE };
    if late > Duration::ZERO {
        sim.hostile(late);
    }
    late
}

/// Sends `request` and gives its end, and when that was.
fn ask(sim: &mut Sim, client: Host<Client>, request: ClientRequest, limit: Duration) -> (End, Time) {
    let server = SERVER.parse().unwrap();
    sim.act(client, |client, now, out| client.request(now, &[server], request, out)).unwrap();
    assert!(
        sim.run_until_true(limit, |sim| sim.machine(client).is_empty()),
        "the caller was told nothing in time"
    );
    let event = sim.act(client, |client, _, _| client.poll_event());
    let end = match event {
        Some(Event::Answered { response, .. }) => End::Answered(response.status(), response.into_payload()),
        Some(Event::Failed { failure, .. }) => End::Failed(failure.why, failure.executed),
        other => panic!("{other:?}"),
    };
    assert_eq!(sim.act(client, |client, _, _| client.poll_event()), None, "a second end");
    (end, sim.now())
}

/// One POST; returns whether it was answered.
fn post(sim: &mut Sim, weather: &Weather, effect: Option<Effect>) -> bool {
    let late = drive_badly(sim);
    let counter = Counter::default();
    let key = sim.random().next_u64().into();
    let resource = match effect {
        Some(effect) => Resource::new("count", Declared(counter.clone(), effect)),
        None => Resource::new("count", counter.clone()),
    };
    let server = sim.host(SERVER, small(vec![resource], key));
    let client = client(sim);
    sim.link(client, server, weather);
    let request = ClientRequest::new(Method::Post).path("count").unwrap().payload(*b"pay 5");
    let (end, at) = ask(sim, client, request, 2 * LONGEST);
    assert!(at.since(Time::ZERO) <= LONGEST + late * ATTEMPTS, "told after {at}");
    // Copies that are still under way.
    sim.run_for(LONGEST);
    let runs = counter.runs();
    assert!(runs <= 1, "executed {runs} times");
    match end {
        End::Answered(status, body) => {
            assert_eq!((status, body, runs), (Status::CHANGED, b"1: 5 bytes".to_vec(), 1));
            true
        }
        End::Failed(why, executed) => {
            assert_eq!((why, executed), (Why::TimedOut, Executed::Unknown));
            false
        }
    }
}

/// A handler that says how often it may be run.
struct Declared<H>(H, Effect);

impl<H: Handler> Handler for Declared<H> {
    fn handle(&self, request: &Request<'_>, reply: &mut Reply<'_>) -> Result<(), Refusal> {
        self.0.handle(request, reply)
    }

    fn effect(&self, _method: Method) -> Effect {
        self.1
    }
}

#[test]
fn a_request_is_executed_at_most_once_and_answered_as_often_as_the_loss_rates_say() {
    for preset in PRESETS {
        let weather = Weather::preset(preset.name).unwrap();
        let answered = explore(10_000, |sim| post(sim, &weather, None));
        let (seen, count) = (answered.iter().filter(|answered| **answered).count(), answered.len());
        chance::check(preset.name, seen as u64, count as u64, chance::answered(&weather, ATTEMPTS));
    }
}

#[test]
#[should_panic(expected = "executed 2 times")]
fn a_handler_that_says_that_it_may_be_run_again_is() {
    explore(10_000, |sim| post(sim, &Weather::preset("satellite").unwrap(), Some(Effect::Safe)));
}

#[test]
fn long_bodies_arrive_whole_or_not_at_all() {
    for name in ["wifi", "storm", "half"] {
        let weather = Weather::preset(name).unwrap();
        let answered = explore(500, |sim| {
            drive_badly(sim);
            let counter = Counter::default();
            let key = sim.random().next_u64().into();
            let echo = |request: &Request<'_>, reply: &mut Reply<'_>| reply.write(request.payload);
            let resources = vec![
                Resource::new("count", counter.clone()),
                Resource::new("echo", Declared(echo, Effect::Safe)),
            ];
            let server = sim.host(SERVER, small(resources, key));
            sim.trust(server, everybody());
            let client = client(sim);
            sim.link(client, server, &weather);
            let length = 1 + sim.random().below(6000) as usize;
            let body: Vec<u8> = (0..length).map(|index| (index / 5) as u8).collect();
            // Each block is an exchange of its own.
            let limit = 2 * LONGEST * 14;
            let request = ClientRequest::new(Method::Post).path("count").unwrap().payload(body.clone());
            let (end, _) = ask(sim, client, request, limit);
            let runs = counter.runs();
            match end {
                End::Answered(Status::CHANGED, answer) => {
                    assert_eq!((answer, runs), (format!("1: {length} bytes").into_bytes(), 1));
                }
                End::Failed(Why::TimedOut, Executed::No) => assert_eq!(runs, 0),
                End::Failed(Why::TimedOut, Executed::Unknown) => assert!(runs <= 1),
                other => panic!("{other:?}"),
            }
            let request = ClientRequest::new(Method::Post).path("echo").unwrap().payload(body.clone());
            match ask(sim, client, request, limit).0 {
                End::Answered(status, answer) => {
                    assert!(status.is_success() && answer == body, "{status}, {} bytes", answer.len());
                    true
                }
                End::Failed(Why::TimedOut, _) => false,
                other => panic!("{other:?}"),
            }
        });
        assert!(answered.iter().any(|answered| *answered), "{name}: nothing was answered");
    }
}

#[test]
fn states_come_in_their_order_and_the_newest_comes() {
    for name in ["clear", "wifi", "storm"] {
        let weather = Weather::preset(name).unwrap();
        explore(300, |sim| {
            drive_badly(sim);
            let key = sim.random().next_u64().into();
            let clock = |request: &Request<'_>, reply: &mut Reply<'_>| {
                reply.max_age(Duration::from_secs(2));
                reply.write(&request.now.as_nanos().to_be_bytes())
            };
            let resource =
                Resource::new("clock", Declared(clock, Effect::Safe)).observable(Duration::from_secs(1));
            let server = sim.host(SERVER, small(vec![resource], key));
            sim.trust(server, everybody());
            let client = client(sim);
            sim.link(client, server, &weather);
            let request = ClientRequest::get().path("clock").unwrap().observe();
            let address = SERVER.parse().unwrap();
            let id =
                sim.act(client, |client, now, out| client.request(now, &[address], request, out)).unwrap();
            let mut states: Vec<u64> = Vec::new();
            let mut failed = false;
            for _ in 0..240 {
                sim.run_for(Duration::from_secs(1));
                while let Some(event) = sim.act(client, |client, _, _| client.poll_event()) {
                    match event {
                        Event::Notification { response, .. } => {
                            states.push(u64::from_be_bytes(response.payload().try_into().unwrap()));
                        }
                        Event::Failed { .. } => failed = true,
                        other => panic!("{other:?}"),
                    }
                }
            }
            assert!(states.is_sorted(), "{states:?}");
            if !failed {
                let newest = sim.now().as_nanos() - states.last().expect("a state");
                // Max-Age, the wait before it is asked for again, and the asking.
                let longest = Duration::from_secs(2 + 15) + LONGEST + ATTEMPTS * LATE;
                assert!(u128::from(newest) < longest.as_nanos(), "the newest state is {newest} ns old");
                sim.act(client, |client, now, out| client.cancel(now, id, out));
                assert!(sim.run_until_true(2 * LONGEST, |sim| sim.machine(client).is_empty()));
            }
        });
    }
}
