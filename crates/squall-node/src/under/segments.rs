//! TCP packets that a host gave uncut, and what is left open in packets.
//!
//! A host that may do so hands 64 KiB over in one piece, to be cut into segments of the path's size. Weather is
//! made for what would be on the wire: each segment meets it by itself, and those that arrive together are
//! handed over as one piece again.

use squall::socket::hosts::Offloads;

use super::ip::{self, Parts};

/// A packet that stands for several segments.
#[derive(Clone, Copy, Debug)]
pub(super) struct Train {
    offloads: Offloads,
    /// How long IP's and TCP's headers are.
    headers: usize,
    /// How long the whole is.
    length: usize,
}

impl Train {
    /// Looks at a packet with what its host left open; `None` when it is one packet as it stands.
    pub(super) fn of(packet: &[u8], offloads: &Offloads) -> Option<Self> {
        if !matches!(offloads.segmentation & !Offloads::ECN, Offloads::TCP4 | Offloads::TCP6)
            || offloads.segment == 0
        {
            return None;
        }
        let parts = Parts::of(packet)?;
        let is_tcp = parts.protocol == ip::TCP && parts.transport == usize::from(offloads.checksum_start);
        let train = Self { offloads: *offloads, headers: parts.payload, length: packet.len() };
        (is_tcp && parts.payload >= parts.transport + 20 && packet.len() > parts.payload).then_some(train)
    }

    /// How many segments it is: 1 or more.
    pub(super) fn segments(&self) -> usize {
        (self.length - self.headers).div_ceil(self.segment())
    }

    fn segment(&self) -> usize {
        self.offloads.segment.into()
    }

    /// The payload of the segments from `first` to `first + count - 1`, as a range of the packet.
    pub(super) fn payload(&self, first: usize, count: usize) -> std::ops::Range<usize> {
        let begin = self.headers + first * self.segment();
        begin..(begin + count * self.segment()).min(self.length)
    }

    /// How long these segments are as one packet, headers counted.
    pub(super) fn size(&self, first: usize, count: usize) -> usize {
        self.headers + self.payload(first, count).len()
    }

    /// Writes these segments as one packet to the beginning of `out`, which has room for their
    /// [`size`](Self::size), and says what is open in it. What changes from segment to segment is as
    /// [tcp_gso_segment](https://docs.kernel.org/networking/segmentation-offloads.html) has it.
    pub(super) fn cut(&self, packet: &[u8], first: usize, count: usize, out: &mut [u8]) -> Offloads {
        let range = self.payload(first, count);
        let (is_first, is_last) = (first == 0, range.end == self.length);
        let size = self.headers + range.len();
        let out = &mut out[..size];
        out[..self.headers].copy_from_slice(&packet[..self.headers]);
        out[self.headers..].copy_from_slice(&packet[range]);
        if out[0] >> 4 == 4 {
            let identification = u16::from_be_bytes([out[4], out[5]]).wrapping_add(first as u16);
            out[4..6].copy_from_slice(&identification.to_be_bytes());
        }
        ip::set_length(out);
        let start = usize::from(self.offloads.checksum_start);
        let pseudo_header = ip::fold(ip::pseudo_header(out, ip::TCP, size - start));
        let tcp = &mut out[start..];
        if let Some(sequence) = tcp[4..8].first_chunk().map(|bytes| u32::from_be_bytes(*bytes)) {
            let sequence = sequence.wrapping_add((first * self.segment()) as u32);
            tcp[4..8].copy_from_slice(&sequence.to_be_bytes());
        }
        if !is_last {
            tcp[13] &= !(FIN | PSH);
        }
        if !is_first {
            tcp[13] &= !CWR;
        }
        tcp[16..18].copy_from_slice(&pseudo_header.to_be_bytes());
        let mut offloads = Offloads { flags: Offloads::NEEDS_CHECKSUM, ..self.offloads };
        if count == 1 {
            (offloads.segmentation, offloads.segment) = (0, 0);
        } else if !is_first {
            offloads.segmentation &= !Offloads::ECN;
        }
        offloads
    }
}

/// Writes the checksum that is open in a packet, so that it says what the packet holds now.
pub(super) fn complete(packet: &mut [u8], offloads: &mut Offloads) {
    if offloads.flags & Offloads::NEEDS_CHECKSUM == 0 {
        return;
    }
    let start = usize::from(offloads.checksum_start);
    let field = start + usize::from(offloads.checksum_offset);
    if field + 2 > packet.len() {
        return;
    }
    // The field holds the sum of the pseudo-header, and is thereby summed up with the rest.
    let sum = match !ip::fold(ip::add(0, &packet[start..])) {
        // In UDP 0 says that there is no checksum (RFC 768); for TCP both are the same number.
        0 => 0xffff,
        sum => sum,
    };
    packet[field..field + 2].copy_from_slice(&sum.to_be_bytes());
    *offloads = Offloads::default();
}

const FIN: u8 = 0x01;
const PSH: u8 = 0x08;
const CWR: u8 = 0x80;
