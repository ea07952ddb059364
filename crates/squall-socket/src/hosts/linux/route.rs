use std::io;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, OwnedFd};

use crate::hosts::InterfaceCounts;
use crate::socket::owned;

/// A line to the kernel's table of interfaces, addresses and routes
/// ([rtnetlink(7)](https://man7.org/linux/man-pages/man7/rtnetlink.7.html)): what `ip` does. It stays with the
/// network namespace in which it was opened.
#[derive(Debug)]
pub struct Route {
    fd: OwnedFd,
    sequence: u32,
}

impl Route {
    /// Opens one in the calling thread's network namespace.
    ///
    /// # Errors
    /// The system's.
    pub fn open() -> io::Result<Self> {
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
        // SAFETY: no pointers.
        let fd = owned(unsafe { libc::socket(libc::AF_NETLINK, kind, libc::NETLINK_ROUTE) })?;
        Ok(Self { fd, sequence: 0 })
    }

    /// Sets the MTU of an interface and how many packets wait before it at most.
    ///
    /// # Errors
    /// `PermissionDenied` without `CAP_NET_ADMIN`, `InvalidInput` for what the interface cannot have.
    pub fn set_limits(&mut self, interface: u32, mtu: u32, queue: u32) -> io::Result<()> {
        let mut request = Request::new(libc::RTM_NEWLINK, 0);
        request.link(interface, 0);
        request.attribute(libc::IFLA_MTU, &mtu.to_ne_bytes());
        request.attribute(libc::IFLA_TXQLEN, &queue.to_ne_bytes());
        self.ask(request).map(drop)
    }

    /// Turns an interface on.
    ///
    /// # Errors
    /// As for [`set_limits`](Self::set_limits).
    pub fn set_up(&mut self, interface: u32) -> io::Result<()> {
        let mut request = Request::new(libc::RTM_NEWLINK, 0);
        request.link(interface, libc::IFF_UP as u32);
        self.ask(request).map(drop)
    }

    /// Gives an interface an address, and the addresses that share its first `prefix` bits a route through it.
    /// An IPv6 address can be used at once: nobody is asked whether it is taken.
    ///
    /// # Errors
    /// As for [`set_limits`](Self::set_limits).
    pub fn add_address(&mut self, interface: u32, address: IpAddr, prefix: u8) -> io::Result<()> {
        let mut request = Request::new(libc::RTM_NEWADDR, libc::NLM_F_CREATE | libc::NLM_F_EXCL);
        // struct ifaddrmsg.
        request.bytes(&[family(address), prefix, libc::IFA_F_NODAD as u8, libc::RT_SCOPE_UNIVERSE]);
        request.bytes(&interface.to_ne_bytes());
        request.address(libc::IFA_LOCAL, address);
        request.address(libc::IFA_ADDRESS, address);
        self.ask(request).map(drop)
    }

    /// Routes the addresses that share the first `prefix` bits of `network` through an interface that is up.
    ///
    /// # Errors
    /// As for [`set_limits`](Self::set_limits).
    pub fn add_route(&mut self, interface: u32, network: IpAddr, prefix: u8) -> io::Result<()> {
        let mut request = Request::new(libc::RTM_NEWROUTE, libc::NLM_F_CREATE | libc::NLM_F_EXCL);
        // struct rtmsg.
        let (table, by, scope, kind) =
            (libc::RT_TABLE_MAIN, libc::RTPROT_STATIC, libc::RT_SCOPE_LINK, libc::RTN_UNICAST);
        request.bytes(&[family(network), prefix, 0, 0, table, by, scope, kind, 0, 0, 0, 0]);
        request.address(libc::RTA_DST, network);
        request.attribute(libc::RTA_OIF, &interface.to_ne_bytes());
        self.ask(request).map(drop)
    }

    /// What an interface counted so far.
    ///
    /// # Errors
    /// `ENODEV` when there is none; `InvalidData` for an answer without counts.
    pub fn counts(&mut self, interface: u32) -> io::Result<InterfaceCounts> {
        let mut request = Request::new(libc::RTM_GETLINK, 0);
        request.link(interface, 0);
        let answer = self.ask(request)?;
        // struct rtnl_link_stats64 of linux/if_link.h, whose first eight numbers these are.
        let statistics = attribute(answer.get(IFINFO..).unwrap_or_default(), libc::IFLA_STATS64);
        let number = |index: usize| -> Option<u64> {
            Some(u64::from_ne_bytes(statistics?.get(index * 8..index * 8 + 8)?.try_into().ok()?))
        };
        let counts = || {
            let (received, sent) = (number(0)?, number(1)?);
            Some(InterfaceCounts { received, sent, receive_drops: number(6)?, send_drops: number(7)? })
        };
        counts().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "an interface without counts"))
    }

    /// Sends a request and returns the body of the answer, which is empty where the kernel says no more than
    /// that it is done.
    fn ask(&mut self, request: Request) -> io::Result<Vec<u8>> {
        self.sequence += 1;
        let bytes = request.finish(self.sequence);
        // SAFETY: the pointer is good for as many bytes.
        if unsafe { libc::send(self.fd.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), 0) } < 0 {
            return Err(io::Error::last_os_error());
        }
        let mut body = Vec::new();
        let mut buffer = vec![0_u8; 32 * 1024];
        loop {
            // SAFETY: the pointer is good for as many bytes.
            let count =
                unsafe { libc::recv(self.fd.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), 0) };
            let count = match usize::try_from(count) {
                Ok(count) => count,
                Err(_) => match io::Error::last_os_error() {
                    error if error.kind() == io::ErrorKind::Interrupted => continue,
                    error => return Err(error),
                },
            };
            let mut rest = &buffer[..count];
            while let Some((message, next)) = take_message(rest) {
                rest = next;
                if message.sequence != self.sequence {
                    continue;
                }
                if message.kind != libc::NLMSG_ERROR as u16 {
                    body = message.body.to_vec();
                    continue;
                }
                let code = message.body.first_chunk().map_or(-libc::EPROTO, |code| i32::from_ne_bytes(*code));
                return if code == 0 { Ok(body) } else { Err(io::Error::from_raw_os_error(-code)) };
            }
        }
    }
}

