//! What a network does to datagrams and hosts.

mod common;

use std::time::Duration;

use common::{CLIENT, SERVER, Ticker, echo, to};
use squall_proto::guard::Trust;
use squall_proto::{Input, Outbox, Protocol};
use squall_sim::{Host, HostId, Mailbox, Outcome, Sim, Time, Weather, explore};
use squall_weather::{Cause, PRESETS};

const SECOND: Duration = Duration::from_secs(1);

fn weather(text: &str) -> Weather {
    text.parse().unwrap()
}

#[test]
fn a_datagram_takes_the_delay_of_its_direction() {
    let mut sim = Sim::new(1);
    let server = sim.host(SERVER, echo());
    let client = sim.host(CLIENT, Mailbox::default());
    sim.link(client, server, &weather("up.delay=30ms,down.delay=12ms"));
    sim.send(client, SERVER, b"hello");
    assert!(sim.run_until_idle(SECOND));
    let received = sim.machine(client).received();
    assert_eq!(received.len(), 1);
    assert_eq!(received[0].at, Time::from_epoch(Duration::from_millis(42)));
    assert_eq!(
        (received[0].payload.as_slice(), received[0].from()),
        (b"hello".as_slice(), Some(SERVER.parse().unwrap()))
    );
    assert_eq!(received[0].origin.local, Some(CLIENT.parse().unwrap()));
}

#[test]
fn every_preset_brings_answers_and_never_one_that_was_not_given() {
    for preset in PRESETS {
        let weather = Weather::preset(preset.name).unwrap();
        let corrupts = preset.text.contains("corrupt");
        explore(50, |sim| {
            sim.host(SERVER, echo());
            let client = sim.host(CLIENT, Ticker::new(Duration::from_millis(100), 50));
            sim.weather(&weather);
            assert!(sim.run_until_idle(20 * SECOND), "{sim:?}");
            let ticker = sim.machine(client);
            assert_eq!(ticker.sent, 50);
            assert!(!ticker.heard.is_empty(), "{}", preset.name);
            let known = |heard: &[u8]| heard.try_into().is_ok_and(|number| u32::from_be_bytes(number) < 50);
            assert!(corrupts || ticker.heard.iter().all(|heard| known(heard)), "{}", preset.name);
        });
    }
}

#[test]
fn as_much_is_lost_as_the_weather_says() {
    let (runs, ticks) = (400, 100);
    let weather = weather("up.loss=20%,down.loss=10%");
    let heard = explore(runs, |sim| {
        let server = sim.host(SERVER, echo());
        let client = sim.host(CLIENT, Ticker::new(Duration::from_millis(1), ticks));
        sim.link(client, server, &weather);
        sim.run_until_idle(SECOND);
        let (up, down) = (sim.counts(client, server).unwrap(), sim.counts(server, client).unwrap());
        assert_eq!((up.decided(), down.decided()), (u64::from(ticks), up.forwarded));
        assert_eq!(down.forwarded, sim.machine(client).heard.len() as u64);
        down.forwarded
    });
    let n = (heard.len() as u64 * u64::from(ticks)) as f64;
    let share = heard.iter().sum::<u64>() as f64 / n;
    // 4.9 standard deviations: one false alarm in a million.
    let (expected, bound) = (0.72, 4.9 * (0.72 * 0.28 / n).sqrt());
    assert!((share - expected).abs() < bound, "{share} is not {expected} ± {bound}");
}

#[test]
fn the_same_seed_gives_the_same_run_to_the_byte_and_another_seed_another() {
    let run = |seed| {
        let mut sim = Sim::new(seed);
        sim.keep_trace(10_000);
        storm(&mut sim);
        (sim.trace().to_string(), sim.fingerprint())
    };
    let (first, second, other) = (run(7), run(7), run(8));
    assert_eq!(first, second);
    assert!(first.0.lines().count() > 500, "{}", first.0);
    assert!(
        first.0.lines().last().unwrap().ends_with(&format!("{:016x}", first.1)),
        "the last line has the fingerprint"
    );
    assert_ne!(first, other);
}

#[test]
fn a_network_that_was_used_before_is_as_new() {
    let mut used = Sim::new(3);
    storm(&mut used);
    used.reset(4);
    used.host(SERVER, Ticker::new(Duration::from_millis(5), 100));
    used.weather(&weather("delay=1s"));
    used.max_events(1);
    used.hostile(SECOND);
    used.checksums(true);
    used.keep_trace(1);
    used.random().next_u64();
    used.forge(CLIENT, SERVER, b"under way");
    used.reset(7);
    storm(&mut used);
    let mut fresh = Sim::new(7);
    storm(&mut fresh);
    assert_eq!(used.trace().to_string(), fresh.trace().to_string());
    assert_eq!(used.random(), fresh.random());
}

