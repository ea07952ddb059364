//! Files that are written while others are read.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Opens a file to write a record to, which may be there already: what is in it stays until the first decision is
/// written. So a run that cannot start destroys no record of another.
///
/// # Errors
/// The system's: it is a directory, or may not be written.
pub fn open_record(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(false).open(path)
}

/// Whether two paths name one file, through links as well. What is no file, like a terminal, has no content to lose
/// and is never the same.
pub fn is_same_file(one: &Path, other: &Path) -> bool {
    match (fs::metadata(one), fs::metadata(other)) {
        (Ok(first), Ok(second)) => {
            first.is_file() && (first.dev(), first.ino()) == (second.dev(), second.ino())
        }
        // Not there yet.
        _ => one == other,
    }
}

/// Throws away what is in a file; a pipe has nothing to throw away.
pub(crate) fn empty(file: &File) -> io::Result<()> {
    if file.metadata()?.is_file() { file.set_len(0) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_file_is_the_same_through_links_and_a_device_never_is() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("one"), "x").unwrap();
        fs::write(at("two"), "x").unwrap();
        symlink("one", at("soft")).unwrap();
        fs::hard_link(at("one"), at("hard")).unwrap();
        for name in ["one", "soft", "hard", ".."] {
            let same = is_same_file(&at("one"), &at(name));
            assert_eq!(same, name != "..", "{name}");
        }
        assert!(!is_same_file(&at("one"), &at("two")) && !is_same_file(&at("one"), &at("none")));
        assert!(is_same_file(&at("none"), &at("none")));
        assert!(!is_same_file(Path::new("/dev/null"), Path::new("/dev/null")));
    }

    #[test]
    fn a_record_that_is_opened_keeps_what_is_in_it_until_it_begins() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("record");
        fs::write(&path, "before").unwrap();
        let file = open_record(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "before");
        empty(&file).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "");
        empty(&open_record(Path::new("/dev/null")).unwrap()).unwrap();
        assert!(open_record(folder.path()).is_err());
    }
}
