//! A relay of connections on loopback. Least times are checked exactly; scheduling can only add to them.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use squall_node::relay::{Relay, RelayError, RelayHandle, RunningRelay};

/// A relay in `weather` before a server that does `serve` with each connection, and a client of it.
fn rig(
    weather: &str,
    more: impl FnOnce(Relay) -> Relay,
    serve: impl Fn(TcpStream) + Send + 'static,
) -> (RunningRelay, RelayHandle, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = format!("tcp://{}", listener.local_addr().unwrap());
    thread::spawn(move || listener.incoming().for_each(|connection| serve(connection.unwrap())));
    let relay = Relay::new("tcp://127.0.0.1:0".parse().unwrap(), to.parse().unwrap());
    let relay = more(relay.weather(weather.parse().unwrap()).seed(7)).start().unwrap();
    let client = connect(&relay);
    let handle = relay.handle();
    (relay, handle, client)
}

fn connect(relay: &RunningRelay) -> TcpStream {
    let at = relay.locals()[0].to_string();
    let client = TcpStream::connect(at.strip_prefix("tcp://").unwrap()).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.set_nodelay(true).unwrap();
    client
}

fn echo(mut connection: TcpStream) {
    let mut buffer = [0; 4096];
    loop {
        match connection.read(&mut buffer) {
            Ok(len) if len > 0 => connection.write_all(&buffer[..len]).unwrap(),
            _ => return,
        }
    }
}

#[test]
fn bytes_are_delayed_in_each_direction_and_stay_in_order() {
    let (relay, handle, mut client) = rig("up.delay=40ms,down.delay=20ms,jitter=10ms", |relay| relay, echo);
    let mut times = Vec::new();
    for number in 0..20_u32 {
        let sent = Instant::now();
        client.write_all(&number.to_be_bytes()).unwrap();
        let mut answer = [0; 4];
        client.read_exact(&mut answer).unwrap();
        times.push(sent.elapsed());
        assert_eq!(u32::from_be_bytes(answer), number);
    }
    times.sort_unstable();
    assert!(times[0] >= Duration::from_millis(40), "{:?}", times[0]);
    assert!(times[10] < Duration::from_millis(80 + 30), "{:?}", times[10]);
    handle.stop();
    let counts = relay.wait().unwrap();
    assert_eq!((counts.up.received_bytes, counts.down.sent_bytes, counts.flows_opened), (80, 80, 1));
}

#[test]
fn a_rate_paces_a_stream_and_nothing_of_it_is_lost() {
    // 400,000 bytes are 277 packets with headers of 52 bytes: 414 ms and more at 8 Mbit/s.
    let answer = |mut connection: TcpStream| {
        let mut all = Vec::new();
        connection.read_to_end(&mut all).unwrap();
        let sum: u64 = all.iter().map(|byte| u64::from(*byte)).sum();
        connection.write_all(format!("{} {sum}", all.len()).as_bytes()).unwrap();
    };
    for (weather, least) in [("clear", 0), ("up.rate=8mbit", 414)] {
        let (relay, handle, mut client) = rig(weather, |relay| relay, answer);
        let bytes: Vec<u8> = (0..400_000_u32).map(|index| (index % 251) as u8).collect();
        let sent = Instant::now();
        client.write_all(&bytes).unwrap();
        // The server answers when our side has ended, and not before.
        client.shutdown(Shutdown::Write).unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        let sum: u64 = bytes.iter().map(|byte| u64::from(*byte)).sum();
        assert_eq!(answer, format!("400000 {sum}"), "{weather}");
        assert!(sent.elapsed() >= Duration::from_millis(least), "{:?}", sent.elapsed());
        assert!(sent.elapsed() < Duration::from_millis(least + 1000), "{:?}", sent.elapsed());
        handle.stop();
        assert_eq!(relay.wait().unwrap().up.under_way, 0);
    }
}

#[test]
fn in_a_blackout_bytes_wait() {
    let (relay, handle, mut client) = rig("clear", |relay| relay, echo);
    client.write_all(b"x").unwrap();
    client.read_exact(&mut [0]).unwrap();
    let began = Instant::now();
    handle.blackout(Duration::from_millis(300)).unwrap();
    // Once this is answered, the blackout has begun.
    handle.counts().unwrap();
    client.write_all(b"y").unwrap();
    client.read_exact(&mut [0]).unwrap();
    assert!(began.elapsed() >= Duration::from_millis(300), "{:?}", began.elapsed());
    handle.stop();
    relay.wait().unwrap();
}

#[test]
fn a_server_that_does_not_read_holds_up_its_client_at_a_bound() {
    let hold = |connection: TcpStream| std::mem::forget(connection);
    let (relay, handle, mut client) = rig("delay=1ms", |relay| relay.memory(1 << 20), hold);
    client.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
    let mut written = 0;
    let error = loop {
        match client.write(&[0; 65_536]) {
            Ok(len) => written += len,
            Err(error) => break error,
        }
        assert!(written < 200 << 20, "no bound was met");
    };
    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
    let counts = handle.counts().unwrap();
    // The share of a direction, and what it may take of what all have in common.
    let bound = 65_536 + (1 << 20) / 8;
    assert!((65_536..=bound).contains(&counts.up.under_way), "{counts:?}");
    handle.stop();
    relay.wait().unwrap();
}

