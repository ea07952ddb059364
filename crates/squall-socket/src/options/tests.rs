use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use super::*;
use crate::Kind;

/// A bound datagram socket of each IP family that this machine has.
fn datagram_sockets() -> Vec<Socket> {
    [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)]
        .into_iter()
        .filter_map(|ip| {
            let socket = Socket::open(Family::of(&ip), Kind::Datagram).ok()?;
            socket.bind(SocketAddr::new(ip, 0)).ok()?;
            socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            Some(socket)
        })
        .collect()
}

/// Expects `result` on Linux and `Unsupported` where the option is missing.
#[track_caller]
fn expect_on_linux<T: PartialEq + std::fmt::Debug>(result: io::Result<T>, expected: T) {
    if cfg!(all(target_os = "linux", not(squall_portable))) {
        assert_eq!(result.unwrap(), expected);
    } else {
        assert_eq!(result.unwrap_err().kind(), ErrorKind::Unsupported);
    }
}

#[test]
fn common_options_are_kept() {
    for socket in datagram_sockets() {
        for on in [true, false] {
            socket.set_reuse_address(on).unwrap();
            assert_eq!(socket.reuse_address().unwrap(), on);
            socket.set_reuse_port(on).unwrap();
            assert_eq!(socket.reuse_port().unwrap(), on);
            socket.set_broadcast(on).unwrap();
            assert_eq!(socket.broadcast().unwrap(), on);
        }
    }
}

#[test]
fn stream_options_are_kept() {
    let socket = Socket::open(Family::V4, Kind::Stream).unwrap();
    socket.set_no_delay(true).unwrap();
    assert!(socket.no_delay().unwrap());
    assert!(!socket.keepalive().unwrap());
    socket.set_keepalive_times(Duration::from_secs(30), Duration::from_secs(10)).unwrap();
    assert!(socket.keepalive().unwrap());
    socket.set_keepalive(false).unwrap();
    assert!(!socket.keepalive().unwrap());
    for wait in [Some(Duration::from_secs(3)), Some(Duration::ZERO), None] {
        socket.set_linger(wait).unwrap();
        assert_eq!(socket.linger().unwrap(), wait);
    }
}

#[test]
fn a_socket_of_an_exclusive_port_refuses_others_until_it_shares() {
    let first = Socket::open(Family::V4, Kind::Datagram).unwrap();
    first.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
    let address = first.local_address().unwrap();
    let second = Socket::open(Family::V4, Kind::Datagram).unwrap();
    second.set_reuse_port(true).unwrap();
    assert_eq!(second.bind(address).unwrap_err().kind(), ErrorKind::AddrInUse);
    first.set_reuse_port(true).unwrap();
    second.bind(address).unwrap();
}

#[test]
fn an_option_without_a_method_goes_by_number() {
    let socket = Socket::open(Family::V4, Kind::Datagram).unwrap();
    socket.set_int_option(libc::SOL_SOCKET, libc::SO_RCVLOWAT, 2).unwrap();
    assert_eq!(socket.int_option(libc::SOL_SOCKET, libc::SO_RCVLOWAT).unwrap(), 2);
    assert!(socket.int_option(libc::SOL_SOCKET, 9999).is_err());
}

#[test]
fn hop_limit_and_traffic_class_are_kept_for_both_families() {
    for socket in datagram_sockets() {
        assert_eq!(socket.traffic_class().unwrap(), 0);
        socket.set_traffic_class(0xb8).unwrap();
        socket.set_ecn(Ecn::Capable0).unwrap();
        assert_eq!(socket.traffic_class().unwrap(), 0xba);
        assert_eq!(socket.ecn().unwrap(), Ecn::Capable0);
        socket.set_hop_limit(255).unwrap();
        assert_eq!(socket.hop_limit().unwrap(), 255);
        assert_eq!(socket.set_hop_limit(0).unwrap_err().kind(), ErrorKind::InvalidInput);
    }
    for ecn in [Ecn::NotCapable, Ecn::Capable0, Ecn::Capable1, Ecn::Congested] {
        assert_eq!(Ecn::of_traffic_class(0xfc | ecn.bits()), ecn);
    }
}

#[test]
fn a_dual_stack_socket_sets_the_class_of_its_ipv4_too() {
    let Ok(socket) = Socket::open(Family::V6, Kind::Datagram) else { return };
    socket.set_only_v6(false).unwrap();
    assert!(!socket.only_v6().unwrap());
    socket.set_traffic_class(8).unwrap();
    socket.set_hop_limit(7).unwrap();
    if cfg!(target_os = "linux") {
        assert_eq!(socket.get(numbers::IP_TOS).unwrap(), 8);
        assert_eq!(socket.get(numbers::IP_TTL).unwrap(), 7);
    }
    socket.set_only_v6(true).unwrap();
    assert!(socket.only_v6().unwrap());
}

