//! A chat's history on a disk that is full: what is said is in memory then, is found there, and is in the file when
//! there is room again.
//!
//! Two full disks: a limit on the size of files (`RLIMIT_FSIZE`, everywhere), and a small file system in a namespace of
//! its own, where user namespaces are allowed.
#![forbid(unsafe_code)]

use std::env;
use std::fs;
use std::path::Path;
use std::process::{Command, ExitStatus};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use squall::chat::{Message, Query, Recall};
use squall_node::chat::history::{Place, Stats, Store, StoreConfig, StoreHandle, Warning};

/// What tells a process that it is the one whose disk becomes full: which way, and the directory.
const CHILD: &str = "SQUALL_FULL_DISK";
const LONG: Duration = Duration::from_secs(60);

fn main() {
    if let Some(child) = env::var_os(CHILD) {
        let child = child.into_string().expect("text");
        let (way, folder) = child.split_once(' ').expect("two words");
        match way {
            "limit" => with_a_limit(Path::new(folder)),
            "small" => with_a_small_disk(Path::new(folder)),
            _ => panic!("{way}"),
        }
        return;
    }
    let arguments: Vec<String> = env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let is_meant = arguments.iter().all(|name| "history_full_disk".contains(name));
    if env::args().any(|argument| argument == "--list") || !is_meant {
        return;
    }
    let folder = tempfile::tempdir().expect("a directory");
    // A process that writes beyond its limit is ended by a signal, unless that is ignored, as it stays over `exec`.
    let status = run("sh", &["-c", "trap '' XFSZ && exec \"$0\""], "limit", folder.path());
    assert!(status.success(), "with a limit on files: {status}");
    println!("a limit on the size of files: as it should be");

    // A root user need not be mapped, and may not be able to be.
    let ways: [&[&str]; 2] = [&["--mount"], &["--map-root-user", "--mount"]];
    let allowed = ways.iter().find(|way| {
        let mut probe = Command::new("unshare");
        probe.args(**way).args(["sh", "-c", "mount -t tmpfs none \"$0\""]).arg(folder.path());
        probe.output().is_ok_and(|output| output.status.success())
    });
    match allowed {
        Some(way) => {
            let script =
                format!("mount -t tmpfs -o size=4m none '{}' && exec \"$0\"", folder.path().display());
            let status = run("unshare", &[way, &["sh", "-c", &script][..]].concat(), "small", folder.path());
            assert!(status.success(), "on a small file system: {status}");
            println!("a file system of 4 MiB: as it should be");
        }
        None => println!("NOT RUN: a small file system; this user may not make one (unshare, tmpfs)"),
    }
}

fn run(program: &str, arguments: &[&str], way: &str, folder: &Path) -> ExitStatus {
    let own = env::current_exe().expect("this program");
    let child = format!("{way} {}", folder.display());
    Command::new(program).args(arguments).arg(own).env(CHILD, child).status().expect("to start")
}

fn with_a_limit(folder: &Path) {
    let before = getrlimit(Resource::Fsize);
    let limit = |current| setrlimit(Resource::Fsize, Rlimit { current, ..before }).expect("a limit");
    let freeze = |path: &Path| limit(Some(fs::metadata(path).expect("a file").len()));
    whisper(folder, freeze, || limit(before.current));
    remove(folder);
    fill(folder, || limit(Some(1 << 20)), || limit(before.current));
}

fn with_a_small_disk(folder: &Path) {
    let ballast = folder.join("ballast");
    let take = || drop(fs::write(&ballast, vec![1; 8 << 20]).expect_err("the disk is full now"));
    let give = || fs::remove_file(&ballast).expect("to remove it");
    whisper(folder, |_| take(), give);
    remove(folder);
    fill(folder, take, give);
}

fn remove(folder: &Path) {
    for file in ["chat.db", "chat.db-wal", "chat.db-shm"] {
        let _ = fs::remove_file(folder.join(file));
    }
}

/// Keeps so little while the disk is full that the log has room for it, and the file beside it has not.
fn whisper(folder: &Path, begin: impl Fn(&Path), end: impl Fn()) {
    let path = folder.join("chat.db");
    let warnings = Arc::new(Mutex::new(Vec::<Warning>::new()));
    let told = Arc::clone(&warnings);
    let config = StoreConfig::new(Place::File(path.clone())).retry(Duration::from_millis(20));
    let config = config.on_warning(move |warning| told.lock().expect("a lock").push(warning.clone()));
    let (mut history, handle) = Store::open(config, |_, _| {}).expect("a history");
    let mut number = 0;
    let mut say = |count: u64| {
        for _ in 0..count {
            number += 1;
            let text = "what was said while the disk was full, or was not";
            history.keep(&Message { room: "lobby", number, at: 1 << 50, name: "ann", text });
        }
        assert!(handle.flush(LONG), "what was kept is written or in memory");
        number
    };
    let file = rusqlite::Connection::open(&path).expect("it opens");
    for _ in 0..5 {
        say(1_500);
        file.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())).expect("a checkpoint");
    }
    begin(&path);
    say(1_000);
    // The checkpoint fails, a second later, and then each attempt.
    until(&handle, |stats| stats.memory_only);
    say(100);
    until(&handle, |stats| stats.failures > 5);
    let warned = || warnings.lock().expect("a lock").clone();
    assert!(matches!(&warned()[..], [Warning::NotWritten { .. }]), "{:?}", warned());
    end();
    until(&handle, |stats| !stats.memory_only);
    let last = say(1);
    assert!(
        matches!(&warned()[..], [Warning::NotWritten { .. }, Warning::WrittenAgain { rows: 100, .. }]),
        "{:?}",
        warned()
    );
    drop(history);
    assert!(handle.close(LONG));
    let rows: i64 = file.query_row("SELECT count(*) FROM messages", [], |row| row.get(0)).expect("a count");
    assert_eq!((rows as u64, handle.stats().lost), (last, 0));
}

