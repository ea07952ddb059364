//! Searches over a path that is pretended, in virtual time.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::*;
use crate::random::SplitMix64;

/// A path of links behind the first one, and the host at its end.
#[derive(Clone, Debug)]
struct Path {
    address: IpAddr,
    /// What the first link carries.
    first_hop: u32,
    /// What the links behind it carry, and whether the router before each says so.
    links: Vec<(u32, bool)>,
    host: Host,
    /// Each way, in percent.
    loss: u64,
    /// Datagrams of which the network makes two, in percent.
    duplicates: u64,
    /// One way.
    delay: Duration,
    jitter: Duration,
    /// What the first probe takes in addition: neighbours are asked for their addresses.
    arp: Duration,
    /// How many ICMP errors the host has left at first, and how long it has waited for the next one.
    icmp: (u32, Duration),
    seed: u64,
}

/// How the host answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Host {
    Echo,
    Length,
    /// A text that tells nothing.
    Text,
    /// Nobody listens: ICMP port unreachable, six at once after a rest and then one a second.
    Closed,
    Silent,
}

/// How many ICMP errors Linux sends a host at once after a rest.
const ICMP_BURST: u32 = 6;

/// How a search went.
#[derive(Debug)]
struct Run {
    outcome: Outcome,
    took: Duration,
    search: Search,
}

impl Path {
    fn new(address: &str, first_hop: u32, links: &[(u32, bool)], host: Host) -> Self {
        let address = address.parse().unwrap();
        let (delay, jitter) = (Duration::from_millis(10), Duration::ZERO);
        let links = links.to_vec();
        let icmp = (ICMP_BURST, Duration::ZERO);
        Self {
            address,
            first_hop,
            links,
            host,
            loss: 0,
            duplicates: 0,
            delay,
            jitter,
            arp: jitter,
            icmp,
            seed: 1,
        }
    }

    fn v4(links: &[(u32, bool)], host: Host) -> Self {
        Self::new("192.0.2.1", 1500, links, host)
    }

    /// What the search should find.
    fn mtu(&self) -> u32 {
        let config = SearchConfig::to(&self.address);
        let narrowest = self.links.iter().map(|(mtu, _)| *mtu).min().unwrap_or(u32::MAX);
        narrowest.min(self.first_hop).min(config.ceiling)
    }

    fn run(&self) -> Run {
        self.run_with(SearchConfig::to(&self.address), |_, path| path.clone())
    }

    /// Runs a search; `change` says what the path is like at a time.
    fn run_with(&self, config: SearchConfig, change: impl Fn(Time, &Path) -> Path) -> Run {
        let start = Time::from_nanos(12_345);
        let mut now = start;
        let mut search = Search::new(config, start);
        let mut random = SplitMix64::new(self.seed);
        let mut events = Events::default();
        let (mut tokens, waited) = self.icmp;
        let mut refill = start + (Duration::from_secs(1) - waited);
        while search.outcome().is_none() {
            let path = change(now, self);
            if let Some(probe) = search.poll_transmit(now) {
                assert!(probe.deadline > now);
                assert_eq!(search.poll_transmit(now), None, "one at a time");
                if probe.size > path.first_hop {
                    search.handle_input(now, Input::Unsendable { id: probe.id, mtu: Some(path.first_hop) });
                    continue;
                }
                path.send(now, probe, &mut random, &mut events);
                continue;
            }
            let due = search.poll_timeout().expect("a search that has not ended waits for something");
            match events.next_before(due) {
                Some((at, Event::Back(input))) => {
                    now = at.max(now);
                    search.handle_input(now, input);
                }
                Some((at, Event::AtHost { id, payload })) => {
                    now = at.max(now);
                    while refill <= now {
                        refill += Duration::from_secs(1);
                        tokens = (tokens + 1).min(ICMP_BURST);
                    }
                    if path.host == Host::Closed {
                        if tokens == 0 {
                            continue;
                        }
                        tokens -= 1;
                    }
                    path.answer(now, id, payload, &mut random, &mut events);
                }
                None => {
                    now = due.max(now);
                    search.handle_timeout(now);
                }
            }
            assert!(now.since(start) <= Duration::from_secs(3600));
        }
        assert_eq!(search.poll_timeout(), None);
        assert_eq!(search.poll_transmit(now), None);
        Run { outcome: search.outcome().unwrap(), took: now.since(start), search }
    }

