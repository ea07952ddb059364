//! IP packets as they are on a link: where what begins, checksums, fragments.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::Range;

/// Where the parts of an IP packet lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Parts {
    /// Where the headers of IP end and the transport's begins.
    pub(super) transport: usize,
    /// Where the transport's headers end; for one that is not known, and for later fragments, the same.
    pub(super) payload: usize,
    /// What IP carries: one of [`TCP`], [`UDP`], or another.
    pub(super) protocol: u8,
    /// Whether it begins with the transport's headers: not so for later fragments.
    pub(super) first_fragment: bool,
    pub(super) source: SocketAddr,
    pub(super) destination: SocketAddr,
}

pub(super) const ICMP: u8 = 1;
pub(super) const TCP: u8 = 6;
pub(super) const UDP: u8 = 17;
pub(super) const ICMPV6: u8 = 58;

impl Parts {
    /// Looks at a packet; `None` when it is neither IPv4 nor IPv6 or ends within its headers.
    pub(super) fn of(packet: &[u8]) -> Option<Self> {
        let (transport, protocol, first_fragment, source, destination) = match packet.first()? >> 4 {
            4 => {
                let header = packet.get(..20)?;
                let length = usize::from(header[0] & 15) * 4;
                let offset = u16::from_be_bytes([header[6], header[7]]) & 0x1fff;
                let source = Ipv4Addr::from(*header[12..].first_chunk::<4>()?);
                let destination = Ipv4Addr::from(*header[16..].first_chunk::<4>()?);
                (length.max(20), header[9], offset == 0, IpAddr::from(source), IpAddr::from(destination))
            }
            6 => {
                let header = packet.get(..40)?;
                let source = Ipv6Addr::from(*header[8..].first_chunk::<16>()?);
                let destination = Ipv6Addr::from(*header[24..].first_chunk::<16>()?);
                let (transport, protocol, first) = after_extensions(packet, header[6])?;
                (transport, protocol, first, IpAddr::from(source), IpAddr::from(destination))
            }
            _ => return None,
        };
        let rest = packet.get(transport..)?;
        let headers = match protocol {
            _ if !first_fragment => 0,
            UDP => 8,
            TCP => usize::from(*rest.get(12)? >> 4) * 4,
            _ => 0,
        };
        let port = |at: usize| match (headers, rest.get(at..at + 2)) {
            (0, _) | (_, None) => 0,
            (_, Some(bytes)) => u16::from_be_bytes([bytes[0], bytes[1]]),
        };
        Some(Self {
            transport,
            payload: (transport + headers).min(packet.len()),
            protocol,
            first_fragment,
            source: SocketAddr::new(source, port(0)),
            destination: SocketAddr::new(destination, port(2)),
        })
    }

    /// What bad weather may turn over: the payload, or where there is none the transport's headers.
    pub(super) fn vulnerable(&self, packet: &[u8]) -> Range<usize> {
        if self.payload < packet.len() { self.payload..packet.len() } else { self.transport..packet.len() }
    }
}

/// Steps over IPv6's extension headers ([RFC 8200, section 4](https://www.rfc-editor.org/rfc/rfc8200#section-4)):
/// where they end, what follows, and whether that begins there.
fn after_extensions(packet: &[u8], mut next: u8) -> Option<(usize, u8, bool)> {
    let mut at = 40;
    loop {
        let length = match next {
            // Hop-by-hop options, routing, destination options.
            0 | 43 | 60 => (usize::from(*packet.get(at + 1)?) + 1) * 8,
            44 => {
                let offset = u16::from_be_bytes([*packet.get(at + 2)?, *packet.get(at + 3)?]) >> 3;
                if offset != 0 {
                    return Some((at + 8, packet[at], false));
                }
                8
            }
            _ => return Some((at, next, true)),
        };
        next = *packet.get(at)?;
        at += length;
    }
}

