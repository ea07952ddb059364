//! What a server sends by itself.

use super::*;
use crate::Ticket;

fn observe(bench: &mut Bench, peer: &str, token: &[u8]) -> Answer {
    bench.one(peer, &get("time").token(token).uint(number::OBSERVE, 0))
}

fn empty(message: &Answer, bits: u8) -> [u8; 4] {
    let [high, low] = message.message().id().to_be_bytes();
    [bits, 0, high, low]
}

const ACKNOWLEDGE: u8 = 0x60;
const RESET: u8 = 0x70;

#[test]
fn an_observer_is_told_each_second() {
    let mut bench = bench();
    let first = observe(&mut bench, TRUSTED, b"o");
    let mut last = first.uint(number::OBSERVE).unwrap();
    let told = bench.wait(seconds(10));
    assert_eq!(told.len(), 10);
    for (second, notification) in (1..).zip(&told) {
        assert_eq!(notification.payload(), alloc::format!("{second}.000000s").into_bytes());
        assert_eq!(&*notification.message().token(), b"o");
        let sequence = notification.uint(number::OBSERVE).unwrap();
        assert!(sequence > last);
        last = sequence;
    }
    assert_eq!(bench.server.observations(), 1);
}

#[test]
fn an_observation_ends_by_request_by_reset_and_by_silence() {
    let mut bench = bench();
    observe(&mut bench, TRUSTED, b"a");
    let end = get("time").token(b"a").uint(number::OBSERVE, 1).id(2);
    assert_eq!(bench.one(TRUSTED, &end).option(number::OBSERVE), None);
    assert_eq!((bench.server.observations(), bench.wait(seconds(5)).len()), (0, 0));
    observe(&mut bench, TRUSTED, b"b");
    let told = bench.wait(seconds(1));
    let reset = empty(&told[0], RESET);
    assert_eq!(bench.raw("127.0.0.1:9", &reset, false), []);
    assert_eq!(bench.server.observations(), 1, "another's reset ends nothing");
    bench.raw(TRUSTED, &reset, false);
    assert_eq!(bench.server.observations(), 0);
    observe(&mut bench, TRUSTED, b"c");
    bench.wait(seconds(200));
    assert_eq!((bench.server.observations(), bench.count(Event::ObserversLost)), (0, 1));
    assert_eq!(bench.server.poll_timeout(), None, "nobody is left to tell");
}

#[test]
fn every_sixteenth_notification_is_to_be_confirmed_and_carries_the_newest_state() {
    let mut bench = bench();
    observe(&mut bench, TRUSTED, b"o");
    let told = bench.wait(seconds(16));
    let confirmable = |answer: &&Answer| answer.message().message_type() == Type::Confirmable;
    assert_eq!(told.iter().filter(confirmable).count(), 1);
    assert!(confirmable(&told.last().unwrap()));
    // It is lost; what follows waits for its retransmission, and rides on it.
    let again = bench.wait(seconds(3));
    assert_eq!(again.len(), 1, "{again:?}");
    assert!(confirmable(&&again[0]));
    assert_ne!(again[0].message().id(), told[15].message().id(), "another message");
    assert_ne!(again[0].payload(), told[15].payload(), "the newest state");
    bench.raw(TRUSTED, &empty(&again[0], ACKNOWLEDGE), false);
    assert!(bench.wait(seconds(10)).len() >= 9);
    assert_eq!(bench.server.observations(), 1);
}

#[test]
fn an_observer_that_confirms_stays_for_days() {
    let still = Safe(|_: &Request<'_>, reply: &mut Reply<'_>| reply.max_age(seconds(1 << 30)).write(b"same"));
    let resource = Resource::new("still", still).observable(seconds(3600));
    let mut bench = Bench::new(ServerConfig::default(), alloc::vec![resource]);
    bench.one(TRUSTED, &get("still").uint(number::OBSERVE, 0));
    let mut told = 0;
    for _ in 0..72 {
        for notification in bench.wait(seconds(3600)) {
            told += 1;
            bench.raw(TRUSTED, &empty(&notification, ACKNOWLEDGE), false);
        }
    }
    assert_eq!(told, 3, "what does not change is told once a day, to be confirmed");
    assert_eq!(bench.server.observations(), 1);
}

#[test]
fn observations_have_their_bounds() {
    let mut bench = bench_with(ServerConfig::default().observers(5, 3));
    for token in [b"a", b"b", b"c"] {
        assert!(observe(&mut bench, TRUSTED, token).option(number::OBSERVE).is_some());
    }
    let refused = observe(&mut bench, TRUSTED, b"d");
    assert_eq!((refused.status(), refused.option(number::OBSERVE)), (Status::CONTENT, None));
    assert!(observe(&mut bench, TRUSTED, b"a").option(number::OBSERVE).is_some(), "the same again");
    for peer in ["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"] {
        observe(&mut bench, peer, b"a");
    }
    assert_eq!((bench.server.observations(), bench.count(Event::ObserversRefused)), (5, 2));
    let not_observable = bench.one(TRUSTED, &get("empty").uint(number::OBSERVE, 0));
    assert_eq!(not_observable.option(number::OBSERVE), None);
}

