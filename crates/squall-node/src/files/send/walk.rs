//! Looking through what is to be sent.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use squall::files::Name;
use squall::files::wire::{Modified, Reason};

use crate::files::disk::{Kind, STAGING, Stat, Trouble};

/// What is to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Item {
    /// A file, or a directory and all that is in it. A link that is named itself is followed, one within is not.
    Path(PathBuf),
    /// Standard input, under this name.
    Input(OsString),
}

/// Whether something is sent: its path from the item on, and whether it is a directory.
pub(super) type Filter = dyn Fn(&Path, bool) -> bool + Send + Sync;

/// A step through a tree, depth first.
#[derive(Debug, PartialEq)]
pub(super) enum Step {
    Enter {
        name: Vec<u8>,
        path: Arc<PathBuf>,
        stat: Stat,
    },
    Leave,
    File {
        name: Vec<u8>,
        path: Arc<PathBuf>,
        stat: Stat,
    },
    /// Standard input.
    Pipe {
        name: Vec<u8>,
    },
    Link {
        name: Vec<u8>,
        path: Arc<PathBuf>,
        target: Vec<u8>,
        stat: Stat,
    },
    /// Something that cannot be sent.
    Trouble {
        path: Arc<PathBuf>,
        trouble: Trouble,
    },
}

impl Item {
    /// What it is called at the receiver: as it was named, and `.` and `..` have names too. `None` for what is not there,
    /// and for the root of all files.
    pub fn name(&self) -> Option<OsString> {
        match self {
            Item::Input(name) => Some(name.clone()),
            Item::Path(path) => match path.file_name() {
                Some(name) => Some(name.to_owned()),
                None => Some(fs::canonicalize(path).ok()?.file_name()?.to_owned()),
            },
        }
    }
}

/// Goes through items. Memory grows with the depth of a tree and not with its size: directories are not sorted.
pub(super) struct Walk<'a> {
    items: VecDeque<Item>,
    filter: &'a Filter,
    levels: Vec<Level>,
}

struct Level {
    entries: fs::ReadDir,
    path: PathBuf,
    /// From the item on.
    relative: PathBuf,
}

/// How much there is to be sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tally {
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Counts what `items` hold, until `go_on` says no.
pub(super) fn tally(items: &[Item], filter: &Filter, go_on: impl Fn(Tally) -> bool) -> Tally {
    let mut tally = Tally::default();
    for step in Walk::new(items.to_vec(), filter) {
        if let Step::File { stat, .. } = step {
            tally.files += 1;
            tally.bytes += stat.size;
        }
        if !go_on(tally) {
            break;
        }
    }
    tally
}

impl<'a> Walk<'a> {
    pub(super) fn new(items: Vec<Item>, filter: &'a Filter) -> Self {
        Self { items: items.into(), filter, levels: Vec::new() }
    }

    fn begin(&mut self, item: Item) -> Step {
        let name = item.name();
        let path = match item {
            Item::Input(name) => return Step::Pipe { name: name.into_vec() },
            Item::Path(path) => path,
        };
        // From here on no link is followed.
        let found = fs::canonicalize(&path).and_then(|real| Ok((fs::symlink_metadata(&real)?, real)));
        let (metadata, real) = match found {
            Ok(found) => found,
            Err(error) => return trouble(path, Trouble::io("cannot be sent", &error)),
        };
        match name {
            Some(name) => {
                let relative = PathBuf::from(&name);
                self.step(name, real, relative, &metadata, None)
            }
            None => {
                trouble(path, Trouble::new(Reason::Name, "the root of all files has no name to be sent by"))
            }
        }
    }

    fn step(
        &mut self,
        name: OsString,
        path: PathBuf,
        relative: PathBuf,
        metadata: &fs::Metadata,
        target: Option<PathBuf>,
    ) -> Step {
        let (name, stat) = (name.into_vec(), stat(metadata));
        if let Err(error) = Name::new(&name) {
            return trouble(path, Trouble::new(Reason::Name, error.to_string()));
        }
        match (stat.kind, target) {
            (Kind::Directory, _) => match fs::read_dir(&path) {
                Ok(entries) => {
                    self.levels.push(Level { entries, path: path.clone(), relative });
                    Step::Enter { name, path: Arc::new(path), stat }
                }
                Err(error) => trouble(path, Trouble::io("cannot be read", &error)),
            },
            (Kind::Link, Some(target)) => {
                Step::Link { name, path: Arc::new(path), target: target.into_os_string().into_vec(), stat }
            }
            (Kind::File, _) => Step::File { name, path: Arc::new(path), stat },
            _ => {
                let what = other_kind(metadata);
                let text = format!("{what} is not sent; only files, directories and links are");
                trouble(path, Trouble::new(Reason::OtherKind, text))
            }
        }
    }