/// Whether an IPv4 packet may not be cut ("don't fragment"), and true of every IPv6 one: there nobody but
/// the sender cuts.
pub(super) fn may_not_be_cut(packet: &[u8]) -> bool {
    packet.first().is_none_or(|first| first >> 4 != 4) || packet.get(6).is_none_or(|flags| flags & 0x40 != 0)
}

/// Cuts an IPv4 packet into fragments of `mtu` bytes at most, as a router does
/// ([RFC 791, section 3.2](https://www.rfc-editor.org/rfc/rfc791#section-3.2)), and hands each to `emit`. Options
/// are not copied but in the first fragment: no host here sends any. A packet that cannot be cut gives
/// none.
pub(super) fn fragment(packet: &[u8], mtu: usize, mut emit: impl FnMut(&[u8])) {
    let Some(first) = packet.first() else { return };
    let header = (usize::from(first & 15) * 4).max(20);
    let room = mtu.saturating_sub(header) / 8 * 8;
    if room == 0 || packet.len() <= header {
        return;
    }
    let field = u16::from_be_bytes([packet[6], packet[7]]);
    let (more, begin) = (field & MORE_FRAGMENTS != 0, field & 0x1fff);
    // A record may name any MTU.
    let mut piece = Vec::with_capacity(mtu.min(packet.len()));
    let pieces = packet[header..].chunks(room);
    let last = pieces.len() - 1;
    for (index, chunk) in pieces.enumerate() {
        piece.clear();
        piece.extend_from_slice(&packet[..header]);
        piece.extend_from_slice(chunk);
        let flag = if more || index < last { MORE_FRAGMENTS } else { 0 };
        let offset = begin + (index * room / 8) as u16;
        piece[6..8].copy_from_slice(&(flag | offset).to_be_bytes());
        set_length(&mut piece);
        emit(&piece);
    }
}

const MORE_FRAGMENTS: u16 = 0x2000;

/// Writes the length of a packet into its header, and the header's checksum if it has one.
pub(super) fn set_length(packet: &mut [u8]) {
    let length = packet.len();
    if packet[0] >> 4 == 4 {
        packet[2..4].copy_from_slice(&(length as u16).to_be_bytes());
        set_header_checksum(packet);
    } else {
        packet[4..6].copy_from_slice(&((length - 40) as u16).to_be_bytes());
    }
}

/// Writes the checksum of an IPv4 header.
pub(super) fn set_header_checksum(packet: &mut [u8]) {
    let header = usize::from(packet[0] & 15) * 4;
    packet[10..12].fill(0);
    let sum = !fold(add(0, &packet[..header]));
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
}

/// The sum over the pseudo-header of a packet whose transport's part is `length` bytes long
/// ([RFC 9293, section 3.1](https://www.rfc-editor.org/rfc/rfc9293#section-3.1),
/// [RFC 8200, section 8.1](https://www.rfc-editor.org/rfc/rfc8200#section-8.1)).
pub(super) fn pseudo_header(packet: &[u8], protocol: u8, length: usize) -> u32 {
    let addresses = if packet[0] >> 4 == 4 { &packet[12..20] } else { &packet[8..40] };
    let [_, _, high, low] = (length as u32).to_be_bytes();
    add(add(0, addresses), &[0, protocol, high, low])
}

/// Adds 16-bit words to a sum of the Internet checksum
/// ([RFC 1071](https://www.rfc-editor.org/rfc/rfc1071)). Good for the longest packet there is.
pub(super) fn add(sum: u32, bytes: &[u8]) -> u32 {
    let mut wide = u64::from(sum);
    let (words, rest) = bytes.as_chunks::<2>();
    wide += words.iter().map(|word| u64::from(u16::from_be_bytes(*word))).sum::<u64>();
    if let [last] = rest {
        wide += u64::from(u16::from_be_bytes([*last, 0]));
    }
    u32::from(fold_wide(wide))
}

/// A sum as the 16 bits that it stands for.
pub(super) fn fold(sum: u32) -> u16 {
    fold_wide(sum.into())
}

fn fold_wide(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}
