//! Waiting for many sockets, and being woken.
//!
//! On Linux [epoll(7)](https://man7.org/linux/man-pages/man7/epoll.7.html), level-triggered, with
//! `epoll_pwait2` for deadlines in nanoseconds, and an
//! [eventfd(2)](https://man7.org/linux/man-pages/man2/eventfd.2.html) to wake it; elsewhere
//! [poll(2)](https://man7.org/linux/man-pages/man2/poll.2.html) and a socket pair.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

/// Waits until one of its descriptors is readable. It is level-triggered: what is not read is told again.
#[derive(Debug)]
pub struct Poller {
    back_end: back_end::Poller,
}

impl Poller {
    /// An empty set of descriptors.
    ///
    /// # Errors
    /// The system's.
    pub fn new() -> io::Result<Self> {
        Ok(Self { back_end: back_end::Poller::new()? })
    }

    /// Tells `token` whenever `fd` can be read. The descriptor stays the caller's, who keeps it open
    /// until [`remove`](Self::remove).
    ///
    /// # Errors
    /// The system's.
    pub fn add(&mut self, fd: impl AsFd, token: usize) -> io::Result<()> {
        self.back_end.add(fd.as_fd(), token)
    }

    /// Forgets `fd`.
    ///
    /// # Errors
    /// The system's.
    pub fn remove(&mut self, fd: impl AsFd) -> io::Result<()> {
        self.back_end.remove(fd.as_fd())
    }

    /// Waits until a descriptor can be read or `timeout` has passed (`None`: for ever), and puts the
    /// tokens of those that can into `ready`, in place of what it held. An interruption by a signal
    /// returns early with none.
    ///
    /// # Errors
    /// The system's.
    pub fn wait(&mut self, ready: &mut Vec<usize>, timeout: Option<Duration>) -> io::Result<()> {
        ready.clear();
        match self.back_end.wait(ready, timeout) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            result => result,
        }
    }
}

/// Wakes a [`Poller`] from another thread.
#[derive(Clone, Debug)]
pub struct Waker {
    read: Arc<OwnedFd>,
    write: Arc<OwnedFd>,
}

impl Waker {
    /// A waker, whose descriptor is then added to a poller.
    ///
    /// # Errors
    /// The system's.
    pub fn new() -> io::Result<Self> {
        let (read, write) = back_end::wake_pair()?;
        Ok(Self { read, write })
    }

    /// Makes the waker's descriptor readable until [`clear`](Self::clear). Any number of calls counts
    /// as one. It never waits.
    pub fn wake(&self) {
        let one = 1_u64.to_ne_bytes();
        // SAFETY: the pointer is good for 8 bytes. A full pipe or counter is awake already.
        unsafe { libc::write(self.write.as_raw_fd(), one.as_ptr().cast(), one.len()) };
    }

    /// Makes the descriptor unreadable again.
    pub fn clear(&self) {
        let mut bytes = [0_u8; 64];
        // SAFETY: the pointer is good for 64 bytes; both kinds of descriptor are non-blocking.
        while unsafe { libc::read(self.read.as_raw_fd(), bytes.as_mut_ptr().cast(), bytes.len()) } == 64 {}
    }
}

impl AsFd for Waker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.read.as_fd()
    }
}

/// Waits until `fd` can be written, `timeout` at most; false when it cannot by then.
///
/// # Errors
/// The system's.
pub fn wait_writable(fd: impl AsFd, timeout: Duration) -> io::Result<bool> {
    let mut poll = libc::pollfd { fd: fd.as_fd().as_raw_fd(), events: libc::POLLOUT, revents: 0 };
    // SAFETY: the pointer is good for one pollfd.
    match unsafe { libc::poll(&raw mut poll, 1, milliseconds(timeout)) } {
        -1 => Err(io::Error::last_os_error()),
        count => Ok(count > 0),
    }
}

/// Rounded up, so that a deadline is never early.
fn milliseconds(timeout: Duration) -> libc::c_int {
    timeout.as_nanos().div_ceil(1_000_000).try_into().unwrap_or(libc::c_int::MAX)
}

#[cfg(all(target_os = "linux", not(squall_portable)))]
mod back_end {
    use super::*;
    use crate::socket::owned;

    pub(super) struct Poller {
        epoll: OwnedFd,
        events: Vec<libc::epoll_event>,
    }