    fn send(&self, now: Time, probe: Probe, random: &mut SplitMix64, events: &mut Events) {
        let id = Matched::Id(probe.id);
        for (hop, (mtu, says_so)) in (1_u32..).zip(&self.links) {
            if probe.size > *mtu {
                let lost = random.below(100) < self.loss || random.below(100) < self.loss;
                if *says_so && !lost {
                    let input = Input::TooBig { probe: id, mtu: *mtu, router: None };
                    events.add(now + self.delay * hop / 4, Event::Back(input));
                }
                return;
            }
        }
        let payload = SearchConfig::to(&self.address).payload_of(probe.size);
        let now = if probe.id == 0 { now + self.arp } else { now };
        self.travel(now, random, events, Event::AtHost { id: probe.id, payload });
    }

    fn answer(&self, now: Time, id: u32, payload: usize, random: &mut SplitMix64, events: &mut Events) {
        let (probe, how) = match self.host {
            Host::Echo => (Matched::Id(id), Evidence::Echo),
            Host::Length => (Matched::Payload(payload), Evidence::Length),
            Host::Text => (Matched::Unknown, Evidence::Datagram),
            Host::Closed => (Matched::Id(id), Evidence::Unreachable),
            Host::Silent => return,
        };
        self.travel(now, random, events, Event::Back(Input::Answered { probe, how }));
    }

