//! No datagram costs an allocation.

mod common;

use std::net::SocketAddr;
use std::sync::mpsc::{Sender, channel};
use std::thread;

use common::{LONG, ask, client, hear};
use squall::{Reply, Request, Running, Server, Service, Stopper};

/// Serves `count` requests of some peers on this thread, and returns how often it allocated.
fn allocations(count: u32, tell: Sender<(SocketAddr, Stopper)>) -> u64 {
    let stamp = |request: &Request<'_>, reply: &mut Reply<'_>| {
        reply.write(b"stamped: ")?;
        reply.write(request.payload)
    };
    let service = Service::new("stamp", stamp).at("udp://127.0.0.1:0").unwrap();
    let server = Server::new().service(service).shards(1);
    let mut handled = 0;
    let info = allocation_counter::measure(|| {
        let begun = |running: &Running| tell.send((running.local_addrs()[0], running.stopper())).unwrap();
        handled = server.run_with(begun).unwrap().handled;
    });
    assert_eq!(handled, u64::from(count));
    info.count_total
}

#[test]
fn ten_times_as_many_datagrams_cost_no_more_allocations() {
    let [few, many] = [1_000, 10_000].map(|count| {
        let (tell, started) = channel::<(SocketAddr, Stopper)>();
        let load = thread::spawn(move || {
            let (address, stopper) = started.recv_timeout(LONG).unwrap();
            let peers: Vec<_> = (0..10).map(|_| client(address)).collect();
            for round in 0..count / 10 {
                let peer = &peers[round as usize % peers.len()];
                // One by one, and together, so that replies are joined.
                assert_eq!(ask(peer, b"hello"), "stamped: hello");
                for _ in 1..10 {
                    peer.send(b"hello").unwrap();
                }
                for _ in 1..10 {
                    assert_eq!(hear(peer), "stamped: hello");
                }
            }
            stopper.stop();
        });
        let allocations = allocations(count, tell);
        load.join().unwrap();
        allocations
    });
    assert!(few > 0, "a server's start is counted");
    assert!(many.abs_diff(few) < 10, "{few} allocations for 1,000 datagrams, {many} for 10,000");
}
