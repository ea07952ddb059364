//! No datagram costs an allocation, nor does a small CoAP request.

mod common;

use std::net::SocketAddr;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;

use common::{LONG, ask, client, hear};
use squall::coap::server::{Resource, Server as CoapServer, ServerConfig};
use squall::{
    Input, Origin, Outbox, Peer, Protocol, Reply, Request, Running, Server, Service, Stopper, Time, Transport,
};

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

#[test]
fn a_safe_coap_request_costs_no_allocation() {
    struct Hello;
    impl squall::Handler for Hello {
        fn handle(&self, request: &Request<'_>, reply: &mut Reply<'_>) -> Result<(), squall::Refusal> {
            assert!(request.target.path_is(&["hello"]));
            reply.write(b"hello")
        }
        fn effect(&self, _method: squall::Method) -> squall::Effect {
            squall::Effect::Safe
        }
    }
    let resources = vec![Resource::new("hello", Hello).text().max_age(Duration::from_secs(1))];
    let mut server = CoapServer::new(&ServerConfig::default(), resources, 7);
    let mut outbox = Outbox::new();
    for validated in [true, false] {
        let peer = Peer::Ip("192.0.2.1:40000".parse().unwrap());
        let origin = Origin { peer, local: None, transport: Transport::Udp, validated };
        let mut ask = |datagram: &[u8]| {
            let request = Request::new(Time::ZERO, datagram, origin);
            server.handle_input(Time::ZERO, Input::Message(request), &mut outbox);
            assert_eq!(outbox.frames().last().map(|frame| frame.payload.ends_with(b"\xffhello")), Some(true));
            outbox.clear();
        };
        let confirmable = b"\x44\x01\x00\x07abcd\xb5hello";
        let not = b"\x54\x01\x00\x07abcd\xb5hello";
        ask(confirmable);
        let info = allocation_counter::measure(|| (0..100).for_each(|_| (ask(confirmable), ask(not)).1));
        assert_eq!(info.count_total, 0, "validated: {validated}");
    }
}