    /// The next in the innermost directory; `None` if the filter leaves it out.
    fn within(&mut self, entry: io::Result<fs::DirEntry>) -> Option<Step> {
        let level = self.levels.last()?;
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => return Some(trouble(level.path.clone(), Trouble::io("cannot be read", &error))),
        };
        let (name, path) = (entry.file_name(), entry.path());
        let relative = level.relative.join(&name);
        let found = entry.metadata().and_then(|metadata| {
            let target = if metadata.is_symlink() { Some(fs::read_link(&path)?) } else { None };
            Ok((metadata, target))
        });
        match found {
            // What is on its way into this directory is nobody else's.
            Ok((metadata, _)) if metadata.is_dir() && name == STAGING => None,
            Ok((metadata, target)) => (self.filter)(&relative, metadata.is_dir())
                .then(|| self.step(name, path, relative, &metadata, target)),
            // It went away between two looks.
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => Some(trouble(path, Trouble::io("cannot be read", &error))),
        }
    }
}

impl Iterator for Walk<'_> {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        loop {
            let Some(level) = self.levels.last_mut() else {
                let item = self.items.pop_front()?;
                return Some(self.begin(item));
            };
            match level.entries.next() {
                None => {
                    self.levels.pop();
                    return Some(Step::Leave);
                }
                Some(entry) => {
                    if let Some(step) = self.within(entry) {
                        return Some(step);
                    }
                }
            }
        }
    }
}

fn trouble(path: PathBuf, trouble: Trouble) -> Step {
    Step::Trouble { path: Arc::new(path), trouble }
}

fn stat(metadata: &fs::Metadata) -> Stat {
    let kind = metadata.file_type();
    let kind = if kind.is_dir() {
        Kind::Directory
    } else if kind.is_symlink() {
        Kind::Link
    } else if kind.is_file() {
        Kind::File
    } else {
        Kind::Other
    };
    Stat {
        kind,
        mode: metadata.mode() & 0o7777,
        size: metadata.size(),
        modified: Modified {
            seconds: metadata.mtime(),
            nanos: u32::try_from(metadata.mtime_nsec()).unwrap_or(0),
        },
        changed: (metadata.ctime(), metadata.ctime_nsec()),
        node: (metadata.dev(), metadata.ino()),
    }
}

fn other_kind(metadata: &fs::Metadata) -> &'static str {
    let kind = metadata.file_type();
    if kind.is_fifo() {
        "a pipe"
    } else if kind.is_socket() {
        "a socket"
    } else if kind.is_block_device() || kind.is_char_device() {
        "a device"
    } else {
        "something else than a file"
    }
}

/// A name for a log and a terminal.
pub(super) fn shown(name: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(name))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn outline(items: &[PathBuf], filter: &Filter) -> Vec<String> {
        let items = items.iter().cloned().map(Item::Path).collect();
        let text = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
        let mut depth = 0;
        let mut lines = Walk::new(items, filter)
            .map(|step| match step {
                Step::Enter { name, .. } => {
                    depth += 1;
                    format!("{}/{}", depth - 1, text(&name))
                }
                Step::Leave => {
                    depth -= 1;
                    format!("{depth}<")
                }
                Step::File { name, stat, .. } => format!("{depth} {} {}", text(&name), stat.size),
                Step::Link { name, target, .. } => format!("{depth} {} -> {}", text(&name), text(&target)),
                Step::Pipe { name } => text(&name),
                Step::Trouble { trouble, .. } => format!("! {trouble}"),
            })
            .collect::<Vec<_>>();
        lines.sort();
        lines
    }

    #[test]
    fn a_tree_is_walked_and_links_in_it_are_not_followed() {
        let root = tempfile::tempdir().unwrap();
        let tree = root.path().join("tree");
        fs::create_dir_all(tree.join("a/b")).unwrap();
        fs::write(tree.join("a/b/file"), "12345").unwrap();
        symlink("..", tree.join("a/loop")).unwrap();
        symlink("nowhere", tree.join("gone")).unwrap();
        let everything = |_: &Path, _: bool| true;
        let expected =
            ["0/tree", "0<", "1 gone -> nowhere", "1/a", "1<", "2 loop -> ..", "2/b", "2<", "3 file 5"];
        assert_eq!(outline(std::slice::from_ref(&tree), &everything), expected);
        // One that is named is followed, and has the name it was given.
        symlink(tree.join("a/b/file"), root.path().join("named")).unwrap();
        assert_eq!(outline(&[root.path().join("named")], &everything), ["0 named 5"]);
        let without_b = |path: &Path, is_directory: bool| !(is_directory && path.ends_with("b"));
        assert_eq!(outline(&[tree.join("a")], &without_b), ["0/a", "0<", "1 loop -> .."]);
        let tally = tally(&[Item::Path(tree)], &everything, |_| true);
        assert_eq!(tally, Tally { files: 1, bytes: 5 });
    }

    #[test]
    fn what_cannot_be_sent_is_told() {
        let root = tempfile::tempdir().unwrap();
        symlink("b", root.path().join("a")).unwrap();
        symlink("a", root.path().join("b")).unwrap();
        let everything = |_: &Path, _: bool| true;
        let paths = [root.path().join("absent"), root.path().join("a"), "/dev/null".into(), "/".into()];
        let told = outline(&paths, &everything);
        for what in ["no such file", "too many levels", "a device is not sent", "has no name"] {
            assert!(told.iter().any(|line| line.contains(what)), "{what}: {told:?}");
        }
    }
}