#[test]
fn a_fingerprint_follows_from_each_byte_and_a_trace_keeps_the_last_events() {
    let run = |payload: &[u8]| {
        let mut sim = Sim::new(1);
        sim.keep_trace(2);
        sim.host(SERVER, Mailbox::default());
        sim.forge(CLIENT, SERVER, b"first");
        sim.forge(CLIENT, SERVER, payload);
        sim.trace().clone()
    };
    let (one, other) = (run(b"12345678x"), run(b"12345678y"));
    assert_ne!(one.fingerprint(), other.fingerprint());
    assert_eq!(one.entries().map(|entry| entry.size).collect::<Vec<_>>(), [5, 9]);
    assert_eq!(one.events(), 3);
    assert!(
        one.to_string().starts_with("(1 event(s) before these)\n0.000000000 192.0.2.2:40000 > "),
        "{one}"
    );
}

/// Two clients and a server in bad weather.
fn storm(sim: &mut Sim) {
    sim.weather(&Weather::preset("storm").unwrap());
    sim.host(SERVER, echo());
    sim.host(CLIENT, Ticker::new(Duration::from_millis(10), 100));
    sim.host("[2001:db8::3]:40000", Mailbox::default());
    sim.host("192.0.2.4:40000", Ticker::new(Duration::from_millis(7), 100));
    sim.run_for(10 * SECOND);
}

#[test]
fn what_arrives_at_a_moment_comes_before_what_is_due_and_in_the_order_in_which_it_was_sent() {
    /// Writes down what happens.
    #[derive(Default)]
    struct Log(Vec<String>);
    impl Protocol for Log {
        fn handle_input(&mut self, _now: Time, input: Input<'_>, _out: &mut Outbox) {
            let Input::Message(request) = input else { return };
            self.0.push(String::from_utf8_lossy(request.payload).into_owned());
        }
        fn handle_timeout(&mut self, _now: Time, _out: &mut Outbox) {
            self.0.push("timeout".to_owned());
        }
        fn poll_timeout(&self) -> Option<Time> {
            (!self.0.iter().any(|line| line == "timeout")).then_some(Time::from_epoch(SECOND))
        }
    }
    let mut sim = Sim::new(1);
    let log = sim.host(SERVER, Log::default());
    let client = sim.host(CLIENT, Mailbox::default());
    sim.weather(&weather("delay=1s"));
    ["a", "b", "c"].into_iter().for_each(|text| sim.send(client, SERVER, text));
    sim.run_until_idle(2 * SECOND);
    assert_eq!(sim.machine(log).0, ["a", "b", "c", "timeout"]);
}

#[test]
fn a_forged_source_is_what_the_receiver_sees_and_answers() {
    let mut sim = Sim::new(1);
    let server = sim.host(SERVER, echo());
    let victim = sim.host("198.51.100.9:4000", Mailbox::default());
    sim.forge("198.51.100.9:4000", SERVER, b"for the victim");
    sim.forge("203.0.113.1:9", SERVER, b"for nobody");
    sim.run_until_idle(SECOND);
    assert_eq!(sim.machine(victim).payloads().collect::<Vec<_>>(), [b"for the victim"]);
    assert_eq!(sim.counts(HostId::OUTSIDE, server).unwrap().forwarded, 2);
    let nobody = sim.trace().entries().filter(|entry| entry.outcome == Outcome::Nobody);
    assert_eq!(nobody.map(|entry| entry.size).collect::<Vec<_>>(), [b"for nobody".len()]);
}

#[test]
fn loopback_is_believed_and_what_the_test_says_and_nobody_else() {
    let mut sim = Sim::new(1);
    let [first, second] = ["192.0.2.1:1", "127.0.0.1:1"].map(|address| sim.host(address, Mailbox::default()));
    sim.trust(second, Trust::from_iter(["192.0.2.0/24".parse().unwrap()]));
    for source in ["127.0.0.1:9", "192.0.2.9:9", "198.51.100.9:9"] {
        sim.forge(source, "192.0.2.1:1", b"");
        sim.forge(source, "127.0.0.1:1", b"");
    }
    sim.run_until_idle(SECOND);
    let validated = |host: Host<Mailbox>| {
        sim.machine(host).received().iter().map(|received| received.origin.validated).collect::<Vec<_>>()
    };
    assert_eq!(validated(first), [true, false, false]);
    assert_eq!(validated(second), [true, true, false]);
}