/// Keeps messages before, while and after the disk is full.
fn fill(folder: &Path, begin: impl Fn(), end: impl Fn()) {
    let path = folder.join("chat.db");
    let warnings = Arc::new(Mutex::new(Vec::<Warning>::new()));
    let told = Arc::clone(&warnings);
    let config = StoreConfig::new(Place::File(path.clone())).retry(Duration::from_millis(20)).memory(1 << 20);
    let config = config.on_warning(move |warning| told.lock().expect("a lock").push(warning.clone()));
    let (tell, answers) = channel();
    let (mut history, handle) =
        Store::open(config, move |_, answer| drop(tell.send(answer))).expect("a history");
    let text = "what was said while the disk was full, or was not, at great length ".repeat(3);
    let mut number = 0;
    let mut say = |history: &mut dyn squall::chat::History, count: u64| {
        for _ in 0..count {
            number += 1;
            history.keep(&Message { room: "lobby", number, at: 1 << 50, name: "ann", text: &text });
        }
        assert!(handle.flush(LONG), "what was kept is written or in memory");
        number
    };
    say(&mut *history, 100);
    assert_eq!((handle.stats().written, handle.stats().memory_only), (100, false));

    begin();
    // Until the file, or its log, has reached the bound.
    let begun = Instant::now();
    while !handle.stats().memory_only {
        assert!(begun.elapsed() < LONG, "{:?}", handle.stats());
        say(&mut *history, 100);
    }
    let last = say(&mut *history, 1_000);
    let stats = handle.stats();
    assert!(stats.memory_only && stats.unwritten >= 1_000 && stats.lost == 0, "{stats:?}");
    assert_eq!((stats.kept, stats.shed, stats.written + stats.unwritten), (last, 0, last), "{stats:?}");
    let ask = |history: &mut dyn squall::chat::History, query: &Query<'_>| {
        assert_eq!(history.ask(Recall(1), query), Ok(None));
        answers.recv_timeout(LONG).expect("an answer").expect("messages")
    };
    // Those in memory and those in the file are one row.
    let count = u32::try_from(stats.unwritten).expect("few") + 50;
    let found = ask(&mut *history, &Query::Last { room: "lobby", count: count.min(1_000) });
    assert!(found.iter().map(|recalled| recalled.number).eq(last + 1 - found.len() as u64..=last));
    let found = ask(&mut *history, &Query::Since { room: "lobby", number: last - 1_050, count: 200 });
    assert!(found.iter().map(|recalled| recalled.number).eq(last - 1_049..=last - 850));
    // More than memory may have: the oldest of what is in it are lost, and counted.
    let last = say(&mut *history, 10_000);
    let full = handle.stats();
    assert!(full.lost > 1_000 && full.shed == 0, "{full:?}");
    assert_eq!(full.written + full.unwritten + full.lost, last, "{full:?}");

    end();
    until(&handle, |stats| !stats.memory_only);
    let stats = handle.stats();
    assert_eq!((stats.written, stats.unwritten), (last - full.lost, 0), "{stats:?}");
    let warned = warnings.lock().expect("a lock").clone();
    assert!(
        matches!(&warned[..], [Warning::NotWritten { .. }, Warning::WrittenAgain { .. }]),
        "each is told once: {warned:?}"
    );
    let last = say(&mut *history, 100);
    drop(history);
    assert!(handle.close(LONG));
    let file = rusqlite::Connection::open(&path).expect("it opens");
    let integrity: String = file.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("a check");
    let rows: i64 = file.query_row("SELECT count(*) FROM messages", [], |row| row.get(0)).expect("a count");
    assert_eq!((integrity.as_str(), rows as u64), ("ok", last - full.lost));
}

fn until(handle: &StoreHandle, what: impl Fn(&Stats) -> bool) {
    let begun = Instant::now();
    while !what(&handle.stats()) {
        assert!(begun.elapsed() < LONG, "{:?}", handle.stats());
        std::thread::yield_now();
    }
}
