use super::*;
use crate::{Peer, Transport};

fn origin() -> Origin {
    let peer = Peer::Ip("127.0.0.1:1".parse().unwrap());
    Origin { peer, local: None, transport: Transport::Udp, validated: true }
}

#[test]
fn an_answer_is_there_until_newer_ones_take_its_room() {
    let mut ring = Ring::new(1024);
    let mut places = Vec::new();
    for number in 0..1000_u32 {
        let answer = vec![number as u8; 1 + number as usize % 50];
        let place = ring.put(number, &answer).unwrap();
        places.push((place, answer));
        let mut is_gone = false;
        for (age, (place, answer)) in places.iter().rev().enumerate() {
            match ring.get(*place, number - age as u32) {
                Some(found) => {
                    assert!(!is_gone, "the oldest go first");
                    assert_eq!(found, answer);
                }
                None => is_gone = true,
            }
        }
        // At most 64 bytes each, and at the end of the ring as much again is left.
        let kept = places
            .iter()
            .rev()
            .enumerate()
            .filter(|(age, (place, _))| ring.get(*place, number - *age as u32).is_some());
        assert!(kept.count() >= places.len().min(14));
    }
    assert_eq!(ring.put(7, &[0; 300]), None, "over a quarter of the ring");
    assert_eq!(ring.get(NO_ANSWER & !RING, 7), None);
}

#[test]
fn marks_are_dropped_after_their_time_though_nobody_asks_for_their_page() {
    let mut once = Once::new(1, 1 << 12, 1 << 12, Duration::from_secs(247));
    let lifetime = Duration::from_secs(247);
    let at = |seconds| Time::from_epoch(Duration::from_secs(seconds));
    for id in 0..4000_u16 {
        let key = once.key(&origin(), id, &id.to_be_bytes());
        once.insert(at(0), key, &origin(), true, lifetime).unwrap();
    }
    for round in 0..512_u32 {
        let key = once.key(&origin(), 1, &round.to_be_bytes());
        once.insert(at(249), key, &origin(), true, lifetime).unwrap();
    }
    assert_eq!(once.len(), 512, "each request looks through one page more");
}

#[test]
fn one_id_does_not_take_more_than_its_page() {
    let mut once = Once::new(1, 1 << 20, 1 << 12, Duration::from_secs(247));
    let mut refused = 0;
    for content in 0..2000_u32 {
        let key = once.key(&origin(), 7, &content.to_be_bytes());
        refused +=
            usize::from(once.insert(Time::ZERO, key, &origin(), true, Duration::from_secs(247)).is_err());
    }
    assert_eq!(refused, 2000 - MAX_PAGE);
}
