//! Why something is not taken, or not sent.

use std::fmt;
use std::io;

use rustix::io::Errno;
use squall::files::wire::Reason;
use squall::text::sanitize;

/// Why an entry is not taken, in a word for programs and in words for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::files) struct Trouble {
    pub(in crate::files) reason: Reason,
    pub(in crate::files) text: String,
}

impl Trouble {
    pub(in crate::files) fn new(reason: Reason, text: impl Into<String>) -> Self {
        Self { reason, text: text.into() }
    }

    /// What the system said when `what` was tried.
    pub(in crate::files) fn of(what: &str, errno: Errno) -> Self {
        let reason = match errno {
            Errno::NOSPC | Errno::DQUOT | Errno::FBIG => Reason::Space,
            Errno::ACCESS | Errno::PERM | Errno::ROFS => Reason::Permission,
            Errno::EXIST => Reason::Exists,
            Errno::NAMETOOLONG | Errno::ILSEQ => Reason::Name,
            Errno::LOOP | Errno::NOTDIR | Errno::ISDIR => Reason::OtherKind,
            _ => Reason::Failed,
        };
        Self { reason, text: format!("{what}: {}", said(&errno.into())) }
    }

    pub(in crate::files) fn io(what: &str, error: &io::Error) -> Self {
        match Errno::from_io_error(error) {
            Some(errno) => Self::of(what, errno),
            None => Self::new(Reason::Failed, format!("{what}: {error}")),
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What the system said, without its number, which says nothing to people.
pub(in crate::files) fn said(error: &io::Error) -> String {
    error.to_string().split(" (os error").next().unwrap_or_default().to_lowercase()
}

/// A name or a path, safe for a terminal and a log.
pub(in crate::files) fn show(bytes: &[u8]) -> String {
    sanitize(bytes).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_says_is_sorted_and_has_no_number() {
        let full = Trouble::of("cannot write", Errno::NOSPC);
        assert_eq!(
            (full.reason, full.to_string().as_str()),
            (Reason::Space, "cannot write: no space left on device")
        );
        assert_eq!(Trouble::of("x", Errno::ROFS).reason, Reason::Permission);
        assert_eq!(Trouble::of("x", Errno::IO).reason, Reason::Failed);
        let other = io::Error::other("odd");
        assert_eq!(Trouble::io("x", &other), Trouble::new(Reason::Failed, "x: odd"));
    }
}
