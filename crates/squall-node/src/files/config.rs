//! What can be set of the service `files`.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::plain::Pattern;
use crate::units::parse_time_limit;

/// What can be set of the service `files`. Fields that are `None` have their defaults.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FilesConfig {
    /// The folder of uploads; `files` in the data directory.
    pub dir: Option<PathBuf>,
    /// The names of uploads; `{time}-{peer}`.
    pub pattern: Option<Pattern>,
    /// How long an upload may bring nothing; 60 s.
    pub idle: Option<Duration>,
    /// Uploads at a time; 1024.
    pub uploads: Option<u32>,
    /// Uploads at a time of one network, a /24 or a /56; 64. Loopback has no such limit.
    pub prefix_uploads: Option<u32>,
    /// Bytes of an upload; 1 GiB.
    pub size: Option<u64>,
    /// Bytes of all files in the folder together, beyond which nothing is taken; 10 GiB.
    pub space: Option<u64>,
    /// The file with the token of the secure tier; `token` beside the node's key.
    pub token_file: Option<PathBuf>,
    /// Whether everybody may send over the secure tier, without a token; not.
    pub open: bool,
}

impl FilesConfig {
    /// Takes what is not set here from `other`.
    pub fn or(self, other: Self) -> Self {
        Self {
            dir: self.dir.or(other.dir),
            pattern: self.pattern.or(other.pattern),
            idle: self.idle.or(other.idle),
            uploads: self.uploads.or(other.uploads),
            prefix_uploads: self.prefix_uploads.or(other.prefix_uploads),
            size: self.size.or(other.size),
            space: self.space.or(other.space),
            token_file: self.token_file.or(other.token_file),
            open: self.open || other.open,
        }
    }
}

/// The table `[service.files]` of a file.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct FileFiles {
    dir: Option<PathBuf>,
    pattern: Option<String>,
    idle: Option<String>,
    uploads: Option<u32>,
    prefix_uploads: Option<u32>,
    size: Option<u64>,
    space: Option<u64>,
    token_file: Option<PathBuf>,
    #[serde(default)]
    open: bool,
}

impl FileFiles {
    pub(crate) fn into_config(self) -> Result<FilesConfig, String> {
        use crate::config::read;

        for (key, value) in [("uploads", self.uploads), ("prefix-uploads", self.prefix_uploads)] {
            if value == Some(0) {
                return Err(format!("{key}: 0 leaves nobody"));
            }
        }
        Ok(FilesConfig {
            dir: self.dir,
            pattern: read("pattern", self.pattern, |pattern| {
                pattern.parse().map_err(|problem| format!("{pattern:?}: {problem}"))
            })?,
            idle: read("idle", self.idle, parse_time_limit)?,
            uploads: self.uploads,
            prefix_uploads: self.prefix_uploads,
            size: self.size,
            space: self.space,
            token_file: self.token_file,
            open: self.open,
        })
    }
}
