use alloc::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const IDLE: Duration = Duration::from_secs(60);

fn table(config: TableConfig) -> Table<u16, u16> {
    Table::new(config.idle(IDLE))
}

fn at(seconds: u64) -> Time {
    Time::ZERO + Duration::from_secs(seconds)
}

fn open(table: &mut Table<u16, u16>, now: Time, key: u16) -> SessionId {
    match table.handle_input(now, &key, |_| key) {
        Arrival::Opened { id, ended: None } => id,
        other => panic!("{key}: {other:?}"),
    }
}

#[test]
fn a_peer_has_one_session_and_it_is_accepted_once() {
    let mut table = table(TableConfig::default());
    let one = open(&mut table, at(0), 1);
    let two = open(&mut table, at(0), 2);
    assert_eq!(table.handle_input(at(1), &1, |_| 99), Arrival::Known(one));
    assert_eq!((table.get(one), table.get(two)), (Some(&1), Some(&2)));
    assert_eq!((table.accept(), table.accept(), table.accept()), (Some(one), Some(two), None));
}

#[test]
fn silence_ends_a_session_and_a_datagram_puts_that_off() {
    let mut table = table(TableConfig::default());
    assert_eq!(table.poll_timeout(), None);
    open(&mut table, at(0), 1);
    open(&mut table, at(10), 2);
    table.handle_input(at(30), &1, |_| 99);
    assert_eq!(table.poll_timeout(), Some(at(70)), "2 is the one that has been silent for longest");
    assert_eq!(table.handle_timeout(at(69)), None);
    assert_eq!(table.handle_timeout(at(70)), Some(Ended { cause: Cause::Idle, value: 2 }));
    assert_eq!(table.handle_timeout(at(70)), None);
    assert_eq!(table.poll_timeout(), Some(at(90)));
    assert_eq!(table.handle_timeout(at(1000)), Some(Ended { cause: Cause::Idle, value: 1 }));
    assert!(table.is_empty() && table.accept().is_none() && table.waiting() == 0);
}

#[test]
fn a_full_table_refuses_or_evicts() {
    let mut refusing = table(TableConfig::default().sessions(2));
    open(&mut refusing, at(0), 1);
    open(&mut refusing, at(1), 2);
    assert_eq!(refusing.handle_input(at(2), &3, |_| 3), Arrival::Full);
    let late = refusing.handle_input(at(60), &3, |_| 3);
    let Arrival::Opened { ended: Some(Ended { cause: Cause::Idle, value: 1 }), .. } = late else {
        panic!("a session whose time has passed makes room: {late:?}");
    };

    let mut evicting = table(TableConfig::default().sessions(2).when_full(TableFull::EvictLongestIdle));
    let one = open(&mut evicting, at(0), 1);
    open(&mut evicting, at(1), 2);
    evicting.handle_input(at(2), &1, |_| 99);
    let third = evicting.handle_input(at(3), &3, |_| 3);
    let Arrival::Opened { ended: Some(Ended { cause: Cause::Evicted, value: 2 }), .. } = third else {
        panic!("{third:?}");
    };
    assert_eq!(evicting.get(one), Some(&1));
}

#[test]
fn peers_are_refused_when_too_many_wait_to_be_accepted() {
    let mut table = table(TableConfig::default().backlog(2));
    let one = open(&mut table, at(0), 1);
    open(&mut table, at(0), 2);
    assert_eq!(table.handle_input(at(0), &3, |_| 3), Arrival::BacklogFull);
    assert_eq!(table.handle_input(at(0), &1, |_| 99), Arrival::Known(one), "who has a session keeps it");
    assert_eq!(table.accept(), Some(one));
    open(&mut table, at(0), 3);
}

