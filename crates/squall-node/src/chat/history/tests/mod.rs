mod bounds;
mod damage;

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use squall::chat::wire::RoomName;
use squall::chat::{History, Message, Query, Recall, RecallError, Recalled};

use super::*;

const LONG: Duration = Duration::from_secs(60);
/// In milliseconds.
const DAY: u64 = 24 * 3_600_000;

/// A store with what a test asks of it.
struct Bench {
    history: Option<Box<dyn History>>,
    handle: StoreHandle,
    answers: Receiver<Answer>,
    warnings: Arc<Mutex<Vec<Warning>>>,
}

type Answer = (Recall, Result<Vec<Recalled>, RecallError>);

impl Bench {
    fn open(config: StoreConfig) -> Self {
        Self::try_open(config).unwrap()
    }

    fn try_open(config: StoreConfig) -> Result<Self, StoreError> {
        let warnings = Arc::new(Mutex::new(Vec::new()));
        let (told, own) = (Arc::clone(&warnings), Arc::clone(&config.warn));
        let config = config.on_warning(move |warning| {
            own(warning);
            told.lock().unwrap().push(warning.clone());
        });
        let (tell, answers) = channel();
        let (history, handle) = Store::open(config, move |recall, answer| drop(tell.send((recall, answer))))?;
        Ok(Self { history: Some(history), handle, answers, warnings })
    }

    fn history(&mut self) -> &mut dyn History {
        &mut **self.history.as_mut().unwrap()
    }

    fn say(&mut self, room: &str, number: u64, text: &str) {
        self.history().keep(&Message { room, number, at: now(), name: "ann", text });
    }

    fn ask(&mut self, query: &Query<'_>) -> Result<Vec<Recalled>, RecallError> {
        match self.history().ask(Recall(7), query)? {
            Some(found) => Ok(found),
            None => {
                let (recall, answer) = self.answers.recv_timeout(LONG).unwrap();
                assert_eq!(recall, Recall(7));
                answer
            }
        }
    }

    fn last(&mut self, room: &str, count: u32) -> Vec<(u64, String)> {
        short(self.ask(&Query::Last { room, count }).unwrap())
    }

    fn find(&mut self, room: &str, words: &str) -> Vec<(u64, String)> {
        short(self.ask(&Query::Find { room, words, count: 100 }).unwrap())
    }

    fn flush(&self) {
        assert!(self.handle.flush(LONG));
    }

    /// Waits for what the store's threads do by themselves.
    #[track_caller]
    fn until(&self, what: impl Fn(&Stats) -> bool) {
        let until = Instant::now() + LONG;
        while !what(&self.handle.stats()) {
            assert!(Instant::now() < until, "{:?}", self.handle.stats());
            std::thread::yield_now();
        }
    }

    fn warnings(&self) -> Vec<Warning> {
        self.warnings.lock().unwrap().clone()
    }

    fn close(mut self) -> bool {
        self.end()
    }

    fn end(&mut self) -> bool {
        self.history = None;
        self.handle.close(LONG)
    }
}

impl Drop for Bench {
    /// Whoever opens the file next must find it free.
    fn drop(&mut self) {
        self.end();
    }
}

fn short(found: Vec<Recalled>) -> Vec<(u64, String)> {
    found.into_iter().map(|recalled| (recalled.number, recalled.text)).collect()
}

fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis() as u64
}

/// Whoever asks waits for the writer, however long that takes on a machine that does much else.
fn file(path: &Path) -> StoreConfig {
    StoreConfig::new(Place::File(path.into())).question_time(LONG)
}

fn memory() -> StoreConfig {
    StoreConfig::new(Place::Memory).question_time(LONG)
}

fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chat.db");
    (folder, path)
}

#[test]
fn what_was_said_is_there_in_its_order_and_after_the_end_too() {
    let (_folder, path) = folder();
    let mut bench = Bench::open(file(&path));
    assert_eq!(bench.history().last_number("lobby"), 0);
    for number in 1..=300 {
        bench.say("lobby", number, &format!("text {number}"));
        bench.say("küche", number + 1000, "tea");
    }
    // At once: nobody waits for the batch.
    assert_eq!(bench.last("lobby", 2), [(299, "text 299".into()), (300, "text 300".into())]);
    assert_eq!(bench.history().last_number("lobby"), 300);
    assert!(bench.close());

    let mut bench = Bench::open(file(&path));
    assert_eq!(bench.history().last_number("lobby"), 300);
    assert_eq!(bench.history().last_number("küche"), 1300);
    assert_eq!(bench.history().last_number("cellar"), 0);
    let since = Query::Since { room: "lobby", number: 297, count: 2 };
    assert_eq!(short(bench.ask(&since).unwrap()), [(298, "text 298".into()), (299, "text 299".into())]);
    assert_eq!(bench.last("küche", 500).len(), 300);
    assert_eq!(bench.last("cellar", 5), []);
    let recalled = &bench.ask(&Query::Last { room: "lobby", count: 1 }).unwrap()[0];
    assert_eq!(recalled.name, "ann");
    assert!(now() - recalled.at < 3_600_000);
    assert_eq!(bench.warnings(), []);
}

#[test]
fn a_room_is_found_as_it_was_written_first() {
    let room = |name: &str| RoomName::new(name).unwrap();
    let (_folder, path) = folder();
    let mut bench = Bench::open(file(&path));
    assert_eq!(bench.history().spelling(&room("den")), None);
    bench.say("Den", 1, "hello");
    assert_eq!(bench.history().spelling(&room("den")), Some(room("Den")));
    assert!(bench.close());
    let mut bench = Bench::open(file(&path));
    assert_eq!(bench.history().spelling(&room("DEN")), Some(room("Den")));
    assert_eq!(bench.history().spelling(&room("garden")), None);
}

