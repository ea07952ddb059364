//! Files that are for nobody else's eyes, and writing them so that they are there whole or not at all.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// The longest file that is read: a key has 250 bytes, and who knows 5,000 nodes still fits.
const MAX_LEN: u64 = 1 << 20;

/// The file in a directory that is locked while another one in it is written.
const LOCK: &str = ".squall.lock";

/// How long to wait for others who write; each does for milliseconds.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why a file of an identity, a token or known nodes cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PrivateFileError {
    /// Others may read or write it.
    #[error(
        "{} is open to other users (mode {mode:03o}): run `chmod 600 {}`; if one of them may have read it, remove it instead",
        path.display(),
        quoted(path)
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// The system says no.
    #[error("cannot {what} {}: {source}", path.display())]
    System {
        /// What was tried.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// A path as a shell reads it.
pub(super) fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    if text.chars().all(|c| c.is_ascii_alphanumeric() || "/._-+,@".contains(c)) {
        return text;
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> PrivateFileError {
    let path = path.to_owned();
    move |source| PrivateFileError::System { what, path, source }
}

/// What is in a file with a secret; `None` where there is none.
pub(super) fn read_secret(path: &Path) -> Result<Option<Vec<u8>>, PrivateFileError> {
    let Some((bytes, mode)) = read_with_mode(path)? else { return Ok(None) };
    if mode & 0o077 != 0 {
        return Err(PrivateFileError::Exposed { path: path.into(), mode });
    }
    Ok(Some(bytes))
}

/// What is in a file; `None` where there is none.
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>, PrivateFileError> {
    Ok(read_with_mode(path)?.map(|(bytes, _)| bytes))
}

fn read_with_mode(path: &Path) -> Result<Option<(Vec<u8>, u32)>, PrivateFileError> {
    // A pipe in its place would wait for a writer.
    let opened = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path);
    let file = match opened {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        opened => opened.map_err(failed("read", path))?,
    };
    let read = || {
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
        }
        let mut bytes = Vec::new();
        (&file).take(MAX_LEN + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > MAX_LEN {
            let reason = format!("it is longer than {MAX_LEN} bytes");
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, reason));
        }
        Ok((bytes, metadata.mode() & 0o777))
    };
    read().map(Some).map_err(failed("read", path))
}

/// The right to write files of one directory, which one holder has at a time, of all processes.
pub(super) struct WriteLock {
    file: File,
}

impl WriteLock {
    /// Waits for the right to write `path`, and makes its directory where it is not there, for this user alone.
    pub(super) fn take(path: &Path) -> Result<Self, PrivateFileError> {
        let folder = folder_of(path);
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(failed("make", folder))?;
        let lock = folder.join(LOCK);
        let mut options = OpenOptions::new();
        // The file that a link leads to is not ours.
        options.write(true).create(true).truncate(false).mode(0o600).custom_flags(libc::O_NOFOLLOW);
        let file = options.open(&lock).map_err(failed("write", &lock))?;
        let give_up = Instant::now() + PATIENCE;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self { file }),
                // A lock that may wait for ever would hang where its holder was stopped.
                Err(TryLockError::WouldBlock) if Instant::now() < give_up => {
                    thread::sleep(Duration::from_millis(5));
                }
                Err(error) => return Err(failed("lock", &lock)(error.into())),
            }
        }
    }

    /// Puts `bytes` into the place of `path`, for this user alone: whoever reads it finds what was there before or all
    /// of them, also after a power failure.
    pub(super) fn replace(&self, path: &Path, bytes: &[u8]) -> Result<(), PrivateFileError> {
        // Where a link stands for the file, the link stays.
        let path = &fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let folder = folder_of(path);
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let temporary = folder.join(format!(".{name}.new"));
        // Only a writer that was killed leaves one, as whoever writes has the lock.
        let _ = fs::remove_file(&temporary);
        let write = || {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&temporary, path)?;
            // Some file systems cannot do it for a directory, and then it is not needed.
            let _ = File::open(folder).and_then(|folder| folder.sync_all());
            Ok(())
        };
        write().map_err(|error| {
            let _ = fs::remove_file(&temporary);
            failed("write", path)(error)
        })
    }
}

impl Drop for WriteLock {
    /// Closing it alone would leave it locked for a moment, where a child that is being started has a copy.
    fn drop(&mut self) {
        let _ = self.file.unlock();
    }
}

/// The secret in `path`, put there by `make` where there is none. Of several that start at once one makes it, and
/// all get the same.
pub(super) fn load_or_make<E: From<PrivateFileError>>(
    path: &Path,
    make: impl FnOnce() -> Result<Vec<u8>, E>,
) -> Result<Vec<u8>, E> {
    if let Some(found) = read_secret(path)? {
        return Ok(found);
    }
    let lock = WriteLock::take(path)?;
    if let Some(found) = read_secret(path)? {
        return Ok(found);
    }
    let bytes = make()?;
    lock.replace(path, &bytes)?;
    Ok(bytes)
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn secret_of(number: usize) -> Result<Vec<u8>, PrivateFileError> {
        Ok(format!("secret {number}").into_bytes())
    }

    #[test]
    fn of_many_first_starts_one_makes_the_secret_and_all_get_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("not there yet/secret");
        let (start, made) = (Barrier::new(8), AtomicUsize::new(0));
        let found: Vec<Vec<u8>> = thread::scope(|scope| {
            let start = |number| {
                let (path, start, made) = (&path, &start, &made);
                scope.spawn(move || {
                    start.wait();
                    let make = || {
                        made.fetch_add(1, Ordering::Relaxed);
                        secret_of(number)
                    };
                    load_or_make(path, make).unwrap()
                })
            };
            let threads: Vec<_> = (0..8).map(start).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(made.into_inner(), 1);
        assert!(found.iter().all(|one| *one == found[0]), "{found:?}");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let folder = fs::metadata(path.parent().unwrap()).unwrap();
        assert_eq!(folder.permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_secret_that_others_may_read_is_refused_with_the_way_to_mend_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("of ann's");
        load_or_make(&path, || secret_of(1)).unwrap();
        for mode in [0o640, 0o604, 0o620, 0o666] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let refused = load_or_make(&path, || secret_of(2)).unwrap_err().to_string();
            let mend = format!("`chmod 600 '{}/of ann'\\''s'`", folder.path().display());
            assert!(refused.contains(&mend) && refused.contains(&format!("{mode:o}")), "{refused}");
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
        assert_eq!(load_or_make(&path, || secret_of(2)).unwrap(), b"secret 1");
    }

    #[test]
    fn what_a_killed_writer_left_is_in_nobodys_way() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        fs::write(folder.path().join(".secret.new"), "half").unwrap();
        assert_eq!(load_or_make(&path, || secret_of(1)).unwrap(), b"secret 1");
        assert!(!folder.path().join(".secret.new").exists());
    }

    #[test]
    fn what_is_no_file_of_sensible_length_is_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let refused = read(folder.path()).unwrap_err().to_string();
        assert!(refused.contains("no regular file"), "{refused}");
        let long = folder.path().join("long");
        File::create(&long).unwrap().set_len(MAX_LEN + 1).unwrap();
        assert!(read(&long).unwrap_err().to_string().contains("longer than"), "too long");
    }

    #[test]
    fn a_link_to_a_file_stays_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&file, "old").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        WriteLock::take(&link).unwrap().replace(&link, b"new").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    }
}
