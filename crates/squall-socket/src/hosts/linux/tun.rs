use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;

use crate::hosts::Offloads;
use crate::interface_index;

/// An interface whose cable ends in this program: what its host sends is read here, what is written here it
/// receives ([tuntap](https://docs.kernel.org/networking/tuntap.html), `IFF_TUN`). It takes IP packets and
/// goes with the descriptor.
#[derive(Debug)]
pub struct Tun {
    file: File,
    name: String,
    index: u32,
}

impl Tun {
    /// The file that every device is made from.
    pub const FILE: &str = "/dev/net/tun";

    /// Makes an interface in the calling thread's network namespace, down and without an address, non-blocking.
    ///
    /// With `offload` its host may give TCP packets of up to 64 KiB, uncut and with their checksums left open
    /// ([`Offloads`]); without, each is complete and within the MTU.
    ///
    /// # Errors
    /// `NotFound` or `PermissionDenied` of [`FILE`](Self::FILE), `PermissionDenied` without `CAP_NET_ADMIN`;
    /// the system's otherwise.
    pub fn create(name: &str, offload: bool) -> io::Result<Self> {
        let file =
            OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open(Self::FILE)?;
        // SAFETY: all zero is a valid ifreq.
        let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
        // One byte less than the field, which thus stays closed by a zero.
        for (to, from) in request.ifr_name[..libc::IFNAMSIZ - 1].iter_mut().zip(name.bytes()) {
            *to = from as libc::c_char;
        }
        request.ifr_ifru.ifru_flags = (libc::IFF_TUN | libc::IFF_NO_PI | libc::IFF_VNET_HDR) as libc::c_short;
        // SAFETY: the request is good for reading and writing, which is all that TUNSETIFF does.
        if unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &raw mut request) } < 0 {
            return Err(io::Error::last_os_error());
        }
        let size = size_of::<Offloads>() as libc::c_int;
        // SAFETY: the pointer is good for the one int that TUNSETVNETHDRSZ reads.
        if unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETVNETHDRSZ, &raw const size) } < 0 {
            return Err(io::Error::last_os_error());
        }
        if offload {
            let kinds = libc::TUN_F_CSUM | libc::TUN_F_TSO4 | libc::TUN_F_TSO6 | libc::TUN_F_TSO_ECN;
            // SAFETY: TUNSETOFFLOAD takes a number.
            if unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETOFFLOAD, libc::c_ulong::from(kinds)) } < 0 {
                return Err(io::Error::last_os_error());
            }
        }
        let index = interface_index(name).map_err(io::Error::other)?;
        Ok(Self { file, name: name.to_owned(), index })
    }

    /// The interface's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The interface's number in its host.
    pub fn index(&self) -> u32 {
        self.index
    }

    /// Takes the next packet that the host sent, and says how long it is; what is longer than `packet` is cut
    /// off.
    ///
    /// # Errors
    /// `WouldBlock` when there is none; the system's.
    pub fn receive(&self, offloads: &mut Offloads, packet: &mut [u8]) -> io::Result<usize> {
        let header = size_of::<Offloads>();
        let parts = [
            libc::iovec { iov_base: std::ptr::from_mut(offloads).cast(), iov_len: header },
            libc::iovec { iov_base: packet.as_mut_ptr().cast(), iov_len: packet.len() },
        ];
        // SAFETY: both parts are good for writing as many bytes as they say; `Offloads` is plain numbers
        // without padding, for which all bytes are valid.
        let count = unsafe { libc::readv(self.file.as_raw_fd(), parts.as_ptr(), 2) };
        let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
        count.checked_sub(header).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    /// Gives the host a packet.
    ///
    /// # Errors
    /// `InvalidInput` for what is no IP packet or does not fit its `offloads`; `WouldBlock` when the host has no
    /// room; `EIO` while the interface is down.
    pub fn send(&self, offloads: &Offloads, packet: &[u8]) -> io::Result<()> {
        let parts = [
            libc::iovec {
                iov_base: std::ptr::from_ref(offloads).cast_mut().cast(),
                iov_len: size_of::<Offloads>(),
            },
            libc::iovec { iov_base: packet.as_ptr().cast_mut().cast(), iov_len: packet.len() },
        ];
        // SAFETY: both parts are good for reading as many bytes as they say, and are only read.
        match unsafe { libc::writev(self.file.as_raw_fd(), parts.as_ptr(), 2) } {
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(()),
        }
    }
}

impl AsFd for Tun {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}
