//! Ancillary data: what the kernel says beside a datagram's bytes, and what it is told
//! ([cmsg(3)](https://man7.org/linux/man-pages/man3/cmsg.3.html)).
#![allow(
    clippy::unnecessary_cast,
    reason = "the widths of the structures' fields differ between C libraries"
)]

use std::io;
use std::mem;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// What the kernel said beside a received datagram, as far as the socket's options asked for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ancillary {
    /// The address that the datagram was sent to (`IP_PKTINFO`, `IPV6_RECVPKTINFO`).
    pub destination: Option<IpAddr>,
    /// The local address to answer from (`ipi_spec_dst`): it differs from `destination` for broadcast
    /// and multicast. For IPv6 it is the destination.
    pub source: Option<IpAddr>,
    /// The index of the interface that it arrived on; 0 when not asked for.
    pub interface: u32,
    /// The size of each datagram when several arrived as one (`UDP_GRO`); the last may be shorter.
    pub segment_size: Option<usize>,
    /// The type-of-service or traffic-class byte, whose two low bits are ECN (`IP_RECVTOS`,
    /// `IPV6_RECVTCLASS`).
    pub tos: Option<u8>,
    /// When the kernel took it, since the Unix epoch (`SO_TIMESTAMPNS`).
    pub timestamp: Option<Duration>,
    /// Datagrams that the socket has dropped since it was opened (`SO_RXQ_OVFL`), modulo 2³².
    pub drops: Option<u32>,
    /// An error that the network reported for an earlier datagram (`IP_RECVERR`).
    pub error: Option<ReportedError>,
}

/// An error from a socket's error queue ([ip(7)](https://man7.org/linux/man-pages/man7/ip.7.html), `IP_RECVERR`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReportedError {
    /// The error number, for instance `ECONNREFUSED` for an ICMP port unreachable.
    pub errno: i32,
    /// The ICMP or ICMPv6 type; 0 for an error of this host.
    pub icmp_type: u8,
    /// The ICMP or ICMPv6 code.
    pub icmp_code: u8,
    /// What the error brings along: for `EMSGSIZE` the MTU of the path, in bytes.
    pub info: u32,
    /// The host that reported it, if it was not this one.
    pub offender: Option<IpAddr>,
}

/// Room for the control messages of one datagram, aligned as the kernel wants them.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
pub(crate) struct Control(pub(crate) [u8; CONTROL_SIZE]);

impl Control {
    pub(crate) const EMPTY: Control = Control([0; CONTROL_SIZE]);
}

/// Bytes of control messages that one datagram can bring: packet information (40), a segment size
/// (24), a timestamp (32), drops (24), traffic class (24), an error of the queue with its offender (64).
pub(crate) const CONTROL_SIZE: usize = 256;

/// Writes control messages into a `Control` and counts their length.
pub(crate) struct Writer<'a> {
    control: &'a mut Control,
    len: usize,
}

impl<'a> Writer<'a> {
    pub(crate) fn new(control: &'a mut Control) -> Self {
        Self { control, len: 0 }
    }

    /// The address to send from, and the interface where the address means something on one only.
    pub(crate) fn source(&mut self, source: IpAddr, interface: u32, v6_socket: bool) {
        match source {
            IpAddr::V4(address) if !v6_socket => {
                let info = libc::in_pktinfo {
                    ipi_ifindex: interface as libc::c_int,
                    ipi_spec_dst: libc::in_addr { s_addr: u32::from_ne_bytes(address.octets()) },
                    ipi_addr: libc::in_addr { s_addr: 0 },
                };
                self.push(libc::IPPROTO_IP, libc::IP_PKTINFO, info);
            }
            address => {
                let address = match address {
                    IpAddr::V4(v4) => v4.to_ipv6_mapped(),
                    IpAddr::V6(v6) => v6,
                };
                let info = libc::in6_pktinfo {
                    ipi6_addr: libc::in6_addr { s6_addr: address.octets() },
                    ipi6_ifindex: interface as _,
                };
                self.push(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, info);
            }
        }
    }

