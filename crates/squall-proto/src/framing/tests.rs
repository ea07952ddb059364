use alloc::vec;
use alloc::vec::Vec;

use proptest::prelude::*;

use super::*;

/// All requests of a stream that arrives in `chunks`, and how it ended. Checks the memory on the way.
fn cut<'a>(
    framing: Framing,
    chunks: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<Vec<u8>>, Result<(), FrameError>) {
    let bound = match framing {
        Framing::AsRead => 0,
        Framing::Lines { max } | Framing::LengthPrefixed { max } => max + 1,
    };
    let mut deframer = Deframer::new(framing);
    let mut frames = Vec::new();
    for chunk in chunks {
        let mut input = chunk;
        loop {
            match deframer.next(&mut input) {
                Ok(Some(frame)) => frames.push(frame.to_vec()),
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(deframer.next(&mut input), Err(error), "an error stays");
                    assert_eq!(deframer.finish(), Err(error), "an error stays");
                    return (frames, Err(error));
                }
            }
            assert!(deframer.held() <= bound);
        }
        assert!(input.is_empty(), "all of a chunk is taken");
        assert!(deframer.held() <= bound);
    }
    match deframer.finish() {
        Ok(last) => {
            frames.extend(last.map(<[u8]>::to_vec));
            assert_eq!(deframer.finish(), Ok(None), "the end comes once");
            (frames, Ok(()))
        }
        Err(error) => (frames, Err(error)),
    }
}

#[test]
fn every_read_is_a_request_without_framing() {
    let chunks = [b"ab".as_slice(), b"", b"c\nd"];
    assert_eq!(cut(Framing::AsRead, chunks), (vec![b"ab".to_vec(), b"c\nd".to_vec()], Ok(())));
}

#[test]
fn a_line_loses_its_end_and_one_carriage_return() {
    let (lines, end) = cut(Framing::Lines { max: 10 }, [b"a\r\n\nb\r\r\nc\rd\n\r\nlast\r".as_slice()]);
    assert_eq!(lines, [b"a".as_slice(), b"", b"b\r", b"c\rd", b"", b"last\r"]);
    assert_eq!(end, Ok(()));
}

#[test]
fn a_line_of_the_limit_passes_and_one_byte_more_does_not() {
    let framing = Framing::Lines { max: 3 };
    let too_long = Err(FrameError::TooLong { limit: 3 });
    assert_eq!(cut(framing, [b"abc\r\nabc".as_slice()]), (vec![b"abc".to_vec(); 2], Ok(())));
    for stream in [b"abcd\n".as_slice(), b"abcd", b"abc\rd", b"abc\r\r\n", b"abc\r"] {
        assert_eq!(cut(framing, [stream]), (vec![], too_long), "whole: {stream:?}");
        assert_eq!(cut(framing, stream.chunks(1)), (vec![], too_long), "in bytes: {stream:?}");
    }
}

#[test]
fn an_announced_length_over_the_limit_fails_before_anything_is_kept() {
    let mut deframer = Deframer::new(Framing::LengthPrefixed { max: 5 });
    let mut input = b"\x00\x00\x00\x06abcdef".as_slice();
    assert_eq!(deframer.next(&mut input), Err(FrameError::TooLong { limit: 5 }));
    assert_eq!(deframer.held(), 0);
}

#[test]
fn an_announced_length_takes_no_memory_before_its_bytes_arrive() {
    let mut deframer = Deframer::new(Framing::LengthPrefixed { max: 1 << 20 });
    assert_eq!(deframer.next(&mut b"\x00\x10\x00\x00".as_slice()), Ok(None));
    assert_eq!(deframer.held(), 0);
    assert_eq!(deframer.next(&mut b"abc".as_slice()), Ok(None));
    assert!(deframer.held() < 100);
}

#[test]
fn a_stream_that_ends_within_a_request_is_an_error() {
    let framing = Framing::LengthPrefixed { max: 5 };
    let end = |stream: &'static [u8]| cut(framing, [stream]).1;
    assert_eq!(end(b"\x00\x00\x00\x02ab"), Ok(()));
    assert_eq!(end(b"\x00\x00\x00\x02a"), Err(FrameError::Truncated { have: 5, expected: 6 }));
    assert_eq!(end(b"\x00\x00"), Err(FrameError::Truncated { have: 2, expected: 4 }));
    assert_eq!(cut(framing, [b"\x00\x00\x00\x00".as_slice()]), (vec![vec![]], Ok(())));
}

#[test]
fn a_stream_between_requests_holds_no_memory() {
    for (framing, first, rest) in [
        (Framing::Lines { max: 100 }, b"ab".as_slice(), b"c\n".as_slice()),
        (Framing::LengthPrefixed { max: 100 }, b"\x00\x00\x00\x03a", b"bc"),
    ] {
        let mut deframer = Deframer::new(framing);
        assert_eq!(deframer.next(&mut { first }), Ok(None));
        assert!(deframer.held() > 0);
        let mut input = rest;
        assert_eq!(deframer.next(&mut input), Ok(Some(b"abc".as_slice())));
        assert_eq!(deframer.next(&mut input), Ok(None));
        assert_eq!(deframer.held(), 0);
    }
}

#[test]
fn a_request_within_a_chunk_is_not_copied() {
    let chunk = b"one\ntwo\n".as_slice();
    let mut input = chunk;
    let mut deframer = Deframer::new(Framing::Lines { max: 100 });
    let first = deframer.next(&mut input).unwrap().unwrap();
    assert!(core::ptr::eq(first, &chunk[..3]));
}

fn framings() -> impl Strategy<Value = Framing> {
    (0usize..12, any::<bool>()).prop_map(|(max, lines)| match lines {
        true => Framing::Lines { max },
        false => Framing::LengthPrefixed { max },
    })
}

/// Bytes among which line ends and small lengths are frequent.
fn streams() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![Just(0u8), Just(b'\r'), Just(b'\n'), 0u8..8, any::<u8>()];
    prop::collection::vec(byte, 0..80)
}

proptest! {
    #[test]
    fn how_a_stream_is_chunked_does_not_change_its_requests(
        framing in framings(),
        stream in streams(),
        sizes in prop::collection::vec(0usize..10, 1..20),
    ) {
        let mut rest = stream.as_slice();
        let mut chunks = Vec::new();
        for size in sizes {
            chunks.push(take(&mut rest, size));
        }
        chunks.push(rest);
        let whole = cut(framing, [stream.as_slice()]);
        prop_assert_eq!(&cut(framing, chunks), &whole);
        prop_assert_eq!(&cut(framing, stream.chunks(1)), &whole);
    }

    #[test]
    fn what_is_wrapped_is_cut_out_again(
        lines in any::<bool>(),
        mut frames in prop::collection::vec(streams(), 0..6),
        chunk in 1usize..100,
    ) {
        let framing = if lines { Framing::Lines { max: 80 } } else { Framing::LengthPrefixed { max: 80 } };
        if lines {
            // A line has no line feed in it, and a carriage return at its end would count as line end.
            for frame in &mut frames {
                frame.retain(|&byte| byte != b'\n');
                frame.push(b'.');
            }
        }
        let mut stream = Vec::new();
        for frame in &frames {
            framing.wrap(frame, &mut stream).unwrap();
        }
        prop_assert_eq!(cut(framing, stream.chunks(chunk)), (frames, Ok(())));
    }
}
