use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use std::sync::Mutex;

use proptest::prelude::*;

use super::*;
use crate::{Peer, Transport};

extern crate std;

/// What was kept, for a test to look at.
#[derive(Default)]
struct Kept {
    open: BTreeMap<UploadId, Vec<u8>>,
    ended: Vec<(Ended, Vec<u8>)>,
    /// What the next append is answered.
    refusal: Option<KeepError>,
    /// What a new upload is answered.
    refuse_new: Option<KeepError>,
}

#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Kept>>);

impl Keeper for Memory {
    fn begin(&mut self, started: &Started) -> Result<(), KeepError> {
        let mut kept = self.0.lock().unwrap();
        if let Some(refusal) = kept.refuse_new {
            return Err(refusal);
        }
        assert!(kept.open.insert(started.id, Vec::new()).is_none());
        Ok(())
    }

    fn append(&mut self, id: UploadId, bytes: &[u8]) -> Result<(), KeepError> {
        let mut kept = self.0.lock().unwrap();
        assert!(!bytes.is_empty());
        if let Some(refusal) = kept.refusal {
            assert!(kept.open.contains_key(&id));
            return Err(refusal);
        }
        kept.open.get_mut(&id).expect("it has begun and not ended").extend_from_slice(bytes);
        Ok(())
    }

    fn end(&mut self, ended: &Ended) {
        let mut kept = self.0.lock().unwrap();
        let content = kept.open.remove(&ended.id).expect("it has begun and not ended");
        assert_eq!(content.len() as u64, ended.bytes);
        kept.ended.push((*ended, content));
    }
}

struct Bench {
    receiver: Receiver,
    kept: Memory,
    now: Time,
    out: Outbox,
}

const IDLE: Duration = Duration::from_secs(60);
/// A deadline may be seen one slot late.
const SLOT: Duration = Duration::from_millis(100);

impl Bench {
    fn new(config: ReceiverConfig) -> Self {
        let kept = Memory::default();
        let receiver = Receiver::new(config, Box::new(kept.clone()));
        Self { receiver, kept, now: Time::ZERO, out: Outbox::new() }
    }

