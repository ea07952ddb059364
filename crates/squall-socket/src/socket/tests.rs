use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, UdpSocket};
use std::os::fd::OwnedFd;
use std::time::Duration;

use super::*;
use crate::UnixAddress;

/// The loopback addresses of this machine, port 0.
fn loopbacks() -> Vec<SocketAddr> {
    [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)]
        .into_iter()
        .map(|ip| SocketAddr::new(ip, 0))
        .filter(|address| UdpSocket::bind(address).is_ok())
        .collect()
}

fn bound(address: SocketAddr, kind: Kind) -> Socket {
    let socket = Socket::open(Family::of(&address.ip()), kind).unwrap();
    socket.bind(address).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    socket
}

fn listening(address: SocketAddr) -> Socket {
    let socket = bound(address, Kind::Stream);
    socket.listen(4).unwrap();
    socket
}

#[test]
fn a_datagram_goes_there_and_back_and_names_its_sender() {
    for address in loopbacks() {
        let (one, other) = (bound(address, Kind::Datagram), bound(address, Kind::Datagram));
        let mut buffer = [0; 16];
        assert_eq!(one.send_to(b"ping", other.local_address().unwrap()).unwrap(), 4);
        let received = other.recv_from(&mut buffer).unwrap();
        assert_eq!(received, Received { len: 4, from: one.local_address().unwrap(), truncated: false });
        other.send_to(&buffer[..4], received.from).unwrap();
        one.connect(other.local_address().unwrap()).unwrap();
        assert_eq!(one.recv(&mut buffer).unwrap(), 4);
        one.send(b"").unwrap();
        assert_eq!(other.recv_from(&mut buffer).unwrap().len, 0);
    }
}

#[test]
fn a_datagram_leaves_by_the_interface_and_from_the_address_that_it_is_told() {
    let loopback = crate::interface_index("lo").or_else(|_| crate::interface_index("lo0")).unwrap();
    for address in loopbacks() {
        let target = bound(address, Kind::Datagram);
        target.set_receive_packet_info(true).unwrap();
        let to = target.local_address().unwrap().ip().unwrap();
        let any: IpAddr =
            if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let sender = bound(SocketAddr::new(any, 0), Kind::Datagram);
        // All of 127.0.0.0/8 is this host's on Linux, where another source than the usual one can be seen.
        let other = IpAddr::from([127, 0, 0, 2]);
        let source = if to.is_ipv4() && cfg!(target_os = "linux") { other } else { to.ip() };
        let mut batch = crate::ReceiveBatch::new(1, 16);
        for (source, interface, seen) in
            [(Some(source), loopback, source), (Some(source), 0, source), (None, loopback, to.ip())]
        {
            assert_eq!(sender.send_by(b"ping", to, source, interface).unwrap(), 4);
            // Waits until it is there.
            assert_eq!(target.peek(&mut [0; 8]).unwrap(), 4);
            assert_eq!(batch.receive(&target, 1).unwrap(), 1);
            let received = batch.get(0).unwrap();
            assert_eq!(received.from.ip().unwrap().ip(), seen);
            assert_eq!((received.payload, received.ancillary.interface), (b"ping".as_slice(), loopback));
        }
        assert!(sender.send_by(b"ping", to, None, u32::MAX >> 1).is_err(), "there is no such interface");
    }
}

#[test]
fn a_buffer_that_is_too_small_says_that_the_datagram_was_cut() {
    let (one, other) = Socket::pair(Kind::Datagram).unwrap();
    other.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let mut buffer = [0; 4];
    one.send(b"12345").unwrap();
    let peeked = other.peek_from(&mut buffer).unwrap();
    assert!(peeked.truncated);
    let received = other.recv_from(&mut buffer).unwrap();
    assert!(received.truncated);
    assert_eq!((received.len, &buffer), (4, b"1234"));
    assert_eq!(received.from, Address::Unix(UnixAddress::UNNAMED));
    one.send(b"1234").unwrap();
    assert!(!other.recv_from(&mut buffer).unwrap().truncated);
}

#[test]
fn peeking_leaves_the_datagram_and_its_length_is_known_before() {
    let (one, other) = Socket::pair(Kind::Datagram).unwrap();
    other.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    assert_eq!(other.available().unwrap(), 0);
    one.send(b"seven b").unwrap();
    assert_eq!(other.available().unwrap(), 7);
    let mut buffer = [0; 16];
    assert_eq!(other.peek(&mut buffer).unwrap(), 7);
    assert_eq!(other.recv(&mut buffer).unwrap(), 7);
}

