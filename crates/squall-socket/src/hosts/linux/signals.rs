use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use crate::socket::owned;

/// Signals as something to read, with what is known of their sender
/// ([signalfd(2)](https://man7.org/linux/man-pages/man2/signalfd.2.html)).
#[derive(Debug)]
pub struct SignalQueue {
    fd: OwnedFd,
}

/// A signal that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signalled {
    /// Its number.
    pub signal: i32,
    /// Whether the system itself sent it: for Ctrl-C that means that every process in the foreground of the
    /// terminal got it.
    pub by_system: bool,
}

impl SignalQueue {
    /// From now on `signals` interrupt neither the calling thread nor those that it starts later, and are read
    /// here instead, also those that were ignored. Programs that are started get them as ever
    /// ([`std::process::Command`] takes care of that).
    ///
    /// # Errors
    /// The system's.
    pub fn open(signals: &[i32]) -> io::Result<Self> {
        // SAFETY: all zero is a valid set, and is then made an empty one; a wrong number is refused.
        let set = unsafe {
            let mut set: libc::sigset_t = std::mem::zeroed();
            libc::sigemptyset(&raw mut set);
            for signal in signals {
                if libc::sigaddset(&raw mut set, *signal) < 0 {
                    return Err(io::Error::last_os_error());
                }
            }
            set
        };
        // SAFETY: the pointer is good for one set; the old one is not asked for.
        match unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) } {
            0 => {}
            error => return Err(io::Error::from_raw_os_error(error)),
        }
        // SAFETY: the pointer is good for one set.
        let fd =
            owned(unsafe { libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) })?;
        Ok(Self { fd })
    }

    /// The next signal, if one came.
    ///
    /// # Errors
    /// The system's.
    pub fn next(&self) -> io::Result<Option<Signalled>> {
        let size = size_of::<libc::signalfd_siginfo>();
        // SAFETY: all zero is a valid record; the pointer is good for its size.
        let (count, record) = unsafe {
            let mut record: libc::signalfd_siginfo = std::mem::zeroed();
            (libc::read(self.fd.as_raw_fd(), (&raw mut record).cast(), size), record)
        };
        match usize::try_from(count) {
            Ok(count) if count == size => Ok(Some(Signalled {
                signal: record.ssi_signo as i32,
                by_system: record.ssi_code == libc::SI_KERNEL,
            })),
            Ok(_) => Err(io::ErrorKind::UnexpectedEof.into()),
            Err(_) => match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
                error => Err(error),
            },
        }
    }
}

impl AsFd for SignalQueue {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
