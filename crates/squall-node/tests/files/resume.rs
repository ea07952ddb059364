//! What happens when a transfer stops half-way.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use squall::files::wire::Closing;
use squall_node::files::{Item, ReceiveEvent, SendConfig, SendEvent, SendFailure, Sender};

use crate::house::{House, assert_same, ends, noise, picture};

const CHUNK: usize = 128 * 1024;

#[tokio::test]
async fn what_arrived_is_not_sent_again() {
    let house = House::new();
    let size = 200 * CHUNK + 99;
    fs::write(house.out("large"), noise(size, 5)).unwrap();
    let session = house.session().await;
    let connection = session.connection.clone();
    let arrived = Arc::new(AtomicU64::new(0));
    let counting = Arc::clone(&arrived);
    let sender =
        Sender::new(vec![Item::Path(house.out("large"))], SendConfig::new([7; 16]).limit(Some(200 << 20)));
    let (first, result) = sender
        .run(session, move |event| {
            if let SendEvent::Progress { bytes, .. } = event
                && counting.fetch_add(*bytes, Ordering::Relaxed) > size as u64 / 3
            {
                connection.close(9_u32.into(), b"pulled");
            }
        })
        .await;
    assert!(matches!(result, Err(SendFailure::Lost(_))), "{result:?}");
    assert!(!house.inside("large").exists(), "nothing half-written has the name");
    let second = house.send(&["large"]).await.succeeds();
    assert_same(&house.inside("large"), &house.out("large"));
    assert!(second.counts.kept >= arrived.load(Ordering::Relaxed), "{second:?}", second = second.counts);
    assert_eq!(second.counts.kept + second.counts.sent, size as u64);
    assert!(first.sent + second.counts.sent < size as u64 * 2);
}

#[tokio::test]
async fn a_sender_that_comes_again_takes_over_from_itself() {
    let house = House::new();
    fs::write(house.out("large"), noise(100 * CHUNK, 5)).unwrap();
    // One that hangs: nobody drives it on, and its connection stays.
    let hanging =
        Sender::new(vec![Item::Path(house.out("large"))], SendConfig::new([7; 16]).limit(Some(1 << 20)));
    let session = house.session().await;
    let connection = session.connection.clone();
    let task = tokio::spawn(async move { hanging.run(session, |_| {}).await });
    while house.events.lock().unwrap().is_empty() || connection.stats().frame_tx.stream < 300 {
        tokio::task::yield_now().await;
    }
    // Who only asks does not.
    let asked = house.send_with(&["large"], |config| config.dry_run(true)).await.succeeds();
    assert_eq!(asked.counts.differing, 1);
    assert!(!task.is_finished());
    house.send(&["large"]).await.succeeds();
    assert_same(&house.inside("large"), &house.out("large"));
    let (_, result) = task.await.unwrap();
    let why = "the same sender came again".into();
    assert_eq!(result, Err(SendFailure::Ended { why, is_stopping: false }));
}

#[tokio::test]
async fn another_sender_of_the_same_file_is_told_that_it_is_being_written() {
    let house = House::new();
    fs::write(house.out("large"), noise(100 * CHUNK, 5)).unwrap();
    let slow =
        Sender::new(vec![Item::Path(house.out("large"))], SendConfig::new([1; 16]).limit(Some(1 << 20)));
    let session = house.session().await;
    let connection = session.connection.clone();
    let task = tokio::spawn(async move { slow.run(session, |_| {}).await });
    while connection.stats().frame_tx.stream < 300 {
        tokio::task::yield_now().await;
    }
    let other = house.send(&["large"]).await;
    assert_eq!(other.failures(), [("large".into(), "another transfer is writing it".into())]);
    connection.close(0_u32.into(), b"");
    let _ = task.await;
    // Its receiver hears of that a little later.
    let went = |event: &ReceiveEvent| matches!(event, ReceiveEvent::Went { session: 1, .. });
    while !house.events.lock().unwrap().iter().any(went) {
        tokio::task::yield_now().await;
    }
    house.send(&["large"]).await.succeeds();
}