#[test]
fn a_host_answers_from_the_address_that_was_asked() {
    let mut sim = Sim::new(1);
    let server = sim.host(SERVER, echo());
    sim.add_address(server, "192.0.2.1:9999");
    sim.add_address(server, "[2001:db8::1]:5683");
    let client = sim.host(CLIENT, Mailbox::default());
    sim.add_address(client, "[2001:db8::2]:40000");
    for address in ["192.0.2.1:9999", "[2001:db8::1]:5683", SERVER] {
        sim.send(client, address, address);
        sim.run_until_idle(SECOND);
        let received = sim.machine(client).received().last().unwrap();
        assert_eq!(received.from(), Some(address.parse().unwrap()));
    }
}

#[test]
fn a_message_without_a_socket_to_leave_from_is_told_in_the_trace() {
    let mut sim = Sim::new(1);
    let host = sim.host(CLIENT, Mailbox::default());
    for origin in
        [to("[2001:db8::1]:1"), squall_proto::Origin { local: Some(SERVER.parse().unwrap()), ..to(SERVER) }]
    {
        sim.act(host, |_, _, out| out.to(&origin).write(b"x")).unwrap();
        assert_eq!(sim.trace().entries().last().unwrap().outcome, Outcome::NoSocket);
    }
}

#[test]
fn a_crashed_host_hears_nothing_and_its_memory_is_gone_when_it_is_back() {
    let mut sim = Sim::new(1);
    let server = sim.host(SERVER, Mailbox::default());
    let client = sim.host(CLIENT, Mailbox::default());
    sim.send(client, SERVER, b"one");
    sim.run_until_idle(SECOND);
    let before = sim.crash(server);
    assert_eq!(before.received().len(), 1);
    assert!(!sim.is_up(server));
    sim.send(client, SERVER, b"two");
    sim.run_until_idle(SECOND);
    assert_eq!(sim.trace().entries().last().unwrap().outcome, Outcome::Down);
    sim.restart(server, Mailbox::default());
    sim.send(client, SERVER, b"three");
    sim.run_until_idle(SECOND);
    assert_eq!(sim.machine(server).payloads().collect::<Vec<_>>(), [b"three"]);
}

#[test]
fn nobody_wakes_a_crashed_machine_and_its_timers_start_anew_when_it_is_back() {
    let mut sim = Sim::new(1);
    let ticker = sim.host(CLIENT, Ticker::new(SECOND, 5));
    sim.run_until(Time::from_epoch(3 * SECOND / 2));
    let memory = sim.crash(ticker);
    assert_eq!((memory.sent, sim.next_event()), (1, None));
    sim.run_until(Time::from_epoch(10 * SECOND));
    sim.restart(ticker, memory);
    assert_eq!(sim.next_event(), Some(Time::from_epoch(10 * SECOND)), "it is overdue");
    sim.step();
    assert_eq!((sim.now(), sim.machine(ticker).sent), (Time::from_epoch(10 * SECOND), 5));
}

#[test]
fn a_machine_that_is_told_to_stop_may_still_say_something() {
    struct Polite;
    impl Protocol for Polite {
        fn handle_input(&mut self, _now: Time, input: Input<'_>, out: &mut Outbox) {
            if let Input::Stopping = input {
                out.to(&to(CLIENT)).write(b"bye").unwrap();
            }
        }
        fn handle_timeout(&mut self, _now: Time, _out: &mut Outbox) {}
        fn poll_timeout(&self) -> Option<Time> {
            None
        }
    }
    let mut sim = Sim::new(1);
    let server = sim.host(SERVER, Polite);
    let client = sim.host(CLIENT, Mailbox::default());
    sim.stop(server);
    sim.run_until_idle(SECOND);
    assert_eq!(sim.machine(client).payloads().collect::<Vec<_>>(), [b"bye"]);
    assert!(!sim.is_up(server));
}

#[test]
fn behind_a_new_nat_mapping_a_host_is_seen_elsewhere_and_knows_nothing_of_it() {
    let mut sim = Sim::new(1);
    let server = sim.host(SERVER, echo());
    let client = sim.host(CLIENT, Mailbox::default());
    sim.link(client, server, &weather("delay=1s"));
    sim.send(client, SERVER, b"lost");
    sim.run_for(3 * SECOND / 2);
    sim.rebind(client, "192.0.2.77:1234");
    sim.run_until_idle(5 * SECOND);
    assert_eq!(sim.machine(client).received(), [], "it went to the old address");
    sim.send(client, SERVER, b"seen");
    sim.run_until_idle(5 * SECOND);
    let received = &sim.machine(client).received()[0];
    assert_eq!(
        (received.payload.as_slice(), received.origin.local),
        (b"seen".as_slice(), Some(CLIENT.parse().unwrap()))
    );
    assert_eq!(sim.address(client), "192.0.2.77:1234".parse().unwrap());
    sim.act(client, |_, _, out| out.to(&to(SERVER)).write(b"by the machine")).unwrap();
    sim.run_until_idle(5 * SECOND);
    assert_eq!(sim.machine(client).received().len(), 2);
    assert!(sim.trace().to_string().contains("192.0.2.1:5683 > 192.0.2.77:1234"));
}

