//! Files, directories and links, and what is there already.

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use squall_node::files::{ReceiveEvent, SendEvent};

use crate::house::{House, assert_same, noise, picture};

const CHUNK: usize = 128 * 1024;

#[tokio::test]
async fn a_tree_arrives_as_it_is() {
    let house = House::new();
    for directory in ["tree/empty", "tree/a/b/c", "tree/private"] {
        fs::create_dir_all(house.out(directory)).unwrap();
    }
    for (index, size) in
        [0, 1, 1000, CHUNK - 1, CHUNK, CHUNK + 1, 5 * CHUNK, 20 * CHUNK + 77].into_iter().enumerate()
    {
        fs::write(house.out(&format!("tree/a/{size}")), noise(size, index as u64)).unwrap();
    }
    for index in 0..300 {
        fs::write(house.out(&format!("tree/a/b/small {index}")), noise(index * 13, index as u64)).unwrap();
    }
    fs::write(house.out("tree").join(OsStr::from_bytes(b"bytes \xff\xfe")), "x").unwrap();
    fs::write(house.out("tree/грамота"), "x").unwrap();
    symlink("b/c", house.out("tree/a/link")).unwrap();
    symlink("../a/nowhere", house.out("tree/a/dangling")).unwrap();
    fs::set_permissions(house.out("tree/a/1000"), fs::Permissions::from_mode(0o751)).unwrap();
    fs::set_permissions(house.out("tree/private"), fs::Permissions::from_mode(0o500)).unwrap();
    let old = SystemTime::UNIX_EPOCH - Duration::from_millis(1500);
    File::open(house.out("tree/a/1")).unwrap().set_modified(old).unwrap();
    File::open(house.out("tree/a")).unwrap().set_modified(old).unwrap();

    let sent = house.send(&["tree"]).await.succeeds();
    assert_same(&house.inside("tree"), &house.out("tree"));
    assert_eq!((sent.counts.stored, sent.counts.unchanged), (8 + 300 + 2 + 2, 0));

    let again = house.send(&["tree"]).await.succeeds();
    assert_eq!((again.counts.stored, again.counts.unchanged, again.counts.sent), (0, 312, 0));
    let stats = house.send_with(&["tree"], |config| config.checksum(true)).await.succeeds().counts;
    assert_eq!(
        (stats.stored, stats.unchanged, stats.sent),
        (0, 312, 0),
        "contents were compared, none was sent"
    );
    assert_same(&house.inside("tree"), &house.out("tree"));
    let left: Vec<_> =
        fs::read_dir(house.inside(".squall-partial")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["lock"], "nothing is left of what arrived");
}

#[tokio::test]
async fn holes_stay_holes() {
    let house = House::new();
    let file = File::create(house.out("sparse")).unwrap();
    file.set_len(64 << 20).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, b"in the middle", 32 << 20).unwrap();
    let sent = house.send(&["sparse"]).await.succeeds();
    assert_same(&house.inside("sparse"), &house.out("sparse"));
    let blocks = fs::metadata(house.inside("sparse")).unwrap().blocks();
    assert!(blocks * 512 <= 2 * CHUNK as u64, "{blocks} blocks");
    assert_eq!(sent.counts.stored, 1);
}

#[tokio::test]
async fn a_file_that_is_there_and_differs_stays_unless_it_is_to_be_replaced() {
    let house = House::new();
    let content = noise(3 * CHUNK + 5, 1);
    fs::write(house.out("same size"), &content).unwrap();
    fs::write(house.out("longer"), b"new and longer").unwrap();
    let mut other = content.clone();
    other[2 * CHUNK + 1] ^= 1;
    fs::write(house.inside("same size"), &other).unwrap();
    // Both were written within a tick of the clock that file systems go by.
    File::open(house.inside("same size")).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
    fs::write(house.inside("longer"), b"old").unwrap();

    let refused = house.send(&["same size", "longer"]).await;
    assert_eq!(refused.result, Ok(()));
    let mut failures = refused.failures();
    failures.sort();
    let text = "another file of that name is there; --force replaces it";
    assert_eq!(failures, [("longer".into(), text.into()), ("same size".into(), text.into())]);
    assert_eq!(fs::read(house.inside("same size")).unwrap(), other);
    assert_eq!(fs::read(house.inside("longer")).unwrap(), b"old");

    let forced = house.send_with(&["same size", "longer"], |config| config.force(true)).await.succeeds();
    assert_eq!(fs::read(house.inside("same size")).unwrap(), content);
    assert_eq!(fs::read(house.inside("longer")).unwrap(), b"new and longer");
    assert_eq!(forced.counts.sent, CHUNK as u64 + 14, "only what differs is sent again");
    assert_eq!(forced.counts.kept, 2 * CHUNK as u64 + 5);
}

#[tokio::test]
async fn what_is_the_same_but_for_its_time_gets_its_time_without_being_sent() {
    let house = House::new();
    for size in [10, 5 * CHUNK] {
        let (name, content) = (size.to_string(), noise(size, 3));
        fs::write(house.out(&name), &content).unwrap();
        fs::write(house.inside(&name), &content).unwrap();
        File::open(house.inside(&name)).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
        let sent = house.send(&[&name]).await.succeeds();
        assert_eq!((sent.counts.unchanged, sent.counts.sent), (1, 0));
        assert_same(&house.inside(&name), &house.out(&name));
    }
}

