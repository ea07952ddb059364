//! A relay on real sockets of loopback.
//!
//! Shares are checked to 4.9 standard deviations, which chance alone passes once in a million runs; the seeds
//! are fixed, so that it does so in each run or in none. Scheduling can only add to a delay: least delays are
//! checked exactly, and the others with room above.

use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::time::{Duration, Instant};

use squall::socket::{Outgoing, SEGMENTED_SENDS, SendBatch};
use squall_node::relay::{Relay, RelayCounts, RelayError, RelayHandle, RunningRelay};

/// A server, a relay before it, and a client of that.
struct Rig {
    server: UdpSocket,
    client: UdpSocket,
    relay: RunningRelay,
    handle: RelayHandle,
    at: SocketAddr,
}

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

fn rig(weather: &str) -> Rig {
    rig_with(weather, |relay| relay)
}

fn rig_with(weather: &str, more: impl FnOnce(Relay) -> Relay) -> Rig {
    rig_on("udp://127.0.0.1:0", weather, more)
}

fn rig_on(on: &str, weather: &str, more: impl FnOnce(Relay) -> Relay) -> Rig {
    let server = socket();
    let to = format!("udp://{}", server.local_addr().unwrap());
    let relay = Relay::new(on.parse().unwrap(), to.parse().unwrap());
    let relay = more(relay.weather(weather.parse().unwrap()).seed(7)).start().unwrap();
    let at = relay.locals()[0].to_string();
    let at: SocketAddr = at.strip_prefix("udp://").unwrap().parse().unwrap();
    let client = socket();
    if !at.ip().is_unspecified() {
        client.connect(at).unwrap();
    }
    Rig { server, client, handle: relay.handle(), relay, at }
}

impl Rig {
    /// A further client.
    fn another(&self) -> UdpSocket {
        let client = socket();
        client.connect(self.at).unwrap();
        client
    }

    fn counts(&self) -> RelayCounts {
        self.handle.counts().unwrap()
    }

    /// Waits until the counts say so.
    #[track_caller]
    fn until(&self, what: impl Fn(&RelayCounts) -> bool) -> RelayCounts {
        let end = Instant::now() + PATIENCE;
        loop {
            let counts = self.counts();
            if what(&counts) {
                return counts;
            }
            assert!(Instant::now() < end, "{counts:?}");
            std::thread::yield_now();
        }
    }

    /// Sends numbers as datagrams, not more at once than the sockets hold, and returns those that the server
    /// got, in the order in which they came.
    fn send_numbers(&self, count: u32) -> Vec<u32> {
        let mut got = Vec::new();
        for first in (0..count).step_by(50) {
            let last = count.min(first + 50);
            for number in first..last {
                self.client.send(&number.to_be_bytes()).unwrap();
            }
            let settled =
                |counts: &RelayCounts| counts.up.received >= u64::from(last) && counts.up.under_way == 0;
            let counts = self.until(settled);
            while (got.len() as u64) < counts.up.sent {
                got.push(number(&receive(&self.server).0));
            }
        }
        got
    }

    fn stop(self) -> RelayCounts {
        self.handle.stop();
        let counts = self.relay.wait().unwrap();
        for direction in [&counts.up, &counts.down] {
            let weather = &direction.weather;
            assert_eq!(direction.received, direction.clear + weather.decided(), "{direction:?}");
            let copies = direction.clear + weather.forwarded + weather.duplicated;
            let lost = direction.overflow + direction.ended;
            let refused = direction.send_buffer_full + direction.send_failed;
            assert_eq!(copies, direction.sent + direction.under_way + lost + refused, "{direction:?}");
        }
        counts
    }
}

fn receive(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut buffer = vec![0; 65_536];
    let (len, from) = socket.recv_from(&mut buffer).unwrap();
    buffer.truncate(len);
    (buffer, from)
}

fn number(bytes: &[u8]) -> u32 {
    u32::from_be_bytes(bytes[..4].try_into().unwrap())
}

