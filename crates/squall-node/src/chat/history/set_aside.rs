//! Files that are of no use are kept, under another name.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Renames a database and what SQLite keeps beside it to `NAME.corrupt-TIME`; says to what.
pub(super) fn set_aside(path: &Path) -> io::Result<PathBuf> {
    let now = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
    let with = |path: &Path, suffix: &str| {
        let mut name = OsString::from(path);
        name.push(suffix);
        PathBuf::from(name)
    };
    // More than one in a second.
    let names = (1..1_000).map(|count| match count {
        1 => with(path, &format!(".corrupt-{now}")),
        _ => with(path, &format!(".corrupt-{now}-{count}")),
    });
    let to = names.into_iter().find(|to| fs::symlink_metadata(to).is_err());
    let to = to.ok_or_else(|| io::Error::from(io::ErrorKind::AlreadyExists))?;
    // The log first: a new database must never meet another one's.
    for suffix in ["-wal", "-shm", ""] {
        match fs::rename(with(path, suffix), with(&to, suffix)) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(to)
}
