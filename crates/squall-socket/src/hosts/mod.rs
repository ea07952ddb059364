//! Hosts made of network namespaces, and the TUN devices that join them. Linux alone has them; elsewhere
//! each constructor fails with `Unsupported`.

#[cfg(not(target_os = "linux"))]
mod elsewhere;
#[cfg(target_os = "linux")]
mod linux;

#[cfg(not(target_os = "linux"))]
pub use elsewhere::*;
#[cfg(target_os = "linux")]
pub use linux::*;

/// What an interface counted, as `ip -s link` shows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct InterfaceCounts {
    /// Packets that the host received.
    pub received: u64,
    /// Packets that the host sent.
    pub sent: u64,
    /// Packets that arrived and had no room.
    pub receive_drops: u64,
    /// Packets that the host sent into a full queue.
    pub send_drops: u64,
}

/// What a host leaves to the receiver of a packet, before the packet itself: `struct virtio_net_hdr` of
/// [linux/virtio_net.h](https://docs.oasis-open.org/virtio/virtio/v1.2/csd01/virtio-v1.2-csd01.html#x1-2480006),
/// in the byte order of the machine.
///
/// The default says that the packet is complete.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Offloads {
    /// [`Offloads::NEEDS_CHECKSUM`] or 0, as the sender writes it.
    pub flags: u8,
    /// What the packet is to be cut into: [`Offloads::TCP4`], [`Offloads::TCP6`], with [`Offloads::ECN`] added
    /// where the first segment alone bears CWR; 0 for one packet.
    pub segmentation: u8,
    /// How long the headers are, as a hint.
    pub headers: u16,
    /// Bytes of payload in each segment but the last.
    pub segment: u16,
    /// Where the checksum begins to sum, from the start of the packet.
    pub checksum_start: u16,
    /// Where it is to be written, from `checksum_start`.
    pub checksum_offset: u16,
}

impl Offloads {
    /// The checksum field holds the sum of the pseudo-header alone.
    pub const NEEDS_CHECKSUM: u8 = 1;
    /// TCP over IPv4.
    pub const TCP4: u8 = 1;
    /// TCP over IPv6.
    pub const TCP6: u8 = 4;
    /// Added to the others.
    pub const ECN: u8 = 0x80;
}