/// Whether `hits` of `all` agree with the probability `p`, to 4.9 standard deviations.
#[track_caller]
fn agrees(hits: usize, all: usize, p: f64) {
    let (expected, sigma) = (all as f64 * p, (all as f64 * p * (1.0 - p)).sqrt());
    assert!((hits as f64 - expected).abs() <= 4.9 * sigma, "{hits} of {all}, where {expected} are expected");
}

#[test]
fn in_clear_weather_everything_passes_both_ways_the_empty_and_the_longest_too() {
    let rig = rig("clear");
    for len in [0, 1, 2048, 2049, 65_507] {
        let payload: Vec<u8> = (0..len).map(|index| index as u8).collect();
        rig.client.send(&payload).unwrap();
        let (got, from) = receive(&rig.server);
        assert!(got == payload, "{len} bytes up");
        rig.server.send_to(&got, from).unwrap();
        assert!(receive(&rig.client).0 == payload, "{len} bytes down");
    }
    let counts = rig.stop();
    assert_eq!((counts.up.sent, counts.down.sent, counts.flows_opened), (5, 5, 1));
}

#[test]
fn each_client_has_a_port_of_its_own_and_gets_its_own_answers() {
    let rig = rig("delay=1ms");
    let clients: Vec<UdpSocket> = (0..100).map(|_| rig.another()).collect();
    for (name, client) in clients.iter().enumerate() {
        client.send(&[name as u8]).unwrap();
    }
    let mut ports = std::collections::BTreeSet::new();
    for _ in &clients {
        let (request, from) = receive(&rig.server);
        ports.insert(from.port());
        rig.server.send_to(&request, from).unwrap();
    }
    assert_eq!(ports.len(), clients.len());
    for (name, client) in clients.iter().enumerate() {
        assert_eq!(receive(client).0, [name as u8]);
    }
    assert_eq!(rig.stop().flows, 100);
}

#[test]
fn loss_and_duplication_are_as_often_as_asked() {
    let rig = rig("up.loss=20%,up.duplicate=10%");
    let got = rig.send_numbers(4000);
    let mut seen = vec![0; 4000];
    got.iter().for_each(|number| seen[*number as usize] += 1);
    let lost = seen.iter().filter(|&&copies| copies == 0).count();
    let twice = seen.iter().filter(|&&copies| copies == 2).count();
    agrees(lost, 4000, 0.2);
    agrees(twice, 4000 - lost, 0.1);
    let counts = rig.stop();
    assert_eq!((counts.up.weather.loss, counts.up.weather.duplicated), (lost as u64, twice as u64));
}

#[test]
fn what_is_corrupted_differs_in_one_bit() {
    let rig = rig("up.corrupt=100%,up.delay=1ms");
    for payload in [[0_u8; 40], [0xff; 40]] {
        rig.client.send(&payload).unwrap();
        let (got, _) = receive(&rig.server);
        let wrong: u32 = got.iter().zip(payload).map(|(one, other)| (one ^ other).count_ones()).sum();
        assert_eq!((got.len(), wrong), (40, 1));
    }
    assert_eq!(rig.stop().up.weather.corrupted, 2);
}

#[test]
fn jitter_keeps_the_order_unless_it_is_set_free() {
    let kept = rig("up.delay=5ms,up.jitter=5ms");
    let got = kept.send_numbers(500);
    assert!(got.is_sorted() && got.len() == 500, "{got:?}");
    kept.stop();
    let free = rig("up.delay=5ms,up.jitter=5ms,order=free");
    let got = free.send_numbers(500);
    assert_eq!(got.len(), 500);
    // Of fifty that are sent at once, each pair is as likely to change places as not.
    let overtakings = got.windows(2).filter(|pair| pair[0] > pair[1]).count();
    assert!(overtakings > 100, "{overtakings}");
    free.stop();
}

