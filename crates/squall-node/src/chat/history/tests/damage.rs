//! Files that are damaged, of others, or cannot be written.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;

use rusqlite::Connection;

use super::*;

/// A closed history of 5,000 messages in `lobby`.
fn written(path: &Path) {
    // One batch: fewer than 2,000 messages that were left over would be in no index.
    let mut bench = Bench::open(file(path).period(LONG));
    for number in 1..=5_000 {
        bench.say("lobby", number, &format!("text number {number}, long enough for many pages"));
    }
    bench.flush();
    bench.until(|stats| stats.indexed == 5_000);
    assert!(bench.close());
}

/// What was set aside: where it is.
fn set_aside(warnings: &[Warning]) -> PathBuf {
    match warnings {
        [Warning::SetAside { to, .. }] => to.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_no_database_is_set_aside_and_a_new_one_begun() {
    let (_folder, path) = folder();
    written(&path);
    let mut torn = fs::read(&path).unwrap();
    torn[..100].fill(0x55);
    for content in [&b"not a database at all, and longer than a header of one would be"[..], &torn] {
        fs::write(&path, content).unwrap();
        let mut bench = Bench::open(file(&path));
        let to = set_aside(&bench.warnings());
        assert_eq!(fs::read(&to).unwrap(), content, "it is kept as it was");
        assert!(bench.warnings()[0].to_string().contains(to.to_str().unwrap()));
        bench.say("lobby", 1, "a new beginning");
        assert_eq!(bench.last("lobby", 9), [(1, "a new beginning".into())]);
        assert!(bench.close());
        assert_eq!(Bench::open(file(&path)).warnings(), []);
    }
}

#[test]
fn tables_of_another_version_are_set_aside_and_those_of_others_left_alone() {
    let (_folder, path) = folder();
    written(&path);
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 2).unwrap();
    let bench = Bench::open(file(&path));
    assert!(set_aside(&bench.warnings()).exists());
    assert!(bench.warnings()[0].to_string().contains("version 2"), "{:?}", bench.warnings());
    assert!(bench.close());

    fs::remove_file(&path).unwrap();
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE notes(text)").unwrap();
    let before = fs::read(&path).unwrap();
    let Err(refused) = Bench::try_open(file(&path)).map(drop) else { panic!() };
    assert!(matches!(refused, StoreError::Foreign { .. }), "{refused}");
    assert_eq!(fs::read(&path).unwrap(), before);

    // Bans that cannot be read are no reason to let everybody in without a word.
    for table in ["rooms", "bans"] {
        fs::remove_file(&path).unwrap();
        written(&path);
        Connection::open(&path).unwrap().execute_batch(&format!("DROP TABLE {table}")).unwrap();
        let bench = Bench::open(file(&path));
        assert!(set_aside(&bench.warnings()).exists(), "{table}");
        assert!(bench.close());
    }
}

#[test]
fn pages_that_were_torn_are_found_when_they_are_read_and_the_numbers_go_on() {
    let (_folder, path) = folder();
    written(&path);
    let damaged = OpenOptions::new().write(true).open(&path).unwrap();
    let pages = fs::metadata(&path).unwrap().len() / 4096;
    // All but the first pages, where the schema is, and rooms are.
    let mut bench = Bench::open(file(&path));
    for page in 12..pages {
        damaged.write_all_at(&[0x55; 2048], page * 4096 + 1024).unwrap();
        damaged.write_all_at(&[0x55; 16], page * 4096).unwrap();
    }
    let answer = bench.ask(&Query::Since { room: "lobby", number: 10, count: 900 });
    // The writer, which looks after the index, may have met it first: then there is a new file already.
    assert!(answer == Err(RecallError::Failed) || answer == Ok(Vec::new()), "{answer:?}");
    bench.say("lobby", 5_001, "we go on");
    assert_eq!(bench.last("lobby", 9), [(5_001, "we go on".into())]);
    assert!(set_aside(&bench.warnings()).exists());
    assert!(bench.close());
    let mut bench = Bench::open(file(&path));
    assert_eq!(bench.history().last_number("lobby"), 5_001);
    assert_eq!(bench.warnings(), []);
}

#[test]
fn a_damaged_index_is_made_anew_and_no_message_is_lost() {
    let (_folder, path) = folder();
    written(&path);
    let other = Connection::open(&path).unwrap();
    assert!(
        other.execute("UPDATE words_data SET block = x'0102030405060708' WHERE id > 10", []).unwrap() > 0
    );
    drop(other);
    let mut bench = Bench::open(file(&path));
    assert_eq!(bench.ask(&Query::Find { room: "lobby", words: "4711", count: 1 }), Err(RecallError::Failed));
    bench.until(|stats| stats.indexed == 5_000);
    assert_eq!(bench.find("lobby", "4711").len(), 1);
    assert!(matches!(&bench.warnings()[..], [Warning::IndexAnew { .. }]), "{:?}", bench.warnings());
    assert_eq!(bench.last("lobby", 200).len(), 200);
}

#[test]
fn an_index_that_takes_nothing_is_made_anew() {
    let (_folder, path) = folder();
    written(&path);
    let refuse = "CREATE TRIGGER refuse BEFORE INSERT ON words_docsize BEGIN SELECT RAISE(ABORT, 'no'); END";
    Connection::open(&path).unwrap().execute_batch(refuse).unwrap();
    let mut bench = Bench::open(file(&path).period(LONG));
    for number in 5_001..=8_000 {
        bench.say("lobby", number, "more words");
    }
    bench.flush();
    bench.until(|stats| stats.indexed == 8_000);
    assert!(matches!(&bench.warnings()[..], [Warning::IndexAnew { .. }]), "{:?}", bench.warnings());
    let stats = bench.handle.stats();
    assert_eq!((stats.failures, stats.written, stats.memory_only), (2, 3_000, false));
    assert_eq!(bench.find("lobby", "4711").len(), 1);
    assert!(bench.close());
}

#[test]
fn a_file_that_cannot_be_opened_means_memory_and_is_told() {
    let (folder, path) = folder();
    fs::create_dir(&path).unwrap();
    for path in [path, folder.path().join("no/such/directory/chat.db")] {
        let mut bench = Bench::open(file(&path));
        assert!(matches!(&bench.warnings()[..], [Warning::NotOpened { .. }]), "{:?}", bench.warnings());
        assert!(bench.handle.stats().memory_only && *bench.handle.place() == Place::Memory);
        bench.say("lobby", 1, "hello");
        assert_eq!(bench.last("lobby", 1), [(1, "hello".into())]);
        assert!(!bench.close(), "it was to be in a file");
    }
    // Where there is not even a directory for one.
    let bench = Bench::open(memory().instead_of_a_file());
    assert!(bench.handle.stats().memory_only && !bench.close());
}

#[test]
fn a_new_file_that_cannot_be_made_is_made_later_and_knows_the_rooms() {
    let (_folder, path) = folder();
    written(&path);
    // A directory where the new one is to be.
    let place = path.clone();
    let get_in_the_way = move |warning: &Warning| {
        if matches!(warning, Warning::SetAside { .. }) {
            fs::create_dir(&place).unwrap();
        }
    };
    let mut bench = Bench::open(file(&path).retry(Duration::ZERO).on_warning(get_in_the_way));
    bench.handle.ban("192.0.2.1", None).unwrap();
    bench.flush();
    Connection::open(&path).unwrap().execute_batch("DROP TABLE messages").unwrap();
    bench.say("lobby", 5_001, "in memory");
    bench.say("kitchen", 1, "in memory too");
    bench.flush();
    bench.until(|stats| stats.failures > 2 && stats.memory_only && stats.unwritten == 2);
    assert_eq!(bench.last("lobby", 9), [(5_001, "in memory".into())]);
    fs::remove_dir(&path).unwrap();
    bench.until(|stats| !stats.memory_only);
    bench.say("lobby", 5_002, "in the file");
    let both = [(5_001, "in memory".to_owned()), (5_002, "in the file".to_owned())];
    assert_eq!(bench.last("lobby", 9), both);
    let warnings = bench.warnings();
    assert!(
        matches!(
            &warnings[..],
            [Warning::SetAside { .. }, Warning::NotWritten { .. }, Warning::WrittenAgain { rows: 2, .. }]
        ),
        "{warnings:?}"
    );
    assert!(bench.close());
    let mut bench = Bench::open(file(&path));
    assert_eq!(bench.last("lobby", 9), both);
    assert_eq!(["lobby", "kitchen"].map(|room| bench.history().last_number(room)), [5_002, 1]);
    assert_eq!((bench.handle.bans().len(), bench.warnings()), (1, Vec::new()));
}

#[test]
fn rooms_of_a_file_that_is_gone_make_room() {
    let (_folder, path) = folder();
    let mut bench = Bench::open(file(&path).rooms(2));
    bench.say("lobby", 1, "x");
    bench.say("old", 7, "x");
    bench.flush();
    Connection::open(&path).unwrap().execute_batch("DROP TABLE messages").unwrap();
    bench.say("lobby", 2, "this meets it");
    bench.flush();
    assert!(set_aside(&bench.warnings()).exists());
    bench.say("new", 1, "in the place of the old one");
    bench.say("third", 1, "there is none for this one");
    assert_eq!(bench.last("new", 9), [(1, "in the place of the old one".into())]);
    assert_eq!(bench.last("lobby", 9), [(2, "this meets it".into())]);
    assert_eq!(bench.handle.stats().rooms_refused, 1);
}

#[test]
fn a_room_that_is_new_while_nothing_can_be_written_keeps_its_name() {
    let (_folder, path) = folder();
    let mut bench = Bench::open(file(&path).age(None));
    let at = now() - 100 * DAY;
    bench.history().keep(&Message { room: "old", number: 40, at, name: "ann", text: "x" });
    assert!(bench.close());
    let mut bench = Bench::open(file(&path).rooms(2).retry(Duration::ZERO));
    bench.say("lobby", 1, "x");
    bench.until(|stats| stats.expired == 1);
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    bench.say("new", 1, "in the place of the old one");
    bench.flush();
    assert!(bench.handle.stats().memory_only);
    other.execute_batch("ROLLBACK").unwrap();
    bench.until(|stats| !stats.memory_only);
    let said = [(1, "in the place of the old one".to_owned())];
    assert_eq!((bench.last("new", 9), bench.last("old", 9)), (said.to_vec(), Vec::new()));
    assert!(bench.close());
    let mut bench = Bench::open(file(&path));
    assert_eq!((bench.last("new", 9), bench.last("old", 9)), (said.to_vec(), Vec::new()));
    assert_eq!(bench.history().last_number("old"), 40, "its numbers are not given again");
}

#[test]
fn damage_that_was_met_in_a_file_that_is_gone_is_not_held_against_the_new_one() {
    let (_folder, path) = folder();
    written(&path);
    let mut bench = Bench::open(file(&path));
    Connection::open(&path).unwrap().execute_batch("DROP TABLE messages").unwrap();
    bench.say("lobby", 5_001, "this meets it");
    bench.flush();
    // What the reader says that has met the same, later.
    let corrupt = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
    let report = (0, rusqlite::Error::SqliteFailure(corrupt, None));
    bench.handle.shared.queue().damaged = Some(report);
    bench.flush();
    assert_eq!(bench.last("lobby", 9), [(5_001, "this meets it".into())]);
    assert!(set_aside(&bench.warnings()).exists());
}

#[test]
fn what_cannot_be_written_is_in_memory_until_it_can() {
    let (_folder, path) = folder();
    let mut bench = Bench::open(file(&path).retry(Duration::ZERO));
    bench.say("lobby", 1, "one, in the file");
    bench.flush();
    // Another program holds the file for longer than anybody waits.
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    bench.say("lobby", 2, "two, in memory");
    bench.say("kitchen", 1, "three, in a new room");
    bench.handle.ban("192.0.2.1", None).unwrap();
    bench.flush();
    let stats = bench.handle.stats();
    assert!(stats.memory_only && stats.unwritten == 2 && stats.written == 1, "{stats:?}");
    // Both are one history.
    let both = [(1, "one, in the file".to_owned()), (2, "two, in memory".to_owned())];
    assert_eq!(bench.last("lobby", 9), both);
    assert_eq!(bench.last("lobby", 1), both[1..]);
    assert_eq!(bench.find("lobby", "in"), both);
    let since = |number, count| Query::Since { room: "lobby", number, count };
    assert_eq!(short(bench.ask(&since(0, 1)).unwrap()), both[..1]);
    assert_eq!(short(bench.ask(&since(1, 9)).unwrap()), both[1..]);
    other.execute_batch("ROLLBACK").unwrap();
    bench.until(|stats| !stats.memory_only && stats.written == 3);
    assert_eq!(bench.last("lobby", 9), both);
    let warnings = bench.warnings();
    assert!(
        matches!(&warnings[..], [Warning::NotWritten { .. }, Warning::WrittenAgain { rows: 2, .. }]),
        "{warnings:?}"
    );
    assert!(bench.close());
    let mut bench = Bench::open(file(&path));
    assert_eq!(bench.last("lobby", 9), both);
    assert_eq!(bench.last("kitchen", 9).len(), 1);
    assert_eq!(bench.handle.bans().len(), 1);
}

#[test]
fn whatever_is_in_the_file_what_is_said_next_is_kept() {
    let (_folder, path) = folder();
    written(&path);
    let whole = fs::read(&path).unwrap();
    let seed = squall::seed();
    let mut random = squall::random::SplitMix64::new(seed);
    let mut set_aside = 0;
    for round in 0..40 {
        let mut torn = whole.clone();
        // A page, a few bytes, or the end.
        let at = random.below(torn.len() as u64) as usize;
        match round % 3 {
            0 => torn[at / 4096 * 4096..][..4096].fill_with(|| random.next_u64() as u8),
            1 => (0..20).for_each(|_| {
                let at = random.below(whole.len() as u64) as usize;
                torn[at] = random.next_u64() as u8;
            }),
            _ => torn.truncate(at),
        }
        fs::write(&path, &torn).unwrap();
        let Ok(mut bench) = Bench::try_open(file(&path)) else {
            // Who damages the mark in the header makes it another program's.
            assert_ne!(torn[68..72], whole[68..72], "round {round} of seed {seed}");
            continue;
        };
        let mut number = bench.history().last_number("lobby");
        // What it was asked may fail; then it is damage, and that is seen to.
        let query = Query::Find { room: "lobby", words: "number text", count: 3_000 };
        let _ = bench.ask(&query);
        let all = Query::Since { room: "lobby", number: 0, count: 1_000 };
        let _ = bench.ask(&all);
        // A damaged place may be met by what is written now, or read then. Each time one thing less is damaged.
        let is_found = (0..3).any(|_| {
            number += 1;
            bench.say("lobby", number, "we go on");
            let last = bench.ask(&Query::Last { room: "lobby", count: 1 });
            last.is_ok_and(|last| last.first().is_some_and(|last| last.text == "we go on"))
        });
        assert!(is_found, "round {round} of seed {seed}: {:?} {:?}", bench.warnings(), bench.handle.stats());
        set_aside += u32::from(!bench.warnings().is_empty());
        bench.end();
        for suffix in ["-wal", "-shm"] {
            let _ = fs::remove_file(format!("{}{suffix}", path.display()));
        }
    }
    assert!(set_aside > 5, "the damage was met: {set_aside}");
}

#[test]
fn whatever_is_typed_is_searched_for() {
    let (_folder, path) = folder();
    written(&path);
    let mut bench = Bench::open(file(&path));
    bench.say("lobby", 5_001, "in no index");
    let seed = squall::seed();
    let mut random = squall::random::SplitMix64::new(seed);
    let pieces = [
        "\"",
        "*",
        "AND",
        " ",
        "NEAR(",
        ")",
        "text:",
        "^",
        "-",
        "\0",
        "é",
        "你",
        "\u{301}",
        "x",
        "{",
        "'",
        "\u{10ffff}",
    ];
    for round in 0..300 {
        let typed: String =
            (0..random.below(12)).map(|_| pieces[random.below(pieces.len() as u64) as usize]).collect();
        let answer = bench.ask(&Query::Find { room: "lobby", words: &typed, count: 5 });
        assert!(answer.is_ok(), "round {round} of seed {seed}: {typed:?}: {answer:?}");
    }
    assert_eq!(bench.warnings(), []);
}
