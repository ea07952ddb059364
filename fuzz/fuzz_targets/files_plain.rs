//! Whatever many senders send, however time jumps and whatever the keeper says: nothing is answered, each upload that
//! begins ends once with the bytes that were taken, bounds hold, and all is forgotten at last. What a cutter makes of any
//! content comes through whole.
#![no_main]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use squall_proto::files::plain::{
    BYE, Cutter, Ended, KeepError, Keeper, LONGEST_PIECE, Receiver, ReceiverConfig, Started, UploadId,
};
use squall_proto::{Input, Origin, Outbox, Peer, Protocol, Request, Time, Transport};

#[derive(Arbitrary, Debug)]
struct Case<'a> {
    steps: Vec<Step<'a>>,
    content: &'a [u8],
    reads: u8,
}

#[derive(Arbitrary, Debug)]
struct Step<'a> {
    sender: u8,
    what: What<'a>,
    wait_milliseconds: u16,
}

#[derive(Arbitrary, Debug)]
enum What<'a> {
    Bytes(&'a [u8]),
    Bye,
    Empty,
    Long,
    /// Time passes without a call for it.
    Sleep,
    KeeperSays(u8),
    Stopping,
}

#[derive(Default)]
struct Kept {
    open: BTreeMap<UploadId, Vec<u8>>,
    whole: Vec<Vec<u8>>,
    refusal: Option<KeepError>,
}

#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Kept>>);

impl Keeper for Memory {
    fn begin(&mut self, started: &Started) -> Result<(), KeepError> {
        let mut kept = self.0.lock().unwrap();
        match kept.refusal {
            Some(KeepError::Behind) => Err(KeepError::Behind),
            _ => {
                assert!(kept.open.insert(started.id, Vec::new()).is_none());
                Ok(())
            }
        }
    }

    fn append(&mut self, id: UploadId, bytes: &[u8]) -> Result<(), KeepError> {
        let mut kept = self.0.lock().unwrap();
        let refusal = kept.refusal;
        let content = kept.open.get_mut(&id).expect("it has begun and not ended");
        if let Some(refusal) = refusal {
            return Err(refusal);
        }
        content.extend_from_slice(bytes);
        Ok(())
    }

    fn end(&mut self, ended: &Ended) {
        let mut kept = self.0.lock().unwrap();
        let content = kept.open.remove(&ended.id).expect("it has begun and not ended");
        assert_eq!(content.len() as u64, ended.bytes);
        if ended.is_whole() {
            kept.whole.push(content);
        }
    }
}

fn origin(sender: u8) -> Origin {
    let number = sender % 12;
    let ip = if number < 6 { [127, 0, 0, 1] } else { [192, 0, 2, 1] };
    let peer = Peer::Ip(SocketAddr::new(ip.into(), 4000 + u16::from(number)));
    Origin { peer, local: None, transport: Transport::Udp, validated: true }
}

fuzz_target!(|case: Case<'_>| {
    many_senders(&case.steps);
    one_sender(case.content, usize::from(case.reads) + 1);
});

fn many_senders(steps: &[Step<'_>]) {
    let config =
        ReceiverConfig::default().uploads(6).uploads_per_prefix(2).size(4000).idle(Duration::from_secs(1));
    let kept = Memory::default();
    let earlier = [4000, 4006].map(|port| SocketAddr::new([127, 0, 0, 1].into(), port));
    let mut receiver = Receiver::new(config, Box::new(kept.clone())).earlier(earlier);
    let mut out = Outbox::new();
    let mut now = Time::ZERO;
    for step in steps.iter().take(300) {
        let mut give = |bytes: &[u8]| {
            let request = Request::new(now, bytes, origin(step.sender));
            receiver.handle_input(now, Input::Message(request), &mut out);
        };
        match step.what {
            What::Bytes(bytes) => give(bytes),
            What::Bye => give(BYE),
            What::Empty => give(b""),
            What::Long => give(&[b'x'; 1500]),
            What::Sleep => {}
            What::KeeperSays(what) => {
                kept.0.lock().unwrap().refusal = match what % 5 {
                    0 => Some(KeepError::Behind),
                    1 => Some(KeepError::NoSpace),
                    2 => Some(KeepError::Failed),
                    _ => None,
                };
            }
            What::Stopping => receiver.handle_input(now, Input::Stopping, &mut out),
        }
        if !matches!(step.what, What::Sleep) {
            receiver.handle_timeout(now, &mut out);
        }
        now += Duration::from_millis(step.wait_milliseconds.into());
        assert!(out.is_empty(), "something is answered");
        let stats = receiver.stats();
        assert!(stats.uploads <= 6);
        let ended = stats.whole
            + stats.damaged
            + stats.idle
            + stats.too_long
            + stats.no_space
            + stats.failed
            + stats.stopped;
        assert_eq!(stats.began, ended + stats.uploads);
        let kept = kept.0.lock().unwrap();
        assert_eq!(kept.open.len() as u64, stats.uploads);
        assert!(kept.whole.iter().all(|content| content.len() <= 4000));
    }
    for _ in 0..100 {
        let Some(due) = receiver.poll_timeout() else {
            assert_eq!(receiver.stats().uploads, 0);
            return;
        };
        now = now.max(due);
        receiver.handle_timeout(now, &mut out);
    }
    panic!("somebody is remembered for ever");
}

fn one_sender(content: &[u8], reads: usize) {
    let kept = Memory::default();
    let mut receiver = Receiver::new(ReceiverConfig::default(), Box::new(kept.clone()));
    let mut out = Outbox::new();
    let mut cutter = Cutter::new();
    let mut take = |cutter: &mut Cutter| {
        while let Some(datagram) = cutter.poll_datagram() {
            assert!((1..=LONGEST_PIECE).contains(&datagram.len()));
            let request = Request::new(Time::ZERO, datagram, origin(0));
            receiver.handle_input(Time::ZERO, Input::Message(request), &mut out);
        }
    };
    for piece in content.chunks(reads) {
        cutter.push(piece);
        take(&mut cutter);
    }
    cutter.finish();
    take(&mut cutter);
    assert_eq!(kept.0.lock().unwrap().whole, [content]);
}
