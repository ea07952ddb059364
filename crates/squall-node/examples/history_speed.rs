//! What the history of a chat costs: `cargo run --release -p squall-node --example history_speed [MESSAGES]`.
//!
//! Says messages of 64 bytes at several rates for two seconds each, then keeps a million of them in four rooms, has them
//! indexed, opens them again and asks. The file is in the directory for temporary files (`TMPDIR`), and is removed.

use std::env;
use std::error::Error;
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant, SystemTime};

use squall::chat::{History, Message, Query, Recall, RecallError, Recalled};
use squall_node::chat::history::{Place, Store, StoreConfig, StoreHandle};

const ROOMS: [&str; 4] = ["lobby", "weather", "harbour", "kitchen"];
const MINUTES: Duration = Duration::from_secs(600);
type Answers = Receiver<Result<Vec<Recalled>, RecallError>>;
type Opened = (Box<dyn History>, StoreHandle, Answers);

fn main() -> Result<(), Box<dyn Error>> {
    let count: u64 = env::args().nth(1).map_or(Ok(1_000_000), |count| count.parse())?;
    let name = format!("squall-history-speed-{}.db", std::process::id());
    let path = env::temp_dir().join(name);
    for rate in [5_000, 80_000, 130_000] {
        let result = say_at(&path, rate);
        remove(&path);
        result?;
    }
    let result = measure(&path, count);
    remove(&path);
    result
}

fn remove(path: &Path) {
    for suffix in ["", "-wal", "-shm", ".lock"] {
        let _ = std::fs::remove_file(format!("{}{suffix}", path.display()));
    }
}

