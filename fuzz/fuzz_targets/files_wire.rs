//! What a sender or a receiver of files may say: nothing is read that cannot be written, and no row of chunks
//! makes a file whole that is not.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::{arbitrary, fuzz_target};
use squall_proto::files::wire::*;
use squall_proto::files::{Assembly, CHUNK, Ledger, Said, Total};

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    bytes: &'a [u8],
    size: Option<u32>,
    steps: Vec<Step>,
}

#[derive(Arbitrary, Debug)]
enum Step {
    Chunk { index: u16, length: u32 },
    Whole { chunks: u8, size: u32 },
    Again { chunks: u8, size: u32 },
    Offer,
    Settle(u8),
}

fuzz_target!(|input: Input<'_>| {
    read(input.bytes);
    let mut file = Assembly::new(input.size.map(u64::from));
    let mut ledger = Ledger::default();
    let (mut arrived, mut settled) = (0, 0);
    for step in input.steps {
        match step {
            Step::Chunk { index, length } => {
                let Ok(start) = file.place(index.into(), length as usize) else { continue };
                assert_eq!(start, u64::from(index) * CHUNK);
                if let Some(size) = file.size() {
                    assert!(start + u64::from(length) <= size, "nothing lies behind the end");
                }
                arrived += 1;
                let _ = file.arrive();
            }
            Step::Whole { chunks, size } => {
                let total = Total {
                    chunks: chunks.into(),
                    size: size.into(),
                    modified: Modified::default(),
                    hash: [0; 32],
                };
                let _ = file.conclude(Said::Whole(total));
            }
            Step::Again { chunks, size } => {
                let (chunks, size) = (chunks.into(), size.into());
                let _ = file.conclude(Said::Again { chunks, size, modified: Modified::default() });
            }
            Step::Offer => {
                let _ = ledger.offer(());
            }
            Step::Settle(number) => settled += u64::from(ledger.settle(number.into()).is_ok()),
        }
        if let Some(said) = file.poll() {
            let (Said::Whole(Total { chunks, .. }) | Said::Again { chunks, .. }) = said;
            assert_eq!(chunks, arrived, "every chunk that was said has come");
        }
        assert!(ledger.settled_below() <= settled && ledger.next() - settled == ledger.iter().count() as u64);
    }
});

fn read(bytes: &[u8]) {
    let mut rest = bytes;
    while let Ok(Some((body, used))) = split_message(rest) {
        let mut out = Vec::new();
        if let Ok(offer) = Offer::decode(body) {
            offer.encode(&mut out);
            let (again, _) = split_message(&out).unwrap().unwrap();
            assert_eq!(Offer::decode(again), Ok(offer));
        }
        out.clear();
        if let Ok(verdict) = Verdict::decode(body) {
            verdict.encode(&mut out);
            let (again, _) = split_message(&out).unwrap().unwrap();
            assert_eq!(Verdict::decode(again), Ok(verdict));
        }
        rest = &rest[used..];
    }
    if let Ok(Some((file, used))) = PackedFile::split(bytes) {
        assert!(used <= bytes.len() && file.length as u64 <= CHUNK);
    }
    if let Some((_, used)) = ChunkHeader::split(bytes) {
        assert!(used <= bytes.len());
    }
    if let Ok(Some((run, used))) = Run::split(bytes) {
        assert!(used <= bytes.len() && run.count <= MAX_RUN);
    }
    if let Ok(Some((_, used))) = read_comparison(bytes) {
        assert!(used <= bytes.len());
    }
}