#[test]
fn a_delay_is_never_shorter_than_asked_and_seldom_much_longer() {
    let rig = rig("up.delay=40ms,down.delay=20ms");
    let mut up = Vec::new();
    let mut both = Vec::new();
    for _ in 0..40 {
        let sent = Instant::now();
        rig.client.send(b"x").unwrap();
        let (_, from) = receive(&rig.server);
        up.push(sent.elapsed());
        rig.server.send_to(b"y", from).unwrap();
        receive(&rig.client);
        both.push(sent.elapsed());
    }
    for (times, delay) in [(&mut up, 40), (&mut both, 60)] {
        times.sort_unstable();
        let (least, median) = (times[0], times[times.len() / 2]);
        assert!(least >= Duration::from_millis(delay), "{least:?}");
        assert!(median < Duration::from_millis(delay + 30), "{median:?}");
    }
    rig.stop();
}

#[test]
fn jitter_spreads_delays_around_the_delay() {
    let rig = rig("up.delay=20ms,up.jitter=10ms,order=free");
    let mut times = Vec::new();
    for _ in 0..200 {
        let sent = Instant::now();
        rig.client.send(b"x").unwrap();
        receive(&rig.server);
        times.push(sent.elapsed());
    }
    times.sort_unstable();
    assert!(times[0] >= Duration::from_millis(10), "{:?}", times[0]);
    assert!(times[0] < Duration::from_millis(17), "some are early: {:?}", times[0]);
    assert!(times[190] > Duration::from_millis(25), "some are late: {:?}", times[190]);
    let early = times.iter().filter(|time| **time < Duration::from_millis(20)).count();
    // Scheduling makes them later, never earlier.
    assert!(early as f64 <= 100.0 + 4.9 * 50_f64.sqrt(), "{early}");
    rig.stop();
}

#[test]
fn a_rate_spaces_datagrams_and_its_queue_drops_what_does_not_fit() {
    // 1000 bytes and 28 of headers take 8.224 ms.
    let rig = rig("up.rate=1mbit,up.queue=20560B");
    let time = Duration::from_micros(8224);
    let begin = Instant::now();
    let mut sent = 0_u32;
    // Thirty within the time of a few do not fit; where they were not sent so fast, those after them do not.
    let counts = loop {
        for _ in 0..30 {
            let mut payload = [0; 1000];
            payload[..4].copy_from_slice(&sent.to_be_bytes());
            rig.client.send(&payload).unwrap();
            sent += 1;
        }
        let counts = rig.until(|counts| counts.up.received == u64::from(sent));
        if counts.up.weather.queue > 0 {
            break counts;
        }
        assert!(begin.elapsed() < PATIENCE, "{counts:?}");
    };
    let passed = counts.up.weather.forwarded as u32;
    assert!((20..sent).contains(&passed), "{passed} of {sent}");
    let mut arrivals = Vec::new();
    for index in 1..=passed {
        let (payload, _) = receive(&rig.server);
        arrivals.push(Instant::now());
        assert_eq!(payload.len(), 1000);
        if index <= 20 {
            assert_eq!(number(&payload), index - 1, "the queue drops at its tail");
        }
        assert!(begin.elapsed() >= time * index, "number {index} at {:?}", begin.elapsed());
    }
    // What is late once is late by itself: most are as far apart as the rate says.
    let mut gaps: Vec<Duration> = arrivals.windows(2).map(|pair| pair[1] - pair[0]).collect();
    gaps.sort_unstable();
    assert!(gaps[gaps.len() / 2] < time * 3 / 2, "{gaps:?}");
    assert_eq!(rig.stop().up.weather.queue, u64::from(sent - passed));
}

