use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::socket::owned;

/// Signals as something to read, with what is known of their sender
/// ([signalfd(2)](https://man7.org/linux/man-pages/man2/signalfd.2.html)).
pub struct SignalQueue {
    fd: OwnedFd,
    /// What interrupted nobody before.
    before: libc::sigset_t,
}

impl fmt::Debug for SignalQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignalQueue").field("fd", &self.fd).finish_non_exhaustive()
    }
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
    /// here instead, also those that were ignored. A program that is started inherits that, but for
    /// [`release`](Self::release).
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
        // SAFETY: all zero is a valid set.
        let mut before: libc::sigset_t = unsafe { std::mem::zeroed() };
        // SAFETY: the pointers are good for one set each.
        match unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, &raw mut before) } {
            0 => {}
            error => return Err(io::Error::from_raw_os_error(error)),
        }
        // SAFETY: the pointer is good for one set.
        let fd =
            owned(unsafe { libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) })?;
        Ok(Self { fd, before })
    }

    /// Lets the program that `command` starts get signals as this one did before.
    pub fn release(&self, command: &mut Command) {
        let before = self.before;
        let restore = move || {
            // SAFETY: the pointer is good for one set; the old one is not asked for.
            match unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, std::ptr::null_mut()) }
            {
                0 => Ok(()),
                error => Err(io::Error::from_raw_os_error(error)),
            }
        };
        // SAFETY: between fork and exec the closure calls only pthread_sigmask, which is async-signal-safe, and
        // allocates nothing (an `io::Error` of an error number does not).
        unsafe { command.pre_exec(restore) };
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
