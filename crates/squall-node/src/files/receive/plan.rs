//! What becomes of what is offered.

use std::fs::File;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use rustix::io::Errno;
use squall::files::wire::{Modified, Offer, Options, Reason, split_message};
use squall::files::{Name, Said, Total};

use super::commit::Commit;
use super::control::fault;
use super::event::add;
use super::incoming::{Existing, Incoming, Replacing};
use super::outlet::Say;
use super::session::{Entry, Shared};
use crate::files::disk::{Folder, Kind, Stat, Trouble, data_name, small_name};

/// Decides about entries as they are offered, where the sender is in its tree.
pub(super) struct Planner {
    shared: Arc<Shared>,
    pub(super) options: Options,
    /// The directories that the sender is in, the innermost last.
    way: Vec<Level>,
}

/// A directory that the sender is in.
struct Level {
    place: Place,
    name: Box<[u8]>,
    mode: u32,
    modified: Modified,
}

/// Where a directory of the sender's is here.
#[derive(Clone)]
enum Place {
    /// It is open, and keeps these permissions if it was there before.
    Open(Arc<Folder>, Option<u32>),
    /// It is not there, and nothing is to be written.
    Absent,
    /// It was refused, and everything in it is.
    Refused,
}

/// A directory that was left.
pub(super) struct Left {
    pub(super) folder: Arc<Folder>,
    pub(super) key: String,
    /// The one that it is in.
    pub(super) parent: Option<Arc<Folder>>,
    /// The permissions that it is to have.
    pub(super) mode: u32,
    pub(super) modified: Modified,
}

/// What becomes of a file.
enum Plan {
    /// Its directory is not there, and nothing is to be written.
    Absent,
    Unchanged,
    Wanted(Incoming),
    Compare(Incoming),
}

