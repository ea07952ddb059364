//! What goes into a link, and what comes out.

use core::fmt;
use core::net::SocketAddr;

use squall_time::Time;

/// A datagram at the beginning of a link.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// Bytes on the link, the headers of IP and UDP counted. Rate, queue and MTU go by it.
    pub size: usize,
    /// The datagram's payload. Rules look at it, and the corrupted bit is one of its bits.
    pub payload: &'a [u8],
    /// The client, whichever the direction, if there is an address for it. Rules look at it.
    pub peer: Option<SocketAddr>,
}

/// What becomes of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It never arrives.
    Dropped(Cause),
    /// It arrives, at least once.
    Delivered(Copies),
}

/// Why a datagram was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// Independent loss.
    Loss,
    /// The loss of a burst (Gilbert–Elliott).
    Burst,
    /// The bottleneck's queue was full.
    Queue,
    /// It is longer than the link's MTU.
    TooBig {
        /// The MTU, in bytes with headers.
        mtu: usize,
        /// Whether the sender hears nothing of it (a black hole), instead of ICMP's "packet too big".
        silent: bool,
    },
    /// The link was down.
    Blackout,
    /// A rule says so.
    Rule,
}

impl fmt::Display for Cause {
    /// As in a record: `loss`, `burst`, `queue`, `too-big 1400`, `too-big 1400 silent`, `blackout`, `rule`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::Loss => f.write_str("loss"),
            Cause::Burst => f.write_str("burst"),
            Cause::Queue => f.write_str("queue"),
            Cause::TooBig { mtu, silent: false } => write!(f, "too-big {mtu}"),
            Cause::TooBig { mtu, silent: true } => write!(f, "too-big {mtu} silent"),
            Cause::Blackout => f.write_str("blackout"),
            Cause::Rule => f.write_str("rule"),
        }
    }
}

/// The most copies of one datagram that arrive.
pub const MAX_COPIES: usize = 2;

/// The copies of a datagram that arrive: one, or two when it was duplicated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copies {
    first: Copy,
    second: Option<Copy>,
}

impl Copies {
    /// One copy, and perhaps a second one.
    pub const fn new(first: Copy, second: Option<Copy>) -> Self {
        Self { first, second }
    }

    /// The copies: at least one, at most [`MAX_COPIES`].
    pub fn iter(&self) -> impl Iterator<Item = Copy> + use<> {
        core::iter::once(self.first).chain(self.second)
    }

    /// The first copy.
    pub const fn first(&self) -> Copy {
        self.first
    }

    /// Whether there are two.
    pub const fn duplicated(&self) -> bool {
        self.second.is_some()
    }
}

/// One copy of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copy {
    /// When it arrives. Copies of different datagrams with equal times arrive in the order of their
    /// decisions.
    pub at: Time,
    /// What is done to its payload.
    pub corruption: Option<Corruption>,
}

/// A bit of a payload that turns over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Corruption {
    bit: u32,
}

impl Corruption {
    /// Turns over bit number `bit`; bit 0 is the lowest one of the first byte.
    pub const fn new(bit: u32) -> Self {
        Self { bit }
    }

    /// The bit's number.
    pub const fn bit(&self) -> u32 {
        self.bit
    }

    /// Turns the bit over. In a payload shorter than the one that was decided on the number wraps
    /// around; an empty one stays as it is.
    pub fn apply(&self, bytes: &mut [u8]) {
        if bytes.is_empty() {
            return;
        }
        let byte = (self.bit / 8) as usize % bytes.len();
        bytes[byte] ^= 1 << (self.bit % 8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_corruption_turns_one_bit_over_in_any_payload() {
        let mut bytes = [0; 3];
        Corruption::new(17).apply(&mut bytes);
        assert_eq!(bytes, [0, 0, 2]);
        Corruption::new(24).apply(&mut bytes);
        assert_eq!(bytes, [1, 0, 2], "beyond the end");
        Corruption::new(u32::MAX).apply(&mut []);
    }

    #[test]
    fn copies_are_iterated_in_order() {
        let copy = |nanos| Copy { at: Time::from_nanos(nanos), corruption: None };
        assert!(Copies::new(copy(1), None).iter().eq([copy(1)]));
        assert!(Copies::new(copy(1), Some(copy(2))).iter().eq([copy(1), copy(2)]));
    }
}