#[test]
fn a_datagram_to_a_group_reaches_each_member_by_its_own_path() {
    const GROUP: &str = "224.0.1.187:5683";
    let mut sim = Sim::new(1);
    let client = sim.host(CLIENT, Mailbox::default());
    let members =
        ["192.0.2.11:5683", "192.0.2.12:1", "192.0.2.13:5683"].map(|address| sim.host(address, echo()));
    // Answers leave from the group's port where a host has it.
    sim.add_address(members[1], "192.0.2.12:5683");
    let stranger = sim.host("192.0.2.14:5683", Mailbox::default());
    for (member, delay) in members.into_iter().zip(["delay=1ms", "delay=2ms", "loss=100%"]) {
        sim.join(member, GROUP);
        sim.join(member, GROUP);
        sim.link(client, member, &weather(delay));
    }
    sim.send(client, GROUP, b"who is there?");
    sim.run_until_idle(SECOND);
    let from = |sim: &Sim| -> Vec<String> {
        sim.machine(client).received().iter().map(|received| received.from().unwrap().to_string()).collect()
    };
    assert_eq!(from(&sim), ["192.0.2.11:5683", "192.0.2.12:5683"]);
    assert_eq!(sim.machine(stranger).received(), []);
    let hears = sim.host("192.0.2.15:5683", Mailbox::default());
    sim.join(hears, GROUP);
    sim.send(client, "192.0.2.15:5683", b"you alone");
    sim.leave(members[0], GROUP);
    sim.send(client, GROUP, b"and now?");
    sim.run_until_idle(SECOND);
    assert_eq!(from(&sim).len(), 3);
    let heard = sim.machine(hears).received().iter().map(|received| (received.group, received.origin.local));
    let [own, any] = ["192.0.2.15:5683", "0.0.0.0:5683"].map(|address| Some(address.parse().unwrap()));
    assert_eq!(heard.collect::<Vec<_>>(), [(false, own), (true, any)]);
}

#[test]
fn a_path_changes_while_datagrams_are_under_way() {
    let mut sim = Sim::new(1);
    let server = sim.host(SERVER, Mailbox::default());
    let client = sim.host(CLIENT, Mailbox::default());
    sim.link(client, server, &weather("delay=1s"));
    sim.send(client, SERVER, b"slow");
    sim.link(server, client, &weather("up.delay=5ms,down.loss=100%"));
    sim.send(client, SERVER, b"lost: down is from the client now");
    sim.send(server, CLIENT, b"fast");
    sim.run_until_idle(5 * SECOND);
    assert_eq!(sim.machine(server).received()[0].at, Time::from_epoch(SECOND));
    assert_eq!(sim.machine(server).received().len(), 1);
    assert_eq!(sim.machine(client).received()[0].at, Time::from_epoch(Duration::from_millis(5)));
    assert_eq!(sim.counts(client, server).unwrap().loss, 1);
}

#[test]
fn what_is_too_long_for_a_path_is_lost_headers_counted() {
    let mut sim = Sim::new(1);
    let server = sim.host(SERVER, Mailbox::default());
    let client = sim.host(CLIENT, Mailbox::default());
    sim.link(client, server, &weather("mtu=1400"));
    for size in [1400 - 28, 1400 - 27] {
        sim.send(client, SERVER, vec![0; size]);
    }
    sim.run_until_idle(SECOND);
    assert_eq!(sim.machine(server).payloads().map(<[u8]>::len).collect::<Vec<_>>(), [1372]);
    let lost = sim.trace().entries().find(|entry| matches!(entry.outcome, Outcome::Lost(_))).unwrap();
    assert_eq!(lost.outcome, Outcome::Lost(Cause::TooBig { mtu: 1400, silent: false }));
}

