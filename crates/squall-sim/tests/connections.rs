//! What connections do in bad weather.

mod common;

use std::time::Duration;

use common::{CLIENT, SERVER};
use squall_proto::{Input, Origin, Outbox, Protocol};
use squall_sim::{Host, Outcome, Sim, Time, Weather, explore};

const SECOND: Duration = Duration::from_secs(1);
/// Without bursts, in which a connection may break.
const STORM: &str =
    "delay=100ms,jitter=50ms,order=free,loss=10%,duplicate=5%,reorder=5%,corrupt=5%,rate=2mbit";

/// Writes down what its connections do, and answers each message if it is to.
#[derive(Default)]
struct Log {
    lines: Vec<(u64, String)>,
    messages: Vec<Vec<u8>>,
    answers: bool,
}

impl Log {
    fn told(&self) -> Vec<&str> {
        self.lines.iter().map(|(_, line)| line.as_str()).collect()
    }
}

impl Protocol for Log {
    fn handle_input(&mut self, now: Time, input: Input<'_>, out: &mut Outbox) {
        let line = match input {
            Input::Opened(_) => "opened",
            Input::Closed(_) => "closed",
            Input::Full(_) => "full",
            Input::Writable(_) => "writable",
            Input::Message(request) => {
                self.messages.push(request.payload.to_vec());
                if self.answers {
                    out.answer(&request).write(request.payload).unwrap();
                }
                "message"
            }
            _ => return,
        };
        self.lines.push((now.as_nanos() / 1_000_000, line.to_owned()));
    }

    fn handle_timeout(&mut self, _now: Time, _out: &mut Outbox) {}

    fn poll_timeout(&self) -> Option<Time> {
        None
    }
}

fn pair(sim: &mut Sim, weather: &str) -> (Host<Log>, Host<Log>) {
    let server = sim.host(SERVER, Log { answers: true, ..Log::default() });
    let client = sim.host(CLIENT, Log::default());
    sim.link(client, server, &weather.parse::<Weather>().unwrap());
    (client, server)
}

fn write(sim: &mut Sim, host: Host<Log>, connection: &Origin, message: &[u8]) {
    sim.act(host, |_, _, out| out.to(connection).write(message)).unwrap();
}

#[test]
fn a_connection_opens_carries_messages_and_closes_in_order() {
    let mut sim = Sim::new(1);
    let (client, server) = pair(&mut sim, "up.delay=10ms,down.delay=5ms");
    let connection = sim.connect(client, SERVER);
    sim.run_until_idle(SECOND);
    for message in [b"one", b"two"] {
        write(&mut sim, client, &connection, message);
    }
    sim.run_until_idle(SECOND);
    sim.act(client, |_, _, out| out.close(&connection)).unwrap();
    sim.run_until_idle(SECOND);
    let line = |at, what: &str| (at, what.to_owned());
    assert_eq!(
        sim.machine(server).lines,
        [line(10, "opened"), line(25, "message"), line(25, "message"), line(40, "closed")]
    );
    assert_eq!(
        sim.machine(client).lines,
        [line(15, "opened"), line(30, "message"), line(30, "message"), line(40, "closed")]
    );
    assert_eq!(sim.machine(client).messages, [b"one", b"two"]);
    assert!(sim.run_until_idle(SECOND));
}

#[test]
fn whatever_the_weather_messages_arrive_whole_in_order_and_once() {
    let sizes = [1, 5000, 0, 1220, 1221, 20_000];
    explore(300, |sim| {
        sim.hostile(SECOND / 50);
        let (client, server) = pair(sim, STORM);
        let connection = sim.connect(client, SERVER);
        assert!(sim.run_until_true(600 * SECOND, |sim| sim.machine(client).told().contains(&"opened")));
        let messages = (0_u8..).zip(sizes).map(|(byte, size)| vec![byte; size]).collect::<Vec<_>>();
        for message in &messages {
            write(sim, client, &connection, message);
        }
        assert!(sim.run_until_true(3600 * SECOND, |sim| sim.machine(client).messages.len() == sizes.len()));
        sim.run_until_idle(3600 * SECOND);
        assert_eq!(sim.machine(server).messages, messages);
        assert_eq!(sim.machine(client).messages, messages);
    });
}

#[test]
fn a_lost_segment_is_sent_again_after_a_second_and_then_two() {
    let mut sim = Sim::new(1);
    let (client, server) = pair(&mut sim, "blackout=0s+2s,delay=10ms");
    sim.connect(client, SERVER);
    sim.run_until_idle(10 * SECOND);
    assert_eq!(sim.machine(server).lines, [(3010, "opened".to_owned())]);
}

#[test]
fn who_writes_faster_than_the_path_is_told_before_anything_is_lost_and_when_there_is_room() {
    let mut sim = Sim::new(1);
    let (client, server) = pair(&mut sim, "rate=8mbit,queue=10MB");
    sim.act(server, |server, _, _| server.answers = false);
    let connection = sim.connect(client, SERVER);
    sim.run_until_idle(SECOND);
    let burst = |sim: &mut Sim, count| (0..count).for_each(|_| write(sim, client, &connection, &[0; 1024]));
    burst(&mut sim, 63);
    sim.run_until_idle(SECOND);
    assert_eq!(sim.machine(client).told(), ["opened"], "a kilobyte less than full");
    burst(&mut sim, 64);
    sim.run_until_idle(SECOND);
    assert_eq!(sim.machine(client).told(), ["opened", "full", "writable"]);
    let told = sim.machine(client).lines.iter().map(|(at, _)| *at).collect::<Vec<_>>();
    // 32 messages of 1064 bytes at a megabyte a second.
    assert_eq!(told[2] - told[1], 34);
    burst(&mut sim, 1025);
    assert_eq!(sim.trace().entries().filter(|entry| entry.outcome == Outcome::NoRoom).count(), 1);
    sim.run_until_idle(10 * SECOND);
    assert_eq!(sim.machine(server).messages.len(), 63 + 64 + 1024);
}

