//! What the uploads of a node counted, in words.

use squall::files::plain::ReceiverStats;

use super::store::StoreStats;

/// What was counted, by name.
pub(super) fn counts(receiver: &ReceiverStats, store: &StoreStats) -> Vec<(&'static str, u64)> {
    vec![
        ("uploads", receiver.uploads),
        ("received", receiver.received),
        ("bytes", receiver.bytes),
        ("began", receiver.began),
        ("whole", receiver.whole),
        ("damaged", receiver.damaged),
        ("idle", receiver.idle),
        ("too_long", receiver.too_long),
        ("no_space", receiver.no_space),
        ("failed", receiver.failed),
        ("stopped", receiver.stopped),
        ("full", receiver.full),
        ("prefix_full", receiver.prefix_full),
        ("not_begun", receiver.not_begun),
        ("discarded", receiver.discarded),
        ("dropped", receiver.dropped),
        ("repeated_byes", receiver.repeated_byes),
        ("empty", receiver.empty),
        ("forgotten", receiver.forgotten),
        ("files", store.files),
        ("incomplete", store.incomplete),
        ("lost", store.lost),
        ("written", store.written),
        ("failures", store.failures),
        ("recovered", store.recovered),
        ("used", store.used),
        ("waiting", store.waiting),
    ]
}

/// What they did, for the last line of a node.
pub(super) fn summary(receiver: &ReceiverStats, store: &StoreStats, written: bool) -> String {
    let ending = if receiver.began == 1 { "" } else { "s" };
    let mut line = format!(
        "files: {} upload{ending}, {} whole, {} incomplete, {} bytes",
        receiver.began, store.files, store.incomplete, store.written
    );
    for (count, what) in [
        (store.lost, "of which nothing is kept"),
        (receiver.full + receiver.prefix_full + receiver.not_begun, "turned away"),
        (receiver.dropped, "datagrams dropped"),
        (receiver.discarded, "datagrams of broken-off uploads"),
    ] {
        if count > 0 {
            line += &format!(", {count} {what}");
        }
    }
    if !written {
        line += "; not all was written to its end";
    }
    line
}