#[test]
fn a_train_passes_as_one_where_the_weather_is_clear_and_loses_its_parts_where_it_is_not() {
    for (weather, most_calls) in [("clear", 2), ("loss=50%", 64)] {
        let rig = rig(weather);
        let client = squall::socket::Socket::from(rig.client.try_clone().unwrap());
        let mut payload = Vec::new();
        (0..60_u32).for_each(|number| payload.extend_from_slice(&[number.to_be_bytes(); 25].concat()));
        payload.truncate(60 * 100 - 50);
        if SEGMENTED_SENDS {
            let train = Outgoing { payload: &payload, to: None, source: None, segment_size: Some(100) };
            assert_eq!(SendBatch::new(1).send(&client, false, [train].into_iter()).unwrap(), 1);
        } else {
            payload
                .chunks(100)
                .for_each(|datagram| assert_eq!(client.send(datagram).unwrap(), datagram.len()));
        }
        let counts = rig.until(|counts| counts.up.received == 60);
        let passed = (60 - counts.up.weather.dropped()) as usize;
        let mut last = None;
        for _ in 0..passed {
            let (datagram, _) = receive(&rig.server);
            let number = number(&datagram);
            assert!(last.is_none_or(|last| number > last));
            last = Some(number);
            assert_eq!(datagram.len(), if number == 59 { 50 } else { 100 });
            assert!(datagram.chunks(4).all(|bytes| bytes == &number.to_be_bytes()[..bytes.len()]));
        }
        let counts = rig.stop();
        assert!(!SEGMENTED_SENDS || counts.up.send_calls <= most_calls, "{counts:?}");
        if weather != "clear" {
            agrees(passed, 60, 0.5);
        }
    }
}

#[test]
fn a_full_table_refuses_new_clients_until_one_was_silent() {
    let fill = |idle| {
        let rig = rig_with("clear", |relay| relay.flows(2).idle(idle));
        let other = rig.another();
        for client in [&rig.client, &other] {
            client.send(b"x").unwrap();
            receive(&rig.server);
        }
        let third = rig.another();
        (rig, other, third)
    };
    let (rig, _other, third) = fill(Duration::from_secs(600));
    third.send(b"refused").unwrap();
    let counts = rig.until(|counts| counts.up.received == 3);
    assert_eq!((counts.flows, counts.flows_refused), (2, 1));
    rig.handle.stop();
    // After a quarter of the idle time, two seconds, the first makes room; the other one stays in use.
    let (rig, other, third) = fill(Duration::from_secs(8));
    let end = Instant::now() + PATIENCE;
    while rig.counts().flows_displaced == 0 {
        other.send(b"x").unwrap();
        receive(&rig.server);
        third.send(b"late").unwrap();
        assert!(Instant::now() < end);
    }
    let counts = rig.counts();
    assert_eq!((counts.flows, counts.flows_displaced, counts.flows_idle), (2, 1, 0));
    rig.handle.stop();
}

#[test]
fn a_flow_that_is_idle_ends_and_the_client_has_another_port_then() {
    let rig = rig_with("clear", |relay| relay.idle(Duration::from_millis(50)));
    rig.client.send(b"x").unwrap();
    let (_, first) = receive(&rig.server);
    let counts = rig.until(|counts| counts.flows == 0);
    assert_eq!(counts.flows_idle, 1);
    // Taken, so that the kernel cannot give it again.
    let _taken = UdpSocket::bind(first).unwrap();
    rig.client.send(b"x").unwrap();
    assert_ne!(receive(&rig.server).1, first);
    assert_eq!(rig.stop().flows_opened, 2);
}

#[test]
fn what_is_under_way_to_a_flow_that_ended_is_dropped_and_counted() {
    let rig = rig_with("up.delay=300ms", |relay| relay.idle(Duration::from_millis(20)));
    rig.client.send(b"x").unwrap();
    let counts = rig.until(|counts| counts.up.ended == 1);
    assert_eq!((counts.flows, counts.up.sent), (0, 0));
    rig.stop();
}

#[test]
fn what_was_to_leave_by_a_flow_that_made_room_for_another_is_counted() {
    let rig = rig_with("clear", |relay| relay.flows(1).idle(Duration::ZERO));
    let other = rig.another();
    let end = Instant::now() + PATIENCE;
    // When datagrams of both clients come at once, the second one's flow ends the first one's.
    while rig.counts().up.ended == 0 {
        for client in [&rig.client, &other] {
            (0..20).for_each(|_| assert_eq!(client.send(b"x").unwrap(), 1));
        }
        assert!(Instant::now() < end, "{:?}", rig.counts());
    }
    // It checks that nothing is missing.
    rig.stop();
}

