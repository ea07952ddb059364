//! How far a sender is, in words.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use indicatif::{HumanBytes, HumanDuration};
use squall::text::sanitize;
use squall_node::files::Tally;

use crate::output::counted;

/// A file of which some has been sent.
pub(super) struct Begun {
    pub(super) path: Arc<PathBuf>,
    /// Its bytes, where that is known.
    pub(super) size: Option<u64>,
    /// Those of them that are there.
    pub(super) done: u64,
}

/// What is known of how far it is.
pub(super) struct Progress<'a> {
    pub(super) bytes: u64,
    pub(super) files: u64,
    /// All that there is, where that is known.
    pub(super) total: Option<Tally>,
    /// Bytes a second, where that is known.
    pub(super) rate: Option<f64>,
    pub(super) begun: &'a [Begun],
}

impl Progress<'_> {
    /// What matters most first, since a narrow terminal has no room for the rest.
    pub(super) fn text(&self) -> String {
        let mut parts = Vec::new();
        match self.total {
            Some(total) => parts.push(format!(
                "{:>3} % {} of {}",
                percent(self.bytes, total.bytes),
                HumanBytes(self.bytes),
                HumanBytes(total.bytes)
            )),
            None => parts.push(HumanBytes(self.bytes).to_string()),
        }
        if let Some(rate) = self.rate {
            parts.push(format!("{}/s", HumanBytes(rate as u64)));
            if let Some(total) = self.total
                && rate >= 1.0
            {
                let left = total.bytes.saturating_sub(self.bytes) as f64 / rate;
                parts.push(format!("{:#} left", HumanDuration(Duration::from_secs_f64(left))));
            }
        }
        parts.push(match self.total {
            Some(total) => format!("{} of {}", self.files, counted(total.files, "file")),
            None => counted(self.files, "file"),
        });
        // Large ones alone can be read.
        let large = self.begun.iter().filter(|file| file.size.is_none_or(|size| size > 1 << 20));
        let names: Vec<_> = large
            .take(2)
            .map(|Begun { path, size, done }| match size {
                Some(size) => format!("{} % {}", percent(*done, *size), name(path)),
                None => format!("{} {}", HumanBytes(*done), name(path)),
            })
            .collect();
        let colon = if names.is_empty() { "" } else { ": " };
        format!("{}{colon}{}", parts.join(", "), names.join(", "))
    }
}

/// How much of all that is. What grew meanwhile is no more than all.
fn percent(part: u64, all: u64) -> u64 {
    if all == 0 { 100 } else { (u128::from(part) * 100 / u128::from(all)).min(100) as u64 }
}

fn name(path: &Path) -> String {
    sanitize(path.file_name().unwrap_or_default().as_bytes()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Progress<'_> = Progress { bytes: 0, files: 0, total: None, rate: None, begun: &[] };

    fn begun(path: &str, size: Option<u64>, done: u64) -> Begun {
        Begun { path: Arc::new(path.into()), size, done }
    }

    fn tally(files: u64, bytes: u64) -> Option<Tally> {
        let mut tally = Tally::default();
        (tally.files, tally.bytes) = (files, bytes);
        Some(tally)
    }

    #[test]
    fn what_matters_most_comes_first() {
        let begun = [
            begun("/from/big\n", Some(4 << 20), 1 << 20),
            begun("small", Some(9), 3),
            begun("名", Some(2 << 20), 0),
        ];
        let total = tally(3, 8 << 20);
        let progress = Progress { bytes: 2 << 20, rate: Some(1e6), total, begun: &begun, ..NOTHING };
        let head = " 25 % 2.00 MiB of 8.00 MiB, 976.56 KiB/s, 6s left, 0 of 3 files";
        assert_eq!(progress.text(), format!("{head}: 25 % big\\x0a, 0 % 名"));
        assert_eq!(Progress { total: tally(1, 1), ..NOTHING }.text(), "  0 % 0 B of 1 B, 0 of 1 file");
    }

    #[test]
    fn where_nobody_knows_how_much_there_is_it_tells_what_was_sent() {
        let begun = [begun("slow", None, 3 << 20)];
        let progress = Progress { bytes: 3 << 20, files: 1, rate: Some(2048.0), begun: &begun, ..NOTHING };
        assert_eq!(progress.text(), "3.00 MiB, 2.00 KiB/s, 1 file: 3.00 MiB slow");
    }

    #[test]
    fn of_nothing_all_is_there_and_more_than_all_never_is() {
        assert_eq!(
            [percent(0, 0), percent(1, 3), percent(4, 3), percent(u64::MAX, u64::MAX)],
            [100, 33, 100, 100]
        );
    }
}
