//! The path to this machine itself, whose one link carries 65,536 bytes on Linux.

use std::net::SocketAddr;

use squall::path_mtu::{Evidence, Fate, Limit, Outcome, PathMtu, PathMtuError};
use squall::socket::{Family, Kind, Socket};
use squall::{Reply, Request, Running, Server, Service};

/// Whether this build can forbid fragments at all; where it cannot, the error says so.
fn is_supported() -> bool {
    match PathMtu::to(closed("127.0.0.1:0").unwrap()).search() {
        Ok(_) => true,
        Err(PathMtuError::System { what, source, .. }) => {
            assert_eq!(what, "forbid fragments to");
            assert_eq!(source.kind(), std::io::ErrorKind::Unsupported);
            false
        }
        Err(error) => panic!("{error}"),
    }
}

fn serve(
    on: &str,
    answer: fn(&Request<'_>, &mut Reply<'_>) -> Result<(), squall::Refusal>,
) -> (Running, SocketAddr) {
    let server =
        Server::new().service(Service::new("test", answer).at(on).unwrap()).shards(1).start().unwrap();
    let address = server.local_addrs()[0].to_string().parse().unwrap();
    (server, address)
}

fn echo(request: &Request<'_>, reply: &mut Reply<'_>) -> Result<(), squall::Refusal> {
    reply.write(request.payload)
}

fn length(request: &Request<'_>, reply: &mut Reply<'_>) -> Result<(), squall::Refusal> {
    reply.write(format!("Your data was {} bytes long", request.payload.len()).as_bytes())
}

fn text(_: &Request<'_>, reply: &mut Reply<'_>) -> Result<(), squall::Refusal> {
    reply.write(b"hello")
}

/// An address that nobody listens on; `None` where the machine lacks the family.
fn closed(host: &str) -> Option<SocketAddr> {
    let host: SocketAddr = host.parse().unwrap();
    let socket = Socket::open(Family::of(&host.ip()), Kind::Datagram).ok()?;
    socket.bind(host).ok()?;
    socket.local_address().unwrap().ip()
}

#[test]
fn every_kind_of_server_shows_that_loopback_carries_the_longest_datagram() {
    if !is_supported() {
        return;
    }
    for (answer, how) in [
        (echo as fn(&Request<'_>, &mut Reply<'_>) -> _, Evidence::Echo),
        (length, Evidence::Length),
        (text, Evidence::Datagram),
    ] {
        let (_server, address) = serve("udp://127.0.0.1:0", answer);
        let report = PathMtu::to(address).search().unwrap();
        let found = Outcome::Found { mtu: 65_535, limit: Limit::FirstHop, certain: true };
        assert_eq!((report.outcome, report.evidence()), (found, vec![how]));
        assert_eq!(report.payload_of(65_535), 65_507);
        assert_eq!(report.first_hop, Some(65_536));
        assert_eq!(report.local.ip(), address.ip());
        assert_eq!((report.lost(), report.routers(), report.ignored), (0, vec![], 0));
    }
}

#[test]
fn a_host_where_nobody_listens_answers_by_icmp() {
    if !is_supported() {
        return;
    }
    let report = PathMtu::to(closed("127.0.0.1:0").unwrap()).search().unwrap();
    assert_eq!((report.mtu(), report.evidence()), (Some(65_535), vec![Evidence::Unreachable]));
    if let Some(address) = closed("[::1]:0") {
        let report = PathMtu::to(address).search().unwrap();
        // The kernel refused a longer one and named the link's MTU.
        assert_eq!((report.mtu(), report.first_hop), (Some(65_536), Some(65_536)));
    }
}

#[test]
fn an_ipv4_address_that_is_written_as_an_ipv6_one_is_probed_as_what_it_is() {
    if !is_supported() {
        return;
    }
    let port = closed("127.0.0.1:0").unwrap().port();
    let report = PathMtu::to(format!("[::ffff:127.0.0.1]:{port}").parse().unwrap()).search().unwrap();
    assert_eq!((report.header, report.mtu()), (28, Some(65_535)));
}

#[test]
fn one_datagram_arrives_or_is_refused_with_the_mtu() {
    if !is_supported() {
        return;
    }
    let (_server, address) = serve("udp://127.0.0.1:0", length);
    let single = PathMtu::to(address).send(65_000).unwrap();
    assert_eq!(single.fate, Fate::Arrived { how: Evidence::Length });
    let single = PathMtu::to(closed("127.0.0.1:0").unwrap()).send(0).unwrap();
    assert_eq!(single.fate, Fate::Arrived { how: Evidence::Unreachable });
    if let Some(address) = closed("[::1]:0") {
        let single = PathMtu::to(address).send(65_507).unwrap();
        assert_eq!(single.fate, Fate::TooBig { mtu: 65_536, router: None });
    }
}

#[test]
fn what_is_no_host_has_no_path() {
    for address in
        ["224.0.0.1:9", "[ff02::1]:9", "255.255.255.255:9", "127.0.0.1:0", "0.0.0.0:9", "127.255.255.255:9"]
    {
        let error = PathMtu::to(address.parse().unwrap()).search().unwrap_err();
        assert!(matches!(error, PathMtuError::NotAHost { .. }), "{address}: {error}");
    }
}