#[test]
fn a_record_that_cannot_be_finished_takes_nothing_from_the_counts() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("record");
    let rig = rig_with("loss=1%", |relay| relay.record(&path));
    rig.client.send(b"x").unwrap();
    receive(&rig.server);
    std::fs::remove_file(folder.path().join("record.down")).unwrap();
    rig.handle.stop();
    let error = rig.relay.wait().unwrap_err();
    assert!(error.to_string().starts_with("cannot record to "), "{error}");
    let RelayError::Ended { problem, counts } = error else { panic!("{error:?}") };
    assert!(matches!(*problem, RelayError::Record { .. }), "{problem:?}");
    assert_eq!((counts.up.sent, counts.flows_opened), (1, 1));
}

#[test]
fn a_server_that_is_away_is_counted_and_heard_again_when_it_is_back() {
    let rig = rig("clear");
    let at = rig.server.local_addr().unwrap();
    let (client, handle, relay) = (rig.client, rig.handle, rig.relay);
    drop(rig.server);
    let end = Instant::now() + PATIENCE;
    while handle.counts().unwrap().up.icmp_errors + handle.counts().unwrap().down.icmp_errors < 3 {
        client.send(b"x").unwrap();
        assert!(Instant::now() < end);
    }
    let server = UdpSocket::bind(at).unwrap();
    server.set_read_timeout(Some(PATIENCE)).unwrap();
    client.send(b"back").unwrap();
    let from = loop {
        let (request, from) = receive(&server);
        if request == b"back" {
            break from;
        }
    };
    server.send_to(b"here", from).unwrap();
    assert_eq!(receive(&client).0, b"here");
    handle.stop();
    assert_eq!(relay.wait().unwrap().flows_opened, 1);
}

#[test]
fn an_answer_leaves_from_the_address_that_was_asked() {
    let rig = rig_on("udp://0.0.0.0:0", "clear", |relay| relay);
    for address in ["127.0.0.1", "127.0.0.2"] {
        let client = socket();
        // Connected, it hears nobody else.
        client.connect((address, rig.at.port())).unwrap();
        client.send(b"x").unwrap();
        let (_, from) = receive(&rig.server);
        rig.server.send_to(b"y", from).unwrap();
        assert_eq!(receive(&client).0, b"y", "{address}");
    }
    // One client that asks at two addresses has two flows.
    for address in ["127.0.0.1", "127.0.0.2"] {
        rig.client.send_to(b"x", (address, rig.at.port())).unwrap();
        let (_, from) = receive(&rig.server);
        rig.server.send_to(b"y", from).unwrap();
        assert_eq!(receive(&rig.client).1.ip().to_string(), address);
    }
    assert_eq!(rig.stop().flows_opened, 4);
}

#[test]
fn what_is_no_one_server_is_refused_at_the_start() {
    let start = |transport: &str, on: &str, to: &str| {
        let [on, to] = [on, to].map(|at| format!("{transport}://{at}").parse().unwrap());
        Relay::new(on, to).start().unwrap_err()
    };
    for transport in ["udp", "tcp"] {
        for (on, to, says) in [
            // What loopback's own network has is broadcast, as 192.0.2.255 is in 192.0.2.0/24.
            ("127.0.0.1:0", "127.255.255.255:9", "that is a broadcast address"),
            ("127.0.0.1:0", "255.255.255.255:9", "that is a broadcast address"),
            ("127.0.0.1:0", "[::ffff:127.255.255.255]:9", "that is a broadcast address"),
            ("127.0.0.1:0", "239.1.2.3:9", "the address of a group"),
            ("127.0.0.1:0", "[ff02::1]:9", "the address of a group"),
            ("127.0.0.1:0", "[::ffff:239.1.2.3]:9", "the address of a group"),
        ] {
            let error = start(transport, on, to);
            assert!(error.is_usage(), "{to}: {error:?}");
            assert!(error.to_string().ends_with(says), "{to}: {error}");
        }
    }
}

