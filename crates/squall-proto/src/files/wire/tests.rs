use alloc::vec;
use alloc::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::files::{CHUNK, Name, NameError, WINDOW};

const AT: Modified = Modified { seconds: 1_700_000_000, nanos: 999_999_999 };

fn body(encode: impl Fn(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = vec![0xaa];
    encode(&mut out);
    let (body, used) = split_message(&out[1..]).unwrap().unwrap();
    assert_eq!(used, out.len() - 1, "what was there before stays, and nothing is left over");
    for end in 1..out.len() {
        assert_eq!(split_message(&out[1..end]).unwrap(), None, "a part is not taken for the whole");
    }
    body.to_vec()
}

#[test]
fn what_a_sender_says_is_read_as_it_was_meant() {
    let name = Name::new(b"a file \xff").unwrap();
    let longest = [b'x'; 4095];
    for offer in [
        Offer::Start { source: [7; 16], options: Options { force: true, checksum: false, dry_run: true } },
        Offer::Enter { name, mode: 0o755, modified: AT },
        Offer::Leave,
        Offer::File {
            name,
            mode: 0o4777,
            modified: Modified { seconds: -1, nanos: 0 },
            size: Some(i64::MAX as u64 / 4),
        },
        Offer::File { name, mode: 0, modified: AT, size: None },
        Offer::Link { name, target: &longest, modified: AT },
        Offer::Whole { entry: 1 << 40, chunks: 3, size: 12, modified: AT, hash: [9; 32] },
        Offer::Again { entry: 64, chunks: 1, size: 0, modified: AT },
        Offer::Withdraw { entry: 0, reason: Reason::Failed, text: "it is gone" },
        Offer::End,
    ] {
        let body = body(|out| offer.encode(out));
        assert_eq!(Offer::decode(&body), Ok(offer));
        for end in 0..body.len() {
            // The target of a link ends where the message does, and so does a reason: their lengths say otherwise.
            assert!(Offer::decode(&body[..end]).is_err(), "{offer:?} cut at {end}");
        }
        let longer = [&body[..], b"x"].concat();
        assert_eq!(Offer::decode(&longer), Err(WireError::Extra { what: "an offer", extra: 1 }));
    }
}

#[test]
fn what_a_receiver_says_is_read_as_it_was_meant() {
    let every = Reason::ALL.map(|reason| Verdict::Refused { entry: 5, reason, text: reason.name() });
    let others = [
        Verdict::Ready,
        Verdict::Unchanged { first: 0, count: 1 },
        Verdict::Wanted { first: 70, count: WINDOW as u64 },
        Verdict::Compare { entry: 3 },
        Verdict::Stored { first: 1 << 50, count: 2 },
        Verdict::Complete,
    ];
    for verdict in every.into_iter().chain(others) {
        let body = body(|out| verdict.encode(out));
        assert_eq!(Verdict::decode(&body), Ok(verdict));
        for end in 0..body.len() {
            assert!(Verdict::decode(&body[..end]).is_err(), "{verdict:?} cut at {end}");
        }
    }
}

#[test]
fn names_that_lead_elsewhere_are_refused_as_they_are_read() {
    for (name, problem) in [
        (&b"../x"[..], NameError::Slash),
        (b"..", NameError::Dots),
        (b"/etc/passwd", NameError::Slash),
        (b"a\0b", NameError::Zero),
        (b"", NameError::Empty),
    ] {
        let mut bytes = vec![2, name.len() as u8];
        bytes.extend_from_slice(name);
        bytes.extend_from_slice(&[0, 0, 0]);
        assert_eq!(Offer::decode(&bytes), Err(WireError::Name(problem)));
    }
}

#[test]
fn numbers_out_of_range_are_refused() {
    let with = |bytes: &[u8]| Offer::decode(bytes).unwrap_err();
    // Permissions of five octal digits.
    assert!(matches!(with(&[4, 1, b'x', 0x50, 0, 0, 0, 0]), WireError::Range { what: "permissions", .. }));
    // A thousand million nanoseconds.
    let nanos = [&[2, 1, b'x', 0, 0, 0x80 | 0x3b][..], &[0x9a, 0xca, 0]].concat();
    assert!(matches!(with(&nanos), WireError::Range { value: 1_000_000_000, .. }));
    assert!(matches!(with(&[6, 1, b'x', 0, 0, 0, 0]), WireError::Range { .. }), "a link that says nothing");
    assert_eq!(with(&[0]), WireError::Kind { what: "an offer", kind: 0 });
    let run = [2, 0, 0x50, 0x01];
    assert!(matches!(Verdict::decode(&run), Err(WireError::Range { what: "a number of entries", .. })));
    assert_eq!(
        split_message(&[0x80, 0, 0x20, 1]),
        Err(WireError::TooLong { what: "a message", limit: MAX_MESSAGE })
    );
}

#[test]
fn content_is_told_by_what_precedes_it() {
    let file = PackedFile { entry: 9, modified: AT, hash: [3; 32], length: CHUNK as usize };
    let mut bytes = Vec::new();
    file.encode(&mut bytes);
    assert_eq!(PackedFile::split(&bytes), Ok(Some((file, bytes.len()))));
    for end in 0..bytes.len() {
        assert_eq!(PackedFile::split(&bytes[..end]), Ok(None));
    }
    let mut longer = Vec::new();
    PackedFile { length: CHUNK as usize + 1, ..file }.encode(&mut longer);
    assert!(matches!(PackedFile::split(&longer), Err(WireError::Range { .. })));

    let header = ChunkHeader { entry: 300, index: 1 << 33 };
    bytes.clear();
    header.encode(&mut bytes);
    assert_eq!(ChunkHeader::split(&bytes), Some((header, bytes.len())));
    assert_eq!(ChunkHeader::split(&bytes[..bytes.len() - 1]), None);

    bytes.clear();
    encode_comparison(16_400, &mut bytes);
    assert_eq!(read_comparison(&bytes), Ok(Some((16_400, bytes.len()))));
    assert_eq!(read_comparison(&bytes[..2]), Ok(None));
    assert!(read_comparison(&[9]).is_err());
    assert_eq!(Content::of(Content::Pack.kind()), Ok(Content::Pack));
    assert_eq!(Content::of(Content::Chunk.kind()), Ok(Content::Chunk));
    assert!(Content::of(0).is_err());

    let run = Run { first: 77, count: MAX_RUN };
    bytes.clear();
    run.encode(&mut bytes);
    assert_eq!(Run::split(&bytes), Ok(Some((run, bytes.len()))));
    bytes.clear();
    Run { first: 0, count: MAX_RUN + 1 }.encode(&mut bytes);
    assert!(Run::split(&bytes).is_err());
}

#[test]
fn a_long_reason_is_cut_between_characters() {
    let long = "ä".repeat(600);
    let body = body(|out| Offer::Withdraw { entry: 0, reason: Reason::Content, text: &long }.encode(out));
    let Ok(Offer::Withdraw { text, .. }) = Offer::decode(&body) else { panic!() };
    assert_eq!(text, "ä".repeat(256));
}

proptest! {
    #[test]
    fn what_can_be_read_is_written_as_it_was(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        if let Ok(offer) = Offer::decode(&bytes) {
            let mut out = Vec::new();
            offer.encode(&mut out);
            let (body, _) = split_message(&out).unwrap().unwrap();
            prop_assert_eq!(Offer::decode(body), Ok(offer));
        }
        if let Ok(verdict) = Verdict::decode(&bytes) {
            let mut out = Vec::new();
            verdict.encode(&mut out);
            let (body, _) = split_message(&out).unwrap().unwrap();
            prop_assert_eq!(Verdict::decode(body), Ok(verdict));
        }
    }
}
