//! What happens when a transfer stops half-way.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use squall_node::files::{Item, SendConfig, SendEvent, SendFailure, Sender};

use crate::house::{House, assert_same, noise};

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
