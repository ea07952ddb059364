use super::*;

/// What is given to a hub between two of its calls, by member and number of lines.
type Says<'a> = &'a [(u32, usize)];

const LISTENER: u32 = 50;
const FLOODER: u32 = 40;

impl Bench {
    /// Members say `text` some times, in turn with each other; then the hub is called once.
    fn turn(&mut self, says: Says<'_>) -> BTreeMap<u32, usize> {
        let most = says.iter().map(|(_, lines)| *lines).max().unwrap_or(0);
        for line in 0..most {
            for (member, _) in says.iter().filter(|(_, lines)| line < *lines) {
                self.give(&origin(*member), alloc::format!("by {member}").as_bytes());
            }
        }
        self.hub.handle_timeout(self.now, &mut self.out);
        self.flush();
        self.check();
        self.heard()
    }

    /// Whose lines the listener heard since it was asked last, and how many of each.
    fn heard(&mut self) -> BTreeMap<u32, usize> {
        let got = core::mem::take(&mut self.got).remove(&LISTENER).unwrap_or_default();
        let mut heard = BTreeMap::new();
        for line in got.iter().filter_map(|line| line.strip_prefix("ack by ")) {
            *heard.entry(line.parse().unwrap()).or_default() += 1;
        }
        heard
    }

    fn floods(&self, member: u32) -> bool {
        let address = origin(member);
        self.hub.members(self.now).any(|view| view.origin == address && view.flooding)
    }

    /// Publishers keep `in_flight` lines on their way for some turns of 0.1 ms, while a person says one now and
    /// then; how many lines of each were heard.
    fn closed_loop(
        &mut self,
        publishers: &[u32],
        in_flight: usize,
        person: Option<usize>,
    ) -> BTreeMap<u32, usize> {
        let mut total = BTreeMap::<u32, usize>::new();
        let mut flying: BTreeMap<u32, usize> = BTreeMap::new();
        for turn in 0..3000 {
            let mut says: Vec<(u32, usize)> = Vec::new();
            for publisher in publishers {
                let flying = flying.entry(*publisher).or_default();
                says.push((*publisher, in_flight - core::mem::replace(flying, in_flight)));
            }
            says.extend(person.filter(|every| turn % every == 0).map(|_| (30, 1)));
            for (member, lines) in self.turn(&says) {
                *total.entry(member).or_default() += lines;
                flying.entry(member).and_modify(|flying| *flying -= lines);
            }
            self.now += Duration::from_micros(100);
        }
        total
    }
}

/// A listener and those who speak, in one room.
fn together() -> Bench {
    let mut bench = Bench::new();
    bench.say(&[(LISTENER, ""), (30, ""), (1, ""), (2, "")]);
    bench
}

#[test]
fn a_steady_flood_is_seen_soon_and_then_has_a_small_part_of_what_is_said() {
    for flood in [200, 800] {
        let mut bench = Bench::new();
        bench.say(&[(LISTENER, "")]);
        let says: Vec<(u32, usize)> = (0..10).map(|talker| (talker, 4)).chain([(FLOODER, flood)]).collect();
        let (mut seen, mut ours, mut others) = (None, 0, 0);
        for turn in 0..400 {
            let heard = bench.turn(&says);
            if seen.is_some() {
                ours += heard.get(&FLOODER).copied().unwrap_or(0);
                others += (0..10).filter_map(|talker| heard.get(&talker)).sum::<usize>();
            } else if bench.floods(FLOODER) {
                seen = Some(turn);
            }
            bench.now += Duration::from_micros(500);
        }
        assert!(seen.is_some_and(|turn| turn < 200), "{seen:?} turns until a flood of {flood} was seen");
        assert!(others >= 40 * 198, "{others} lines of the others");
        assert!(ours * 10 <= others, "{ours} lines beside {others}");
        assert!((0..10).all(|talker| !bench.floods(talker)));
    }
}

#[test]
fn beside_others_a_sender_says_in_a_call_what_they_do_and_the_rest_in_order_in_the_next() {
    let mut bench = Bench::new();
    bench.say(&[(LISTENER, ""), (1, "one"), (2, "two")]).heard();
    let lines: Vec<String> = (0..20).map(|line| alloc::format!("line {line}")).collect();
    lines.iter().for_each(|line| bench.give(&origin(1), line.as_bytes()));
    let mut calls = Vec::new();
    let mut got = Vec::new();
    while bench.hub.poll_timeout() == Some(bench.now) {
        bench.hub.handle_timeout(bench.now, &mut bench.out);
        bench.flush();
        bench.check();
        let call = bench.got(LISTENER);
        calls.push(call.len());
        got.extend(call);
    }
    assert_eq!(calls, [8, 8, 4]);
    let expected: Vec<String> = lines.iter().map(|line| alloc::format!("ack {line}")).collect();
    assert_eq!(got, expected);
}

