//! What a file may be called on its way from one machine to another.

use core::fmt;

use crate::text::is_unclean;

/// Bytes of a name; `NAME_MAX` of Linux' file systems (limits.h).
pub const MAX_NAME: usize = 255;
/// Bytes of what a symbolic link says; `PATH_MAX` of Linux less the zero at its end.
pub const MAX_TARGET: usize = 4095;

/// The name of a file in its directory: bytes that are one component of a path and lead nowhere else.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name<'a>(&'a [u8]);

/// Why bytes are no name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// There are none.
    #[error("a name is empty")]
    Empty,
    /// `.` and `..` are directories.
    #[error("a name is . or .., which lead to other directories")]
    Dots,
    /// It would be a path.
    #[error("a name has a slash in it")]
    Slash,
    /// No system takes it.
    #[error("a name has a zero byte in it")]
    Zero,
    /// No file system takes it.
    #[error("a name has {0} bytes; {MAX_NAME} are possible")]
    Long(usize),
}

impl<'a> Name<'a> {
    /// Checks `bytes`.
    ///
    /// # Errors
    /// [`NameError`]: what could lead out of a directory, and what no system takes.
    pub fn new(bytes: &'a [u8]) -> Result<Self, NameError> {
        match bytes {
            [] => Err(NameError::Empty),
            b"." | b".." => Err(NameError::Dots),
            _ if bytes.contains(&b'/') => Err(NameError::Slash),
            _ if bytes.contains(&0) => Err(NameError::Zero),
            _ if bytes.len() > MAX_NAME => Err(NameError::Long(bytes.len())),
            _ => Ok(Self(bytes)),
        }
    }

    /// Its bytes, which need not be UTF-8.
    pub fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// Whether it has control characters in it (a line break, an escape sequence), or marks that turn the direction of
    /// text: a system takes such a name, and whoever lists the directory is deceived by it.
    pub fn is_deceptive(self) -> bool {
        self.0.utf8_chunks().any(|chunk| chunk.valid().chars().any(is_unclean))
    }
}

impl fmt::Debug for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Name({})", self.0.escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    #[test]
    fn what_leads_elsewhere_is_no_name() {
        for (bytes, problem) in [
            (&b""[..], NameError::Empty),
            (b".", NameError::Dots),
            (b"..", NameError::Dots),
            (b"../x", NameError::Slash),
            (b"/etc", NameError::Slash),
            (b"a\0b", NameError::Zero),
        ] {
            assert_eq!(Name::new(bytes), Err(problem));
        }
        assert_eq!(Name::new(&vec![b'x'; 256]), Err(NameError::Long(256)));
        for bytes in [&b"..."[..], b".hidden", b"a b", b"\xff\xfe", "грамота".as_bytes(), &[b'x'; 255]]
        {
            assert_eq!(Name::new(bytes).unwrap().as_bytes(), bytes);
        }
    }

    #[test]
    fn control_characters_are_seen_between_bytes_that_are_no_text() {
        for odd in [&b"a\nb"[..], b"\x1b[2J", b"\xff\x07\xff", "a\u{202e}b".as_bytes(), b"\x7f"] {
            assert!(Name::new(odd).unwrap().is_deceptive(), "{odd:?}");
        }
        for plain in [&b"\xff\xfe"[..], "ä ö".as_bytes(), b"CON", b"-rf"] {
            assert!(!Name::new(plain).unwrap().is_deceptive(), "{plain:?}");
        }
    }
}