#[test]
fn a_closed_session_s_id_never_means_the_next_one() {
    let mut table = table(TableConfig::default());
    let first = open(&mut table, at(0), 1);
    assert_eq!(table.close(first), Some(1));
    assert_eq!(table.close(first), None);
    let second = open(&mut table, at(0), 1);
    assert_ne!(first, second);
    assert_eq!(table.get(first), None);
    assert_eq!(table.close(first), None);
    assert_eq!(table.accept(), Some(second), "the one that ended is not accepted");
    open(&mut table, at(0), 2);
    let mut rest: Vec<u16> = table.close_all().collect();
    rest.sort_unstable();
    assert_eq!(rest, [1, 2]);
    assert_eq!(table.accept(), None);
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Datagram(u16),
    Accept,
    CloseOldestAccepted,
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0u16..12).prop_map(Step::Datagram),
        2 => Just(Step::Accept),
        1 => Just(Step::CloseOldestAccepted),
        1 => (0u64..80).prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 0..200)
}

proptest! {
    /// The same steps on the table and on a plain map that is searched whole each time.
    #[test]
    fn the_table_does_what_a_searched_list_would(steps in steps(), evict: bool) {
        let full = if evict { TableFull::EvictLongestIdle } else { TableFull::Refuse };
        let mut table = table(TableConfig::default().sessions(6).backlog(4).when_full(full));
        let mut heard: BTreeMap<u16, (Time, u32, bool)> = BTreeMap::new();
        let mut accepted = Vec::new();
        let (mut now, mut order) = (Time::ZERO, 0);
        for step in steps {
            match step {
                Step::Datagram(key) => {
                    order += 1;
                    let arrival = table.handle_input(now, &key, |_| key);
                    let waiting = heard.values().filter(|(_, _, accepted)| !accepted).count();
                    if let Some(known) = heard.get_mut(&key) {
                        prop_assert!(matches!(arrival, Arrival::Known(_)));
                        (known.0, known.1) = (now, order);
                    } else if waiting >= 4 {
                        prop_assert_eq!(arrival, Arrival::BacklogFull);
                    } else {
                        let longest = heard.iter().min_by_key(|(_, (_, order, _))| *order);
                        let longest = longest.map(|(key, (heard, ..))| (*key, *heard + IDLE <= now));
                        match longest.filter(|_| heard.len() >= 6) {
                            Some((_, false)) if !evict => {
                                prop_assert_eq!(arrival, Arrival::Full);
                                continue;
                            }
                            Some((value, overdue)) => {
                                let cause = if overdue { Cause::Idle } else { Cause::Evicted };
                                heard.remove(&value);
                                let ended = Some(Ended { cause, value });
                                let right = matches!(arrival, Arrival::Opened { ended: e, .. } if e == ended);
                                prop_assert!(right);
                            }
                            None => {
                                let right = matches!(arrival, Arrival::Opened { ended: None, .. });
                                prop_assert!(right);
                            }
                        }
                        heard.insert(key, (now, order, false));
                    }
                }
                Step::Accept => match table.accept() {
                    Some(id) => {
                        let entry = table.get(id).and_then(|key| heard.get_mut(key));
                        prop_assert!(entry.is_some_and(|entry| !core::mem::replace(&mut entry.2, true)));
                        accepted.push(id);
                    }
                    None => prop_assert!(heard.values().all(|(_, _, accepted)| *accepted)),
                },
                Step::CloseOldestAccepted if !accepted.is_empty() => {
                    if let Some(key) = table.close(accepted.remove(0)) {
                        prop_assert!(heard.remove(&key).is_some());
                    }
                }
                Step::CloseOldestAccepted => {}
                Step::Wait(seconds) => {
                    now += Duration::from_secs(seconds);
                    while let Some(ended) = table.handle_timeout(now) {
                        let (heard, ..) = heard.remove(&ended.value).unwrap();
                        prop_assert!(heard + IDLE <= now);
                    }
                }
            }
            prop_assert_eq!(table.len(), heard.len());
            prop_assert_eq!(table.poll_timeout(), heard.values().map(|(heard, ..)| *heard + IDLE).min());
            prop_assert!(table.backlog.len() <= 8 && table.slots.len() <= 6, "bounded");
        }
    }
}
