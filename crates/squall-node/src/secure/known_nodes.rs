//! Nodes that were seen before.

use std::path::{Path, PathBuf};

use super::private_file::{WriteLock, quoted, read};
use super::{Fingerprint, PrivateFileError};
use crate::places::Kept;

/// The file of nodes that were seen before, as `ssh` has one: a line `HOST:PORT FINGERPRINT` for each, `#` before a
/// comment. A node may have several lines, after each other's keys. What is neither is left as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownNodes {
    path: PathBuf,
}

/// A server shows another key than it did before.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{host} shows another key than before: {shown}, where line {line} of {} has {known}. Somebody may stand between you and it. If you know why it changed, forget the old key by `sed -i.old {line}d {}` and connect again",
    path.display(),
    quoted(path)
)]
#[non_exhaustive]
pub struct KeyChanged {
    /// The server, `HOST:PORT`.
    pub host: String,
    /// The key that it showed before.
    pub known: Fingerprint,
    /// The key that it shows.
    pub shown: Fingerprint,
    /// The file that knows it.
    pub path: PathBuf,
    /// The line in the file, from 1.
    pub line: usize,
}

/// A key of a node, and the line that has it, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct KnownKey {
    pub(super) line: usize,
    pub(super) fingerprint: Fingerprint,
}

/// Why a key was not remembered.
#[derive(Debug, thiserror::Error)]
pub(super) enum RememberError {
    /// Meanwhile somebody else remembered another one.
    #[error(transparent)]
    Changed(KeyChanged),
    /// The file cannot be written.
    #[error(transparent)]
    File(#[from] PrivateFileError),
}

impl KnownNodes {
    /// Those in the file at `path`, which need not be there.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Where the user's are: `squall/known_nodes` in `$XDG_CONFIG_HOME`, else in `~/.config` (on macOS `~/Library/
    /// Application Support`); `known_nodes` in what systemd gives a service (`$STATE_DIRECTORY`).
    pub fn default_path() -> PathBuf {
        Kept::Settings.default_path().join("known_nodes")
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The keys of a node, `HOST:PORT`; none where the file is not there.
    ///
    /// # Errors
    /// A file that is there and cannot be read: going on without it would take any key for a first one.
    pub(super) fn keys_of(&self, host: &str) -> Result<Vec<KnownKey>, PrivateFileError> {
        let bytes = read(&self.path)?.unwrap_or_default();
        Ok(keys_in(&bytes, host))
    }

    /// Remembers the key of a node that had none.
    pub(super) fn remember(&self, host: &str, shown: Fingerprint) -> Result<(), RememberError> {
        let lock = WriteLock::take(&self.path)?;
        // Another client may have met it meanwhile.
        let mut bytes = read(&self.path)?.unwrap_or_default();
        let known = keys_in(&bytes, host);
        if known.iter().any(|key| key.fingerprint == shown) {
            return Ok(());
        }
        if let Some(first) = known.first() {
            return Err(RememberError::Changed(self.changed(host, *first, shown)));
        }
        if bytes.last().is_some_and(|&last| last != b'\n') {
            bytes.push(b'\n');
        }
        bytes.extend_from_slice(format!("{host} {shown}\n").as_bytes());
        Ok(lock.replace(&self.path, &bytes)?)
    }

    pub(super) fn changed(&self, host: &str, known: KnownKey, shown: Fingerprint) -> KeyChanged {
        let KnownKey { line, fingerprint } = known;
        KeyChanged { host: host.to_owned(), known: fingerprint, shown, path: self.path.clone(), line }
    }
}

fn keys_in(bytes: &[u8], host: &str) -> Vec<KnownKey> {
    let lines = bytes.split(|&byte| byte == b'\n').enumerate();
    let key = |(index, line): (usize, &[u8])| {
        let mut words = str::from_utf8(line).ok()?.split_whitespace();
        // No host begins with `#`, so that a comment is none.
        let named = words.next()?.eq_ignore_ascii_case(host);
        let fingerprint = words.next()?.parse().ok().filter(|_| named)?;
        Some(KnownKey { line: index + 1, fingerprint })
    };
    lines.filter_map(key).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secure::Identity;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::sync::Barrier;
    use std::thread;

    fn fingerprint() -> Fingerprint {
        Identity::ephemeral().unwrap().fingerprint()
    }

    #[test]
    fn a_node_is_remembered_at_the_end_and_all_else_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("known_nodes");
        let before =
            b"# ann's\n\nexample.org:4433\nwhat: is this\n\xff\xfe\0\x1b[2J SHA256:x\n[::1]:1 nonsense"
                .to_vec();
        fs::write(&path, &before).unwrap();
        let (nodes, key) = (KnownNodes::at(&path), fingerprint());
        for unknown in ["example.org:4433", "what:", "#", "[::1]:1"] {
            assert_eq!(nodes.keys_of(unknown).unwrap(), [], "{unknown}");
        }
        nodes.remember("example.org:4433", key).unwrap();
        nodes.remember("example.org:4433", key).unwrap();
        let line = format!("\nexample.org:4433 {key}\n");
        assert_eq!(fs::read(&path).unwrap(), [before, line.into_bytes()].concat());
        assert_eq!(nodes.keys_of("Example.ORG:4433").unwrap(), [KnownKey { line: 7, fingerprint: key }]);
        assert_eq!(nodes.keys_of("example.org:4434").unwrap(), []);
    }

