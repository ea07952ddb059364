//! The two hosts and the cable between them.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use squall::socket::hosts::{InterfaceCounts, Namespace, Route, Tun, enter_user_namespace};
use squall::socket::interface_index;

use super::forbidden;
use super::{LEAST_V6_MTU, UnderError};

/// The client's addresses.
pub(super) const CLIENT: (Ipv4Addr, Ipv6Addr) = (Ipv4Addr::new(10, 77, 0, 1), v6(1));
/// The server's addresses.
pub(super) const SERVER: (Ipv4Addr, Ipv6Addr) = (Ipv4Addr::new(10, 77, 0, 2), v6(2));
/// The addresses of the router that there would be between them: ICMP messages about MTUs come from there.
pub(super) const ROUTER: (Ipv4Addr, Ipv6Addr) = (Ipv4Addr::new(10, 77, 0, 254), v6(0xfe));

const fn v6(host: u16) -> Ipv6Addr {
    Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, host)
}

/// How many packets may wait between a host and the program that carries them on: 500 at first, which a burst
/// overflows in silence.
const QUEUE: u32 = 10_000;
/// The name of the interface, on both.
const INTERFACE: &str = "squall0";

/// Two hosts, each a network namespace, and a third one without any connection, in which nobody listens: where
/// the calling thread is.
#[derive(Debug)]
pub(super) struct Hosts {
    pub(super) client: Host,
    pub(super) server: Host,
    pub(super) between: Namespace,
    /// Whether it took a user namespace to make them.
    pub(super) user_namespace: bool,
    /// Whether they have IPv6 addresses.
    pub(super) has_v6: bool,
}

/// One host. Its interface ends when it is dropped.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) namespace: Namespace,
    pub(super) tun: Arc<Tun>,
    route: Route,
}

impl Hosts {
    /// Makes them. Takes the calling thread into a namespace of its own for good, and where it is not
    /// allowed to otherwise the whole process, which thus may not have other threads yet.
    pub(super) fn make(mtu: u32) -> Result<Self, UnderError> {
        let (between, user_namespace) = leave()?;
        let server = Host::make("the server's host", SERVER, mtu)?;
        let client = Host::make("the client's host", CLIENT, mtu)?;
        between
            .enter()
            .map_err(|source| UnderError::System { what: "entering a network namespace", source })?;
        Ok(Self { client: client.0, server: server.0, between, user_namespace, has_v6: client.1 && server.1 })
    }
}

/// Leaves the network namespace that the process was started in.
fn leave() -> Result<(Namespace, bool), UnderError> {
    match Namespace::create() {
        Ok(namespace) => return Ok((namespace, false)),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
        Err(error) => return Err(forbidden::network_namespace(error)),
    }
    enter_user_namespace().map_err(forbidden::user_namespace)?;
    let namespace = Namespace::create().map_err(forbidden::network_namespace)?;
    Ok((namespace, true))
}

impl Host {
    /// Makes a host, in which the calling thread is afterwards, and says whether it has IPv6.
    fn make(
        name: &'static str,
        addresses: (Ipv4Addr, Ipv6Addr),
        mtu: u32,
    ) -> Result<(Self, bool), UnderError> {
        let failed = |what| move |source| UnderError::Host { host: name, what, source };
        let namespace = Namespace::create().map_err(forbidden::network_namespace)?;
        quiet();
        let tun = Tun::create(INTERFACE, true).map_err(forbidden::device)?;
        let mut route = Route::open().map_err(failed("its routes"))?;
        let loopback =
            interface_index("lo").map_err(io::Error::other).map_err(failed("its loopback interface"))?;
        route.set_up(loopback).map_err(failed("its loopback interface"))?;
        route.set_limits(tun.index(), mtu, QUEUE).map_err(failed("the MTU of its interface"))?;
        let (v4, v6) = addresses;
        route.add_address(tun.index(), IpAddr::V4(v4), 24).map_err(failed("its IPv4 address"))?;
        route.set_up(tun.index()).map_err(failed("its interface"))?;
        let multicast = IpAddr::V4(Ipv4Addr::new(224, 0, 0, 0));
        route.add_route(tun.index(), multicast, 4).map_err(failed("its route for multicast"))?;
        let has_v6 = mtu >= LEAST_V6_MTU && fs::exists("/proc/sys/net/ipv6").unwrap_or(false);
        if has_v6 {
            route.add_address(tun.index(), IpAddr::V6(v6), 64).map_err(failed("its IPv6 address"))?;
            let multicast = IpAddr::V6(Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0));
            route.add_route(tun.index(), multicast, 8).map_err(failed("its route for IPv6 multicast"))?;
        }
        Ok((Self { namespace, tun: Arc::new(tun), route }, has_v6))
    }

    /// What its interface counted.
    pub(super) fn counts(&mut self) -> io::Result<InterfaceCounts> {
        self.route.counts(self.tun.index())
    }
}

/// Lets a new host send nothing of its own accord, so that its link carries what its programs send and no
/// more; and lets programs without privileges do there what harms nobody. Where `/proc/sys` is not to be
/// written, all works but this.
fn quiet() {
    let settings = [
        // No link-local address, and thus no router solicitations.
        ("ipv6/conf/default/addr_gen_mode", "1"),
        ("ipv6/conf/default/router_solicitations", "0"),
        ("ipv6/conf/default/accept_ra", "0"),
        ("ipv6/conf/default/accept_dad", "0"),
        // Ports below 1024, and ping.
        ("ipv4/ip_unprivileged_port_start", "0"),
        ("ipv4/ping_group_range", "0 2147483647"),
    ];
    for (name, value) in settings {
        let _ = fs::write(format!("/proc/sys/net/{name}"), value);
    }
}