    /// Gives datagrams of a sender, by its number.
    fn give(&mut self, sender: u16, datagrams: &[&[u8]]) {
        for datagram in datagrams {
            let request = Request::new(self.now, datagram, origin(sender));
            self.receiver.handle_input(self.now, Input::Message(request), &mut self.out);
            assert_eq!(self.out.len(), 0, "nothing is ever answered");
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        while self.receiver.poll_timeout().is_some_and(|due| due <= self.now) {
            self.receiver.handle_timeout(self.now, &mut self.out);
        }
    }

    /// How the uploads ended since this was asked last, and their content.
    fn ended(&mut self) -> Vec<(End, bool, Vec<u8>)> {
        let ended = core::mem::take(&mut self.kept.0.lock().unwrap().ended);
        ended.into_iter().map(|(ended, content)| (ended.end, ended.is_whole(), content)).collect()
    }

    fn answer_appends(&self, refusal: Option<KeepError>) {
        self.kept.0.lock().unwrap().refusal = refusal;
    }
}

/// The first thousand are on loopback, the others in one network.
fn origin(sender: u16) -> Origin {
    let ip: IpAddr = if sender < 1000 { [127, 0, 0, 1] } else { [192, 0, 2, 1] }.into();
    let peer = Peer::Ip(SocketAddr::new(ip, 10_000 + sender));
    Origin { peer, local: None, transport: Transport::Udp, validated: true }
}

fn whole(content: &[u8]) -> (End, bool, Vec<u8>) {
    (End::Bye, true, content.to_vec())
}

#[test]
fn each_address_has_an_upload_of_its_own_that_ends_with_bye() {
    let mut bench = Bench::new(ReceiverConfig::default());
    bench.give(1, &[b"one "]);
    bench.give(2, &[b"two", b"", b"bye\n"]);
    bench.give(1, &[b"by", b"e", b"bye"]);
    assert_eq!(bench.ended(), [whole(b"one bye")]);
    bench.give(2, &[b"bye"]);
    assert_eq!(bench.ended(), [whole(b"twobye\n")]);
    bench.give(3, &[b"bye"]);
    assert_eq!(bench.ended(), [whole(b"")], "a lone bye is an empty file");
    assert_eq!(bench.receiver.stats().whole, 3);
}

#[test]
fn the_longest_datagram_and_any_bytes_are_taken() {
    let mut bench = Bench::new(ReceiverConfig::default());
    let longest = vec![0xff; crate::MAX_DATAGRAM];
    bench.give(1, &[&longest, b"\0", b"bye"]);
    assert_eq!(bench.ended(), [whole(&[&longest[..], b"\0"].concat())]);
}

#[test]
fn a_silent_upload_ends_incomplete_and_what_follows_lacks_its_beginning() {
    let mut bench = Bench::new(ReceiverConfig::default());
    bench.give(1, &[b"first"]);
    bench.pass(IDLE - SLOT);
    bench.give(1, &[b""]);
    bench.pass(IDLE - SLOT);
    assert_eq!(bench.ended(), [], "an empty datagram is a sign of life");
    bench.pass(SLOT * 2);
    assert_eq!(bench.ended(), [(End::Idle, false, b"first".to_vec())]);
    bench.give(1, &[b"rest", b"bye"]);
    assert_eq!(bench.ended(), [(End::Bye, false, b"rest".to_vec())]);
    bench.give(1, &[b"another", b"bye"]);
    assert_eq!(bench.ended(), [whole(b"another")]);
}

#[test]
fn a_bye_that_comes_late_for_a_silent_upload_is_no_empty_file() {
    let mut bench = Bench::new(ReceiverConfig::default());
    bench.give(1, &[b"first"]);
    bench.pass(IDLE * 2);
    bench.ended();
    bench.give(1, &[b"bye", b"bye"]);
    assert_eq!(bench.ended(), []);
    bench.pass(IDLE * 20);
    bench.give(1, &[b"bye"]);
    assert_eq!(bench.ended(), [whole(b"")]);
}

#[test]
fn a_doubled_bye_is_no_empty_file_and_other_content_begins_the_next_upload() {
    let mut bench = Bench::new(ReceiverConfig::default());
    bench.give(1, &[b"one", b"bye", b"bye"]);
    bench.pass(Duration::from_secs(4));
    bench.give(1, &[b"", b"bye", b"two", b"bye", b"bye"]);
    assert_eq!(bench.ended(), [whole(b"one"), whole(b"two")]);
    assert_eq!(bench.receiver.stats().repeated_byes, 3);
    bench.pass(Duration::from_secs(5) + SLOT);
    bench.give(1, &[b"bye"]);
    assert_eq!(bench.ended(), [whole(b"")], "by then it is an empty file");
}

#[test]
fn the_rest_of_an_upload_that_is_too_long_is_dropped_up_to_its_bye() {
    let mut bench = Bench::new(ReceiverConfig::default().size(5));
    bench.give(1, &[b"123", b"45", b"6", b"7"]);
    bench.give(2, &[b"12345", b"bye"]);
    bench.give(1, &[b"8", b"bye", b"next", b"bye"]);
    assert_eq!(bench.ended(), [(End::TooLong, false, b"12345".to_vec()), whole(b"12345"), whole(b"next")]);
    assert_eq!(bench.receiver.stats().discarded, 3);
}

#[test]
fn who_is_turned_away_in_mid_file_makes_no_file_of_the_rest() {
    let mut bench = Bench::new(ReceiverConfig::default().uploads(1));
    bench.give(1, &[b"first"]);
    bench.give(2, &[b"turned away"]);
    bench.give(3, &[b"bye"]);
    bench.give(1, &[b"bye"]);
    bench.give(2, &[b"rest"]);
    bench.pass(IDLE + SLOT);
    bench.give(2, &[b"of it", b"bye"]);
    assert_eq!(bench.ended(), [whole(b"first"), (End::Bye, false, b"of it".to_vec())]);
    bench.give(2, &[b"again", b"bye"]);
    assert_eq!(bench.ended(), [whole(b"again")]);
    assert_eq!(bench.receiver.stats().full, 2);
}

#[test]
fn a_network_has_its_share_of_uploads_and_loopback_all() {
    let mut bench = Bench::new(ReceiverConfig::default().uploads_per_prefix(2));
    for sender in (0..10).chain(1000..1010) {
        bench.give(sender, &[b"content"]);
    }
    let stats = bench.receiver.stats();
    assert_eq!((stats.uploads, stats.prefix_full), (12, 8));
    bench.give(1000, &[b"bye"]);
    bench.give(1020, &[b"content"]);
    assert_eq!(bench.receiver.stats().uploads, 12, "one ended, one began");
    let trust = ["192.0.2.0/24".parse().unwrap()].into_iter().collect();
    let mut bench = Bench::new(ReceiverConfig::default().uploads_per_prefix(2).trust(trust));
    (1000..1010).for_each(|sender| bench.give(sender, &[b"content"]));
    assert_eq!(bench.receiver.stats().uploads, 10);
}

#[test]
fn an_upload_that_the_keeper_has_no_room_for_is_turned_away_as_a_whole() {
    let mut bench = Bench::new(ReceiverConfig::default().uploads_per_prefix(1));
    bench.kept.0.lock().unwrap().refuse_new = Some(KeepError::Behind);
    bench.give(1000, &[b"one"]);
    bench.give(1001, &[b"bye"]);
    bench.kept.0.lock().unwrap().refuse_new = None;
    bench.give(1000, &[b"rest", b"bye", b"two", b"bye"]);
    assert_eq!(bench.ended(), [whole(b"two")]);
    let stats = bench.receiver.stats();
    assert_eq!((stats.not_begun, stats.began, stats.prefix_full), (2, 1, 0));
}

#[test]
fn a_keeper_that_is_behind_makes_a_hole_and_one_that_fails_an_end() {
    let mut bench = Bench::new(ReceiverConfig::default());
    bench.give(1, &[b"one"]);
    bench.answer_appends(Some(KeepError::Behind));
    bench.give(1, &[b"two"]);
    bench.answer_appends(None);
    bench.give(1, &[b"three", b"bye"]);
    assert_eq!(bench.ended(), [(End::Bye, false, b"onethree".to_vec())]);
    for (refusal, end) in [(KeepError::NoSpace, End::NoSpace), (KeepError::Failed, End::Failed)] {
        bench.give(1, &[b"one"]);
        bench.answer_appends(Some(refusal));
        bench.give(1, &[b"two"]);
        bench.answer_appends(None);
        bench.give(1, &[b"three", b"bye"]);
        assert_eq!(bench.ended(), [(end, false, b"one".to_vec())]);
    }
    let stats = bench.receiver.stats();
    assert_eq!((stats.damaged, stats.dropped, stats.no_space, stats.failed), (1, 1, 1, 1));
}

#[test]
fn what_is_under_way_at_the_end_is_incomplete_and_the_next_run_knows_whose_it_was() {
    let mut bench = Bench::new(ReceiverConfig::default());
    bench.give(1, &[b"first"]);
    bench.receiver.handle_input(bench.now, Input::Stopping, &mut bench.out);
    bench.give(1, &[b"late", b"bye"]);
    assert_eq!(bench.ended(), [(End::Stopped, false, b"first".to_vec())]);
    assert_eq!(bench.receiver.poll_timeout(), None);

    let mut next = Bench::new(ReceiverConfig::default());
    let earlier = [1, 2].map(|sender| origin(sender).peer.ip().unwrap());
    next.receiver = Receiver::new(ReceiverConfig::default(), Box::new(next.kept.clone())).earlier(earlier);
    next.give(3, &[b"new", b"bye"]);
    next.give(1, &[b"rest", b"bye", b"new", b"bye"]);
    next.give(2, &[b"bye"]);
    assert_eq!(next.ended(), [whole(b"new"), (End::Bye, false, b"rest".to_vec()), whole(b"new")]);
}

#[test]
fn where_not_all_can_be_remembered_what_begins_then_may_lack_its_beginning() {
    let mut bench = Bench::new(ReceiverConfig::default().uploads(1));
    bench.give(1, &[b"first"]);
    for number in 0..=REMEMBERED {
        let peer = SocketAddr::new([127, 0, 1, (number >> 15) as u8].into(), 1 + (number & 0x7fff) as u16);
        let origin = Origin { peer: Peer::Ip(peer), ..origin(0) };
        let request = Request::new(bench.now, b"x", origin);
        bench.receiver.handle_input(bench.now, Input::Message(request), &mut bench.out);
    }
    bench.give(1, &[b"bye"]);
    assert_eq!(bench.ended(), [whole(b"first")]);
    // The last of them, which nobody remembers, goes on.
    bench.give(2, &[b"rest", b"bye"]);
    assert_eq!(bench.ended(), [(End::Bye, false, b"rest".to_vec())]);
    assert!(bench.receiver.stats().forgotten > 0);
    bench.pass(IDLE * 30);
    bench.give(2, &[b"new", b"bye"]);
    assert_eq!(bench.ended(), [whole(b"new")]);
}

proptest! {
    /// However datagrams of several senders mix, each gets what a list of its own would give.
    #[test]
    fn senders_do_not_mix(
        steps in prop::collection::vec((0u16..6, 0u8..5, 0u64..30_000), 1..200),
    ) {
        let mut bench = Bench::new(ReceiverConfig::default().uploads(4).size(40));
        for (sender, what, wait) in steps {
            let datagram: &[u8] = [&b"some"[..], b"content", b"bye", b"", b"bye\n"][usize::from(what)];
            bench.give(sender, &[datagram]);
            bench.pass(Duration::from_millis(wait));
            let stats = bench.receiver.stats();
            prop_assert!(stats.uploads <= 4);
            let ended = stats.whole + stats.damaged + stats.idle + stats.too_long;
            prop_assert_eq!(stats.began, ended + stats.uploads);
            prop_assert_eq!(bench.kept.0.lock().unwrap().open.len() as u64, stats.uploads);
        }
        bench.pass(IDLE * 2);
        prop_assert_eq!(bench.receiver.stats().uploads, 0);
        bench.pass(IDLE * 20);
        prop_assert_eq!(bench.receiver.poll_timeout(), None, "nobody is remembered for ever");
        for (_, _, content) in bench.ended() {
            prop_assert!(content.len() <= 40);
        }
    }
}