#[test]
fn memory_for_what_is_under_way_is_bounded() {
    let rig = rig_with("up.delay=60s", |relay| relay.memory(1 << 20));
    for sent in 1..=2000_u64 {
        rig.client.send(&[0; 1400]).unwrap();
        if sent.is_multiple_of(50) {
            rig.until(|counts| counts.up.received == sent);
        }
    }
    let counts = rig.stop();
    // Half a mebibyte for each direction, in buffers of 2 KiB.
    assert!((200..=256).contains(&counts.up.under_way), "{counts:?}");
    assert_eq!(counts.up.overflow, 2000 - counts.up.under_way);
}

#[test]
fn the_weather_changes_while_it_runs_and_what_is_under_way_keeps_its_time_and_its_place() {
    let rig = rig("delay=1s");
    let sent = Instant::now();
    rig.client.send(b"slow").unwrap();
    rig.until(|counts| counts.up.received == 1);
    // Clear weather keeps the order as any other does.
    rig.handle.change("clear,delay=0,loss=0%").unwrap();
    rig.client.send(b"fast").unwrap();
    assert_eq!([0; 2].map(|_| receive(&rig.server).0), [b"slow", b"fast"]);
    assert!(sent.elapsed() >= Duration::from_secs(1));
    rig.until(|counts| counts.up.under_way == 0);
    // With nothing under way, what comes passes without a decision again.
    assert_eq!(rig.handle.change("clear").unwrap().to_string(), "clear");
    rig.client.send(b"at once").unwrap();
    assert_eq!(receive(&rig.server).0, b"at once");
    rig.until(|counts| counts.up.clear == 1);
    assert_eq!(rig.handle.change("up.loss=100%").unwrap().to_string(), "up.loss=100%");
    rig.client.send(b"lost").unwrap();
    rig.until(|counts| counts.up.weather.loss == 1);
    let error = rig.handle.change("loss=101%").unwrap_err();
    assert!(error.contains("loss=101%"), "{error}");
    assert_eq!(rig.handle.weather().to_string(), "up.loss=100%", "what is wrong changes nothing");
    // Only where the order is free, what comes later overtakes.
    rig.handle.change("clear,delay=60s").unwrap();
    rig.client.send(b"slow").unwrap();
    rig.until(|counts| counts.up.under_way == 1);
    rig.handle.change("clear,order=free").unwrap();
    rig.client.send(b"fast").unwrap();
    assert_eq!(receive(&rig.server).0, b"fast");
    assert_eq!(rig.stop().up.under_way, 1);
}

#[test]
fn a_blackout_ends_by_itself_and_outlives_a_change() {
    let rig = rig("clear");
    rig.handle.blackout(Duration::from_secs(60)).unwrap();
    rig.handle.change("delay=1ms").unwrap();
    rig.client.send(b"x").unwrap();
    rig.until(|counts| counts.up.weather.blackout == 1);
    // The one that was asked for last counts.
    let began = Instant::now();
    rig.handle.blackout(Duration::from_millis(400)).unwrap();
    let mut sent = 1;
    while rig.counts().up.sent == 0 {
        rig.client.send(b"x").unwrap();
        sent += 1;
        rig.until(|counts| counts.up.received == sent);
        assert!(began.elapsed() < PATIENCE);
    }
    assert!(began.elapsed() >= Duration::from_millis(399), "{:?}", began.elapsed());
    assert_eq!(rig.handle.weather().to_string(), "delay=1ms");
    rig.stop();
}