/// What the writer needs of a processor while so many messages are said a second.
fn say_at(path: &Path, rate: u64) -> Result<(), Box<dyn Error>> {
    const SECONDS: u64 = 2;
    let (tell, _answers) = channel();
    let (mut history, handle) =
        Store::open(StoreConfig::new(Place::File(path.into())), move |_, answer| drop(tell.send(answer)))?;
    let texts = texts();
    let at = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_millis() as u64;
    let begun = Instant::now();
    let mut number = 0;
    while number < rate * SECONDS {
        let due = (begun.elapsed().as_secs_f64() * rate as f64) as u64;
        while number < due.min(rate * SECONDS) {
            number += 1;
            let text = &texts[(number % texts.len() as u64) as usize];
            history.keep(&Message { room: ROOMS[0], number, at, name: "someone", text });
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(handle.flush(MINUTES));
    let (stats, took) = (handle.stats(), begun.elapsed());
    if let Some(used) = writers_time() {
        let rows = stats.written as f64;
        println!(
            "{:>10.3} µs of a processor for a message at {:.0} a second ({:.1} % of one): {:.0} in a transaction, {} indexed, {} shed",
            used.as_secs_f64() * 1e6 / rows,
            rows / took.as_secs_f64(),
            used.as_secs_f64() / took.as_secs_f64() * 100.0,
            rows / stats.batches.max(1) as f64,
            stats.indexed,
            stats.shed
        );
    }
    drop(history);
    assert!(handle.close(MINUTES));
    Ok(())
}

/// How long the writer's thread ran, where the system says so: <https://docs.kernel.org/scheduler/sched-stats.html>.
fn writers_time() -> Option<Duration> {
    let threads = std::fs::read_dir("/proc/self/task").ok()?.flatten();
    let is_writer = |path: &Path| {
        std::fs::read_to_string(path.join("comm")).is_ok_and(|name| name.trim() == "chat-history")
    };
    let writer = threads.map(|thread| thread.path()).find(|path| is_writer(path))?;
    let times = std::fs::read_to_string(writer.join("schedstat")).ok()?;
    times.split(' ').next()?.parse().ok().map(Duration::from_nanos)
}

fn open(path: &Path, age: Option<Duration>) -> Result<Opened, Box<dyn Error>> {
    let (tell, answers) = channel();
    // Room for all of them: what is measured is the writer, not what it sheds.
    let config = StoreConfig::new(Place::File(path.into())).queue(1 << 30).question_time(MINUTES).age(age);
    let (history, handle) = Store::open(config, move |_, answer| drop(tell.send(answer)))?;
    Ok((history, handle, answers))
}

fn measure(path: &Path, count: u64) -> Result<(), Box<dyn Error>> {
    let (mut history, handle, answers) = open(path, None)?;
    // A month ago, so that all can expire.
    let month = Duration::from_secs(30 * 24 * 3600);
    let at = (SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)? - month).as_millis() as u64;
    let texts = texts();
    let begun = Instant::now();
    for number in 1..=count {
        let text = &texts[(number % texts.len() as u64) as usize];
        // In runs, as a hub takes its senders in turn.
        let room = ROOMS[(number / 16 % 4) as usize];
        history.keep(&Message { room, number, at: at + number / 80, name: "someone", text });
    }
    let kept = begun.elapsed();
    assert!(handle.flush(MINUTES));
    let written = begun.elapsed();
    let stats = handle.stats();
    assert_eq!((stats.written, stats.shed), (count, 0));
    per("keep, on the caller's side, nothing slowed down", kept, count);
    per("kept and written", written, count);
    println!("{:>10} messages in one transaction, about", count / stats.batches.max(1));

    ask(&mut history, &answers, "/find storm, not indexed", "storm", 20);
    ask(&mut history, &answers, "/find without a result, not indexed", "nowhere", 20);
    println!("{:>10.1} bytes a message in the file", handle.stats().bytes as f64 / count as f64);
    let begun = Instant::now();
    while handle.stats().indexed < count {
        std::thread::sleep(Duration::from_millis(1));
    }
    per("indexing", begun.elapsed(), count);
    println!(
        "{:>10.1} bytes a message in the file, with the index",
        handle.stats().bytes as f64 / count as f64
    );
    drop(history);
    assert!(handle.close(MINUTES));

    let begun = Instant::now();
    let (mut history, handle, answers) = open(path, None)?;
    println!("{:>10.2} ms to open it again", begun.elapsed().as_secs_f64() * 1e3);
    assert!(history.last_number(ROOMS[0]) > count - 64);
    for (what, words) in [
        ("/find a word of all messages", "the"),
        ("/find a frequent word", "storm"),
        ("/find two frequent words that are together nowhere", "storm harbour"),
        ("/find a frequent and a rare word", "storm word77"),
        ("/find a rare word", "word4711"),
        ("/find a word that is nowhere", "nowhere"),
        ("/find a beginning of all messages' words", "wor"),
    ] {
        ask(&mut history, &answers, what, words, 20);
    }
    let begun = Instant::now();
    history.ask(Recall(1), &Query::Last { room: ROOMS[0], count: 20 })?;
    let found = answers.recv()??.len();
    println!("{:>10.2} ms /last 20: {found} messages", begun.elapsed().as_secs_f64() * 1e3);
    drop(history);
    assert!(handle.close(MINUTES));

    let begun = Instant::now();
    let (history, handle, _) = open(path, Some(Duration::from_secs(24 * 3600)))?;
    while handle.stats().expired < count {
        std::thread::sleep(Duration::from_millis(1));
    }
    per("removing, not yet out of the index", begun.elapsed(), count);
    drop(history);
    assert!(handle.close(MINUTES));
    Ok(())
}

/// 64 bytes each, with a number of words that are common, rare and in between.
fn texts() -> Vec<String> {
    let common = ["storm", "harbour", "north", "boat", "mast", "tea", "lamp", "rain", "rope"];
    let texts = (0..10_007).map(|number| {
        let word = common[number % common.len()];
        format!("the {word} said word{number} to a neighbour over the fence at noon today ok")[..64]
            .to_owned()
    });
    texts.collect()
}

fn ask(history: &mut Box<dyn History>, answers: &Answers, what: &str, words: &str, count: u32) {
    let begun = Instant::now();
    let asked = history.ask(Recall(1), &Query::Find { room: ROOMS[0], words, count });
    assert_eq!(asked, Ok(None));
    let found = answers.recv().expect("the history has ended").expect("an answer").len();
    println!("{:>10.2} ms {what}: {found} messages", begun.elapsed().as_secs_f64() * 1e3);
}

fn per(what: &str, time: Duration, count: u64) {
    println!("{:>10.3} µs {what}", time.as_secs_f64() * 1e6 / count as f64);
}
