//! What became of an upload, in a line.

use std::fmt;
use std::io;

use squall::files::plain::{End, Ended};

/// An upload that has ended.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) ended: Ended,
    /// What was written.
    pub(super) bytes: u64,
    /// The name of what is kept.
    pub(super) kept: Option<String>,
    /// What the system said.
    pub(super) failure: Option<io::Error>,
    /// The datagrams that the kernel dropped meanwhile, of this upload or another.
    pub(super) kernel_drops: u64,
}

impl Outcome {
    /// Whether all that arrived is kept, from a first datagram to `bye`.
    pub(super) fn is_whole(&self) -> bool {
        self.ended.is_whole() && self.kernel_drops == 0 && self.failure.is_none() && self.kept.is_some()
    }

    /// Why it is not whole.
    fn why(&self) -> String {
        let ended = &self.ended;
        if let Some(failure) = &self.failure {
            return format!("it could not be written: {failure}");
        }
        match ended.end {
            End::Idle => "its sender fell silent".into(),
            End::TooLong => "it is longer than an upload may be".into(),
            End::NoSpace => "the folder's space is used up".into(),
            End::Failed => "it could not be written".into(),
            End::Stopped => "the node stopped".into(),
            _ if ended.dropped > 0 => {
                format!("{} datagrams in it were dropped: the disk is too slow", ended.dropped)
            }
            _ if self.kernel_drops > 0 => {
                format!(
                    "the kernel dropped {} datagrams of this or another upload, which came faster than they were \
                     read (receive-buffer)",
                    self.kernel_drops
                )
            }
            _ => "its beginning may be in a file of its own, or missing".into(),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ended = &self.ended;
        let name = self.kept.as_deref().unwrap_or("nothing kept");
        write!(f, "files: {name}: {} bytes from {}", self.bytes, ended.origin.peer)?;
        write!(f, " in {:.1} s", ended.took.as_secs_f64())?;
        if self.is_whole() { write!(f, ", up to its bye") } else { write!(f, ", incomplete: {}", self.why()) }
    }
}