#[tokio::test]
async fn a_file_that_only_changed_its_time_keeps_its_permissions_unless_it_may_be_replaced() {
    let house = House::new();
    let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    for path in [house.out("file"), house.inside("file")] {
        fs::write(&path, "the same").unwrap();
    }
    fs::set_permissions(house.out("file"), Permissions::from_mode(0o644)).unwrap();
    fs::set_permissions(house.inside("file"), Permissions::from_mode(0o600)).unwrap();
    for (force, expected) in [(false, 0o600), (true, 0o644)] {
        File::open(house.inside("file")).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
        let sent = house.send_with(&["file"], |config| config.force(force)).await.succeeds();
        assert_eq!((sent.counts.unchanged, sent.counts.sent), (1, 0));
        assert_eq!(mode(house.inside("file")), expected, "force {force}");
    }
}

#[tokio::test]
async fn a_dry_run_says_what_would_be_sent_and_writes_nothing() {
    let house = House::new();
    fs::create_dir_all(house.out("tree/sub")).unwrap();
    fs::write(house.out("tree/sub/new"), "12345").unwrap();
    fs::write(house.out("tree/old"), "old").unwrap();
    symlink("old", house.out("tree/link")).unwrap();
    house.send(&["tree/old"]).await.succeeds();
    let before = picture(house.receiver.path());
    let sent = house.send_with(&["tree", "tree/old"], |config| config.dry_run(true)).await.succeeds();
    assert_eq!(picture(house.receiver.path()), before);
    let mut differing: Vec<_> = sent
        .events
        .iter()
        .filter_map(|event| match event {
            SendEvent::Differs { path, size } => Some((path.file_name().unwrap().to_str().unwrap(), *size)),
            _ => None,
        })
        .collect();
    differing.sort();
    assert_eq!(differing, [("link", 0), ("new", 5), ("old", 3)]);
    assert_eq!((sent.counts.differing, sent.counts.sent), (3, 0));
}

#[tokio::test]
async fn nothing_is_written_through_a_link_or_outside() {
    let house = House::new();
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("file"), "outside").unwrap();
    // The receiver's own links.
    symlink(outside.path(), house.inside("tree")).unwrap();
    symlink(outside.path().join("file"), house.inside("file")).unwrap();
    fs::create_dir(house.out("tree")).unwrap();
    fs::write(house.out("tree/file"), "through a directory").unwrap();
    fs::write(house.out("file"), "through a link").unwrap();
    let sent = house.send_with(&["tree", "file"], |config| config.force(true)).await;
    assert_eq!(fs::read_to_string(outside.path().join("file")).unwrap(), "outside");
    let failures = sent.failures();
    assert!(
        failures.iter().any(|(_, text)| text == "what has the name there is no directory"),
        "{failures:?}"
    );
    assert!(fs::symlink_metadata(house.inside("file")).unwrap().is_file(), "the link itself is replaced");

    // A link that the sender sends, and then something through it.
    fs::remove_dir_all(house.out("tree")).unwrap();
    fs::create_dir(house.out("evil")).unwrap();
    for (name, target) in [("a", "/etc"), ("b", "../.."), ("c", "x/../../..")] {
        symlink(target, house.out("evil").join(name)).unwrap();
    }
    let sent = house.send(&["evil"]).await;
    assert_eq!(sent.failures().len(), 3);
    assert!(sent.failures().iter().all(|(_, text)| text.contains("leads out")), "{:?}", sent.failures());
    assert_eq!(fs::read_dir(house.inside("evil")).unwrap().count(), 0);
}

#[tokio::test]
async fn names_that_deceive_are_refused_on_both_sides_and_taken_where_that_is_wanted() {
    let house = House::new();
    for name in ["line\nbreak", "\x1b[2J", "fine"] {
        fs::write(house.out(name), "x").unwrap();
    }
    fs::create_dir(house.out(".squall-partial")).unwrap();
    let sent = house.send(&["line\nbreak", "\x1b[2J", "fine", ".squall-partial"]).await;
    assert_eq!((sent.counts.stored, sent.counts.failed), (1, 3));
    let refused = house
        .events
        .lock()
        .unwrap()
        .iter()
        .filter(|event| matches!(event, ReceiveEvent::Refused { .. }))
        .count();
    assert_eq!(refused, 3);
    let liberal = House::with(|config| config.takes_any_name(true));
    fs::write(liberal.out("line\nbreak"), "x").unwrap();
    liberal.send(&["line\nbreak"]).await.succeeds();
    assert!(liberal.inside("line\nbreak").exists());
}

#[tokio::test]
async fn two_senders_at_once_do_not_disturb_each_other() {
    let house = House::new();
    fs::write(house.out("one"), noise(40 * CHUNK, 1)).unwrap();
    fs::create_dir(house.out("two")).unwrap();
    for index in 0..200 {
        fs::write(house.out(&format!("two/{index}")), noise(5000, index)).unwrap();
    }
    let (one, two) = tokio::join!(house.send_with(&["one"], |config| config), async {
        let sender = squall_node::files::Sender::new(
            vec![squall_node::files::Item::Path(house.out("two"))],
            squall_node::files::SendConfig::new([8; 16]),
        );
        sender.run(house.session().await, |_| {}).await
    },);
    one.succeeds();
    assert_eq!((two.1, two.0.stored), (Ok(()), 200));
    for name in ["one", "two"] {
        assert_same(&house.inside(name), &house.out(name));
    }
}