    impl std::fmt::Debug for Poller {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.debug_struct("Epoll").field("epoll", &self.epoll).finish_non_exhaustive()
        }
    }

    impl Poller {
        pub(super) fn new() -> io::Result<Self> {
            // SAFETY: no pointers.
            let epoll = owned(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
            Ok(Self { epoll, events: vec![libc::epoll_event { events: 0, u64: 0 }; 64] })
        }

        pub(super) fn add(&mut self, fd: BorrowedFd<'_>, token: usize) -> io::Result<()> {
            let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: token as u64 };
            self.control(libc::EPOLL_CTL_ADD, fd, &mut event)
        }

        pub(super) fn remove(&mut self, fd: BorrowedFd<'_>) -> io::Result<()> {
            let mut event = libc::epoll_event { events: 0, u64: 0 };
            self.control(libc::EPOLL_CTL_DEL, fd, &mut event)
        }

        fn control(&self, how: i32, fd: BorrowedFd<'_>, event: &mut libc::epoll_event) -> io::Result<()> {
            // SAFETY: the pointer is good for one event.
            match unsafe { libc::epoll_ctl(self.epoll.as_raw_fd(), how, fd.as_raw_fd(), event) } {
                -1 => Err(io::Error::last_os_error()),
                _ => Ok(()),
            }
        }

        pub(super) fn wait(&mut self, ready: &mut Vec<usize>, timeout: Option<Duration>) -> io::Result<()> {
            let count = match timeout {
                None => self.wait_milliseconds(-1),
                Some(Duration::ZERO) => self.wait_milliseconds(0),
                Some(timeout) => match self.wait_exactly(timeout) {
                    // A kernel before 5.11, or a sandbox that does not know the call.
                    Err(error) if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM)) => {
                        self.wait_milliseconds(milliseconds(timeout))
                    }
                    result => result,
                },
            }?;
            ready.extend(self.events[..count].iter().map(|event| event.u64 as usize));
            Ok(())
        }

        fn wait_milliseconds(&mut self, timeout: libc::c_int) -> io::Result<usize> {
            let (events, room) = (self.events.as_mut_ptr(), self.events.len() as libc::c_int);
            // SAFETY: the pointer is good for `room` events.
            let count = unsafe { libc::epoll_wait(self.epoll.as_raw_fd(), events, room, timeout) };
            usize::try_from(count).map_err(|_| io::Error::last_os_error())
        }

        fn wait_exactly(&mut self, timeout: Duration) -> io::Result<usize> {
            let timeout = KernelTime {
                seconds: timeout.as_secs().try_into().unwrap_or(i64::MAX),
                nanoseconds: timeout.subsec_nanos().into(),
            };
            let (events, room) = (self.events.as_mut_ptr(), self.events.len() as libc::c_int);
            let no_mask = std::ptr::null::<libc::sigset_t>();
            // SAFETY: the pointers are good for `room` events and one timespec; the mask is null, and
            // the size behind it is then not looked at.
            let count = unsafe {
                let fd = self.epoll.as_raw_fd();
                libc::syscall(libc::SYS_epoll_pwait2, fd, events, room, &raw const timeout, no_mask, 8_usize)
            };
            usize::try_from(count).map_err(|_| io::Error::last_os_error())
        }
    }

    /// `__kernel_timespec`: 64 bits each, also where the C library's `timespec` is smaller.
    #[repr(C)]
    struct KernelTime {
        seconds: i64,
        nanoseconds: i64,
    }

    pub(super) fn wake_pair() -> io::Result<(Arc<OwnedFd>, Arc<OwnedFd>)> {
        // SAFETY: no pointers.
        let fd = Arc::new(owned(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })?);
        Ok((Arc::clone(&fd), fd))
    }
}

#[cfg(not(all(target_os = "linux", not(squall_portable))))]
mod back_end {
    use std::os::unix::net::UnixStream;

    use super::*;

    pub(super) struct Poller {
        polls: Vec<libc::pollfd>,
        /// Beside each of `polls`.
        tokens: Vec<usize>,
    }

    impl std::fmt::Debug for Poller {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.debug_struct("Poll").field("tokens", &self.tokens).finish_non_exhaustive()
        }
    }

    impl Poller {
        pub(super) fn new() -> io::Result<Self> {
            Ok(Self { polls: Vec::new(), tokens: Vec::new() })
        }

        pub(super) fn add(&mut self, fd: BorrowedFd<'_>, token: usize) -> io::Result<()> {
            self.polls.push(libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 });
            self.tokens.push(token);
            Ok(())
        }

        pub(super) fn remove(&mut self, fd: BorrowedFd<'_>) -> io::Result<()> {
            if let Some(index) = self.polls.iter().position(|poll| poll.fd == fd.as_raw_fd()) {
                self.polls.swap_remove(index);
                self.tokens.swap_remove(index);
            }
            Ok(())
        }

        pub(super) fn wait(&mut self, ready: &mut Vec<usize>, timeout: Option<Duration>) -> io::Result<()> {
            let timeout = timeout.map_or(-1, milliseconds);
            // SAFETY: the pointer is good for as many entries as the vector holds.
            if unsafe { libc::poll(self.polls.as_mut_ptr(), self.polls.len() as _, timeout) } < 0 {
                return Err(io::Error::last_os_error());
            }
            let woken = self.polls.iter().zip(&self.tokens).filter(|(poll, _)| poll.revents != 0);
            ready.extend(woken.map(|(_, token)| *token));
            Ok(())
        }
    }

    pub(super) fn wake_pair() -> io::Result<(Arc<OwnedFd>, Arc<OwnedFd>)> {
        let (read, write) = UnixStream::pair()?;
        read.set_nonblocking(true)?;
        write.set_nonblocking(true)?;
        Ok((Arc::new(read.into()), Arc::new(write.into())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_waker_is_readable_until_it_is_cleared() {
        let mut poller = Poller::new().unwrap();
        let waker = Waker::new().unwrap();
        poller.add(&waker, 7).unwrap();
        let mut ready = vec![1];
        poller.wait(&mut ready, Some(Duration::ZERO)).unwrap();
        assert!(ready.is_empty());
        waker.wake();
        waker.clone().wake();
        for _ in 0..2 {
            poller.wait(&mut ready, None).unwrap();
            assert_eq!(ready, [7], "level-triggered");
        }
        waker.clear();
        poller.wait(&mut ready, Some(Duration::from_nanos(1))).unwrap();
        assert!(ready.is_empty());
        waker.wake();
        poller.remove(&waker).unwrap();
        poller.wait(&mut ready, Some(Duration::ZERO)).unwrap();
        assert!(ready.is_empty(), "forgotten");
    }
}