#[test]
fn where_nobody_listens_a_connection_is_closed_without_having_been_open() {
    let mut sim = Sim::new(1);
    let (client, server) = pair(&mut sim, "delay=10ms");
    sim.connect(client, "192.0.2.99:1");
    sim.run_until_idle(SECOND);
    assert_eq!(sim.machine(client).told(), ["closed"]);
    sim.crash(server);
    let connection = sim.connect(client, SERVER);
    sim.act(client, |_, _, out| out.to(&connection).write(b"too early")).unwrap();
    assert_eq!(sim.trace().entries().last().unwrap().outcome, Outcome::NoSocket);
    sim.run_until_idle(SECOND);
    assert_eq!(sim.machine(client).told(), ["closed", "closed"]);
}

#[test]
fn a_crash_shows_when_something_is_written_to_who_is_no_more() {
    let mut sim = Sim::new(1);
    let (client, server) = pair(&mut sim, "delay=10ms");
    let connection = sim.connect(client, SERVER);
    sim.run_until_idle(SECOND);
    sim.crash(server);
    sim.restart(server, Log::default());
    sim.run_until_idle(SECOND);
    assert_eq!(sim.machine(client).told(), ["opened"], "nobody says that it crashed");
    write(&mut sim, client, &connection, b"are you there?");
    sim.run_until_idle(SECOND);
    assert_eq!(sim.machine(client).told(), ["opened", "closed"]);
    assert_eq!(sim.machine(server).told(), [""; 0], "the new machine has no such connection");
}

#[test]
fn a_host_that_stops_ends_its_connections_behind_its_last_words_whatever_is_lost() {
    let mut sim = Sim::new(1);
    let (client, server) = pair(&mut sim, "delay=10ms");
    let connection = sim.connect(client, SERVER);
    sim.run_until_idle(SECOND);
    sim.link(client, server, &"down.blackout=0s+500ms,delay=10ms".parse().unwrap());
    write(&mut sim, client, &connection, b"last words");
    sim.run_for(Duration::from_millis(10));
    sim.stop(server);
    sim.run_until_idle(10 * SECOND);
    assert_eq!(sim.machine(client).told(), ["opened", "message", "closed"]);
}

#[test]
fn a_connection_breaks_when_nothing_passes_for_ten_minutes() {
    let mut sim = Sim::new(1);
    let (client, server) = pair(&mut sim, "delay=10ms");
    let connection = sim.connect(client, SERVER);
    sim.run_until_idle(SECOND);
    sim.link(client, server, &"up.loss=100%".parse().unwrap());
    write(&mut sim, client, &connection, b"lost");
    assert!(sim.run_until_idle(3600 * SECOND));
    assert_eq!(sim.machine(client).told(), ["opened", "closed"]);
    assert_eq!(sim.machine(server).told(), ["opened", "closed"]);
    assert!((600..660).contains(&sim.now().since(Time::ZERO).as_secs()), "{}", sim.now());
}

#[test]
fn what_is_written_behind_the_end_is_dropped() {
    let mut sim = Sim::new(1);
    let (client, server) = pair(&mut sim, "delay=10ms");
    let connection = sim.connect(client, SERVER);
    sim.run_until_idle(SECOND);
    sim.act(client, |_, _, out| out.close(&connection)).unwrap();
    write(&mut sim, client, &connection, b"one more thing");
    assert_eq!(sim.trace().entries().last().unwrap().outcome, Outcome::NoRoom);
    sim.run_until_idle(SECOND);
    assert_eq!(sim.machine(server).told(), ["opened", "closed"]);
}

#[test]
fn a_segment_with_a_wrong_bit_is_sent_again() {
    let mut sim = Sim::new(1);
    let (client, server) = pair(&mut sim, "delay=10ms");
    let connection = sim.connect(client, SERVER);
    sim.run_until_idle(SECOND);
    sim.link(client, server, &"up.corrupt=100%".parse().unwrap());
    write(&mut sim, client, &connection, b"a bit turns over");
    sim.run_for(SECOND / 2);
    sim.link(client, server, &Weather::clear());
    sim.run_for(SECOND / 4);
    assert_eq!(sim.machine(server).told(), ["opened"]);
    sim.run_until_idle(SECOND);
    assert_eq!(sim.machine(server).messages, [b"a bit turns over"]);
}

#[test]
fn a_host_that_crashed_sends_nothing_again() {
    let mut sim = Sim::new(1);
    let (client, server) = pair(&mut sim, "delay=10ms");
    let connection = sim.connect(client, SERVER);
    sim.run_until_idle(SECOND);
    sim.link(client, server, &"blackout=0s+500ms".parse().unwrap());
    write(&mut sim, client, &connection, b"lost, and nobody remembers it");
    sim.crash(client);
    sim.run_until_idle(10 * SECOND);
    assert_eq!(sim.machine(server).told(), ["opened"]);
}

#[test]
fn connections_of_an_earlier_run_are_forgotten() {
    let mut sim = Sim::new(1);
    let run = |sim: &mut Sim| {
        let (client, _) = pair(sim, STORM);
        let connection = sim.connect(client, SERVER);
        sim.run_for(10 * SECOND);
        write(sim, client, &connection, b"under way when the run ends");
        sim.fingerprint()
    };
    let first = run(&mut sim);
    sim.reset(1);
    assert_eq!(run(&mut sim), first);
}