#[test]
fn an_ip_option_is_refused_by_a_socket_of_another_family() {
    let (unix, _other) = Socket::pair(Kind::Datagram).unwrap();
    let error = unix.set_traffic_class(0).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("IP_TOS"), "{error}");
    assert_eq!(unix.set_multicast_hops(1).unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[test]
fn what_comes_with_a_datagram_is_asked_for_and_kept() {
    for socket in datagram_sockets() {
        for on in [true, false] {
            socket.set_receive_packet_info(on).unwrap();
            assert_eq!(socket.receive_packet_info().unwrap(), on);
            socket.set_receive_traffic_class(on).unwrap();
            assert_eq!(socket.receive_traffic_class().unwrap(), on);
            socket.set_receive_hop_limit(on).unwrap();
            assert_eq!(socket.receive_hop_limit().unwrap(), on);
            expect_on_linux(socket.set_receive_timestamps(on), ());
            expect_on_linux(socket.receive_timestamps(), on);
            expect_on_linux(socket.set_receive_drops(on), ());
            expect_on_linux(socket.receive_drops(), on);
            expect_on_linux(socket.set_receive_errors(on), ());
            expect_on_linux(socket.receive_errors(), on);
        }
    }
}

#[test]
fn offload_is_kept_or_unsupported() {
    for socket in datagram_sockets() {
        expect_on_linux(socket.set_receive_offload(true), ());
        expect_on_linux(socket.receive_offload(), true);
        expect_on_linux(socket.set_send_segment(1200), ());
        expect_on_linux(socket.send_segment(), 1200);
    }
}

#[test]
fn every_mode_of_path_mtu_discovery_is_kept() {
    use PathMtuDiscovery::{Do, Dont, Interface, Omit, Probe, Want};
    for socket in datagram_sockets() {
        for mode in [Dont, Want, Do, Probe, Interface, Omit] {
            expect_on_linux(socket.set_path_mtu_discovery(mode), ());
            expect_on_linux(socket.path_mtu_discovery(), mode);
        }
    }
}

#[test]
fn a_connected_socket_knows_its_path_mtu() {
    for socket in datagram_sockets() {
        if cfg!(all(target_os = "linux", not(squall_portable))) {
            assert_eq!(socket.path_mtu().unwrap_err().kind(), ErrorKind::NotConnected);
        }
        socket.connect(socket.local_address().unwrap()).unwrap();
        let known = socket.path_mtu().map(|mtu| mtu >= 1280);
        expect_on_linux(known, true);
    }
}

#[test]
fn the_kernel_grants_twice_a_small_buffer_and_says_so() {
    for socket in datagram_sockets() {
        let (asked, factor) = (65_536, if cfg!(target_os = "linux") { 2 } else { 1 });
        assert_eq!(socket.set_receive_buffer(asked).unwrap(), factor * asked);
        assert_eq!(socket.set_send_buffer(asked).unwrap(), factor * asked);
        assert_eq!(socket.receive_buffer().unwrap(), factor * asked);
        assert_eq!(socket.send_buffer().unwrap(), factor * asked);
        // Never an error on Linux: the machine's limit cuts it.
        if cfg!(target_os = "linux") {
            assert!(socket.set_receive_buffer(usize::MAX).unwrap() > 0);
        }
    }
}

#[test]
fn drops_are_counted_as_they_happen() {
    for socket in datagram_sockets() {
        socket.set_receive_buffer(1).unwrap();
        let (receive_limit, send_limit) = (socket.receive_buffer().unwrap(), socket.send_buffer().unwrap());
        let empty = Memory {
            receive_limit: receive_limit as u32,
            send_limit: send_limit as u32,
            ..Memory::default()
        };
        expect_on_linux(socket.memory(), empty);
        let address = socket.local_address().unwrap();
        for _ in 0..64 {
            socket.send_to(&[0; 1024], address).unwrap();
        }
        expect_on_linux(socket.memory().map(|memory| memory.drops > 0 && memory.receive_queued > 0), true);
    }
}

#[test]
fn the_cpu_of_the_last_packet_is_known_after_one() {
    for socket in datagram_sockets() {
        expect_on_linux(socket.incoming_cpu(), None);
        socket.connect(socket.local_address().unwrap()).unwrap();
        socket.send(b"x").unwrap();
        expect_on_linux(socket.incoming_cpu().map(|cpu| cpu.is_some()), true);
        expect_on_linux(socket.set_incoming_cpu(0), ());
    }
}

#[test]
fn an_unknown_device_is_an_error() {
    let socket = Socket::open(Family::V4, Kind::Datagram).unwrap();
    let error = socket.bind_device(Some("no-such-dev0")).unwrap_err();
    if cfg!(all(target_os = "linux", not(squall_portable))) {
        assert!(matches!(error.raw_os_error(), Some(libc::ENODEV | libc::EPERM)), "{error}");
    } else {
        assert_eq!(error.kind(), ErrorKind::Unsupported);
    }
}

/// The index of the loopback interface.
fn loopback() -> u32 {
    let name = if cfg!(target_os = "linux") { c"lo" } else { c"lo0" };
    // SAFETY: the name ends with a zero.
    unsafe { libc::if_nametoindex(name.as_ptr()) }
}

#[test]
fn a_member_of_a_group_hears_it_until_it_leaves() {
    for (group, any) in [
        (IpAddr::from([239, 255, 77, 77]), IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
        ("ff01::7777".parse().unwrap(), IpAddr::V6(Ipv6Addr::UNSPECIFIED)),
    ] {
        let Ok(member) = Socket::open(Family::of(&group), Kind::Datagram) else { continue };
        member.bind(SocketAddr::new(any, 0)).unwrap();
        member.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        member.join_multicast(group, loopback()).unwrap();
        let port = member.local_address().unwrap().ip().unwrap().port();

        let sender = Socket::open(Family::of(&group), Kind::Datagram).unwrap();
        sender.set_multicast_interface(loopback()).unwrap();
        sender.set_multicast_hops(0).unwrap();
        assert_eq!(sender.multicast_hops().unwrap(), 0);
        assert!(sender.multicast_loop().unwrap());
        match sender.send_to(b"all", SocketAddr::new(group, port)) {
            Ok(_) => assert_eq!(member.recv(&mut [0; 8]).unwrap(), 3),
            // Linux routes IPv6 groups over loopback only when that has the flag MULTICAST.
            Err(error) if group.is_ipv6() => {
                assert_eq!(error.kind(), ErrorKind::NetworkUnreachable);
                eprintln!("not heard: no route for IPv6 multicast over loopback");
            }
            Err(error) => panic!("{error}"),
        }

        member.leave_multicast(group, loopback()).unwrap();
        assert_eq!(
            member.leave_multicast(group, loopback()).unwrap_err().kind(),
            ErrorKind::AddrNotAvailable
        );
        sender.set_multicast_loop(false).unwrap();
        assert!(!sender.multicast_loop().unwrap());
    }
}

#[test]
fn listeners_share_a_port_and_each_hears_what_is_sent_to_all() {
    let loopback = loopback();
    let group = IpAddr::from([239, 255, 80, 1]);
    let listener = |port| {
        let socket = Socket::open(Family::V4, Kind::Datagram).unwrap();
        socket.set_shared_with_listeners(true).unwrap();
        socket.bind(SocketAddr::from(([0, 0, 0, 0], port))).unwrap();
        socket.join_multicast(group, loopback).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        socket
    };
    let first = listener(0);
    let port = first.local_address().unwrap().ip().unwrap().port();
    let listeners = [first, listener(port), listener(port)];
    let sender = Socket::open(Family::V4, Kind::Datagram).unwrap();
    sender.send_by(b"all", SocketAddr::new(group, port), None, loopback).unwrap();
    for listener in listeners {
        let mut buffer = [0; 8];
        assert_eq!(listener.recv(&mut buffer).unwrap(), 3);
    }
}

#[test]
fn only_groups_can_be_joined() {
    let socket = Socket::open(Family::V4, Kind::Datagram).unwrap();
    let error = socket.join_multicast(IpAddr::from([192, 0, 2, 1]), 0).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    expect_on_linux(socket.set_multicast_all(false), ());
}

#[test]
#[cfg(all(target_os = "linux", not(squall_portable)))]
fn what_others_joined_is_left_out_in_both_families() {
    use super::numbers::{IP_MULTICAST_ALL, IPV6_MULTICAST_ALL};

    let Ok(socket) = Socket::open(Family::V6, Kind::Datagram) else { return };
    socket.set_multicast_all(false).unwrap();
    assert_eq!((socket.get(IP_MULTICAST_ALL).unwrap(), socket.get(IPV6_MULTICAST_ALL).unwrap()), (0, 0));
}
