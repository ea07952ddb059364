//! What is full, too old or too slow.

use std::sync::Barrier;

use super::*;

#[test]
fn a_full_queue_sheds_what_comes_and_counts_it() {
    let (_folder, path) = folder();
    // It is written after a minute, so not in this test.
    let mut bench = Bench::open(file(&path).queue(1 << 10).period(LONG));
    for number in 1..=100 {
        bench.say("lobby", number, "ten bytes.");
    }
    let stats = bench.handle.stats();
    assert_eq!((stats.kept + stats.shed, stats.written), (100, 0));
    assert!((20..30).contains(&stats.kept), "{stats:?}");
    // The numbers were given, written or not.
    assert_eq!(bench.history().last_number("lobby"), 100);
    assert_eq!(bench.last("lobby", 100).len() as u64, stats.kept);
    bench.say("lobby", 101, "there is room again");
    assert_eq!(bench.last("lobby", 1), [(101, "there is room again".into())]);
    assert!(bench.close());
}

#[test]
fn the_oldest_go_for_want_of_room_and_the_file_stays_small() {
    let (_folder, path) = folder();
    let limit = 1 << 20;
    let mut bench = Bench::open(file(&path).size(Some(limit)));
    let text = "some words that are long enough to fill a file ".repeat(4);
    let mut at = now();
    for number in 1..=20_000 {
        at += 600;
        let room = if number % 3 == 0 { "kitchen" } else { "lobby" };
        bench.history().keep(&Message { room, number, at, name: "ann", text: &text });
    }
    bench.flush();
    bench.until(|stats| stats.trimmed > 10_000 && stats.bytes <= limit);
    // In both rooms what is left is the end, of about the same time.
    let all = |room| Query::Since { room, number: 0, count: 1_000 };
    let first: Vec<Recalled> =
        ["lobby", "kitchen"].map(|room| bench.ask(&all(room)).unwrap().swap_remove(0)).into();
    assert!(
        first[0].number > 14_000 && first[0].at.abs_diff(first[1].at) <= 10 * 60_000 + 1_800,
        "{first:?}"
    );
    assert_eq!(bench.last("lobby", 1)[0].0, 20_000);
    let stats = bench.handle.stats();
    assert_eq!((stats.kept, stats.shed, stats.failures), (20_000, 0, 0));
    assert!(bench.close());
    // 8 MiB of spare pages at the most.
    assert!(std::fs::metadata(&path).unwrap().len() < limit + (9 << 20));
}

#[test]
fn whoever_waited_for_the_writing_sees_the_size_that_it_gave() {
    let (_folder, path) = folder();
    let mut bench = Bench::open(file(&path).period(LONG));
    let text = "x".repeat(1_000);
    for number in 1..=200 {
        bench.say("lobby", number, &text);
        bench.flush();
        let stats = bench.handle.stats();
        assert!(stats.written == number && stats.bytes > number * 1_000, "{stats:?}");
    }
    assert!(bench.close());
}

#[test]
fn what_is_too_old_goes_and_the_numbers_go_on() {
    let (_folder, path) = folder();
    let mut bench = Bench::open(file(&path).age(None).period(LONG));
    for number in 1..=5_000 {
        let at = now() - 100 * DAY + number;
        bench.history().keep(&Message { room: "lobby", number, at, name: "ann", text: "old words" });
    }
    bench.say("kitchen", 1, "new words");
    bench.flush();
    bench.until(|stats| stats.indexed == 5_001);
    assert_eq!(bench.handle.stats().expired, 0);
    assert!(bench.close());

    let mut bench = Bench::open(file(&path));
    bench.until(|stats| stats.expired == 5_000);
    assert_eq!(bench.last("lobby", 5), []);
    assert_eq!(bench.find("lobby", "words"), []);
    assert_eq!(bench.last("kitchen", 5).len(), 1);
    assert!(bench.close());

    let mut bench = Bench::open(file(&path));
    assert_eq!(bench.history().last_number("lobby"), 5_000);
    bench.say("lobby", 5_001, "words again");
    assert_eq!(bench.find("lobby", "words"), [(5_001, "words again".into())]);
    assert_eq!(bench.warnings(), []);
}

#[test]
fn what_is_gone_leaves_the_index_when_there_is_time_for_it() {
    let (_folder, path) = folder();
    let in_index = || {
        let connection = rusqlite::Connection::open(&path).unwrap();
        connection.query_row("SELECT count(*) FROM words_docsize", [], |row| row.get::<_, i64>(0)).unwrap()
    };
    let mut bench = Bench::open(file(&path).age(None).period(LONG));
    let old = now() - 100 * DAY;
    for number in 1..=3_000 {
        let at = if number <= 2_500 { old } else { now() };
        bench.history().keep(&Message { room: "lobby", number, at, name: "ann", text: "some words" });
        bench.history().keep(&Message { room: "kitchen", number, at: old, name: "ann", text: "words" });
    }
    bench.flush();
    bench.until(|stats| stats.indexed == 6_000);
    assert!(bench.close());
    assert_eq!(in_index(), 6_000);

    let mut bench = Bench::open(file(&path));
    bench.until(|stats| stats.expired == 5_500 && stats.swept == 5_500);
    assert_eq!(bench.find("lobby", "words").len(), 100);
    assert_eq!(bench.find("kitchen", "words"), []);
    assert!(bench.close());
    assert_eq!(in_index(), 500);

    // Without any that are left there is a new one.
    let bench = Bench::open(file(&path).age(Some(Duration::ZERO)));
    bench.until(|stats| stats.expired == 500);
    assert!(bench.close());
    let bench = Bench::open(file(&path));
    bench.until(|_| in_index() == 0);
    assert_eq!((bench.handle.stats().swept, bench.warnings()), (0, Vec::new()));
}

