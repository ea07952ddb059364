//! What is said of a node when it has ended.

use squall::{Counter, Report};

use crate::chat::ChatReport;
use crate::files::FileServerCounts;
use crate::files::plain::PlainReport;

/// What a node did, told when it has stopped.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NodeReport {
    /// What its servers did.
    pub report: Report,
    /// What its chat did, if it had one.
    pub chat: Option<ChatReport>,
    /// What its uploads over the plain wire did, if it took any.
    pub files: Option<PlainReport>,
    /// What its files over the secure tier did, if it took any.
    pub secure_files: Option<FileServerCounts>,
}

impl NodeReport {
    /// What the node did, in one line.
    pub fn summary(&self) -> String {
        let report = &self.report;
        let stats = &report.stats;
        let answered = requests(stats.total(Counter::Answered));
        let mut line = format!("answered {answered} and left {} unanswered", report.unanswered);
        line += &reasons(stats.unanswered_by());
        line += &format!(" in {:.1} s", report.elapsed.as_secs_f64());
        let silent = stats.total(Counter::Silent);
        if silent > 0 {
            line += &format!("; silent to {} that had no answer", requests(silent));
        }
        if report.unfinished > 0 {
            line += &format!("; {} not finished in time", report.unfinished);
        }
        if stats.unsent() > 0 {
            line += &format!("; {} replies could not be sent", stats.unsent());
        }
        let closed: u64 = stats.closed_by().map(|(_, count)| count).sum();
        if closed > 0 {
            line += &format!("; ended {closed} connections{}", reasons(stats.closed_by()));
        }
        let restarts = stats.total(Counter::WorkerRestarts);
        if restarts > 0 {
            line += &format!(
                "; replaced {restarts} workers, whose last quarter of a second is not in these counts"
            );
        }
        let drops = stats.kernel_drops();
        if drops > 0 {
            line += &format!("; the kernel dropped {drops} before they were read");
        }
        if let Some(chat) = &self.chat {
            line += &format!("; {}", chat.summary());
        }
        if let Some(files) = &self.files {
            line += &format!("; {}", files.summary());
        }
        if let Some(files) = &self.secure_files {
            line += &format!("; {}", files.summary());
        }
        line
    }
}

/// ` (3 loop, 1 too long)`, or nothing.
fn reasons(counts: impl Iterator<Item = (Counter, u64)>) -> String {
    let word = |counter: Counter| {
        let name = counter.name();
        name.trim_start_matches("refused_").trim_start_matches("closed_").replace('_', " ")
    };
    let reasons: Vec<String> = counts.map(|(counter, count)| format!("{count} {}", word(counter))).collect();
    if reasons.is_empty() { String::new() } else { format!(" ({})", reasons.join(", ")) }
}

fn requests(count: u64) -> String {
    if count == 1 { "1 request".into() } else { format!("{count} requests") }
}
