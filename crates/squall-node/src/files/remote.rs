//! Counting the files of a running node from elsewhere.

use super::plain::{PlainFiles, PlainRemote};
use super::plan::Files;
use super::secure::SecureFiles;
use super::server::FileServerRemote;

/// What counts a running node's files from elsewhere.
#[derive(Clone, Debug)]
pub(crate) struct FilesRemote {
    plain: Option<PlainRemote>,
    secure: Option<FileServerRemote>,
}

impl Files {
    pub(crate) fn remote(&self) -> FilesRemote {
        FilesRemote {
            plain: self.plain.as_ref().map(PlainFiles::remote),
            secure: self.secure.as_ref().map(SecureFiles::remote),
        }
    }
}

impl FilesRemote {
    /// What was counted so far, by name, nothing where no files are taken; `None` when the node is ending.
    pub(crate) fn counts(&self) -> Option<Vec<(String, u64)>> {
        let mut counts = Vec::new();
        if let Some(plain) = &self.plain {
            counts.extend(plain.counts()?.into_iter().map(|(name, count)| (name.to_owned(), count)));
        }
        if let Some(secure) = &self.secure {
            counts.extend(secure.counts()?.named());
        }
        Some(counts)
    }
}