#[test]
fn the_same_seed_and_the_same_datagrams_give_the_same_record_however_the_directions_mix() {
    let folder = tempfile::tempdir().unwrap();
    let record = |name: &str, in_step: bool, seed: u64| {
        let path = folder.path().join(name);
        let weather = "loss=30%,delay=2ms,jitter=1ms,order=free,duplicate=10%,corrupt=10%,reorder=5%";
        let rig = rig_with(weather, |relay| relay.record(&path).seed(seed));
        rig.client.send(b"to have a flow").unwrap();
        let mut flow = None;
        let mut answers = 0_u64;
        let mut answer = |flow: SocketAddr| {
            answers += 1;
            rig.server.send_to(&[0; 60][..(answers % 60) as usize], flow).unwrap();
            rig.until(|counts| counts.down.received == answers);
        };
        for sent in 1..=300_u64 {
            rig.client.send(&[0; 50][..(sent % 50) as usize]).unwrap();
            rig.until(|counts| counts.up.received == sent + 1);
            if flow.is_none() && rig.counts().up.sent > 0 {
                flow = Some(receive(&rig.server).1);
            }
            if let Some(flow) = flow.filter(|_| in_step && sent > 100) {
                answer(flow);
            }
        }
        (0..200).filter(|_| !in_step).for_each(|_| answer(flow.unwrap()));
        rig.stop();
        assert!(!Path::new(&format!("{}.down", path.display())).exists());
        std::fs::read_to_string(path).unwrap()
    };
    let one = record("one", true, 7);
    assert_eq!(one, record("other", false, 7));
    assert_ne!(one, record("third", true, 8));
    let lines: Vec<&str> = one.lines().collect();
    assert_eq!(lines.len(), 2 + 301 + 200);
    assert!(lines[2].starts_with("up 0 42 ") && lines[303].starts_with("down 0 29 "), "{one}");
}

#[test]
fn a_record_is_played_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("record");
    let again = folder.path().join("again");
    let recorded = rig_with("loss=50%,order=free,duplicate=10%", |relay| relay.record(&path));
    let got = recorded.send_numbers(200);
    recorded.stop();
    let played = rig_with("clear", |relay| relay.replay(&path).record(&again));
    let error = played.handle.change("loss=1%").unwrap_err();
    assert!(error.contains("a record is played"), "{error}");
    assert_eq!(played.send_numbers(200), got);
    played.client.send(b"one more").unwrap();
    assert_eq!(receive(&played.server).0, b"one more");
    let counts = played.stop();
    assert_eq!((counts.up.replay_beyond, counts.up.replay_different, counts.up.replay_remaining), (1, 0, 0));
    let text = |path: &Path| std::fs::read_to_string(path).unwrap();
    assert_eq!(text(&path) + "up 200 36 pass +0ms\n", text(&again), "its header too");
}

#[test]
fn a_record_stays_when_a_relay_cannot_start() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("record");
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    let text = "# seed 7\nup 0 33 drop loss\n";
    std::fs::write(&path, text).unwrap();
    let beside = folder.path().join("record.down");
    std::fs::copy(&path, &beside).unwrap();
    let taken = socket();
    let start = |on: String, more: &dyn Fn(Relay) -> Relay| {
        let relay = Relay::new(on.parse().unwrap(), "udp://127.0.0.1:9".parse().unwrap());
        let error = more(relay).start().unwrap_err();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text, "{error}");
        assert_eq!(std::fs::read_to_string(&beside).unwrap(), text, "{error}");
        (error.is_usage(), error.to_string())
    };
    let free = || "udp://127.0.0.1:0".to_owned();
    let same = "--record and --replay name the same file";
    for (record, replay) in [(&path, &path), (&path, &link), (&link, &path), (&path, &beside)] {
        let (usage, error) = start(free(), &|relay| relay.record(record).replay(replay));
        assert!(usage && error.ends_with(same), "{error}");
    }
    let (usage, error) =
        start(format!("udp://{}", taken.local_addr().unwrap()), &|relay| relay.record(&path));
    assert!(!usage && error.contains("another program has it"), "{error}");
    let (usage, error) = start(free(), &|relay| relay.record(&path).replay(folder.path()));
    assert!(usage && error.contains("cannot replay"), "{error}");
    let (usage, error) = start(free(), &|relay| relay.record(folder.path()).replay(&path));
    assert!(!usage && error.contains("Is a directory"), "{error}");
}

/// How long something may take that must happen.
const PATIENCE: Duration = Duration::from_secs(20);