/// A request as it grows.
struct Request {
    bytes: Vec<u8>,
}

impl Request {
    fn new(kind: u16, flags: libc::c_int) -> Self {
        let flags = (flags | libc::NLM_F_REQUEST | libc::NLM_F_ACK) as u16;
        let mut request = Self { bytes: Vec::with_capacity(128) };
        // struct nlmsghdr: length and sequence number are written at the end.
        request.bytes(&[0; 4]);
        request.bytes(&kind.to_ne_bytes());
        request.bytes(&flags.to_ne_bytes());
        request.bytes(&[0; 8]);
        request
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// `struct ifinfomsg`, in which the flags that are set are those to change.
    fn link(&mut self, interface: u32, flags: u32) {
        self.bytes(&[0; 4]);
        self.bytes(&interface.to_ne_bytes());
        self.bytes(&flags.to_ne_bytes());
        self.bytes(&flags.to_ne_bytes());
    }

    fn attribute(&mut self, kind: u16, value: &[u8]) {
        self.bytes(&(4 + value.len() as u16).to_ne_bytes());
        self.bytes(&kind.to_ne_bytes());
        self.bytes(value);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    fn address(&mut self, kind: u16, address: IpAddr) {
        match address {
            IpAddr::V4(v4) => self.attribute(kind, &v4.octets()),
            IpAddr::V6(v6) => self.attribute(kind, &v6.octets()),
        }
    }

    fn finish(mut self, sequence: u32) -> Vec<u8> {
        let length = self.bytes.len() as u32;
        self.bytes[..4].copy_from_slice(&length.to_ne_bytes());
        self.bytes[8..12].copy_from_slice(&sequence.to_ne_bytes());
        self.bytes
    }
}

struct Message<'a> {
    kind: u16,
    sequence: u32,
    body: &'a [u8],
}

/// Cuts the first message off what came; none when nothing whole is left.
fn take_message(bytes: &[u8]) -> Option<(Message<'_>, &[u8])> {
    let length = u32::from_ne_bytes(*bytes.first_chunk()?) as usize;
    let kind = u16::from_ne_bytes(*bytes.get(4..)?.first_chunk()?);
    let sequence = u32::from_ne_bytes(*bytes.get(8..)?.first_chunk()?);
    let body = bytes.get(HEADER..length)?;
    Some((Message { kind, sequence, body }, bytes.get(length.next_multiple_of(4)..).unwrap_or_default()))
}

/// The value of the first attribute of a kind.
fn attribute(mut bytes: &[u8], wanted: u16) -> Option<&[u8]> {
    loop {
        let length = usize::from(u16::from_ne_bytes(*bytes.first_chunk()?));
        let kind = u16::from_ne_bytes(*bytes.get(2..)?.first_chunk()?);
        let value = bytes.get(4..length)?;
        if kind == wanted {
            return Some(value);
        }
        bytes = bytes.get(length.next_multiple_of(4)..)?;
    }
}

fn family(address: IpAddr) -> u8 {
    (if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 }) as u8
}

/// The length of `struct nlmsghdr`.
const HEADER: usize = 16;
/// The length of `struct ifinfomsg`.
const IFINFO: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_interface_has_counts_and_a_missing_one_an_error() {
        let mut route = Route::open().unwrap();
        let loopback = crate::interface_index("lo").unwrap();
        let counts = route.counts(loopback).unwrap();
        assert_eq!(counts.received, counts.sent, "what loopback sends it receives");
        assert_eq!(route.counts(0x7fff_fff0).unwrap_err().raw_os_error(), Some(libc::ENODEV));
    }

    #[test]
    fn answers_that_end_early_are_none() {
        assert!(take_message(&[]).is_none());
        assert!(take_message(&[20, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1]).is_none());
        assert_eq!(attribute(&[8, 0, 3, 0, 1, 2, 3, 4, 5, 0, 9, 0, 7], 9), Some(&[7][..]));
        assert_eq!(attribute(&[0, 0, 3, 0, 1, 2, 3, 4], 9), None);
        assert_eq!(attribute(&[9, 0, 9, 0, 1, 2, 3, 4], 9), None);
    }
}
