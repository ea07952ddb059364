//! A chat's history under `kill -9`: a child keeps messages as fast as they are written, tells which ones are committed,
//! and is killed at a moment that nobody chose. Each time the file must open, be whole to the last bit that SQLite
//! checks, have every message that was committed, and none that is torn, out of place or missing in between. The file
//! is small enough that indexing, removing the oldest and checkpoints are killed as well.
//!
//! At least 30 rounds; `SQUALL_KILLS=1000 cargo test --release -p squall-node --test history_kills` does a thousand.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::env;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use rusqlite::Connection;
use squall::chat::Message;
use squall::random::SplitMix64;
use squall_node::chat::history::{Place, Store, StoreConfig, Warning};

const ROOMS: [&str; 3] = ["lobby", "kitchen", "harbour"];
/// What tells a process that it is the child, and which file it writes.
const CHILD: &str = "SQUALL_KILLS_FILE";
/// Whether the child pauses between what it says.
const SLOW: &str = "SQUALL_KILLS_SLOW";
/// Small: the oldest are removed in most rounds.
const SIZE: u64 = 3 << 20;
const LONG: Duration = Duration::from_secs(60);

fn main() {
    if let Some(file) = env::var_os(CHILD) {
        child(Path::new(&file));
    }
    // Without the harness there are no names to choose by; `cargo test NAME` means another test.
    let arguments: Vec<String> = env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    if env::args().any(|argument| argument == "--list")
        || !arguments.iter().all(|name| "history_kills".contains(name))
    {
        return;
    }
    let rounds: u64 = match env::var("SQUALL_KILLS") {
        Ok(count) => count.parse().expect("SQUALL_KILLS is a number of rounds"),
        Err(_) => 30,
    };
    let seed = squall::seed();
    println!("{rounds} kills, times of seed {seed}");
    let mut random = SplitMix64::new(seed);
    let folder = tempfile::tempdir().expect("a directory");
    let path = folder.path().join("chat.db");
    let begun = Instant::now();
    let mut sums = Sums::default();
    let mut round = 0;
    // On a slow machine it takes more of them until there is anything to remove.
    while round < rounds || (round < 20 * rounds && (sums.removed == 0 || sums.most_indexed == 0)) {
        // In a rush nothing is indexed, and else a little ten times a second.
        let longest = if is_slow(round) { 400_000 } else { 80_000 };
        kill_once(&path, round, Duration::from_micros(random.below(longest)), &mut sums);
        round += 1;
    }
    println!(
        "{round} kills in {:.1} s: {} messages were committed and told, {} more were found; nothing was missing or \
         torn; at the end there are {} messages, {} in the index, and {} were removed",
        begun.elapsed().as_secs_f64(),
        sums.told,
        sums.more,
        sums.present,
        sums.indexed,
        sums.removed,
    );
    // A test that met nothing has shown nothing.
    assert!(sums.told > rounds, "hardly anything was kept");
    assert!(sums.removed > 0 && sums.most_indexed > 0, "no upkeep was met");
}

#[derive(Default)]
struct Sums {
    told: u64,
    more: u64,
    present: u64,
    indexed: u64,
    most_indexed: u64,
    removed: u64,
    /// The last number of each room.
    last: HashMap<String, u64>,
}

/// Whether the child talks as people do.
fn is_slow(round: u64) -> bool {
    round % 2 == 1
}

fn kill_once(path: &Path, round: u64, after: Duration, sums: &mut Sums) {
    let mut child = Command::new(env::current_exe().expect("this program"))
        .env(CHILD, path)
        .env(SLOW, is_slow(round).to_string())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a child");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe"));
    // It is at work.
    let mut line = String::new();
    lines.read_line(&mut line).expect("a line");
    thread::sleep(after);
    child.kill().expect("to kill it");
    child.wait().expect("its end");
    let mut told = HashMap::new();
    // A line that was cut off was not told.
    while let Some(whole) = line.strip_suffix('\n') {
        if let Some(trouble) = whole.strip_prefix("trouble ") {
            panic!("round {round}: the child says: {trouble}");
        }
        for (room, number) in ROOMS.iter().zip(whole.split(' ')) {
            told.insert(*room, number.parse::<u64>().expect("a number"));
        }
        line.clear();
        lines.read_line(&mut line).expect("a line");
    }
    check(path, round, &told, sums);
}