    #[test]
    fn a_changed_key_names_the_line_that_must_go_and_without_it_the_new_one_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("known nodes");
        let (nodes, old, new) = (KnownNodes::at(&path), fingerprint(), fingerprint());
        nodes.remember("a.example:1", fingerprint()).unwrap();
        nodes.remember("b.example:1", old).unwrap();
        let changed = match nodes.remember("b.example:1", new).unwrap_err() {
            RememberError::Changed(changed) => changed,
            RememberError::File(error) => panic!("{error}"),
        };
        assert_eq!((changed.line, changed.known, changed.shown), (2, old, new));
        let told = changed.to_string();
        let remedy = told.split('`').nth(1).unwrap();
        assert!(std::process::Command::new("sh").args(["-c", remedy]).status().unwrap().success(), "{told}");
        nodes.remember("b.example:1", new).unwrap();
        assert_eq!(nodes.keys_of("b.example:1").unwrap()[0].fingerprint, new);
        assert_eq!(nodes.keys_of("a.example:1").unwrap().len(), 1);
    }

    #[test]
    fn many_that_remember_at_once_lose_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let nodes = KnownNodes::at(folder.path().join("squall/known_nodes"));
        let (start, key) = (Barrier::new(8), fingerprint());
        thread::scope(|scope| {
            for thread in 0..8 {
                let (nodes, start) = (&nodes, &start);
                scope.spawn(move || {
                    start.wait();
                    for node in 0..8 {
                        nodes.remember(&format!("node-{thread}-{node}:4433"), key).unwrap();
                        nodes.remember("all:4433", key).unwrap();
                    }
                });
            }
        });
        assert_eq!(fs::read_to_string(nodes.path()).unwrap().lines().count(), 65);
        assert_eq!(nodes.keys_of("node-7-7:4433").unwrap().len(), 1);
        assert_eq!(nodes.keys_of("all:4433").unwrap().len(), 1);
        assert_eq!(fs::metadata(nodes.path()).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_file_that_is_there_and_cannot_be_read_is_no_empty_one() {
        let folder = tempfile::tempdir().unwrap();
        assert!(KnownNodes::at(folder.path()).keys_of("a:1").is_err(), "a directory");
        assert_eq!(KnownNodes::at(folder.path().join("none/of/it")).keys_of("a:1").unwrap(), []);
    }
}
