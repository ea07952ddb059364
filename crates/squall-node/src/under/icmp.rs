//! What a router answers when a packet is longer than the next link takes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::ip::{self, Parts};

/// Writes the answer to `packet` that `router` gives, "fragmentation needed"
/// ([RFC 1191, section 4](https://www.rfc-editor.org/rfc/rfc1191#section-4)) or "packet too big"
/// ([RFC 4443, section 3.2](https://www.rfc-editor.org/rfc/rfc4443#section-3.2)), to the beginning of `out`, which has
/// room for [`LONGEST_ANSWER`] bytes, and returns its length; `None` when such a packet is not answered: a
/// later fragment, an ICMP error (RFC 1122, section 3.2.2).
pub(super) fn too_big(
    packet: &[u8],
    mtu: usize,
    routers: (Ipv4Addr, Ipv6Addr),
    out: &mut [u8],
) -> Option<usize> {
    let parts = Parts::of(packet)?;
    if !parts.first_fragment || is_error(packet, &parts) {
        return None;
    }
    let mtu = u32::try_from(mtu).unwrap_or(u32::MAX);
    match parts.source.ip() {
        IpAddr::V4(source) => Some(too_big_v4(packet, parts.transport, mtu, routers.0, source, out)),
        IpAddr::V6(source) => Some(too_big_v6(packet, mtu, routers.1, source, out)),
    }
}

/// The minimum MTU of IPv6, which no answer exceeds.
pub(super) const LONGEST_ANSWER: usize = 1280;

fn too_big_v4(
    packet: &[u8],
    header: usize,
    mtu: u32,
    router: Ipv4Addr,
    to: Ipv4Addr,
    out: &mut [u8],
) -> usize {
    // The header and 64 bits is what every host understands (RFC 792).
    let quote = &packet[..packet.len().min(header + 8)];
    let length = 28 + quote.len();
    let out = &mut out[..length];
    out.fill(0);
    // Version 4 and five words of header; precedence "internetwork control" (RFC 1812, section 4.3.2.5).
    (out[0], out[1]) = (0x45, 0xc0);
    (out[8], out[9]) = (64, ip::ICMP);
    out[12..16].copy_from_slice(&router.octets());
    out[16..20].copy_from_slice(&to.octets());
    (out[20], out[21]) = (3, 4);
    out[26..28].copy_from_slice(&u16::try_from(mtu).unwrap_or(u16::MAX).to_be_bytes());
    out[28..].copy_from_slice(quote);
    ip::set_length(out);
    let sum = !ip::fold(ip::add(0, &out[20..]));
    out[22..24].copy_from_slice(&sum.to_be_bytes());
    length
}

fn too_big_v6(packet: &[u8], mtu: u32, router: Ipv6Addr, to: Ipv6Addr, out: &mut [u8]) -> usize {
    let quote = &packet[..packet.len().min(LONGEST_ANSWER - 48)];
    let length = 48 + quote.len();
    let out = &mut out[..length];
    out.fill(0);
    out[0] = 0x60;
    (out[6], out[7]) = (ip::ICMPV6, 64);
    out[8..24].copy_from_slice(&router.octets());
    out[24..40].copy_from_slice(&to.octets());
    out[40] = 2;
    out[44..48].copy_from_slice(&mtu.to_be_bytes());
    out[48..].copy_from_slice(quote);
    ip::set_length(out);
    let sum = !ip::fold(ip::add(ip::pseudo_header(out, ip::ICMPV6, length - 40), &out[40..]));
    out[42..44].copy_from_slice(&sum.to_be_bytes());
    length
}

fn is_error(packet: &[u8], parts: &Parts) -> bool {
    match (parts.protocol, packet.get(parts.transport)) {
        // Destination unreachable, source quench, redirect, time exceeded, parameter problem.
        (ip::ICMP, Some(kind)) => matches!(kind, 3 | 4 | 5 | 11 | 12),
        (ip::ICMPV6, Some(kind)) => *kind < 128,
        _ => false,
    }
}
