//! Peers that send more than their share get a socket of their own, and the others notice nothing.

mod common;

use std::net::{SocketAddr, UdpSocket};
use std::sync::mpsc;

use common::{ask, client, hear, until};
use squall::{Counter, Input, Outbox, Protocol, Remote, Running, Server, Service, Time};

/// Answers what it is told, has those taken apart who say `flood`, and counts how often they did.
#[derive(Default)]
struct Strict {
    floods: u64,
}

impl Protocol for Strict {
    fn handle_input(&mut self, _now: Time, input: Input<'_>, out: &mut Outbox) {
        let Input::Message(request) = input else { return };
        if request.payload.starts_with(b"flood") {
            self.floods += 1;
            out.isolate(&request.origin);
        } else {
            out.answer(&request).write(request.payload).unwrap();
        }
    }

    fn handle_timeout(&mut self, _now: Time, _out: &mut Outbox) {}

    fn poll_timeout(&self) -> Option<Time> {
        None
    }
}

fn start(address: &str) -> (Running, Remote<Strict>) {
    let (service, remote) = Service::protocol_with_remote("strict", Strict::default());
    let service = service.at(address).unwrap();
    // A buffer that a flood fills.
    (Server::new().service(service).receive_buffer(64 * 1024).start().unwrap(), remote)
}

/// Where a client on this host reaches the server.
fn reached(server: &Running) -> SocketAddr {
    let mut address = server.local_addrs()[0];
    if address.ip().is_unspecified() {
        address.set_ip([127, 0, 0, 1].into());
    }
    address
}

fn isolated(server: &Running) -> u64 {
    server.stats().total(Counter::Isolated)
}

#[test]
fn what_a_flooding_peer_sends_takes_no_room_from_others() {
    for address in ["udp://127.0.0.1:0", "udp://[::1]:0", "udp://:0"] {
        let (server, remote) = start(address);
        let (flooder, other) = (client(reached(&server)), client(reached(&server)));
        flooder.send(b"flood").unwrap();
        until("its own socket", || isolated(&server) == 1);
        // The shard reads nothing while the flood comes in.
        let (entered, inside) = mpsc::channel();
        let (leave, left) = mpsc::channel::<()>();
        remote
            .call(move |_, _, _| {
                entered.send(()).unwrap();
                left.recv().unwrap();
            })
            .unwrap();
        inside.recv_timeout(common::LONG).unwrap();
        for _ in 0..5000 {
            flooder.send(&[b"flood".as_slice(), &[0; 400]].concat()).unwrap();
        }
        for number in 0..20 {
            other.send(format!("{number}").as_bytes()).unwrap();
        }
        leave.send(()).unwrap();
        assert_eq!(
            [(); 20].map(|()| hear(&other)),
            std::array::from_fn(|number| number.to_string()),
            "{address}"
        );
        let floods = remote.ask(|strict, _, _| strict.floods).unwrap();
        assert!((1..1000).contains(&floods), "{floods} were read of what its small buffer took");
        assert_eq!(ask(&flooder, b"and I?"), "and I?", "it is heard, and answered from the server's address");
        // Where the kernel tells.
        if server.stats().sockets()[0].memory.is_some() {
            until("the drops", || server.stats().total(Counter::IsolatedDropped) > 1000);
        }
        assert_eq!(server.stats().kernel_drops(), 0, "{address}");
    }
}

#[test]
fn nobody_loses_a_datagram_while_sockets_come() {
    for address in ["udp://127.0.0.1:0", "udp://:0"] {
        let (server, _) = start(address);
        let server_address = reached(&server);
        std::thread::scope(|scope| {
            let (tell, done) = mpsc::channel::<()>();
            let others: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(move || {
                        let other = client(server_address);
                        (0..500).for_each(|number| {
                            assert_eq!(ask(&other, format!("{number}").as_bytes()), number.to_string())
                        });
                    })
                })
                .collect();
            scope.spawn(move || {
                let flooders: Vec<_> = (0..40).map(|_| client(server_address)).collect();
                // Each floods, and they go on for as long as the others talk.
                loop {
                    for flooder in &flooders {
                        flooder.send(b"flood").unwrap();
                        assert_eq!(ask(flooder, b"?"), "?");
                    }
                    if done.try_recv() != Err(mpsc::TryRecvError::Empty) {
                        break;
                    }
                }
            });
            let results: Vec<_> = others.into_iter().map(|other| other.join()).collect();
            drop(tell);
            assert!(results.iter().all(Result::is_ok));
        });
        // Whoever was quiet for long, because the machine had no time, gets another one.
        assert!(isolated(&server) >= 40);
        assert_eq!(server.stats().total(Counter::IsolateFailed), 0);
    }
}

#[test]
fn a_peer_that_is_quiet_is_heard_as_before_and_the_port_is_free_at_the_end() {
    let (server, _) = start("udp://127.0.0.1:0");
    let address = reached(&server);
    let peers: Vec<UdpSocket> = (0..70).map(|_| client(address)).collect();
    for peer in &peers {
        peer.send(b"flood").unwrap();
    }
    let count = |counter| server.stats().total(counter);
    until("as many as may", || count(Counter::Isolated) + count(Counter::IsolateFailed) == 70);
    // One that makes room for another is closed a little later.
    until("no more than may", || isolated(&server) - count(Counter::IsolatedEnded) <= 64);
    for peer in &peers {
        assert_eq!(ask(peer, b"now?"), "now?");
    }
    until("the end of quiet", || count(Counter::IsolatedEnded) == isolated(&server));
    for peer in &peers {
        assert_eq!(ask(peer, b"then?"), "then?");
    }
    drop(server.shutdown(common::LONG));
    UdpSocket::bind(address).expect("no socket is left behind");
}

#[test]
fn where_shards_share_an_address_nobody_is_taken_apart_and_all_is_as_before() {
    // With one socket to write to, and with several.
    for addresses in [1, 2] {
        let service = Service::protocol_each("strict", Strict::default);
        let service = (0..addresses).fold(service, |service, _| service.at("udp://127.0.0.1:0").unwrap());
        let server = Server::new().service(service).shards(2).start().unwrap();
        let peer = client(reached(&server));
        peer.send(b"flood").unwrap();
        assert_eq!(ask(&peer, b"hello"), "hello");
        assert_eq!(server.stats().total(Counter::IsolateFailed), 1, "{addresses} addresses");
        assert_eq!(isolated(&server), 0);
    }
}