/// Looks at the file as the child left it.
fn check(path: &Path, round: u64, told: &HashMap<&str, u64>, sums: &mut Sums) {
    let file = Connection::open(path).expect("it opens");
    let integrity: String = file.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("a check");
    assert_eq!(integrity, "ok", "round {round}");
    file.execute("INSERT INTO words(words) VALUES ('integrity-check')", [])
        .unwrap_or_else(|error| panic!("round {round}: the index: {error}"));
    (sums.present, sums.removed) = (0, 0);
    for room in ROOMS {
        let mut rows = file
            .prepare("SELECT number, text, name FROM said WHERE room = ?1 ORDER BY number")
            .expect("a question");
        let mut rows = rows.query([room]).expect("rows");
        let (mut first, mut last) = (None, 0);
        while let Some(row) = rows.next().expect("a row") {
            let number = row.get::<_, i64>(0).expect("a number") as u64;
            assert!(
                first.is_none() || number == last + 1,
                "round {round}: {room} has {last} and then {number}"
            );
            assert_eq!(row.get::<_, String>(1).expect("a text"), text(room, number), "round {round}");
            assert_eq!(row.get::<_, String>(2).expect("a name"), "someone");
            first.get_or_insert(number);
            last = number;
            sums.present += 1;
        }
        let told = told.get(room).copied().unwrap_or(0);
        assert!(last >= told, "round {round}: {room} has messages up to {last}, and {told} was committed");
        let before = sums.last.insert(room.into(), last).unwrap_or(0);
        sums.told += told.saturating_sub(before);
        sums.more += last - told.max(before);
        sums.removed += first.unwrap_or(1) - 1;
    }
    let indexed = file.query_row("SELECT count(*) FROM words_docsize", [], |row| row.get::<_, i64>(0));
    sums.indexed = indexed.expect("a count") as u64;
    sums.most_indexed = sums.most_indexed.max(sums.indexed);
}

/// Keeps messages until it is killed, or for as long as any round may take.
fn child(path: &Path) -> ! {
    let warn = |warning: &Warning| {
        println!("trouble {warning}");
    };
    let config = StoreConfig::new(Place::File(path.into())).size(Some(SIZE)).on_warning(warn);
    // A short period: more commits to be met.
    let config = config.period(Duration::from_millis(3));
    let pause = env::var(SLOW).is_ok_and(|slow| slow == "true");
    let (mut history, handle) = Store::open(config, |_, _| {}).unwrap_or_else(|error| {
        println!("trouble {error}");
        std::process::exit(1);
    });
    let kept = ROOMS.map(|room| AtomicU64::new(history.last_number(room)));
    let until = Instant::now() + LONG;
    let output = Mutex::new(std::io::stdout());
    thread::scope(|scope| {
        scope.spawn(|| {
            while Instant::now() < until {
                let numbers = kept.each_ref().map(|number| number.load(Ordering::Acquire));
                if !handle.flush(LONG) {
                    println!("trouble flush took too long");
                }
                let [one, two, three] = numbers;
                // One write: a line is told whole or not at all.
                let line = format!("{one} {two} {three}\n");
                let mut output = output.lock().expect("output");
                let _ = output.write_all(line.as_bytes()).and_then(|()| output.flush());
            }
        });
        let mut turn = 0_usize;
        while Instant::now() < until {
            let stats = handle.stats();
            if stats.shed > 0 {
                println!("trouble {} were shed", stats.shed);
            }
            // No more than the queue takes; and pauses, for what is done in them.
            if stats.kept - stats.written > 4_000 {
                thread::sleep(Duration::from_millis(1));
                continue;
            }
            if pause {
                thread::sleep(Duration::from_millis(30));
            }
            for _ in 0..200 {
                turn += 1;
                let place = turn / 7 % ROOMS.len();
                let number = kept[place].load(Ordering::Relaxed) + 1;
                let at = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
                history.keep(&Message {
                    room: ROOMS[place],
                    number,
                    at: at.as_millis() as u64,
                    name: "someone",
                    text: &text(ROOMS[place], number),
                });
                kept[place].store(number, Ordering::Release);
            }
        }
    });
    std::process::exit(0);
}

/// What is said, so that each message can be told from every other.
fn text(room: &str, number: u64) -> String {
    format!("{room} {number} {}", "words ".repeat((number % 17) as usize))
}
