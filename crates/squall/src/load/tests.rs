use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::thread;

use super::*;

/// A server that answers each request with what `answer` makes of it, until it has had `requests` of them, and then
/// says from which addresses they came.
fn server(
    requests: usize,
    answer: impl Fn(usize, &[u8]) -> Vec<Vec<u8>> + Send + 'static,
) -> (SocketAddr, thread::JoinHandle<HashSet<SocketAddr>>) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let thread = thread::spawn(move || {
        let mut buffer = vec![0; 65_536];
        let mut peers = HashSet::new();
        for number in 0..requests {
            let (len, peer) = socket.recv_from(&mut buffer).unwrap();
            peers.insert(peer);
            for reply in answer(number, &buffer[..len]) {
                socket.send_to(&reply, peer).unwrap();
            }
        }
        peers
    });
    (address, thread)
}

#[test]
fn every_request_of_every_peer_is_answered_once() {
    let (address, server) = server(1000, |_, request| vec![request.to_vec()]);
    let report = Load::udp(address).peers(300).in_flight(50).requests(1000).run().unwrap();
    assert_eq!((report.sent, report.replies, report.lost), (1000, 1000, 0));
    assert_eq!((report.duplicates, report.strays, report.late), (0, 0, 0));
    assert!(report.min_latency() > Duration::ZERO && report.min_latency() <= report.latency(50.0));
    let peers = server.join().unwrap();
    assert_eq!(peers.len(), 300);
    if squall_socket::SEGMENTED_SENDS {
        assert_eq!(peers.iter().map(SocketAddr::ip).collect::<HashSet<_>>().len(), 300);
    }
}

#[test]
fn requests_that_are_lost_repeated_or_prefixed_are_told_apart() {
    let (address, server) = server(100, |number, request| {
        let prefixed = [b"[Wed Aug 15 20:35:08 2012] ", request].concat();
        match number % 10 {
            0 => vec![],
            1 => vec![prefixed.clone(), prefixed],
            2 => vec![b"what?".to_vec(), prefixed],
            _ => vec![prefixed],
        }
    });
    let load = Load::udp(address).in_flight(100).requests(100).timeout(Duration::from_millis(300));
    let report = load.run().unwrap();
    assert_eq!((report.sent, report.replies, report.lost), (100, 90, 10));
    assert_eq!((report.duplicates, report.strays), (10, 10));
    server.join().unwrap();
}

#[test]
fn each_reply_to_a_burst_is_counted() {
    for segmented in [true, false] {
        let (address, server) = server(70 * 4, |_, request| vec![request.to_vec()]);
        let report =
            Load::udp(address).burst(70).in_flight(140).segmented(segmented).requests(280).run().unwrap();
        assert_eq!((report.sent, report.replies, report.strays), (280, 280, 0));
        assert_eq!(report.segmented, segmented && squall_socket::SEGMENTED_SENDS);
        server.join().unwrap();
    }
}

#[test]
fn a_server_that_returns_nothing_of_the_request_is_measured_by_order() {
    let (address, server) = server(90, |_, _| vec![b"now".to_vec()]);
    let load = Load::udp(address).matching(Matching::Any).size(0).peers(3);
    let report = load.in_flight_per_peer(2).requests(90).run().unwrap();
    assert_eq!((report.sent, report.replies, report.strays), (90, 90, 0));
    assert_eq!(server.join().unwrap().len(), 3);
}

#[test]
fn the_open_loop_charges_a_stall_to_every_request_that_was_due() {
    let stall = Duration::from_millis(100);
    let (address, server) = server(200, move |number, request| {
        if number == 0 {
            // What a server does that is busy with something else.
            let end = std::time::Instant::now() + stall;
            while std::time::Instant::now() < end {
                thread::yield_now();
            }
        }
        vec![request.to_vec()]
    });
    let report = Load::udp(address).rate(1000.0).requests(200).run().unwrap();
    assert_eq!((report.sent, report.replies), (200, 200));
    assert!(report.max_latency() >= stall);
    // A hundred of the two hundred were due within the stall, with 50 ms left of it or more for half of these.
    assert!(report.latency(80.0) >= Duration::from_millis(40), "{report}");
    server.join().unwrap();
}

#[test]
fn a_server_that_is_not_there_is_reported_and_not_an_error() {
    let address = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let report = Load::udp(address).requests(3).timeout(Duration::from_millis(5)).run().unwrap();
    assert_eq!((report.sent, report.replies, report.lost), (3, 0, 3));
    assert!(report.refused > 0);
    assert_eq!(report.latency(99.0), Duration::ZERO);
}

#[test]
fn it_stops_when_it_is_told_to() {
    let (address, server) = server(1, |_, request| vec![request.to_vec()]);
    let load = Load::udp(address).duration(Duration::from_secs(3600)).timeout(Duration::from_millis(10));
    let report = load.run_until(&AtomicBool::new(true)).unwrap();
    assert!(report.elapsed < Duration::from_secs(60));
    drop(server);
}

#[test]
fn settings_that_cannot_be_are_refused() {
    let load = || Load::udp(([127, 0, 0, 1], 7).into());
    let wrong = [
        load().size(15),
        load().size(65_508).matching(Matching::Any),
        load().peers(0),
        load().peers(100_000),
        load().burst(0),
        load().in_flight(0),
        load().in_flight_per_peer(usize::MAX).peers(2),
        load().rate(0.0),
        load().rate(f64::NAN),
        load().timeout(Duration::ZERO),
        Load::tcp(([127, 0, 0, 1], 7).into()).burst(2),
        Load::tcp(([127, 0, 0, 1], 7).into()).rate(1.0),
    ];
    for load in wrong {
        assert!(matches!(load.run(), Err(LoadError::Settings(_))), "{load:?}");
    }
}

#[test]
fn connections_are_counted_by_the_request() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = thread::spawn(move || {
        let connections: Vec<_> = (0..8)
            .map(|_| {
                let (mut stream, _) = listener.accept().unwrap();
                thread::spawn(move || {
                    let mut buffer = [0; 256];
                    while let Ok(len @ 1..) = stream.read(&mut buffer) {
                        let (first, second) = buffer[..len].split_at(len / 2);
                        stream.write_all(b"[now] ").unwrap();
                        stream.write_all(first).unwrap();
                        stream.write_all(second).unwrap();
                    }
                })
            })
            .collect();
        connections.into_iter().for_each(|connection| connection.join().unwrap());
    });
    let report = Load::tcp(address).peers(8).requests(400).run().unwrap();
    assert_eq!((report.sent, report.replies, report.lost), (400, 400, 0));
    assert_eq!((report.duplicates, report.strays), (0, 0));
    server.join().unwrap();
}

#[test]
fn a_report_is_a_table_and_an_object_on_one_line() {
    let (address, server) = server(10, |_, request| vec![request.to_vec()]);
    let report = Load::udp(address).requests(10).run().unwrap();
    server.join().unwrap();
    let table = report.to_string();
    assert!(table.contains("replies                10\n"), "{table}");
    assert!(!table.contains("stray"), "what did not happen is not said: {table}");
    let json: serde_json::Value = serde_json::from_str(&report.to_json()).unwrap();
    assert_eq!(json["target"], format!("udp://{address}"));
    assert_eq!((&json["sent"], &json["in_flight"]), (&10.into(), &1.into()));
    assert!(json["rate"].is_null() && json["latency_us"]["p99_9"].as_f64().unwrap() > 0.0);
    assert!(!report.to_json().contains('\n'));
}