#[test]
fn nobody_is_told_anything_who_has_not_shown_where_he_is() {
    let mut bench = bench();
    let challenged = observe(&mut bench, STRANGER, b"o");
    assert_eq!((challenged.status(), bench.server.observations()), (Status::UNAUTHORIZED, 0));
    let echo = challenged.option(number::ECHO).unwrap();
    let again = get("time").token(b"o").uint(number::OBSERVE, 0).option(number::ECHO, &echo).id(2);
    assert!(bench.one(STRANGER, &again).option(number::OBSERVE).is_some());
    assert_eq!(bench.wait(seconds(3)).len(), 3);
}

#[test]
fn a_handler_that_fails_ends_the_observation() {
    let fails = Arc::new(AtomicUsize::new(0));
    let seen = fails.clone();
    let handler = Safe(move |_: &Request<'_>, reply: &mut Reply<'_>| {
        if seen.fetch_add(1, Ordering::Relaxed) == 2 {
            Err(Refusal::Failed("x"))
        } else {
            reply.write(&[seen.load(Ordering::Relaxed) as u8])
        }
    });
    let mut bench =
        Bench::new(ServerConfig::default(), alloc::vec![Resource::new("a", handler).observable(seconds(1))]);
    bench.one(TRUSTED, &get("a").uint(number::OBSERVE, 0));
    let told = bench.wait(seconds(9));
    assert_eq!(told.len(), 2);
    assert_eq!((told[1].status(), told[1].option(number::OBSERVE)), (Status::INTERNAL_SERVER_ERROR, None));
    assert_eq!(bench.server.observations(), 0);
}

/// A resource that answers later, and the tickets that it was given.
fn deferred(config: ServerConfig) -> (Bench, Arc<AtomicUsize>) {
    let runs = Arc::new(AtomicUsize::new(0));
    let seen = runs.clone();
    let later = move |_: &Request<'_>, reply: &mut Reply<'_>| {
        seen.fetch_add(1, Ordering::Relaxed);
        match reply.defer() {
            Some(_) => Ok(()),
            None => reply.write(b"now"),
        }
    };
    (Bench::new(config, alloc::vec![Resource::new("later", later)]), runs)
}

fn complete(bench: &mut Bench, ticket: u64, body: &[u8]) -> Vec<Answer> {
    bench.server.complete(bench.now, Ticket(ticket), None, Some(0), body, &mut bench.out);
    bench.take()
}

#[test]
fn an_answer_that_comes_later_is_acknowledged_first_and_sent_until_it_is_acknowledged() {
    let (mut bench, runs) = deferred(ServerConfig::default());
    let post = ask(Method::Post, "later").id(7);
    for _ in 0..3 {
        assert_eq!(bench.send(TRUSTED, &post)[0].datagram, [ACKNOWLEDGE, 0, 0, 7]);
    }
    assert_eq!(runs.load(Ordering::Relaxed), 1);
    bench.wait(seconds(5));
    let answers = complete(&mut bench, 0, b"done");
    let answer = &answers[0];
    assert_eq!((answer.message().message_type(), answer.status()), (Type::Confirmable, Status::CHANGED));
    assert_eq!((&*answer.message().token(), answer.payload()), (b"T".as_slice(), b"done".to_vec()));
    let again = bench.wait(seconds(10));
    assert!((2..=3).contains(&again.len()));
    assert!(again.iter().all(|sent| sent == answer), "the same message");
    bench.raw(TRUSTED, &empty(answer, ACKNOWLEDGE), false);
    assert_eq!((bench.wait(seconds(100)).len(), bench.server.poll_timeout()), (0, None));
    assert_eq!(bench.send(TRUSTED, &post)[0].datagram, [ACKNOWLEDGE, 0, 0, 7], "a late duplicate");
    assert_eq!(runs.load(Ordering::Relaxed), 1);
    assert_eq!(complete(&mut bench, 0, b"done"), [], "nobody waits any more");
}

#[test]
fn other_content_is_another_request_while_an_answer_is_awaited() {
    let (mut bench, runs) = deferred(ServerConfig::default());
    let post = ask(Method::Post, "later").id(7);
    for request in [post.clone(), post.clone(), post.clone().payload(b"x"), post.payload(b"x")] {
        assert_eq!(bench.send(TRUSTED, &request)[0].datagram, [ACKNOWLEDGE, 0, 0, 7]);
    }
    assert_eq!(runs.load(Ordering::Relaxed), 2);
}