#[tokio::test]
async fn a_source_that_changed_since_is_noticed_and_only_what_differs_is_sent() {
    let house = House::new();
    let mut content = noise(50 * CHUNK, 5);
    fs::write(house.out("large"), &content).unwrap();
    house.send(&["large"]).await.succeeds();
    content[7 * CHUNK + 3] ^= 1;
    content.extend(noise(CHUNK / 2, 6));
    fs::write(house.out("large"), &content).unwrap();
    let sent = house.send_with(&["large"], |config| config.force(true)).await.succeeds();
    assert_eq!(fs::read(house.inside("large")).unwrap(), content);
    assert_eq!(sent.counts.sent, (CHUNK + CHUNK / 2) as u64);
    content.truncate(3 * CHUNK + 1);
    fs::write(house.out("large"), &content).unwrap();
    let sent = house.send_with(&["large"], |config| config.force(true)).await.succeeds();
    assert_eq!(fs::read(house.inside("large")).unwrap(), content);
    assert_eq!(sent.counts.sent, 0, "what is there of its last chunk is what is wanted");
}

#[tokio::test]
async fn a_session_that_does_not_say_whose_it_is_is_ended() {
    let house = House::with(|config| config.first_word(Duration::from_millis(10)));
    let session = house.session().await;
    let closed = session.connection.closed().await;
    assert!(matches!(closed, quinn::ConnectionError::ApplicationClosed(_)), "{closed}");
    assert!(closed.to_string().contains("did not come in time"), "{closed}");
}

#[tokio::test]
async fn a_directory_that_is_closed_to_writing_is_so_after_a_session_that_breaks_too() {
    let house = House::new();
    let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    fs::create_dir_all(house.out("tree/inner")).unwrap();
    fs::write(house.out("tree/inner/large"), noise(100 * CHUNK, 5)).unwrap();
    mode(&house.out("tree/inner"), 0o555);
    // One that is there already, with other permissions than the sender's.
    fs::create_dir_all(house.inside("tree")).unwrap();
    mode(&house.inside("tree"), 0o511);
    let before = picture(&house.inside("tree"))[Path::new("")][..3].to_owned();
    let session = house.session().await;
    let connection = session.connection.clone();
    let config = SendConfig::new([7; 16]).limit(Some(200 << 20));
    let sender = Sender::new(vec![Item::Path(house.out("tree"))], config);
    let (_, result) = sender
        .run(session, move |event| {
            if matches!(event, SendEvent::Progress { .. }) {
                connection.close(9_u32.into(), b"pulled");
            }
        })
        .await;
    assert!(matches!(result, Err(SendFailure::Lost(_))), "{result:?}");
    let is_over = |event: &ReceiveEvent| matches!(event, ReceiveEvent::Went { .. });
    while !house.events.lock().unwrap().iter().any(is_over) {
        tokio::task::yield_now().await;
    }
    let modes = |paths: [&str; 2]| {
        let picture = picture(&house.inside("tree"));
        paths.map(|path| picture[Path::new(path)][..3].to_owned())
    };
    assert_eq!(modes(["", "inner"]), [before.as_str(), "555"]);
    house.send(&["tree"]).await.succeeds();
    assert_eq!(modes(["", "inner"]), [before.as_str(), "555"]);
    assert_same(&house.inside("tree/inner"), &house.out("tree/inner"));
    for path in [house.out("tree/inner"), house.inside("tree/inner"), house.inside("tree")] {
        mode(&path, 0o755);
    }
}

/// What a sender makes of a receiver that closes with `why`.
async fn closed_with(why: Closing) -> SendFailure {
    let root = tempfile::tempdir().unwrap();
    let (server, client, target) = ends(root.path());
    fs::write(root.path().join("file"), "content").unwrap();
    let sender = Sender::new(vec![Item::Path(root.path().join("file"))], SendConfig::new([7; 16]));
    let (connected, session) = tokio::join!(client.connect(&target), server.accept());
    session.unwrap().connection.close(why.code().into(), b"so it is");
    sender.run(connected.unwrap().session, |_| {}).await.1.unwrap_err()
}

#[tokio::test]
async fn a_receiver_that_gives_up_is_told_from_one_that_may_go_on() {
    assert_eq!(closed_with(Closing::Broken).await, SendFailure::Refused("so it is".into()));
    let ended = closed_with(Closing::Superseded).await;
    assert_eq!(ended, SendFailure::Ended { why: "so it is".into(), is_stopping: false });
}