impl Planner {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, options: Options::default(), way: Vec::new() }
    }

    /// Takes messages that are there to their ends.
    ///
    /// # Errors
    /// What no honest sender says.
    pub(super) fn take(&mut self, mut bytes: &[u8]) -> Result<(), String> {
        while let Some((body, used)) = split_message(bytes).map_err(fault)? {
            let offer = Offer::decode(body).map_err(fault)?;
            if self.shared.is_over() {
                return Ok(());
            }
            if self.shared.is_ended()
                && !matches!(offer, Offer::Whole { .. } | Offer::Again { .. } | Offer::Withdraw { .. })
            {
                return Err("something was offered after the end".into());
            }
            self.take_one(offer)?;
            bytes = &bytes[used..];
        }
        Ok(())
    }

    fn take_one(&mut self, offer: Offer<'_>) -> Result<(), String> {
        match offer {
            Offer::Enter { name, mode, modified } => self.enter(name, mode, modified),
            Offer::Leave => self.leave(),
            Offer::File { name, mode, modified, size } => self.file(name, mode, modified, size),
            Offer::Link { name, target, modified } => self.link(name, target, modified),
            Offer::Whole { entry, chunks, size, modified, hash } => {
                self.word(entry, Said::Whole(Total { chunks, size, modified, hash }))
            }
            Offer::Again { entry, chunks, size, modified } => {
                self.word(entry, Said::Again { chunks, size, modified })
            }
            Offer::Withdraw { entry, reason, text } => {
                if self.shared.file(entry).map_err(fault)?.is_some() {
                    add(&self.shared.counting.withdrawn, 1);
                    let trouble = Trouble::new(reason, fault(text));
                    self.shared.settle(entry, Say::Refused(entry, trouble));
                }
                Ok(())
            }
            Offer::End => {
                if !self.way.is_empty() {
                    return Err("the end came within a directory".into());
                }
                self.shared.end();
                Ok(())
            }
            _ => Err("a sender says only once who it is".into()),
        }
    }

    fn word(&self, entry: u64, said: Said) -> Result<(), String> {
        if let Some(incoming) = self.shared.file(entry).map_err(fault)? {
            let next = incoming.take_word(&self.shared.receiver.room, said).map_err(fault)?;
            self.shared.act(entry, &incoming, next);
        }
        Ok(())
    }

    fn enter(&mut self, name: Name<'_>, mode: u32, modified: Modified) -> Result<(), String> {
        let entered = self.place().and_then(|parent| {
            self.check_name(name)?;
            if self.way.len() >= MAX_DEPTH {
                let text = format!("it lies within more than {MAX_DEPTH} others");
                return Err(Trouble::new(Reason::Name, text));
            }
            match parent {
                None => Ok(Place::Absent),
                Some(parent) if self.options.dry_run => pretend(&parent, name),
                Some(parent) => match parent.make(name, mode) {
                    Ok((folder, was_there)) => {
                        let (folder, wanted) = (Arc::new(folder), (!was_there).then_some(mode));
                        let kept = self.shared.opened.open(&self.key(name), &folder, wanted);
                        let kept = kept.map_err(|error| Trouble::io("cannot be written in", &error))?;
                        Ok(Place::Open(folder, was_there.then_some(kept)))
                    }
                    Err(Errno::EXIST | Errno::NOTDIR | Errno::LOOP) => Err(other_kind("no directory")),
                    Err(errno) => Err(Trouble::of("cannot be made", errno)),
                },
            }
        });
        let (place, result) = match entered {
            Ok(place) => (place, Ok(())),
            Err(trouble) => (Place::Refused, Err(trouble)),
        };
        self.answer(name, result)?;
        self.way.push(Level { place, name: name.as_bytes().into(), mode, modified });
        Ok(())
    }

    fn leave(&mut self) -> Result<(), String> {
        let level = self.way.pop().ok_or("a directory was left that was not entered")?;
        match level.place {
            Place::Open(folder, before) if !self.options.dry_run => {
                // What somebody has closed to others is not opened by sending something into it.
                let mode = before.filter(|_| !self.replaces()).unwrap_or(level.mode);
                let parent = self.place().ok().flatten();
                let name = Name::new(&level.name).unwrap_or_else(|_| unreachable!("it was a name"));
                let left = Left { folder, key: self.key(name), parent, mode, modified: level.modified };
                self.shared.offer(Entry::Left(Some(left))).map_err(fault)?;
            }
            _ => {
                let entry = self.shared.offer(Entry::Queued).map_err(fault)?;
                self.shared.settle(entry, Say::Unchanged(entry));
            }
        }
        Ok(())
    }

    fn file(
        &mut self,
        name: Name<'_>,
        mode: u32,
        modified: Modified,
        size: Option<u64>,
    ) -> Result<(), String> {
        let plan = self.place().and_then(|folder| {
            self.check_name(name)?;
            folder.map_or(Ok(Plan::Absent), |folder| self.plan(folder, name, mode, modified, size))
        });
        let offer = |incoming| self.shared.offer(Entry::File(incoming)).map_err(fault);
        match plan {
            Ok(Plan::Unchanged) => {
                add(&self.shared.counting.unchanged, 1);
                self.answer(name, Ok(()))?;
            }
            Err(trouble) => self.answer(name, Err(trouble))?,
            Ok(_) if self.options.dry_run => self.would_be_sent()?,
            // Nothing is absent but in a dry run.
            Ok(Plan::Absent) => {}
            Ok(Plan::Wanted(incoming)) => {
                let entry = offer(Arc::new(incoming))?;
                self.shared.say.send(Say::Wanted(entry));
            }
            Ok(Plan::Compare(incoming)) => {
                let incoming = Arc::new(incoming);
                let entry = offer(Arc::clone(&incoming))?;
                let _ = self.shared.compare.send((entry, incoming));
            }
        }
        Ok(())
    }

    fn plan(
        &self,
        folder: Arc<Folder>,
        name: Name<'_>,
        mode: u32,
        modified: Modified,
        size: Option<u64>,
    ) -> Result<Plan, Trouble> {
        let stat = folder.stat(name).map_err(|errno| Trouble::of("cannot be looked at", errno))?;
        let existing = match stat {
            None => None,
            Some(Stat { kind: Kind::File, .. }) => stat,
            Some(Stat { kind: Kind::Link, .. }) if self.replaces() => None,
            Some(Stat { kind: Kind::Link, .. }) => {
                return Err(self.replacing().refuse("a link of that name is there"));
            }
            Some(_) => return Err(other_kind("no file")),
        };
        if let Some(stat) = existing
            && !self.options.checksum
            && size == Some(stat.size)
            && modified == stat.modified
        {
            if stat.mode & 0o777 != mode & 0o777 && self.replaces() && !self.options.dry_run {
                let set = folder
                    .read(name)
                    .and_then(|file| rustix::fs::fchmod(file, rustix::fs::Mode::from_raw_mode(mode & 0o777)));
                set.map_err(|errno| Trouble::of("its permissions cannot be set", errno))?;
            }
            return Ok(Plan::Unchanged);
        }
        if let Some(stat) = existing
            && !self.replaces()
            && size.is_some_and(|size| size != stat.size)
        {
            return Err(self.replacing().refuse("another file of that name is there"));
        }
        if self.options.dry_run {
            return Ok(Plan::Absent);
        }
        let replacing = self.replacing();
        let existing = match existing {
            None => None,
            Some(stat) => {
                let file = folder.read(name).map_err(|errno| Trouble::of("cannot be read", errno))?;
                Some(Existing { file: File::from(file), stat, hash: OnceLock::new() })
            }
        };
        let key = self.key(name);
        let claim = self.shared.receiver.claims.take(&key);
        let claim = claim.ok_or_else(|| Trouble::new(Reason::Busy, "another transfer is writing it"))?;
        let staging = Arc::clone(&self.shared.receiver.staging);
        let begun =
            |name: String| Name::new(name.as_bytes()).ok().and_then(|name| staging.stat(name).ok().flatten());
        let is_begun = begun(data_name(&key)).is_some()
            // A small file is there whole or not at all.
            || begun(small_name(&key)).is_some_and(|begun| size == Some(begun.size) && begun.size > 0);
        let compares = existing.is_some() || is_begun;
        let incoming = Incoming::new(folder, name, mode, size, existing, replacing, claim, staging, is_begun);
        Ok(if compares { Plan::Compare(incoming) } else { Plan::Wanted(incoming) })
    }

    fn link(&mut self, name: Name<'_>, target: &[u8], modified: Modified) -> Result<(), String> {
        let planned = self.place().and_then(|folder| {
            self.check_name(name)?;
            if !self.shared.receiver.config.takes_any_link && leads_out(target, self.way.len()) {
                return Err(Trouble::new(
                    Reason::Link,
                    "a link that leads out of the directory, or may; the receiver takes none (--unsafe-links)",
                ));
            }
            // Nothing is absent but in a dry run.
            let Some(folder) = folder else { return Ok(Some((None, false))) };
            match folder.stat(name).map_err(|errno| Trouble::of("cannot be looked at", errno))? {
                None => Ok(Some((Some(folder), false))),
                Some(Stat { kind: Kind::Link, .. })
                    if folder.read_link(name).ok().as_deref() == Some(target) =>
                {
                    Ok(None)
                }
                Some(Stat { kind: Kind::File | Kind::Link, .. }) if self.replaces() => {
                    Ok(Some((Some(folder), true)))
                }
                Some(Stat { kind: Kind::Directory | Kind::Other, .. }) => Err(other_kind("no link")),
                Some(_) => Err(self.replacing().refuse("something of that name is there")),
            }
        });
        match planned {
            Ok(Some((Some(folder), replaces))) if !self.options.dry_run => {
                let (key, path) = (self.key(name), folder.path_of(name));
                let entry = self.shared.offer(Entry::Queued).map_err(fault)?;
                let (name, target) = (name.as_bytes().into(), target.into());
                self.shared
                    .commit(entry, Commit::Link { folder, name, target, modified, replaces, key, path });
                Ok(())
            }
            Ok(Some(_)) => self.would_be_sent(),
            Ok(None) => {
                add(&self.shared.counting.unchanged, 1);
                self.answer(name, Ok(()))
            }
            Err(trouble) => self.answer(name, Err(trouble)),
        }
    }

    /// In a dry run, that is all there is to know.
    fn would_be_sent(&self) -> Result<(), String> {
        let entry = self.shared.offer(Entry::Queued).map_err(fault)?;
        self.shared.say.send(Say::Wanted(entry));
        self.shared.settle(entry, Say::Unchanged(entry));
        Ok(())
    }

    /// Settles an entry as it is offered.
    fn answer(&self, name: Name<'_>, result: Result<(), Trouble>) -> Result<(), String> {
        let entry = self.shared.offer(Entry::Queued).map_err(fault)?;
        match result {
            Ok(()) => self.shared.settle(entry, Say::Unchanged(entry)),
            Err(trouble) => {
                self.shared.refused(&self.path(name), &trouble);
                self.shared.settle(entry, Say::Refused(entry, trouble));
            }
        }
        Ok(())
    }

    /// Where the sender is; `None` where it is not there in a dry run.
    fn place(&self) -> Result<Option<Arc<Folder>>, Trouble> {
        match self.way.last().map(|level| &level.place) {
            None => Ok(Some(Arc::clone(&self.shared.receiver.root))),
            Some(Place::Open(folder, _)) => Ok(Some(Arc::clone(folder))),
            Some(Place::Absent) => Ok(None),
            Some(Place::Refused) => {
                Err(Trouble::new(Reason::OtherKind, "the directory it is in was not taken"))
            }
        }
    }

    fn check_name(&self, name: Name<'_>) -> Result<(), Trouble> {
        if name.as_bytes().starts_with(OWN) {
            return Err(Trouble::new(Reason::Name, "the name is the receiver's own"));
        }
        if name.is_deceptive() && !self.shared.receiver.config.takes_any_name {
            let text =
                "a name with characters that control how it is shown; the receiver takes none (--any-names)";
            return Err(Trouble::new(Reason::Name, text));
        }
        Ok(())
    }

    fn replacing(&self) -> Replacing {
        match (self.shared.receiver.config.replaces, self.options.force) {
            (true, true) => Replacing::Asked,
            (true, false) => Replacing::Possible,
            (false, _) => Replacing::Never,
        }
    }

    fn replaces(&self) -> bool {
        self.replacing().is_asked()
    }

    /// What a file is called while it arrives: the same for the same place.
    fn key(&self, name: Name<'_>) -> String {
        let mut hasher = blake3::Hasher::new();
        for level in &self.way {
            hasher.update(&level.name).update(b"/");
        }
        hasher.update(name.as_bytes());
        hasher.finalize().to_hex()[..32].into()
    }

    fn path(&self, name: Name<'_>) -> PathBuf {
        use std::os::unix::ffi::OsStrExt;
        let mut path = self.shared.receiver.path().to_path_buf();
        path.extend(self.way.iter().map(|level| std::ffi::OsStr::from_bytes(&level.name)));
        path.join(std::ffi::OsStr::from_bytes(name.as_bytes()))
    }
}