    /// The size at which the kernel cuts the payload into datagrams (`UDP_SEGMENT`).
    #[cfg(all(target_os = "linux", not(squall_portable)))]
    pub(crate) fn segment_size(&mut self, size: u16) {
        self.push(libc::SOL_UDP, libc::UDP_SEGMENT, size);
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    fn push<T: Copy>(&mut self, level: libc::c_int, kind: libc::c_int, value: T) {
        // SAFETY: arithmetic on a length only.
        let (space, len) = unsafe {
            (libc::CMSG_SPACE(size_of::<T>() as u32) as usize, libc::CMSG_LEN(size_of::<T>() as u32) as usize)
        };
        assert!(self.len + space <= CONTROL_SIZE, "control messages of one datagram outgrew their buffer");
        let base = self.control.0[self.len..].as_mut_ptr();
        // SAFETY: `base` points to `space` bytes of the buffer (asserted), aligned to 8 as every
        // CMSG_SPACE is a multiple of it; a header and `T` behind it fit.
        unsafe {
            let mut header: libc::cmsghdr = mem::zeroed();
            header.cmsg_len = len as _;
            header.cmsg_level = level;
            header.cmsg_type = kind;
            base.cast::<libc::cmsghdr>().write(header);
            libc::CMSG_DATA(base.cast()).cast::<T>().write_unaligned(value);
        }
        self.len += space;
    }
}

/// Reads the control messages that the kernel wrote into the first `len` bytes of `control`.
pub(crate) fn parse(control: &Control, len: usize) -> Ancillary {
    let mut said = Ancillary::default();
    let control = &control.0[..len.min(CONTROL_SIZE)];
    let mut at = 0;
    while at + size_of::<libc::cmsghdr>() <= control.len() {
        // SAFETY: a whole header lies at `at` (checked); every bit pattern is a valid header.
        let cmsg = unsafe { control[at..].as_ptr().cast::<libc::cmsghdr>().read_unaligned() };
        let len = cmsg.cmsg_len as usize;
        // SAFETY: arithmetic on a length only.
        let header = unsafe { libc::CMSG_LEN(0) } as usize;
        if len < header || len > control.len() - at {
            break;
        }
        take(&mut said, cmsg.cmsg_level, cmsg.cmsg_type, &control[at + header..at + len]);
        // SAFETY: arithmetic on a length only.
        at += unsafe { libc::CMSG_SPACE((len - header) as u32) } as usize;
    }
    said
}

fn take(said: &mut Ancillary, level: libc::c_int, kind: libc::c_int, data: &[u8]) {
    match (level, kind) {
        (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
            if let Some(info) = value::<libc::in_pktinfo>(data) {
                said.interface = info.ipi_ifindex as u32;
                said.destination = Some(ipv4(info.ipi_addr).into());
                said.source = Some(ipv4(info.ipi_spec_dst).into());
            }
        }
        (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
            if let Some(info) = value::<libc::in6_pktinfo>(data) {
                let address = IpAddr::V6(Ipv6Addr::from(info.ipi6_addr.s6_addr));
                said.interface = info.ipi6_ifindex as u32;
                said.destination = Some(address);
                said.source = Some(address);
            }
        }
        (libc::IPPROTO_IP, libc::IP_TOS) => said.tos = data.first().copied(),
        (libc::IPPROTO_IPV6, libc::IPV6_TCLASS) => said.tos = value::<libc::c_int>(data).map(|tos| tos as u8),
        #[cfg(target_os = "linux")]
        (libc::SOL_UDP, libc::UDP_GRO) => {
            said.segment_size = value::<libc::c_int>(data)
                .and_then(|size| usize::try_from(size).ok())
                .filter(|size| *size > 0);
        }
        #[cfg(target_os = "linux")]
        (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) => {
            said.timestamp = value::<libc::timespec>(data).and_then(|time| {
                Some(Duration::new(time.tv_sec.try_into().ok()?, time.tv_nsec.try_into().ok()?))
            });
        }
        #[cfg(target_os = "linux")]
        (libc::SOL_SOCKET, libc::SO_RXQ_OVFL) => said.drops = value::<u32>(data),
        #[cfg(target_os = "linux")]
        (libc::IPPROTO_IP, libc::IP_RECVERR) | (libc::IPPROTO_IPV6, libc::IPV6_RECVERR) => {
            said.error = value::<libc::sock_extended_err>(data).map(|error| ReportedError {
                errno: error.ee_errno as i32,
                icmp_type: error.ee_type,
                icmp_code: error.ee_code,
                info: error.ee_info,
                offender: offender(&data[size_of::<libc::sock_extended_err>()..]),
            });
        }
        _ => {}
    }
}

/// The address behind an extended error: a `sockaddr_in` or `sockaddr_in6` of the host that reported.
#[cfg(target_os = "linux")]
fn offender(data: &[u8]) -> Option<IpAddr> {
    let family = value::<libc::sa_family_t>(data)?;
    match libc::c_int::from(family) {
        libc::AF_INET => value::<libc::sockaddr_in>(data).map(|v4| ipv4(v4.sin_addr).into()),
        libc::AF_INET6 => {
            value::<libc::sockaddr_in6>(data).map(|v6| Ipv6Addr::from(v6.sin6_addr.s6_addr).into())
        }
        _ => None,
    }
}

fn ipv4(address: libc::in_addr) -> Ipv4Addr {
    Ipv4Addr::from(address.s_addr.to_ne_bytes())
}

/// Reads a plain structure of the kernel's from the front of `data`; `None` when it is too short.
fn value<T: Copy>(data: &[u8]) -> Option<T> {
    // SAFETY: enough bytes are there (checked), read unaligned; every `T` above is made of integers.
    (data.len() >= size_of::<T>()).then(|| unsafe { data.as_ptr().cast::<T>().read_unaligned() })
}

/// An error from a socket's error queue, with what it concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueuedError {
    /// The error.
    pub error: ReportedError,
    /// The address that the failed datagram was sent to.
    pub to: Option<crate::Address>,
    /// How many bytes of that datagram's payload the buffer holds now: what the ICMP message quoted of it,
    /// which may be nothing.
    pub quoted: usize,
}