    fn travel(&self, now: Time, random: &mut SplitMix64, events: &mut Events, event: Event) {
        if random.below(100) < self.loss {
            return;
        }
        let copies = if random.below(100) < self.duplicates { 2 } else { 1 };
        for _ in 0..copies {
            let jitter = Duration::from_nanos(random.below(self.jitter.as_nanos() as u64 + 1));
            events.add(now + self.delay + jitter, event);
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Event {
    AtHost { id: u32, payload: usize },
    Back(Input),
}

#[derive(Debug, Default)]
struct Events {
    waiting: BTreeMap<(Time, u32), Event>,
    count: u32,
}

impl Events {
    fn add(&mut self, at: Time, event: Event) {
        self.waiting.insert((at, self.count), event);
        self.count += 1;
    }

    fn next_before(&mut self, due: Time) -> Option<(Time, Event)> {
        let entry = self.waiting.first_entry().filter(|entry| entry.key().0 <= due)?;
        Some((entry.key().0, entry.remove()))
    }
}

impl Run {
    #[track_caller]
    fn found(&self, mtu: u32, limit: Limit) {
        assert_eq!(self.outcome, Outcome::Found { mtu, limit, certain: true }, "{:?}", self.search.records());
        assert_eq!(self.search.phase(), Phase::SearchComplete);
    }

    fn sizes(&self) -> Vec<u32> {
        self.search.records().iter().map(|record| record.size).collect()
    }
}

#[test]
fn a_path_that_carries_what_the_first_link_does_takes_three_probes() {
    for host in [Host::Echo, Host::Length, Host::Closed] {
        let run = Path::v4(&[(1500, true)], host).run();
        run.found(1500, Limit::FirstHop);
        // The kernel refuses the largest one and says what its link carries.
        assert_eq!(run.sizes(), [68, 1228, 65_535, 1500], "{host:?}");
        assert!(run.took < Duration::from_millis(100), "{:?}", run.took);
    }
}

#[test]
fn loopback_carries_every_datagram() {
    Path::new("127.0.0.1", 65_536, &[], Host::Closed).run().found(65_535, Limit::FirstHop);
    Path::new("::1", 65_536, &[], Host::Echo).run().found(65_536, Limit::FirstHop);
}

#[test]
fn a_router_that_reports_leads_to_the_answer_at_once() {
    let run = Path::v4(&[(1500, true), (1400, true)], Host::Length).run();
    run.found(1400, Limit::TooBig);
    assert_eq!(run.sizes(), [68, 1228, 65_535, 1500, 1400, 1401], "its word is tried from both sides");
}

#[test]
fn several_routers_are_followed_down() {
    let run = Path::v4(&[(1480, true), (1400, true), (1390, true)], Host::Echo).run();
    run.found(1390, Limit::TooBig);
}

#[test]
fn a_black_hole_is_found_without_a_word_from_anybody() {
    for mtu in [1500 - 1, 1492, 1400, 1399, 1281, 1280] {
        for host in [Host::Echo, Host::Length, Host::Text, Host::Closed] {
            let run = Path::v4(&[(1500, true), (mtu, false)], host).run();
            run.found(mtu, Limit::Silence);
            assert!(run.took < Duration::from_secs(20), "{mtu} {host:?}: {:?}", run.took);
        }
    }
}

#[test]
fn a_black_hole_behind_a_router_that_reports_is_told_from_its_link() {
    let run = Path::v4(&[(1450, true), (1400, false)], Host::Echo).run();
    run.found(1400, Limit::Silence);
}

#[test]
fn a_path_below_the_base_size_is_searched_below_it() {
    let run = Path::v4(&[(600, true)], Host::Echo).run();
    run.found(600, Limit::TooBig);
    let run = Path::v4(&[(300, false)], Host::Length).run();
    run.found(300, Limit::Silence);
    Path::v4(&[(68, false)], Host::Length).run().found(68, Limit::Silence);
    // Not a link for IPv6, and told all the same.
    Path::new("2001:db8::1", 1500, &[(1200, false)], Host::Echo).run().found(1200, Limit::Silence);
}

#[test]
fn the_phases_are_those_of_the_rfc() {
    let path = Path::v4(&[(1400, true)], Host::Echo);
    let mut search = Search::new(SearchConfig::to(&path.address), Time::ZERO);
    let mut phases = Vec::new();
    let now = Time::ZERO;
    while search.outcome().is_none() {
        phases.push(search.phase());
        let Some(sent) = search.poll_transmit(now) else {
            search.handle_timeout(search.poll_timeout().unwrap());
            continue;
        };
        let probe = Matched::Id(sent.id);
        let how = Evidence::Echo;
        search.handle_input(
            now,
            match sent.size {
                ..=1000 => Input::Answered { probe, how },
                _ => Input::TooBig { probe, mtu: 1000, router: None },
            },
        );
    }
    phases.dedup();
    assert_eq!(phases, [Phase::Disabled, Phase::Base, Phase::Error]);
    assert_eq!(search.phase(), Phase::SearchComplete);
}

#[test]
fn a_host_that_answers_nothing_is_silent_after_five_small_probes() {
    let run = Path::v4(&[(1400, true)], Host::Silent).run();
    assert_eq!(run.outcome, Outcome::Silent);
    assert_eq!(run.sizes(), [68; 5]);
    assert_eq!(run.took, Duration::from_millis(7500));
    assert_eq!(run.search.phase(), Phase::Disabled);
}

#[test]
fn a_host_whose_icmp_errors_are_limited_is_not_asked_faster_than_it_answers() {
    let mut path = Path::v4(&[(1377, false)], Host::Closed);
    path.delay = Duration::from_micros(50);
    let run = path.run();
    run.found(1377, Limit::Silence);
    let small_and_lost = |record: &&ProbeRecord| record.size <= 1377 && record.result == ProbeResult::Lost;
    assert_eq!(run.search.records().iter().filter(small_and_lost).count(), 0);
}

#[test]
fn a_host_whose_icmp_errors_were_used_up_before_costs_a_second_for_each_answer() {
    for left in 0..=ICMP_BURST {
        for waited in (0..1000).step_by(50) {
            let mut path = Path::v4(&[], Host::Closed);
            path.delay = Duration::from_micros(50);
            path.icmp = (left, Duration::from_millis(waited));
            let run = path.run();
            run.found(1500, Limit::FirstHop);
            let mut sizes = run.sizes();
            sizes.dedup();
            assert_eq!(sizes, [68, 1228, 65_535, 1500], "{left} {waited}: none below one that was lost");
            assert!(run.took < Duration::from_millis(3700), "{left} {waited}: {:?}", run.took);
        }
    }
}

#[test]
fn who_shares_a_hosts_icmp_errors_with_others_is_not_misled() {
    let mut path = Path::v4(&[(8000, true)], Host::Closed);
    (path.delay, path.first_hop) = (Duration::from_millis(1), 9000);
    for until in [500, 1000, 1600, 2000, 2500] {
        // Somebody else gets every answer for a while, after the first two of ours: the control is lost, too.
        let run = path.run_with(SearchConfig::to(&path.address), |now, path| {
            let taken = (4_000_000..until * 1_000_000).contains(&now.as_nanos());
            Path { host: if taken { Host::Silent } else { Host::Closed }, ..path.clone() }
        });
        run.found(8000, Limit::TooBig);
        let mut sizes = run.sizes();
        sizes.retain(|size| ![68, 1228].contains(size));
        sizes.dedup();
        assert_eq!(sizes, [65_535, 9000, 8000, 8001], "{until}: none below one that was lost");
    }
}

#[test]
fn the_word_of_a_router_is_not_believed() {
    // It names less than passes: what lies between is searched.
    let path = Path::v4(&[], Host::Echo);
    let lie = |mtu: u32| {
        let mut search = Search::new(SearchConfig::to(&path.address), Time::ZERO);
        let now = Time::ZERO;
        while search.outcome().is_none() {
            let Some(sent) = search.poll_transmit(now) else { panic!("nothing was lost") };
            let probe = Matched::Id(sent.id);
            search.handle_input(
                now,
                match sent.size {
                    ..=1433 => Input::Answered { probe, how: Evidence::Echo },
                    _ => Input::TooBig { probe, mtu, router: None },
                },
            );
        }
        (search.outcome().unwrap(), search.ignored())
    };
    let found = Outcome::Found { mtu: 1433, limit: Limit::TooBig, certain: true };
    assert_eq!(lie(1300), (found, 0));
    assert_eq!(lie(0), (found, 0), "from before RFC 1191");
}

#[test]
fn reports_that_cannot_be_are_left_out() {
    let config = SearchConfig::to(&"2001:db8::1".parse().unwrap());
    let mut search = Search::new(config, Time::ZERO);
    let sent = search.poll_transmit(Time::ZERO).unwrap();
    let probe = Matched::Id(sent.id);
    search.handle_input(Time::ZERO, Input::Answered { probe, how: Evidence::Echo });
    let sent = search.poll_transmit(Time::ZERO).unwrap();
    let probe = Matched::Id(sent.id);
    for (number, mtu) in (1..).zip([1279, 68, sent.size, sent.size + 1, u32::MAX]) {
        search.handle_input(Time::ZERO, Input::TooBig { probe, mtu, router: None });
        assert_eq!(search.ignored(), number, "{mtu}");
    }
    for probe in [Matched::Id(99), Matched::Payload(3)] {
        search.handle_input(Time::ZERO, Input::TooBig { probe, mtu: 1280, router: None });
        search.handle_input(Time::ZERO, Input::Answered { probe, how: Evidence::Length });
    }
    assert_eq!(search.ignored(), 9);
    assert_eq!(search.phase(), Phase::Base, "still waiting for the answer to the base size");
}

#[test]
fn an_answer_that_comes_after_its_time_counts() {
    let mut path = Path::v4(&[(1400, false)], Host::Echo);
    path.delay = Duration::from_millis(400);
    // The first round trip is longer than what is waited at first.
    let run = path.run();
    run.found(1400, Limit::Silence);
}

#[test]
fn a_first_round_trip_that_takes_longer_than_all_others_misleads_nobody() {
    for host in [Host::Echo, Host::Length, Host::Text, Host::Closed] {
        let mut path = Path::v4(&[(1400, true)], host);
        (path.delay, path.arp) = (Duration::from_micros(30), Duration::from_millis(5));
        path.run().found(1400, Limit::TooBig);
    }
}

#[test]
fn a_path_that_stops_answering_is_told_from_a_black_hole() {
    let path = Path::v4(&[(1400, false)], Host::Echo);
    let config = || SearchConfig::to(&path.address);
    let run = path.run_with(config(), |now, path| {
        let host = if now.as_nanos() > 60_000_000 { Host::Silent } else { path.host };
        Path { host, ..path.clone() }
    });
    let Outcome::Unfinished { passes: 1228, fails: None, why: Unfinished::Stopped } = run.outcome else {
        panic!("{:?}", run.outcome)
    };
}

#[test]
fn a_path_that_becomes_narrower_meanwhile_is_searched_again() {
    let path = Path::v4(&[(1400, false)], Host::Echo);
    let run = path.run_with(SearchConfig::to(&path.address), |now, path| {
        let mtu = if now.as_nanos() > 2_500_000_000 { 1300 } else { 1400 };
        Path { links: alloc::vec![(mtu, false)], ..path.clone() }
    });
    assert!(
        run.search
            .records()
            .iter()
            .any(|record| record.size == 1400 && matches!(record.result, ProbeResult::Answered { .. }))
    );
    run.found(1300, Limit::Silence);
}

#[test]
fn the_time_is_kept() {
    let path = Path::v4(&[(1400, false)], Host::Echo);
    let config = SearchConfig::to(&path.address).total(Duration::from_millis(600));
    let run = path.run_with(config, |_, path| path.clone());
    assert_eq!(run.took, Duration::from_millis(600));
    assert!(matches!(run.outcome, Outcome::Unfinished { passes: 1228, why: Unfinished::Time, .. }));
    let config = SearchConfig::to(&path.address).total(Duration::from_millis(1));
    assert_eq!(path.run_with(config, |_, path| path.clone()).outcome, Outcome::Silent);
}

fn any_path() -> impl Strategy<Value = Path> {
    let mtu = prop_oneof![68_u32..1600, 1280_u32..1501, 1500_u32..9300, 9000_u32..66_000];
    let links = prop::collection::vec((mtu.clone(), any::<bool>()), 0..4);
    let host = prop_oneof![3 => Just(Host::Echo), 2 => Just(Host::Length), 2 => Just(Host::Text), 1 => Just(Host::Closed)];
    let times = (0_u64..300, 0_u64..30, 0_u64..100);
    (any::<bool>(), mtu, links, host, 0_u64..31, 0_u64..10, times, any::<u64>()).prop_map(
        |(is_v4, first_hop, links, host, loss, duplicates, (delay, jitter, arp), seed)| {
            let (address, least) = if is_v4 { ("192.0.2.1", 68) } else { ("2001:db8::1", 1280) };
            let links: Vec<_> = links.iter().map(|(mtu, says_so)| ((*mtu).max(least), *says_so)).collect();
            let mut path = Path::new(address, first_hop.max(least), &links, host);
            (path.loss, path.duplicates, path.seed) = (loss, duplicates, seed);
            path.delay = Duration::from_millis(delay);
            path.jitter = Duration::from_millis(jitter);
            path.arp = Duration::from_millis(arp);
            path.icmp = ((seed % 7) as u32, Duration::from_millis(seed / 7 % 1000));
            path
        },
    )
}

proptest! {
    // The same cases each time: that chance is ruled out is itself a matter of chance. Of three million paths
    // like these, six were called narrower than they are for certain, all at losses of 19 % and more each way, and
    // none wider.
    #![proptest_config(ProptestConfig { cases: 10_000, rng_seed: RngSeed::Fixed(8899), ..Default::default() })]

    #[test]
    fn on_any_path_the_answer_is_right_or_says_that_it_is_not_certain(path in any_path()) {
        let config = SearchConfig::to(&path.address).total(Duration::from_secs(1800));
        let run = path.run_with(config, |_, path| path.clone());
        match run.outcome {
            Outcome::Found { mtu, certain: true, .. } => prop_assert_eq!(mtu, path.mtu()),
            Outcome::Found { mtu, certain: false, .. } => prop_assert!(mtu <= path.mtu() || path.host == Host::Text),
            Outcome::Unfinished { passes, .. } => {
                prop_assert!(path.loss > 0, "{:?}", run.outcome);
                prop_assert!(passes <= path.mtu() || path.host == Host::Text, "{passes}");
            }
            Outcome::Silent => prop_assert!(path.loss > 0),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn on_a_path_that_loses_nothing_the_answer_is_certain_and_right(mut path in any_path()) {
        (path.loss, path.duplicates) = (0, 0);
        let config = SearchConfig::to(&path.address).total(Duration::from_secs(180));
        let run = path.run_with(config, |_, path| path.clone());
        match run.outcome {
            Outcome::Found { mtu, certain: true, .. } => prop_assert_eq!(mtu, path.mtu()),
            outcome => prop_assert!(false, "{:?} after {:?}", outcome, run.took),
        }
    }

    #[test]
    fn nothing_that_anybody_sends_upsets_a_search(
        inputs in prop::collection::vec((0_u8..4, 0_u32..40, 0_u32..70_000, 0_u64..2000), 0..300),
    ) {
        let mut now = Time::ZERO;
        let mut search = Search::new(SearchConfig::to(&"192.0.2.1".parse().unwrap()), now);
        for (kind, id, number, wait) in inputs {
            now += Duration::from_millis(wait);
            let probe = match number % 3 {
                0 => Matched::Id(id),
                1 => Matched::Payload(number as usize),
                _ => Matched::Unknown,
            };
            match kind {
                0 => search.handle_input(now, Input::Answered { probe, how: Evidence::Datagram }),
                1 => search.handle_input(now, Input::TooBig { probe, mtu: number, router: None }),
                2 => search.handle_input(now, Input::Unsendable { id, mtu: Some(number) }),
                _ => search.handle_timeout(now),
            }
            let _ = search.poll_transmit(now);
            prop_assert_eq!(search.outcome().is_none(), search.poll_timeout().is_some());
        }
    }
}

#[test]
fn a_path_that_loses_three_of_ten_each_way_is_nearly_always_known_for_certain() {
    let mut certain = 0;
    for seed in 0..1000 {
        let mut path = Path::v4(&[(1400, seed % 2 == 0)], Host::Echo);
        (path.loss, path.seed) = (30, seed);
        match path.run().outcome {
            Outcome::Found { mtu, certain: is_certain, .. } => {
                assert_eq!(mtu, 1400, "seed {seed}");
                certain += u32::from(is_certain);
            }
            Outcome::Unfinished { passes, .. } => assert!(passes <= 1400, "seed {seed}"),
            // Five probes in a row: 0.51 to the fifth is 3.5 %.
            Outcome::Silent => {}
        }
    }
    assert!(certain >= 900, "{certain}");
}

#[test]
fn where_chance_may_explain_the_silence_the_answer_says_so() {
    let mut uncertain = 0;
    for seed in 0..300 {
        let mut path = Path::v4(&[(1400, false)], Host::Echo);
        (path.loss, path.seed) = (40, seed);
        if let Outcome::Found { mtu, certain, .. } = path.run().outcome {
            assert!(mtu == 1400 || !certain, "seed {seed}: {mtu}");
            uncertain += u32::from(!certain);
        }
    }
    assert!(uncertain > 0);
}