#[test]
fn a_search_finds_the_same_with_the_index_and_without() {
    let words = ["storm", "Stormy", "naïve", "north-west", "你好世界", "tea", "tee", "TEA!", "🎉", "a"];
    let asked = [
        "storm",
        "sto tea",
        "tea sto",
        "NAIVE",
        "north-west",
        "west north",
        "好世",
        "世好",
        "te",
        "🎉",
        "te\"a",
        "* OR a",
    ];
    let (_folder, path) = folder();
    // One batch: fewer than 2,000 messages that were left over would be in no index.
    let mut bench = Bench::open(file(&path).period(LONG));
    let mut texts = Vec::new();
    for number in 1..=3_000_u64 {
        // Each pair and triple in turn, often.
        let pick = |step: u64| words[(number * step / 7 % words.len() as u64) as usize];
        let text = format!("{} {} {}", pick(1), pick(13), pick(101));
        bench.say("lobby", number, &text);
        bench.say("weather", number, "storm tea");
        texts.push((number, text));
    }
    bench.flush();
    let expected: Vec<Vec<(u64, String)>> = asked
        .iter()
        .map(|asked| {
            let question = words::Question::new(asked).unwrap();
            let fits = |(_, text): &&(u64, String)| question.fits(text, &mut String::new());
            let mut found: Vec<_> = texts.iter().filter(fits).cloned().collect();
            found.drain(..found.len().saturating_sub(100));
            found
        })
        .collect();
    assert!(expected.iter().filter(|found| found.len() > 10).count() >= 7, "the test finds something");
    for (asked, expected) in asked.iter().zip(&expected) {
        assert_eq!(&bench.find("lobby", asked), expected, "{asked}, not indexed or in part");
    }
    bench.until(|stats| stats.indexed == 6_000);
    // And a few that are in no index yet.
    bench.say("lobby", 3_001, "nowhere");
    for (asked, expected) in asked.iter().zip(&expected) {
        assert_eq!(&bench.find("lobby", asked), expected, "{asked}, indexed");
    }
    assert_eq!(bench.find("lobby", "nowhere"), [(3_001, "nowhere".into())]);
    assert_eq!(bench.find("lobby", "?!"), []);
    assert!(bench.close());
    let mut bench = Bench::open(file(&path));
    assert_eq!(bench.find("lobby", "storm"), expected[0]);
    assert_eq!(bench.handle.stats().indexed, 0, "what is in the index stays there");
}

#[test]
fn nothing_is_kept_where_nothing_is_to_be_kept() {
    let mut bench = Bench::open(StoreConfig::new(Place::Nothing));
    bench.say("lobby", 1, "hello");
    assert_eq!(bench.ask(&Query::Last { room: "lobby", count: 1 }), Err(RecallError::NotKept));
    assert_eq!(bench.handle.stats(), Stats::default());
    assert!(bench.close());
}

#[test]
fn bans_outlive_the_node_and_are_bounded() {
    let (_folder, path) = folder();
    let bench = Bench::open(file(&path));
    bench.handle.ban("192.0.2.0/24", None).unwrap();
    let tomorrow = now() + DAY;
    bench.handle.ban("198.51.100.7", Some(tomorrow)).unwrap();
    bench.handle.ban("203.0.113.1", Some(tomorrow)).unwrap();
    assert!(bench.handle.unban("203.0.113.1") && !bench.handle.unban("203.0.113.1"));
    assert!(bench.close());
    let bench = Bench::open(file(&path));
    let expected = [("192.0.2.0/24", None), ("198.51.100.7", Some(tomorrow))];
    assert_eq!(bench.handle.bans(), expected.map(|(network, until)| Ban { network: network.into(), until }));
    for number in 3..MOST_BANS {
        bench.handle.ban(&number.to_string(), None).unwrap();
    }
    bench.handle.ban("over", Some(1)).unwrap();
    assert_eq!(bench.handle.ban("one more", None), Ok(()), "one that is over makes room");
    assert_eq!(bench.handle.ban("too many", None), Err(TooManyBans));
    assert_eq!(bench.handle.ban("198.51.100.7", None), Ok(()));
}

#[test]
fn places_are_read_as_they_are_typed() {
    assert_eq!(Place::parse("none"), Ok(Place::Nothing));
    assert_eq!(Place::parse("memory"), Ok(Place::Memory));
    assert_eq!(Place::parse("./memory"), Ok(Place::File("./memory".into())));
    assert!(Place::parse("").is_err() && Place::parse("directory/").is_err());
}

#[test]
fn a_file_is_one_nodes_and_a_name_is_no_uri() {
    let (folder, path) = folder();
    let bench = Bench::open(file(&path));
    let Err(StoreError::InUse(refused)) = Bench::try_open(file(&path)).map(drop) else { panic!() };
    assert!(refused.to_string().contains(&format!("process {}", std::process::id())), "{refused}");
    let link = folder.path().join("link.db");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    assert!(matches!(Bench::try_open(file(&link)).map(drop), Err(StoreError::InUse(_))));
    assert!(bench.close());
    // A lock that would be another file's is none.
    let other = folder.path().join("other.db");
    std::os::unix::fs::symlink(&path, folder.path().join("other.db.lock")).unwrap();
    assert!(matches!(Bench::try_open(file(&other)).map(drop), Err(StoreError::System { .. })));
    assert!(!other.exists());
    let odd = folder.path().join("file:x?mode=memory");
    assert!(Bench::open(file(&odd)).close());
    assert!(odd.exists());
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}