#[test]
fn a_corrupted_datagram_arrives_so_or_fails_its_checksum() {
    for checksums in [false, true] {
        let mut sim = Sim::new(1);
        let server = sim.host(SERVER, Mailbox::default());
        let client = sim.host(CLIENT, Mailbox::default());
        sim.weather(&weather("corrupt=100%"));
        sim.checksums(checksums);
        sim.send(client, SERVER, [0; 8]);
        sim.run_until_idle(SECOND);
        let bits =
            sim.machine(server).payloads().map(|payload| payload.iter().map(|byte| byte.count_ones()).sum());
        let expected: &[u32] = if checksums { &[] } else { &[1] };
        assert_eq!(bits.collect::<Vec<u32>>(), expected);
        let outcome = if checksums { Outcome::Corrupted } else { Outcome::Arrives };
        assert_eq!(sim.trace().entries().last().unwrap().outcome, outcome);
    }
}

#[test]
fn a_machine_that_wants_to_be_woken_at_another_time_is_not_woken_at_the_old_one() {
    let mut sim = Sim::new(1);
    let ticker = sim.host(CLIENT, Ticker::new(SECOND, 1));
    for seconds in [5, 3, 4] {
        sim.act(ticker, |ticker, _, _| ticker.next = Some(Time::from_epoch(seconds * SECOND)));
    }
    sim.run_until_idle(10 * SECOND);
    let woken = sim.trace().entries().filter(|entry| entry.outcome == Outcome::Timeout);
    assert_eq!(woken.map(|entry| entry.at).collect::<Vec<_>>(), [Time::from_epoch(4 * SECOND)]);
}

#[test]
fn a_full_mailbox_counts_what_it_drops() {
    let mut sim = Sim::new(1);
    let mailbox = sim.host(SERVER, Mailbox::with_limit(2));
    ["a", "b", "c"].into_iter().for_each(|text| sim.forge(CLIENT, SERVER, text));
    sim.run_until_idle(SECOND);
    assert_eq!(sim.machine(mailbox).payloads().collect::<Vec<_>>(), [b"a", b"b"]);
    assert_eq!(sim.machine(mailbox).dropped(), 1);
    let taken = sim.act(mailbox, |mailbox, _, _| mailbox.take());
    assert_eq!((taken.len(), sim.machine(mailbox).received().len()), (2, 0));
}

#[test]
fn running_stops_where_it_is_told_to() {
    let mut sim = Sim::new(1);
    let ticker = sim.host(CLIENT, Ticker::new(SECOND, 100));
    sim.run_until(Time::from_epoch(3 * SECOND));
    assert_eq!(sim.machine(ticker).sent, 3, "the moment itself is included");
    assert!(sim.run_until_true(10 * SECOND, |sim| sim.machine(ticker).sent == 5));
    assert_eq!(sim.now(), Time::from_epoch(5 * SECOND));
    assert!(!sim.run_until_true(SECOND / 2, |sim| sim.machine(ticker).sent == 6));
    assert!(!sim.run_until_idle(SECOND));
    assert_eq!(sim.now(), Time::from_epoch(13 * SECOND / 2));
    assert!(sim.run_until_idle(1000 * SECOND));
    assert_eq!(sim.now(), Time::from_epoch(100 * SECOND));
    assert!(!sim.step());
}

#[test]
#[should_panic(expected = "more than 1000 events")]
fn two_machines_that_answer_each_other_are_stopped() {
    let mut sim = Sim::new(1);
    sim.host(SERVER, echo());
    sim.host(CLIENT, echo());
    sim.max_events(1000);
    sim.forge(CLIENT, SERVER, b"x");
    sim.run_for(SECOND);
}

#[test]
#[should_panic(expected = "it would use up a processor")]
fn a_machine_that_always_wants_to_be_woken_at_once_is_found() {
    struct Busy;
    impl Protocol for Busy {
        fn handle_input(&mut self, _now: Time, _input: Input<'_>, _out: &mut Outbox) {}
        fn handle_timeout(&mut self, _now: Time, _out: &mut Outbox) {}
        fn poll_timeout(&self) -> Option<Time> {
            Some(Time::from_epoch(SECOND))
        }
    }
    let mut sim = Sim::new(1);
    sim.host(SERVER, Busy);
    sim.run_for(2 * SECOND);
}

#[test]
#[should_panic(expected = "192.0.2.1:5683 is the address of a host already")]
fn no_two_hosts_have_one_address() {
    let mut sim = Sim::new(1);
    sim.host(SERVER, echo());
    sim.host(SERVER, echo());
}

#[test]
#[should_panic(expected = "\"localhost:5683\" is not an IP address with a port")]
fn names_are_not_looked_up() {
    Sim::new(1).host("localhost:5683", echo());
}