/// Enters a directory without making it; what is not there is empty.
fn pretend(parent: &Folder, name: Name<'_>) -> Result<Place, Trouble> {
    match parent.enter(name) {
        Ok(folder) => Ok(Place::Open(Arc::new(folder), None)),
        Err(Errno::NOENT) => Ok(Place::Absent),
        Err(_) => Err(other_kind("no directory")),
    }
}

fn other_kind(what: &str) -> Trouble {
    Trouble::new(Reason::OtherKind, format!("what has the name there is {what}"))
}

/// Whether a link that lies so deep in the directory says something that leads out of it.
fn leads_out(target: &[u8], depth: usize) -> bool {
    if target.first() == Some(&b'/') {
        return true;
    }
    // Upwards only at the start, from where the link lies: behind a name `..` is not where it seems, as that may be a
    // link itself (`a` says `.`, and `a/a/a/..` is above).
    let parts = target.split(|byte| *byte == b'/').filter(|part| !matches!(*part, b"" | b"."));
    let (mut above, mut has_name) = (0, false);
    for part in parts {
        if part != b".." {
            has_name = true;
        } else if has_name {
            return true;
        } else {
            above += 1;
        }
    }
    above > depth
}

/// What begins so is the receiver's, or the plain store's, which has its files in the same folder.
const OWN: &[u8] = b".squall-";
/// Directories within each other. Each is held open.
const MAX_DEPTH: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_that_lead_out_are_told_from_those_that_do_not() {
        for (target, depth) in [
            ("/etc", 0),
            ("..", 0),
            ("../x", 0),
            ("a/../..", 0),
            ("../../x", 1),
            ("a/../../../x", 1),
            ("a/a/a/..", 1),
        ] {
            assert!(leads_out(target.as_bytes(), depth), "{target} at {depth}");
        }
        for (target, depth) in [("a", 0), ("../x", 1), ("./a/./b", 0), ("../../x", 2), ("..x/y", 0)] {
            assert!(!leads_out(target.as_bytes(), depth), "{target} at {depth}");
        }
    }
}
