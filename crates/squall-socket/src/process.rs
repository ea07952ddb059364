//! What a server asks of its process: descriptors, processors, children that inherit sockets.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Numbers of signals ([signal(7)](https://man7.org/linux/man-pages/man7/signal.7.html)).
pub use libc::{SIGCHLD, SIGHUP, SIGINT, SIGKILL, SIGQUIT, SIGTERM};

/// Raises the limit on open descriptors to what the process may have (`RLIMIT_NOFILE`,
/// [getrlimit(2)](https://man7.org/linux/man-pages/man2/getrlimit.2.html)) and returns it.
///
/// # Errors
/// The system's.
pub fn raise_descriptor_limit() -> io::Result<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer is good for one rlimit.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } < 0 {
        return Err(io::Error::last_os_error());
    }
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: the pointer is good for one rlimit.
    if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(limit.rlim_cur)
}

/// Whether this process was started to ignore a signal, as nohup(1) has it ignore SIGHUP
/// ([sigaction(2)](https://man7.org/linux/man-pages/man2/sigaction.2.html)).
///
/// # Errors
/// The system's: there is no such signal.
pub fn ignores(signal: i32) -> io::Result<bool> {
    // SAFETY: all zero is a valid sigaction, which the call overwrites.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: the null pointer changes nothing; the other one is good for one sigaction.
    if unsafe { libc::sigaction(signal, std::ptr::null(), &raw mut action) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(action.sa_sigaction == libc::SIG_IGN)
}

/// Keeps the calling thread on one processor, counted from 0
/// ([sched_setaffinity(2)](https://man7.org/linux/man-pages/man2/sched_setaffinity.2.html)). Threads that it starts
/// inherit this. For measuring; Linux only.
///
/// # Errors
/// `Unsupported` on other systems; `InvalidInput` when there is no such processor.
pub fn pin_to_processor(processor: usize) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        // SAFETY: all zero is an empty set; CPU_SET checks nothing, so the bound is checked here.
        let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
        if processor >= libc::CPU_SETSIZE as usize {
            return Err(io::Error::from_raw_os_error(libc::EINVAL));
        }
        // SAFETY: within the set (checked); the pointer is good for the set's size.
        let result = unsafe {
            libc::CPU_SET(processor, &mut set);
            libc::sched_setaffinity(0, size_of_val(&set), &raw const set)
        };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = processor;
        Err(io::Error::new(io::ErrorKind::Unsupported, "threads cannot be pinned on this system"))
    }
}

