use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;

use crate::socket::owned;

/// A network namespace: interfaces, addresses, routes and ports of its own
/// ([network_namespaces(7)](https://man7.org/linux/man-pages/man7/network_namespaces.7.html)). It lives as
/// long as this, a process or a socket is in it.
#[derive(Debug)]
pub struct Namespace {
    file: File,
    /// What tells it from others while it lives.
    inode: u64,
}

impl Namespace {
    /// The one that the calling thread is in.
    ///
    /// # Errors
    /// The system's.
    pub fn current() -> io::Result<Self> {
        File::open("/proc/thread-self/ns/net")?.try_into()
    }

    /// A new one, which the calling thread is in afterwards, without an address, its loopback interface down
    /// ([unshare(2)](https://man7.org/linux/man-pages/man2/unshare.2.html), `CLONE_NEWNET`).
    ///
    /// # Errors
    /// `PermissionDenied` without `CAP_SYS_ADMIN`; `StorageFull` (`ENOSPC`) over `user.max_net_namespaces`; the
    /// system's otherwise.
    pub fn create() -> io::Result<Self> {
        unshare(libc::CLONE_NEWNET)?;
        Self::current()
    }

    /// Takes the calling thread into it, and with it the programs and sockets that this thread opens from now
    /// on ([setns(2)](https://man7.org/linux/man-pages/man2/setns.2.html)).
    ///
    /// # Errors
    /// `PermissionDenied` without `CAP_SYS_ADMIN` in its user namespace and one's own.
    pub fn enter(&self) -> io::Result<()> {
        // SAFETY: no pointers.
        match unsafe { libc::setns(self.file.as_raw_fd(), libc::CLONE_NEWNET) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Sends `signal` to every process in it but this one, and returns to how many. Those of other users are
    /// passed over where the system does not show them. Processes that are being started meanwhile may be
    /// missed: ask again until it returns 0.
    ///
    /// # Errors
    /// When `/proc` cannot be read.
    pub fn signal_processes(&self, signal: i32) -> io::Result<usize> {
        let mut count = 0;
        for entry in fs::read_dir("/proc")? {
            let Some(process) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            if process == std::process::id() || !self.holds(process) {
                continue;
            }
            // Its number may be another's by now; what the descriptor stands for cannot change any more.
            let Ok(descriptor) = process_descriptor(process) else { continue };
            if self.holds(process) && signal_process(descriptor.as_fd(), signal).is_ok() {
                count += 1;
            }
        }
        Ok(count)
    }

    /// Whether it is the network namespace of `process`, one that is no zombie.
    fn holds(&self, process: u32) -> bool {
        let link = fs::read_link(format!("/proc/{process}/ns/net"));
        link.is_ok_and(|link| link.as_os_str() == format!("net:[{}]", self.inode).as_str())
    }
}

impl AsFd for Namespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl TryFrom<File> for Namespace {
    type Error = io::Error;

    /// Takes over a descriptor that was inherited.
    fn try_from(file: File) -> io::Result<Self> {
        let inode = file.metadata()?.ino();
        Ok(Self { file, inode })
    }
}

/// Takes this process into a user namespace of its own, where it may do what root may, with namespaces
/// that it makes from then on
/// ([user_namespaces(7)](https://man7.org/linux/man-pages/man7/user_namespaces.7.html)). Its user and group
/// keep their numbers and are the only ones there: other users' files show as those of 65534, and so do the
/// groups that the process is in besides. Programs that it starts have no such powers, unless the user is root.
///
/// # Errors
/// `InvalidInput` when this process has more than one thread; `PermissionDenied`, `StorageFull` (`ENOSPC`) and
/// others where the system does not allow it. Each error names the step in words.
pub fn enter_user_namespace() -> io::Result<()> {
    // SAFETY: no pointers; neither call can fail.
    let (user, group) = unsafe { (libc::geteuid(), libc::getegid()) };
    let named =
        |step: &'static str| move |error: io::Error| io::Error::new(error.kind(), format!("{step}: {error}"));
    unshare(libc::CLONE_NEWUSER)?;
    // Without CAP_SETGID outside, a map of groups takes this first (user_namespaces(7)).
    fs::write("/proc/self/setgroups", "deny").map_err(named("/proc/self/setgroups"))?;
    fs::write("/proc/self/gid_map", format!("{group} {group} 1")).map_err(named("/proc/self/gid_map"))?;
    fs::write("/proc/self/uid_map", format!("{user} {user} 1")).map_err(named("/proc/self/uid_map"))
}

fn unshare(what: libc::c_int) -> io::Result<()> {
    // SAFETY: no pointers; what the calls in this module ask for changes no memory.
    match unsafe { libc::unshare(what) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// [pidfd_open(2)](https://man7.org/linux/man-pages/man2/pidfd_open.2.html).
fn process_descriptor(process: u32) -> io::Result<OwnedFd> {
    // SAFETY: no pointers.
    owned(unsafe { libc::syscall(libc::SYS_pidfd_open, process, 0) } as libc::c_int)
}

/// [pidfd_send_signal(2)](https://man7.org/linux/man-pages/man2/pidfd_send_signal.2.html).
fn signal_process(process: BorrowedFd<'_>, signal: i32) -> io::Result<()> {
    let no_info = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: the pointer is null, which the call allows.
    match unsafe { libc::syscall(libc::SYS_pidfd_send_signal, process.as_raw_fd(), signal, no_info, 0) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