#[test]
fn connections_whose_peers_do_not_read_do_not_hold_up_others() {
    // The server reads from those alone that begin with a byte of 1.
    let serve = |mut connection: TcpStream| {
        thread::spawn(move || {
            let mut first = [0];
            connection.read_exact(&mut first).unwrap();
            if first == [1] { echo(connection) } else { std::mem::forget(connection) }
        });
    };
    let (relay, handle, client) = rig("delay=1ms", |relay| relay.memory(1 << 20), serve);
    let hogs: Vec<TcpStream> = std::iter::once(client).chain((0..11).map(|_| connect(&relay))).collect();
    // They write whenever they can, until the relay ends.
    let write = |mut hog: TcpStream| thread::spawn(move || while hog.write_all(&[0; 65_536]).is_ok() {});
    let hogs: Vec<_> = hogs.into_iter().map(write).collect();
    // All that is in common and their shares, but for what is less than a packet and the bookkeeping.
    let most = (1 << 19) + 12 * 65_536;
    let end = Instant::now() + PATIENCE;
    while handle.counts().unwrap().up.under_way < most - 60_000 {
        assert!(Instant::now() < end, "{:?}", handle.counts());
        thread::yield_now();
    }
    assert!(handle.counts().unwrap().up.under_way <= most);
    let mut good = connect(&relay);
    good.write_all(&[1]).unwrap();
    let bytes: Vec<u8> = (0..100_000_u32).map(|index| (index % 251) as u8).collect();
    let mut answer = vec![0; bytes.len()];
    for (bytes, answer) in bytes.chunks(1000).zip(answer.chunks_mut(1000)) {
        good.write_all(bytes).unwrap();
        good.read_exact(answer).unwrap();
    }
    assert!(bytes == answer);
    handle.stop();
    assert_eq!(relay.wait().unwrap().flows, 13);
    hogs.into_iter().for_each(|hog| hog.join().unwrap());
}

#[test]
fn a_server_that_is_not_there_and_a_client_too_many_are_refused_and_counted() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let to = format!("tcp://{nobody}").parse().unwrap();
    let relay = Relay::new("tcp://127.0.0.1:0".parse().unwrap(), to).start().unwrap();
    assert!(matches!(connect(&relay).read(&mut [0]), Ok(0) | Err(_)));
    relay.handle().stop();
    assert_eq!(relay.wait().unwrap().flows_failed, 1);

    let (relay, handle, mut client) = rig("clear", |relay| relay.flows(1), echo);
    client.write_all(b"x").unwrap();
    client.read_exact(&mut [0]).unwrap();
    assert!(matches!(connect(&relay).read(&mut [0]), Ok(0) | Err(_)));
    handle.stop();
    let counts = relay.wait().unwrap();
    assert_eq!((counts.flows_opened, counts.flows_refused), (1, 1));
}

#[test]
fn both_peers_of_a_connection_are_asked_whether_they_are_still_there() {
    let Ok(_) = std::fs::read_to_string("/proc/net/tcp") else {
        eprintln!("not seen: only Linux tells the timers of sockets");
        return;
    };
    let (relay, handle, mut client) = rig("clear", |relay| relay, echo);
    client.write_all(b"x").unwrap();
    client.read_exact(&mut [0]).unwrap();
    let port = |uri: &squall::Uri| uri.to_string().rsplit(':').next().unwrap().parse::<u16>().unwrap();
    let (listening, server) = (port(&relay.locals()[0]), port(relay.to()));
    let end = Instant::now() + PATIENCE;
    // Of the relay's sockets one has the listening port and one leads to the server's; both are established (1).
    // https://www.kernel.org/doc/html/latest/networking/proc_net_tcp.html
    let timers = || {
        let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let rows = table.lines().map(|line| line.split([' ', ':']).filter(|word| !word.is_empty()));
        let rows = rows.map(Iterator::collect::<Vec<_>>).filter(|row| row.get(5) == Some(&"01"));
        let number = |text: &str| u64::from_str_radix(text, 16).unwrap();
        let own =
            rows.filter(|row| number(row[2]) == u64::from(listening) || number(row[4]) == u64::from(server));
        // Which timer runs, and for how many hundredths of a second.
        own.map(|row| (number(row[8]), number(row[9]))).collect::<Vec<_>>()
    };
    loop {
        let timers = timers();
        assert_eq!(timers.len(), 2, "{timers:?}");
        // Until all is acknowledged, another timer runs than that of keepalive (2).
        if timers.iter().all(|(timer, left)| *timer == 2 && (1..=6000).contains(left)) {
            break;
        }
        assert!(Instant::now() < end, "{timers:?}");
    }
    handle.stop();
    relay.wait().unwrap();
}

#[test]
fn what_a_stream_cannot_meet_is_refused_at_the_start_and_later() {
    let start = |weather: &str, record: bool| {
        let relay = Relay::new("tcp://127.0.0.1:0".parse().unwrap(), "tcp://127.0.0.1:9".parse().unwrap());
        let relay = relay.weather(weather.parse().unwrap());
        if record { relay.record("/nonexistent").start() } else { relay.start() }
    };
    let error = start("delay=5ms,loss=1%", false).unwrap_err();
    assert!(error.is_usage() && error.to_string().contains("weather with loss"), "{error}");
    assert!(matches!(start("clear", true), Err(RelayError::StreamRecord)));
    let relay = start("clear", false).unwrap();
    let error = relay.handle().change("up.corrupt=1%").unwrap_err();
    assert!(error.contains("weather with corrupt"), "{error}");
    assert_eq!(relay.handle().change("delay=1ms").unwrap().to_string(), "delay=1ms");
    relay.handle().stop();
    relay.wait().unwrap();
}

/// How long something may take that must happen.
const PATIENCE: Duration = Duration::from_secs(20);