/// Lets the program that `command` starts inherit `descriptors` under their numbers. Programs that are
/// started otherwise meanwhile do not get them. The caller keeps them open until the program is started.
pub fn inherit(command: &mut Command, descriptors: &[BorrowedFd<'_>]) {
    let numbers: Vec<RawFd> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
    let keep = move || {
        for number in &numbers {
            // SAFETY: no pointers; a wrong number gives an error.
            if unsafe { libc::fcntl(*number, libc::F_SETFD, 0) } < 0 {
                return Err(io::Error::last_os_error());
            }
        }
        Ok(())
    };
    // SAFETY: between fork and exec the closure calls only fcntl, which is async-signal-safe, and
    // allocates nothing (an `io::Error` of an error number does not).
    unsafe { command.pre_exec(keep) };
}

/// As [`end_with_parent`], for the program that `command` starts, from its very start. The system forgets it for a
/// program with privileges of its own, such as file capabilities, which then calls [`end_with_parent`].
pub fn end_with_this_process(command: &mut Command) {
    let this = std::process::id();
    let bind = move || {
        end_with_parent()?;
        // It may have ended before.
        if std::os::unix::process::parent_id() == this {
            Ok(())
        } else {
            Err(io::Error::from_raw_os_error(libc::ESRCH))
        }
    };
    // SAFETY: between fork and exec the closure calls only prctl and getppid, which are system calls
    // without a lock, and allocates nothing (an `io::Error` of an error number does not).
    unsafe { command.pre_exec(bind) };
}

/// Takes over the descriptor `number`, which the parent process let this one inherit, and keeps it from
/// programs that this one starts.
///
/// # Errors
/// `NotFound` when there is no such descriptor, or when it is one of the standard three.
///
/// # Panics
/// When the same number is taken a second time: two owners would close it twice.
pub fn take_inherited(number: RawFd) -> io::Result<OwnedFd> {
    use std::collections::HashSet;
    use std::sync::Mutex;
    static TAKEN: Mutex<Option<HashSet<RawFd>>> = Mutex::new(None);

    // SAFETY: no pointers; a wrong number gives an error.
    if number <= 2 || unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) } < 0 {
        return Err(io::Error::new(io::ErrorKind::NotFound, format!("no inherited descriptor {number}")));
    }
    let mut taken = TAKEN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    assert!(taken.get_or_insert_default().insert(number), "descriptor {number} was taken before");
    // SAFETY: the descriptor is open (checked), was opened by the parent process for this one, and has
    // no other owner here (asserted).
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Ends this process at once, with SIGKILL, when its parent ends
/// ([prctl(2)](https://man7.org/linux/man-pages/man2/prctl.2.html), `PR_SET_PDEATHSIG`). Elsewhere than on Linux it
/// does nothing.
///
/// # Errors
/// The system's.
pub fn end_with_parent() -> io::Result<()> {
    #[cfg(target_os = "linux")]
    // SAFETY: no pointers.
    if unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Lets SIGINT and SIGTERM pass by, for a process whose parent tells it when to stop
/// ([sigaction(2)](https://man7.org/linux/man-pages/man2/sigaction.2.html)). Programs that it starts get them as
/// ever.
///
/// # Errors
/// The system's.
pub fn ignore_termination() -> io::Result<()> {
    extern "C" fn pass(_signal: libc::c_int) {}

    for signal in [libc::SIGINT, libc::SIGTERM] {
        // SAFETY: all zero is an action with an empty mask, no flags and the default handler.
        let (mut action, mut before) = unsafe { std::mem::zeroed::<(libc::sigaction, libc::sigaction)>() };
        // A signal that is ignored stays so in programs that are started; one with a handler does not
        // (signal(7)).
        action.sa_sigaction = pass as extern "C" fn(libc::c_int) as libc::sighandler_t;
        action.sa_flags = libc::SA_RESTART;
        // SAFETY: the pointers are good for one action each; the handler takes what it is given without
        // SA_SIGINFO, does nothing, and is never unloaded.
        let result = unsafe {
            match libc::sigaction(signal, std::ptr::null(), &raw mut before) {
                // Ignored by whoever started all this, and by intent: see nohup(1).
                0 if before.sa_sigaction == libc::SIG_IGN => 0,
                0 => libc::sigaction(signal, &raw const action, std::ptr::null_mut()),
                error => error,
            }
        };
        if result < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Lets a process in the background try to read from its terminal: the read fails with `EIO`, where it would stop
/// the whole process otherwise (SIGTTIN, [signal(7)](https://man7.org/linux/man-pages/man7/signal.7.html)). Programs
/// that it starts ignore the signal too.
///
/// # Errors
/// The system's.
pub fn ignore_background_reads() -> io::Result<()> {
    // SAFETY: ignoring a signal runs no code of ours.
    let before = unsafe { libc::signal(libc::SIGTTIN, libc::SIG_IGN) };
    if before == libc::SIG_ERR { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Lets this process know how its children end, also where whoever started it ignores that of theirs: the system would
/// then tell nobody (`SIGCHLD`, [wait(2)](https://man7.org/linux/man-pages/man2/wait.2.html)). Programs that it starts
/// inherit it.
///
/// # Errors
/// The system's.
pub fn heed_children() -> io::Result<()> {
    // SAFETY: the default action, which is to do nothing, runs no code of ours.
    let before = unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
    if before == libc::SIG_ERR { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// The effective user of this process ([geteuid(2)](https://man7.org/linux/man-pages/man2/geteuid.2.html)); 0 is root.
pub fn user() -> u32 {
    // SAFETY: no pointers. It cannot fail.
    unsafe { libc::geteuid() }
}

/// Whether another program has `terminal` now, a shell for instance that shows its prompt there
/// ([tcgetpgrp(3)](https://man7.org/linux/man-pages/man3/tcgetpgrp.3.html)): this process is in its background. False for
/// what is no terminal, or not the one that controls this process.
pub fn is_in_background(terminal: &impl AsFd) -> bool {
    // SAFETY: no pointers; the descriptor is open.
    let (foreground, own) = unsafe { (libc::tcgetpgrp(terminal.as_fd().as_raw_fd()), libc::getpgrp()) };
    foreground >= 0 && foreground != own
}

/// Gives the calling thread a name of up to 15 bytes, and, called by the first thread, the process
/// ([prctl(2)](https://man7.org/linux/man-pages/man2/prctl.2.html), `PR_SET_NAME`), as `ps` shows it. Elsewhere than on
/// Linux it does nothing.
pub fn set_name(name: &str) {
    #[cfg(target_os = "linux")]
    {
        let mut text = [0_u8; 16];
        for (to, from) in text[..15].iter_mut().zip(name.bytes()) {
            *to = from;
        }
        // SAFETY: the pointer is good for 16 bytes, of which the last is zero. It cannot fail.
        unsafe { libc::prctl(libc::PR_SET_NAME, text.as_ptr()) };
    }
    #[cfg(not(target_os = "linux"))]
    let _ = name;
}

/// Ends every process of the group that `leader` leads, with SIGKILL. As for [`signal_group`].
///
/// # Errors
/// As for [`signal_group`].
pub fn kill_group(leader: u32) -> io::Result<()> {
    signal_group(leader, libc::SIGKILL)
}

/// Sends `signal` to every process of the group that `leader` leads
/// ([kill(2)](https://man7.org/linux/man-pages/man2/kill.2.html)). Only for a child that was started as leader of
/// a group of its own and was not waited for yet: afterwards its number can be another's.
///
/// # Errors
/// The system's; `InvalidInput` for a number that no child has.
pub fn signal_group(leader: u32, signal: i32) -> io::Result<()> {
    signal_to(-child_number(leader)?, signal)
}

/// Sends `signal` to one process. Only for a child that was not waited for yet.
///
/// # Errors
/// As for [`signal_group`].
pub fn signal_child(child: u32, signal: i32) -> io::Result<()> {
    signal_to(child_number(child)?, signal)
}

fn child_number(child: u32) -> io::Result<libc::pid_t> {
    match libc::pid_t::try_from(child) {
        // 1 would be every process there is.
        Ok(number) if number > 1 => Ok(number),
        _ => Err(io::Error::from_raw_os_error(libc::EINVAL)),
    }
}

fn signal_to(whom: libc::pid_t, signal: i32) -> io::Result<()> {
    // SAFETY: no pointers.
    if unsafe { libc::kill(whom, signal) } < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Lets the calling thread's waits end within about `nanoseconds` after their time
/// ([prctl(2)](https://man7.org/linux/man-pages/man2/prctl.2.html), `PR_SET_TIMERSLACK`); 50,000 unless set.
/// Elsewhere than on Linux it does nothing.
pub fn set_timer_slack(nanoseconds: u32) {
    #[cfg(target_os = "linux")]
    // SAFETY: no pointers. It cannot fail for a number above 0.
    unsafe {
        libc::prctl(libc::PR_SET_TIMERSLACK, libc::c_ulong::from(nanoseconds.max(1)));
    }
    #[cfg(not(target_os = "linux"))]
    let _ = nanoseconds;
}

/// The program that this process runs, to start it again. On Linux the very file that was started, even
/// if another has taken its place since.
///
/// # Errors
/// The system's.
pub fn own_program() -> io::Result<std::path::PathBuf> {
    if cfg!(target_os = "linux") { Ok("/proc/self/exe".into()) } else { std::env::current_exe() }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::fd::AsFd;
    use std::process::Stdio;

    use super::*;

    #[test]
    fn a_child_inherits_what_it_is_given_and_nothing_else() {
        let given = tempfile::tempfile().unwrap();
        let other = tempfile::tempfile().unwrap();
        let script =
            format!("test -e /dev/fd/{} && ! test -e /dev/fd/{}", given.as_raw_fd(), other.as_raw_fd());
        let mut command = Command::new("sh");
        command.args(["-c", &script]).stdin(Stdio::null());
        inherit(&mut command, &[given.as_fd()]);
        assert!(command.status().unwrap().success());
    }

    #[test]
    fn a_group_ends_with_all_that_its_leader_started() {
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 86400 & echo started; wait"]).process_group(0);
        let mut leader = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut out = leader.stdout.take().unwrap();
        let mut started = [0; 8];
        out.read_exact(&mut started).unwrap();
        kill_group(leader.id()).unwrap();
        assert!(!leader.wait().unwrap().success());
        // The end of the output comes when the last process that could write to it is gone.
        assert_eq!(out.read(&mut started).unwrap(), 0);
        assert!(kill_group(0).is_err());
        assert!(kill_group(1).is_err());
        assert!(kill_group(u32::MAX).is_err());
    }

    #[test]
    fn a_descriptor_that_is_not_there_is_not_taken() {
        assert_eq!(take_inherited(1 << 20).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(take_inherited(1).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn the_descriptor_limit_can_be_raised() {
        assert!(raise_descriptor_limit().unwrap() > 0);
    }
}