#[test]
fn two_that_flood_do_not_raise_what_the_other_may_say() {
    let mut bench = Bench::new();
    bench.say(&[(LISTENER, "")]);
    let says: Vec<(u32, usize)> = (0..10).map(|talker| (talker, 1)).chain([(40, 100), (41, 100)]).collect();
    for _ in 0..5 {
        let heard = bench.turn(&says);
        assert!(heard[&40] <= 10 && heard[&41] <= 10, "{heard:?}");
    }
}

#[test]
fn commands_and_leaving_are_lines_as_others_are() {
    let mut bench = Bench::new();
    bench.say(&[(LISTENER, ""), (1, "one"), (2, "two")]);
    (0..50).for_each(|_| bench.give(&origin(1), b"/me\nx\nquit\ny"));
    bench.got.clear();
    bench.hub.handle_timeout(bench.now, &mut bench.out);
    bench.flush();
    assert_eq!(bench.hub.stats().quit, 2);
    bench.settle();
    assert_eq!(bench.hub.stats().quit, 50);
}

#[test]
fn a_publisher_that_waits_for_its_receipts_is_no_flood_beside_a_person() {
    let mut bench = together();
    let alone = bench.closed_loop(&[1], 32, None)[&1];
    assert_eq!(alone, 32 * 3000, "all that it says at once is said in one call");
    let mut bench = together();
    let heard = bench.closed_loop(&[1], 32, Some(1000));
    assert_eq!((bench.hub.stats().floods, heard[&30]), (0, 3));
    assert!(heard[&1] * 10 >= alone * 9, "{} of {alone}", heard[&1]);
}

#[test]
fn two_publishers_share_evenly_also_from_two_rooms() {
    let mut bench = together();
    let heard = bench.closed_loop(&[1, 2], 32, None);
    assert_eq!(heard[&1], heard[&2]);
    assert!(heard[&1] * 10 >= 32 * 3000 * 9, "{heard:?}");
    let mut bench = together();
    bench.say(&[(2, "/join other")]).heard();
    for _ in 0..1000 {
        bench.turn(&[(1, 32), (2, 32)]);
        bench.now += Duration::from_micros(100);
    }
    let stats = bench.hub.stats();
    assert_eq!((stats.floods, stats.shed), (0, 0), "each may say what the other says");
}

#[test]
fn who_speaks_alone_and_overflows_loses_what_is_too_much_and_no_more() {
    let mut bench = Bench::new();
    bench.say(&[(LISTENER, ""), (1, "")]);
    (0..2000).for_each(|_| bench.give(&origin(1), b"x"));
    let got = bench.got(1);
    assert_eq!(got, ["! slow down: more than is relayed"]);
    assert!(bench.out.isolated().is_empty());
    bench.settle();
    let stats = bench.hub.stats();
    assert_eq!((stats.messages, stats.shed, stats.flooded, stats.floods), (1024, 976, 0, 0));
    (0..1000).for_each(|_| bench.give(&origin(1), b"y"));
    bench.hub.handle_timeout(bench.now, &mut bench.out);
    assert_eq!(bench.hub.stats().messages, 2024, "all at once");
}

#[test]
fn a_flood_is_held_while_others_speak_and_served_while_they_do_not() {
    let mut bench = Bench::new();
    bench.say(&[(LISTENER, ""), (1, "hello")]);
    let flood = |bench: &mut Bench, time: u64| {
        let said = bench.hub.stats().messages;
        for _ in 0..time / 4 {
            bench.turn(&[(FLOODER, 64)]);
            bench.wait(Duration::from_millis(4));
        }
        bench.hub.stats().messages - said
    };
    bench.turn(&[(FLOODER, 1025)]);
    assert!(bench.floods(FLOODER));
    let held = flood(&mut bench, 900);
    assert!(held <= 20, "{held} lines");
    // The last word of the others is a second ago.
    flood(&mut bench, 200);
    let served = flood(&mut bench, 3000);
    assert!(served >= 64 * 745, "{served} lines");
    assert!(bench.floods(FLOODER), "it says as much as before");
    bench.say(&[(1, "hello")]);
    let held = flood(&mut bench, 900);
    assert!(held <= 20, "{held} lines");
    bench.wait(Duration::from_secs(3));
    assert!(!bench.floods(FLOODER));
}

#[test]
fn a_call_writes_about_a_thousand_datagrams_however_long_a_batch_is() {
    let mut bench = Bench::new();
    (0..400).for_each(|member| bench.give(&origin(member), b""));
    let text = "x".repeat(1000);
    (0..32).for_each(|_| bench.give(&origin(1), text.as_bytes()));
    let mut calls = 0;
    while bench.hub.poll_timeout() == Some(bench.now) {
        bench.hub.handle_timeout(bench.now, &mut bench.out);
        assert!(bench.out.len() <= 1024 + 32, "{} datagrams", bench.out.len());
        bench.flush();
        calls += 1;
    }
    assert_eq!(bench.datagrams.values().sum::<usize>(), 400 * 32);
    assert!(calls >= 400 * 32 / 1056, "{calls} calls");
}