#[test]
fn a_stream_carries_lines_both_ways_and_ends() {
    for address in loopbacks() {
        let listener = listening(address);
        assert!(listener.is_listening().unwrap());
        let client = Socket::open(Family::of(&address.ip()), Kind::Stream).unwrap();
        client.connect_timeout(listener.local_address().unwrap(), Duration::from_secs(5)).unwrap();
        let (server, peer) = listener.accept().unwrap();
        assert_eq!(peer, client.local_address().unwrap());
        assert_eq!(server.peer_address().unwrap(), peer);

        client.send_all(b"one\ntwo\n").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let mut lines = BufReader::new(&server);
        let mut line = String::new();
        lines.read_line(&mut line).unwrap();
        assert_eq!(line, "one\n");
        line.clear();
        lines.read_line(&mut line).unwrap();
        assert_eq!(lines.read_line(&mut line).unwrap(), 0);
        let mut server = &server;
        server.write_all(b"bye").unwrap();
        let mut buffer = [0; 8];
        let received = client.recv_from(&mut buffer).unwrap();
        assert_eq!((received.len, received.from), (3, listener.local_address().unwrap()));
    }
}

#[test]
fn more_than_the_buffers_hold_is_sent_as_a_whole() {
    let (one, other) = Socket::pair(Kind::Stream).unwrap();
    let sent = vec![7; 1 << 20];
    let received = std::thread::scope(|scope| {
        scope.spawn(|| {
            one.send_all(&sent).unwrap();
            one.shutdown(Shutdown::Both).unwrap();
        });
        let mut received = Vec::new();
        io::Read::read_to_end(&mut &other, &mut received).unwrap();
        received
    });
    assert_eq!(received, sent);
}

#[test]
fn a_closed_peer_is_an_error_and_no_signal() {
    let (one, other) = Socket::pair(Kind::Stream).unwrap();
    drop(other);
    assert_eq!(one.send(b"x").unwrap_err().kind(), ErrorKind::BrokenPipe);
}

#[test]
fn a_socket_tells_its_family_kind_and_protocol() {
    for address in loopbacks() {
        let family = Family::of(&address.ip());
        for (kind, protocol) in [(Kind::Datagram, libc::IPPROTO_UDP), (Kind::Stream, libc::IPPROTO_TCP)] {
            let socket = Socket::open(family, kind).unwrap();
            assert_eq!((socket.family().unwrap(), socket.kind().unwrap()), (family, kind));
            match socket.protocol() {
                Ok(number) => assert_eq!(number, protocol),
                Err(error) => assert_eq!(error.kind(), ErrorKind::Unsupported),
            }
        }
    }
    let (packets, _other) = Socket::pair(Kind::SequencedPacket).unwrap();
    assert_eq!(packets.family().unwrap(), Family::Unix);
    assert_eq!(packets.kind().unwrap(), Kind::SequencedPacket);
}

