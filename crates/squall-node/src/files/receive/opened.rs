//! Directories that their owner may write in while something comes into them, and neither before nor after that.

use std::collections::HashMap;
use std::io::{self, Read as _, Write as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;
use squall::files::Name;

use crate::files::disk::{Folder, mode_name};

/// The directories of a session that have other permissions than they are to keep. There is a note of each beside the
/// files that arrive, for the session that comes when the process was killed meanwhile. Of two sessions that are in one
/// directory at once, the first to leave closes it.
#[derive(Debug)]
pub(super) struct Opened {
    staging: Arc<Folder>,
    held: Mutex<HashMap<String, (Arc<Folder>, u32)>>,
}

impl Opened {
    pub(super) fn new(staging: Arc<Folder>) -> Self {
        Self { staging, held: Mutex::default() }
    }

    /// Lets its owner write in a directory, and tells the permissions that it is to keep: `wanted` for one that was made
    /// just now, and otherwise those that it had.
    pub(super) fn open(&self, key: &str, folder: &Arc<Folder>, wanted: Option<u32>) -> io::Result<u32> {
        let present = folder.mode()?;
        let kept = match wanted {
            Some(wanted) => wanted & 0o777 | present & 0o7000,
            // What somebody has changed since is not what the note is about.
            None => self.noted(key).filter(|noted| noted | OWNER == present).unwrap_or(present),
        };
        if kept & OWNER != OWNER {
            if self.noted(key) != Some(kept)
                && let Err(error) = self.note(key, kept)
            {
                let _ = self.staging.remove(&mode_name(key));
                return Err(error);
            }
            self.held().insert(key.into(), (Arc::clone(folder), kept));
        }
        match if kept | OWNER == present { Ok(()) } else { folder.set_mode(kept | OWNER) } {
            // Somebody else's stays as it is; others may be allowed to write in it.
            Err(Errno::PERM) => {
                self.close(key, folder);
                Ok(present)
            }
            set => Ok(set.map(|()| kept)?),
        }
    }

    /// It has the permissions that it is to keep, unless it was opened again meanwhile.
    pub(super) fn close(&self, key: &str, folder: &Arc<Folder>) {
        let mut held = self.held();
        if held.get(key).is_some_and(|(present, _)| Arc::ptr_eq(present, folder)) {
            held.remove(key);
            let _ = self.staging.remove(&mode_name(key));
        }
    }

    /// Gives all that are open the permissions that they are to keep: nothing more comes.
    pub(super) fn close_all(&self) {
        for (key, (folder, kept)) in self.held().drain() {
            let _ = folder.set_mode(kept);
            let _ = self.staging.remove(&mode_name(&key));
        }
    }

    fn note(&self, key: &str, kept: u32) -> io::Result<()> {
        let mut file = std::fs::File::from(self.staging.write(&mode_name(key), true)?);
        write!(file, "{kept:o}")
    }

    fn noted(&self, key: &str) -> Option<u32> {
        let name = mode_name(key);
        let file = self.staging.read(Name::new(name.as_bytes()).ok()?).ok()?;
        let mut text = String::new();
        std::fs::File::from(file).take(5).read_to_string(&mut text).ok()?;
        u32::from_str_radix(&text, 8).ok().filter(|noted| noted & !0o7777 == 0)
    }

    fn held(&self) -> MutexGuard<'_, HashMap<String, (Arc<Folder>, u32)>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the owner of a directory has to be allowed for something to come into it.
const OWNER: u32 = 0o700;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    use super::*;

    /// A directory with these permissions in one of its own, and a staging directory.
    fn house(mode: u32) -> (tempfile::TempDir, Arc<Folder>, Arc<Folder>) {
        let root = tempfile::tempdir().unwrap();
        for name in ["staging", "in"] {
            fs::create_dir(root.path().join(name)).unwrap();
        }
        let inside = Arc::new(Folder::open(&root.path().join("in")).unwrap());
        inside.set_mode(mode).unwrap();
        let staging = Arc::new(Folder::open(&root.path().join("staging")).unwrap());
        (root, staging, inside)
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    fn notes(root: &Path) -> usize {
        fs::read_dir(root.join("staging")).unwrap().count()
    }

    #[test]
    fn what_was_closed_is_closed_again_when_nothing_more_comes() {
        let (root, staging, inside) = house(0o555);
        let opened = Opened::new(staging);
        assert_eq!(opened.open("k", &inside, None).unwrap(), 0o555);
        assert_eq!((mode(&root.path().join("in")), notes(root.path())), (0o755, 1));
        opened.close_all();
        assert_eq!((mode(&root.path().join("in")), notes(root.path())), (0o555, 0));
    }

    #[test]
    fn one_that_is_open_is_left_alone_and_a_new_one_gets_what_it_is_to_have() {
        let (root, staging, inside) = house(0o2750);
        let opened = Opened::new(staging);
        assert_eq!(opened.open("k", &inside, None).unwrap(), 0o2750);
        assert_eq!(opened.open("k", &inside, Some(0o775)).unwrap(), 0o2775, "a group's stays the group's");
        assert_eq!((mode(&root.path().join("in")), notes(root.path())), (0o2775, 0));
        assert_eq!(opened.open("k", &inside, Some(0o500)).unwrap(), 0o2500);
        assert_eq!((mode(&root.path().join("in")), notes(root.path())), (0o2700, 1));
    }

    #[test]
    fn a_session_after_a_kill_knows_what_was_there_unless_somebody_changed_it() {
        let (root, staging, inside) = house(0o511);
        let killed = Opened::new(Arc::clone(&staging));
        killed.open("k", &inside, None).unwrap();
        let next = Opened::new(Arc::clone(&staging));
        assert_eq!(next.open("k", &inside, None).unwrap(), 0o511);
        next.close("k", &inside);
        assert_eq!(notes(root.path()), 0);
        killed.open("k", &inside, Some(0o500)).unwrap();
        inside.set_mode(0o750).unwrap();
        assert_eq!(next.open("k", &inside, None).unwrap(), 0o750);
    }
}