#[test]
fn a_stranger_gets_no_more_of_a_later_answer_than_of_one_at_once() {
    for (path, length) in [("later", 8), ("later", 100), ("later", 5000)] {
        let (mut bench, runs) = deferred(ServerConfig::default());
        let request = ask(Method::Post, path).token(b"12345678").id(7).datagram();
        let mut sent = bench.raw(STRANGER, &request, false);
        bench.wait(seconds(1));
        sent.extend(complete(&mut bench, 0, &long(length)));
        assert!(sent.len() == 2 && sent[1].status() == Status::CHANGED, "{sent:?}");
        sent.extend(bench.wait(seconds(200)));
        let bytes: usize = sent.iter().map(|answer| answer.datagram.len() + 28).sum();
        assert!(bytes <= 3 * (request.len() + 28), "{bytes} for {}", request.len());
        assert_eq!((runs.load(Ordering::Relaxed), bench.server.poll_timeout()), (1, None));
    }
}

#[test]
fn an_answer_in_time_rides_on_the_acknowledgement() {
    let (mut bench, _) = deferred(ServerConfig::default().acknowledge_after(Duration::from_millis(500)));
    assert_eq!(bench.send(TRUSTED, &ask(Method::Post, "later").id(7)), []);
    bench.wait(Duration::from_millis(400));
    let answer = complete(&mut bench, 0, b"done").remove(0);
    assert_eq!((answer.message().message_type(), answer.message().id()), (Type::Acknowledgement, 7));
    assert_eq!(bench.server.poll_timeout(), None);
    assert_eq!(bench.one(TRUSTED, &ask(Method::Post, "later").id(7)), answer, "and is remembered");
    bench.send(TRUSTED, &ask(Method::Post, "later").id(8));
    let sent = bench.wait(Duration::from_millis(600));
    assert_eq!(sent[0].datagram, [ACKNOWLEDGE, 0, 0, 8]);
}

#[test]
fn an_answer_that_does_not_come_is_an_error_at_the_promised_time() {
    let (mut bench, _) = deferred(ServerConfig::default());
    bench.send(TRUSTED, &ask(Method::Post, "later").id(7));
    bench.send(TRUSTED, &ask(Method::Post, "later").id(8).non());
    assert_eq!(bench.wait(Duration::from_millis(59_999)).len(), 0);
    let errors = bench.wait(Duration::from_millis(1));
    assert_eq!(errors.iter().map(Answer::status).collect::<Vec<_>>(), [Status::INTERNAL_SERVER_ERROR; 2]);
    assert_eq!(bench.count(Event::SeparateOverdue), 2);
    // Nobody acknowledges the confirmable one: it is sent five times in all, and given up.
    assert_eq!(bench.wait(seconds(200)).len(), 4);
    assert_eq!((bench.count(Event::SeparateLost), bench.server.poll_timeout()), (1, None));
}

#[test]
fn a_reset_ends_a_later_answer_and_a_full_table_defers_nothing() {
    let (mut bench, _) = deferred(ServerConfig::default().separate(1));
    bench.send(TRUSTED, &ask(Method::Post, "later").id(7));
    assert_eq!(bench.one(TRUSTED, &ask(Method::Post, "later").id(8)).payload(), b"now");
    let answer = complete(&mut bench, 0, b"done").remove(0);
    bench.raw(TRUSTED, &empty(&answer, RESET), false);
    assert_eq!(bench.server.poll_timeout(), None);
}

#[test]
fn a_group_is_answered_within_the_leisure_and_not_with_errors() {
    let mut bench = bench();
    let mut times = Vec::new();
    for id in 0..50 {
        assert_eq!(bench.raw(TRUSTED, &get("time").non().id(id).datagram(), true), []);
        let begun = bench.now;
        let due = bench.server.poll_timeout().unwrap();
        times.push(due.since(begun));
        let answers = bench.wait(seconds(5));
        assert_eq!((answers.len(), answers[0].message().message_type()), (1, Type::NonConfirmable));
    }
    assert!(times.iter().all(|time| *time <= seconds(5)));
    assert!(
        times.iter().max().unwrap().saturating_sub(*times.iter().min().unwrap()) > seconds(3),
        "{times:?}"
    );
    for silent in [
        get("nothing").non(),
        get("time").uint(number::ACCEPT, 50).non(),
        get("time").option(9, b"").non(),
        get("time"),
        ask(Method::Post, "count").non(),
        get(".well-known/core").option(number::URI_QUERY, b"rt=none").non(),
    ] {
        assert_eq!(bench.raw(TRUSTED, &silent.datagram(), true), [], "{:?}", silent.options);
        assert_eq!(bench.wait(seconds(6)), []);
    }
    let found = get(".well-known/core").option(number::URI_QUERY, b"rt=clock").non();
    bench.raw(TRUSTED, &found.datagram(), true);
    assert_eq!(bench.wait(seconds(5)).len(), 1);
}

#[test]
fn answers_to_groups_have_their_bound() {
    let mut bench = bench_with(ServerConfig::default().group_answers(3));
    for id in 0..5 {
        bench.raw(TRUSTED, &get("time").non().id(id).datagram(), true);
    }
    assert_eq!((bench.count(Event::GroupAnswers), bench.count(Event::GroupDropped)), (3, 2));
    assert_eq!(bench.wait(seconds(5)).len(), 3);
}