#[test]
fn a_timeout_ends_a_wait_and_zero_is_refused() {
    let (one, _other) = Socket::pair(Kind::Datagram).unwrap();
    assert_eq!(one.read_timeout().unwrap(), None);
    one.set_read_timeout(Some(Duration::from_nanos(1))).unwrap();
    assert!(one.read_timeout().unwrap().is_some());
    assert_eq!(one.recv(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    one.set_write_timeout(Some(Duration::from_secs(2))).unwrap();
    assert_eq!(one.write_timeout().unwrap(), Some(Duration::from_secs(2)));
    for result in [one.set_read_timeout(Some(Duration::ZERO)), one.set_write_timeout(Some(Duration::ZERO))] {
        assert_eq!(result.unwrap_err().kind(), ErrorKind::InvalidInput);
    }
}

#[test]
fn a_non_blocking_socket_does_not_wait() {
    let (one, _other) = Socket::pair(Kind::Stream).unwrap();
    assert!(!one.is_nonblocking().unwrap());
    one.set_nonblocking(true).unwrap();
    assert!(one.is_nonblocking().unwrap());
    assert_eq!(one.recv(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
}

#[test]
fn a_refused_datagram_is_told_once() {
    let gone = bound(loopbacks()[0], Kind::Datagram).local_address().unwrap();
    let client = bound(loopbacks()[0], Kind::Datagram);
    client.connect(gone).unwrap();
    client.send(b"anyone?").unwrap();
    // Loopback delivers the ICMP message before the send returns.
    assert_eq!(client.take_error().unwrap().unwrap().kind(), ErrorKind::ConnectionRefused);
    assert!(client.take_error().unwrap().is_none());
}

#[test]
fn a_refused_connection_is_an_error() {
    let gone = bound(loopbacks()[0], Kind::Stream);
    let client = Socket::open(Family::V4, Kind::Stream).unwrap();
    let result = client.connect_timeout(gone.local_address().unwrap(), Duration::from_secs(5));
    assert_eq!(result.unwrap_err().kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn a_clone_is_the_same_socket() {
    let (one, other) = Socket::pair(Kind::Datagram).unwrap();
    let clone = one.try_clone().unwrap();
    drop(one);
    clone.send(b"still here").unwrap();
    assert_eq!(other.recv(&mut [0; 16]).unwrap(), 10);
}

#[test]
fn a_socket_becomes_the_standard_library_s_and_comes_back() {
    let socket = bound(loopbacks()[0], Kind::Datagram);
    let address = socket.local_address().unwrap();
    let std = UdpSocket::from(socket);
    assert_eq!(Address::from(std.local_addr().unwrap()), address);
    let fd = OwnedFd::from(Socket::from(std));
    assert_eq!(Socket::from(fd).local_address().unwrap(), address);
}

#[test]
fn a_family_that_the_kernel_lacks_is_named_as_such() {
    for family in [Family::Other(30), Family::Other(9999), Family::Other(-1)] {
        match Socket::open(family, Kind::Datagram) {
            // This kernel has TIPC.
            Ok(_) => assert_eq!(family, Family::Other(30)),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Unsupported);
                assert!(error.to_string().contains("this kernel has no such family"), "{error}");
            }
        }
    }
}

#[test]
fn vsock_and_netlink_open_or_are_named_as_missing() {
    for (family, kind) in [(Family::Vsock, Kind::Stream), (Family::Netlink(0), Kind::Datagram)] {
        match Socket::open(family, kind) {
            Ok(socket) => assert_eq!(socket.family().unwrap(), family),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}"),
        }
    }
}

#[test]
fn the_kernel_answers_on_a_netlink_socket() {
    let Ok(socket) = Socket::open(Family::Netlink(0), Kind::Datagram) else { return };
    socket.bind(Address::Netlink { pid: 0, groups: 0 }).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let Address::Netlink { pid, .. } = socket.local_address().unwrap() else { panic!("not netlink") };
    assert_ne!(pid, 0);
    // RTM_GETLINK (18), NLM_F_REQUEST | NLM_F_DUMP, rtnetlink(7): a header and a zeroed ifinfomsg.
    let mut request = Vec::new();
    request.extend(32u32.to_ne_bytes());
    request.extend(18u16.to_ne_bytes());
    request.extend(0x301u16.to_ne_bytes());
    request.extend(1u32.to_ne_bytes());
    request.extend([0; 20]);
    socket.send_to(&request, Address::Netlink { pid: 0, groups: 0 }).unwrap();
    let received = socket.recv_from(&mut [0; 65536]).unwrap();
    assert_eq!(received.from, Address::Netlink { pid: 0, groups: 0 });
    assert!(received.len >= 16);
}

/// Every datagram that waits at `socket`, with its sender.
fn drain(socket: &Socket) -> Vec<(Address, u8)> {
    let mut buffer = [0; 16];
    let received = || {
        let received = socket.recv_from(&mut buffer).ok()?;
        Some((received.from, buffer[0]))
    };
    std::iter::from_fn(received).collect()
}

#[cfg(target_os = "linux")]
#[test]
fn a_socket_for_one_peer_takes_that_peer_s_datagrams_and_nobody_else_s() {
    for address in loopbacks() {
        let wildcard = match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => IpAddr::from(Ipv6Addr::UNSPECIFIED),
        };
        for ip in [address.ip(), wildcard] {
            let server = bound(SocketAddr::new(ip, 0), Kind::Datagram);
            server.set_nonblocking(true).unwrap();
            let port = server.local_address().unwrap().ip().unwrap().port();
            let local = SocketAddr::new(address.ip(), port);
            let peers: Vec<_> = (0..40).map(|_| bound(address, Kind::Datagram)).collect();
            let say = |what: u8| {
                for peer in &peers {
                    peer.send_to(&[what], local).unwrap();
                }
            };
            let of = |index: usize| peers[index].local_address().unwrap();
            say(1);
            let apart: Vec<_> = (0..3)
                .map(|index| server.open_apart(local, of(index).ip().unwrap(), index > 0).unwrap())
                .collect();
            assert!(!server.reuse_port().unwrap(), "the port is shared no longer");
            say(2);
            for (index, apart) in apart.iter().enumerate() {
                assert_eq!(drain(apart), [(of(index), 2)], "{address} at {ip}");
            }
            let heard = drain(&server);
            assert_eq!(heard.iter().filter(|(_, what)| *what == 1).count(), 40, "what came before stays");
            let others: Vec<_> = (3..40).map(|index| (of(index), 2)).collect();
            assert_eq!(heard[40..], others, "the others go where they went");
            drop(apart);
            say(3);
            assert_eq!(drain(&server).len(), 40, "all is as before");
            assert!(Socket::open(Family::of(&ip), Kind::Datagram).unwrap().bind(local).is_err());
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_socket_for_a_peer_that_cannot_be_reached_changes_nothing() {
    let server = bound(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), Kind::Datagram);
    let local = server.local_address().unwrap().ip().unwrap();
    // Broadcast addresses need leave.
    let peer = SocketAddr::from((Ipv4Addr::BROADCAST, 9));
    assert_eq!(server.open_apart(local, peer, false).unwrap_err().kind(), ErrorKind::PermissionDenied);
    assert!(!server.reuse_port().unwrap());
}
