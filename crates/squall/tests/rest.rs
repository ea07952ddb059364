//! A server that waits costs no processor time. Alone in its process, whose time is measured.
#![cfg(target_os = "linux")]

mod common;

use std::fs;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use common::{LONG, client, until};
use squall::sessions::SessionListener;
use squall::{Counter, Model, Reply, Request, Server, Service};

/// The processor time of this process, in ticks of 10 ms.
fn ticks() -> u64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let number = |index: usize| fields[index].parse::<u64>().unwrap();
    number(11) + number(12)
}

#[test]
fn waiting_costs_nothing_with_requests_at_the_sockets_of_a_server_that_stops() {
    let (entered, inside) = channel();
    let entered = Mutex::new(entered);
    let slow = move |request: &Request<'_>, reply: &mut Reply<'_>| {
        entered.lock().unwrap().send(()).unwrap();
        if request.payload == b"wait" {
            // Long enough that a thread which spins meanwhile shows.
            thread::sleep(Duration::from_millis(800));
        }
        reply.write(b"done")
    };
    let service =
        Service::new("slow", slow).at("udp://127.0.0.1:0").unwrap().at("tcp://127.0.0.1:0").unwrap();
    let server = Server::new().service(service).model(Model::threads(2)).shards(2).start().unwrap();
    let sessions = Arc::new(SessionListener::bind("127.0.0.1:0").unwrap());
    let address = server.local_addrs()[0];
    client(sessions.local_addrs()[0]).send(b"a session that waits for its end").unwrap();
    let socket = client(address);
    socket.send(b"wait").unwrap();
    inside.recv_timeout(LONG).unwrap();

    let (before, begun) = (ticks(), Instant::now());
    server.stopper().stop_within(LONG);
    for _ in 0..10 {
        socket.send(b"too late").unwrap();
    }
    let report = server.wait();
    let (spent, passed) = (ticks() - before, begun.elapsed());
    assert!(passed > Duration::from_millis(300), "{passed:?}");
    assert!(spent < 15, "{spent} ticks of 10 ms within {passed:?}");
    assert_eq!(report.stats.total(Counter::Answered), report.handled);
    until("the session is there", || sessions.stats().open == 1);
}
