//! CoAP in every weather: at most one execution, always an end in time, and as many answers as the loss
//! rates say.
//!
//! `SQUALL_SIM_SEEDS=100000 cargo test -p squall-proto --test coap_weather` runs ten times as many seeds.

#[path = "../../squall-sim/tests/chance/mod.rs"]
mod chance;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use squall_proto::coap::client::{Client, ClientRequest, Event, Executed, RequestId, Settings, Why};
use squall_proto::coap::server::{Resource, Server, ServerConfig};
use squall_proto::{Method, Reply, Request, Status};
use squall_sim::{Host, PRESETS, Sim, Time, Weather, explore};

const SERVER: &str = "192.0.2.1:5683";
const CLIENT: &str = "192.0.2.2:40000";
/// How often a confirmable message is sent: once, and MAX_RETRANSMIT times again.
const ATTEMPTS: u32 = 5;
/// The longest time until a client that hears nothing gives up: MAX_TRANSMIT_WAIT
/// ([RFC 7252 §4.8.2](https://www.rfc-editor.org/rfc/rfc7252#section-4.8.2)).
const LONGEST: Duration = Duration::from_secs(93);
/// How late the timeouts of a hostile driver come.
const LATE: Duration = Duration::from_millis(100);

/// How often each request was executed, by its number.
type Executions = Arc<Mutex<BTreeMap<u32, u32>>>;

/// A server whose `/pay` may be executed once for each request.
fn server(key: u64) -> (Server, Executions) {
    let executions = Executions::default();
    let own = executions.clone();
    let pay = move |request: &Request<'_>, reply: &mut Reply<'_>| {
        let number = u32::from_be_bytes(request.payload.try_into().expect("checksums were checked"));
        *own.lock().expect("nobody panics with it").entry(number).or_default() += 1;
        reply.status(Status::CHANGED);
        reply.write(&number.to_be_bytes())
    };
    let resource = Resource::new("pay", pay).methods(&[Method::Post]);
    // Memory for a thousand clients would take most of a run's time.
    let config = ServerConfig::default().marks(256).answer_bytes(16 * 1024);
    (Server::new(&config, vec![resource], key.into()), executions)
}

/// One run; returns whether the first request was answered.
fn pay(sim: &mut Sim, weather: &Weather) -> bool {
    // Half of all runs have a driver that is late and calls for nothing.
    let late = if sim.seed().is_multiple_of(2) { Duration::ZERO } else { LATE };
    if late > Duration::ZERO {
        sim.hostile(late);
    }
    // A wrong bit never comes past UDP's checksum.
    sim.checksums(true);
    let (key, seed) = (sim.random().next_u64(), sim.random().next_u64());
    let (machine, executions) = server(key);
    let server = sim.host(SERVER, machine);
    let client = sim.host(CLIENT, Client::new(Settings::default(), seed).unwrap());
    sim.link(client, server, weather);

    let to = [SERVER.parse().unwrap()];
    // They go one after the other, since NSTART is 1.
    let ids = [0, 1, 2].map(|number: u32| {
        sim.act(client, |client, now, out| {
            let request = ClientRequest::new(Method::Post).path("pay").unwrap().payload(number.to_be_bytes());
            client.request(now, &to, request, out).unwrap()
        })
    });
    let ends = run(sim, client);
    let executions = executions.lock().unwrap();
    let mut earlier = Time::ZERO;
    for (number, id) in (0_u32..).zip(ids) {
        let executed = executions.get(&number).copied().unwrap_or(0);
        assert!(executed <= 1, "request {number} was executed {executed} times");
        let told = ends.get(&id).map_or(&[][..], Vec::as_slice);
        let [(at, event)] = told else { panic!("request {number} ended as {told:?}") };
        match event {
            Event::Answered { response, .. } => {
                let answer = (response.status(), response.payload());
                assert_eq!(answer, (Status::CHANGED, &number.to_be_bytes()[..]));
                assert_eq!(executed, 1, "request {number} was answered and not executed");
            }
            Event::Failed { failure, .. } => {
                assert_eq!((failure.why, failure.executed), (Why::TimedOut, Executed::Unknown));
            }
            other => panic!("request {number}: {other:?}"),
        }
        let took = at.since(earlier);
        assert!(took <= LONGEST + late * (ATTEMPTS + 1), "request {number} took {took:?}");
        earlier = *at;
    }
    matches!(ends[&ids[0]][0].1, Event::Answered { .. })
}

/// Runs until nothing happens any more or an hour has passed, and returns what the requests ended with.
fn run(sim: &mut Sim, client: Host<Client>) -> BTreeMap<RequestId, Vec<(Time, Event)>> {
    let mut ends = BTreeMap::<_, Vec<_>>::new();
    let end = Time::from_epoch(Duration::from_secs(3600));
    while sim.next_event().is_some_and(|next| next <= end) {
        sim.step();
        let now = sim.now();
        while let Some(event) = sim.act(client, |client, _, _| client.poll_event()) {
            ends.entry(event.id()).or_default().push((now, event));
        }
    }
    ends
}

#[test]
fn requests_with_effect_are_executed_at_most_once_and_answered_as_often_as_the_loss_rates_say() {
    for preset in PRESETS {
        let weather = Weather::preset(preset.name).unwrap();
        let answered = explore(10_000, |sim| pay(sim, &weather));
        let (seen, count) = (answered.iter().filter(|answered| **answered).count(), answered.len());
        let computed = chance::answered(&weather, ATTEMPTS);
        println!("{}: {seen} of {count} were answered, computed {computed:.9}", preset.name);
        chance::check(preset.name, seen as u64, count as u64, computed);
    }
}