#[test]
fn rooms_are_bounded_and_one_whose_messages_are_gone_makes_room() {
    let (_folder, path) = folder();
    let mut bench = Bench::open(file(&path).age(None));
    let old = now() - 100 * DAY;
    bench.history().keep(&Message { room: "old", number: 40, at: old, name: "ann", text: "x" });
    assert!(bench.close());
    let mut bench = Bench::open(file(&path).rooms(2));
    bench.say("lobby", 1, "x");
    bench.until(|stats| stats.expired == 1);
    // Its place is taken; its numbers are not given again.
    assert_eq!(bench.history().last_number("new"), 0);
    bench.say("new", 1, "first");
    assert_eq!(bench.history().last_number("old"), 40);
    // Late news that the place is empty: it was, and something was said there since.
    bench.handle.shared.queue().empty_rooms.push((0, 40));
    bench.say("third", 1, "not kept");
    let stats = bench.handle.stats();
    assert_eq!((stats.kept, stats.shed, stats.rooms_refused), (2, 1, 1));
    assert_eq!(bench.last("new", 9), [(1, "first".into())]);
    assert!(bench.close());
    let mut bench = Bench::open(file(&path).rooms(2));
    assert_eq!(["new", "lobby", "old"].map(|room| bench.history().last_number(room)), [40, 1, 40]);
}

#[test]
fn memory_is_bounded_too() {
    let limit = 1 << 20;
    let mut bench = Bench::open(memory().memory(limit));
    let text = "x".repeat(200);
    for number in 1..=20_000 {
        bench.say("lobby", number, &text);
    }
    bench.say("lobby", 20_001, "the last words");
    assert_eq!(bench.find("lobby", "last"), [(20_001, "the last words".into())]);
    let stats = bench.handle.stats();
    assert!(stats.bytes <= limit && stats.trimmed > 10_000 && stats.written == 20_001, "{stats:?}");
    assert!(!stats.memory_only, "it was to be in memory");
    assert!(bench.last("lobby", 200).len() == 200);
    assert!(bench.close());
}

#[test]
fn a_search_that_takes_too_long_is_given_up() {
    // The index is behind by as much as is said here, before the writer has a pause.
    let config = StoreConfig::new(Place::Memory).question_time(Duration::from_millis(2));
    let mut bench = Bench::open(config);
    for number in 1..=50_000 {
        bench.say("lobby", number, "many words that are searched one by one");
    }
    bench.flush();
    let answer = bench.ask(&Query::Find { room: "lobby", words: "nowhere", count: 1 });
    assert_eq!(answer, Err(RecallError::TooLong));
    assert_eq!(bench.handle.stats().questions_late, 1);
    assert_eq!(bench.last("lobby", 1).len(), 1, "the next one is answered");
}

#[test]
fn more_questions_than_may_wait_are_refused() {
    let gate = Arc::new(Barrier::new(2));
    let answering = Arc::clone(&gate);
    let config = StoreConfig::new(Place::Memory).questions(2);
    let (mut history, handle) = Store::open(config, move |recall, answer| {
        assert_eq!(answer, Ok(Vec::new()));
        if recall == Recall(0) {
            answering.wait();
            answering.wait();
        }
    })
    .unwrap();
    let mut ask = |number| history.ask(Recall(number), &Query::Last { room: "lobby", count: 1 });
    assert_eq!(ask(0), Ok(None));
    // It is being answered now.
    gate.wait();
    assert_eq!([ask(1), ask(2), ask(3)], [Ok(None), Ok(None), Err(RecallError::Busy)]);
    gate.wait();
    assert_eq!((handle.stats().questions, handle.stats().questions_refused), (4, 1));
}

#[test]
fn keeping_a_message_asks_for_no_memory() {
    let (_folder, path) = folder();
    let mut bench = Bench::open(file(&path).period(LONG));
    let mut number = 0;
    let mut rush = |bench: &mut Bench| {
        for _ in 0..1_000 {
            number += 1;
            let room = if number % 2 == 0 { "kitchen" } else { "lobby" };
            bench.history().keep(&Message { room, number, at: 5, name: "ann", text: "always as long" });
        }
    };
    // There are two batches, one to fill and one to write.
    for _ in 0..2 {
        rush(&mut bench);
        bench.flush();
    }
    let asked = allocation_counter::measure(|| rush(&mut bench));
    assert_eq!(asked.count_total, 0);
    assert!(allocation_counter::measure(|| drop(vec![0_u8; 10])).count_total > 0, "it counts");
}