/// Takes the next error from a socket's error queue, with the address that the failed datagram was
/// sent to. Works on sockets with `IP_RECVERR` or `IPV6_RECVERR` on; Linux only.
///
/// # Errors
/// `WouldBlock` when the queue is empty; `Unsupported` on other systems; the system's.
pub fn next_error(socket: impl std::os::fd::AsFd) -> io::Result<(ReportedError, Option<crate::Address>)> {
    next_quoted_error(socket, &mut [0]).map(|queued| (queued.error, queued.to))
}

/// As [`next_error`], and puts the beginning of the failed datagram into `buffer`, as far as the error quotes
/// it ([RFC 792](https://www.rfc-editor.org/rfc/rfc792) asks for no payload at all,
/// [RFC 1812 §4.3.2.3](https://www.rfc-editor.org/rfc/rfc1812#section-4.3.2.3) for 548 bytes or so).
///
/// # Errors
/// As [`next_error`].
pub fn next_quoted_error(socket: impl std::os::fd::AsFd, buffer: &mut [u8]) -> io::Result<QueuedError> {
    #[cfg(all(target_os = "linux", not(squall_portable)))]
    {
        use std::os::fd::AsRawFd;
        let mut control = Control::EMPTY;
        let mut raw = crate::address::RawAddress::default();
        let mut iov = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
        // SAFETY: all zero is a valid msghdr.
        let mut header: libc::msghdr = unsafe { mem::zeroed() };
        header.msg_name = (&raw mut raw.storage).cast();
        header.msg_namelen = crate::address::RawAddress::FULL;
        header.msg_iov = &raw mut iov;
        header.msg_iovlen = 1;
        header.msg_control = control.0.as_mut_ptr().cast();
        header.msg_controllen = CONTROL_SIZE as _;
        let flags = libc::MSG_ERRQUEUE | libc::MSG_DONTWAIT;
        // SAFETY: every pointer of the header is good for the length beside it during the call.
        let len = unsafe { libc::recvmsg(socket.as_fd().as_raw_fd(), &raw mut header, flags) };
        let len = usize::try_from(len).map_err(|_| io::Error::last_os_error())?;
        raw.len = header.msg_namelen;
        let said = parse(&control, header.msg_controllen as usize);
        let error = said.error.ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidData, "an error queue entry without an error")
        })?;
        Ok(QueuedError { error, to: raw.parse().ok(), quoted: len.min(buffer.len()) })
    }
    #[cfg(not(all(target_os = "linux", not(squall_portable))))]
    {
        let _ = (socket, buffer);
        Err(io::Error::new(io::ErrorKind::Unsupported, "no error queue on this system"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_address_reads_back_as_packet_information() {
        for (source, v6_socket, seen) in [
            ("127.0.0.2", false, "127.0.0.2"),
            ("127.0.0.2", true, "::ffff:127.0.0.2"),
            ("fe80::1", true, "fe80::1"),
        ] {
            let mut control = Control::EMPTY;
            let mut writer = Writer::new(&mut control);
            writer.source(source.parse().unwrap(), 7, v6_socket);
            let len = writer.len();
            let said = parse(&control, len);
            assert_eq!(said.source, Some(seen.parse().unwrap()));
            assert_eq!(said.interface, 7);
        }
    }

    #[test]
    fn cut_control_messages_are_passed_over() {
        let mut control = Control::EMPTY;
        let mut writer = Writer::new(&mut control);
        writer.source("127.0.0.2".parse().unwrap(), 7, false);
        let len = writer.len();
        for cut in 0..len - 4 {
            assert_eq!(parse(&control, cut), Ancillary::default(), "cut at {cut} of {len}");
        }
    }

    #[test]
    #[cfg(all(target_os = "linux", not(squall_portable)))]
    fn a_refusal_tells_who_refused_and_quotes_what() {
        use crate::{Family, Kind, Socket};
        use std::net::SocketAddr;

        for host in ["127.0.0.1:0", "[::1]:0"] {
            let host: SocketAddr = host.parse().unwrap();
            let open = || Socket::open(Family::of(&host.ip()), Kind::Datagram).unwrap();
            let gone = open();
            if gone.bind(host).is_err() {
                continue;
            }
            let address = gone.local_address().unwrap();
            drop(gone);
            let client = open();
            client.set_receive_errors(true).unwrap();
            client.connect(address).unwrap();
            client.send(b"0123456789").unwrap();
            let mut quoted = [0; 4];
            // Loopback delivers within the call.
            let queued = next_quoted_error(&client, &mut quoted).unwrap();
            assert_eq!(queued.error.errno, libc::ECONNREFUSED);
            assert_eq!(queued.error.offender, Some(host.ip()));
            assert_eq!(queued.to, Some(address));
            assert_eq!(&quoted[..queued.quoted], b"0123");
            assert_eq!(next_error(&client).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        }
    }

    #[test]
    #[cfg(all(target_os = "linux", not(squall_portable)))]
    fn a_datagram_over_the_first_links_mtu_is_refused_with_the_mtu() {
        use crate::{Family, Kind, PathMtuDiscovery, Socket};
        use std::net::SocketAddr;

        // The one link that every machine has: 65,488 bytes of IPv6 payload fit, one more does not.
        let (socket, host) = (Socket::open(Family::V6, Kind::Datagram), "[::1]:9");
        let Ok(socket) = socket else { return };
        socket.set_receive_errors(true).unwrap();
        socket.set_path_mtu_discovery(PathMtuDiscovery::Probe).unwrap();
        if socket.connect(host.parse::<SocketAddr>().unwrap()).is_err() {
            return;
        }
        let mtu = socket.path_mtu().unwrap();
        let too_big = vec![0; mtu as usize - 47];
        assert_eq!(socket.send(&too_big).unwrap_err().raw_os_error(), Some(libc::EMSGSIZE));
        let queued = next_quoted_error(&socket, &mut [0; 8]).unwrap();
        assert_eq!((queued.error.errno, queued.error.info), (libc::EMSGSIZE, mtu));
        assert_eq!(queued.error.offender, None, "nobody but this host");
    }
}
