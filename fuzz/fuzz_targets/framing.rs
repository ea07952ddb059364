//! However a stream is chunked, it gives the same requests and the same error, in bounded memory.
#![no_main]

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use squall_proto::framing::{Deframer, FrameError, Framing};

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    lines: bool,
    max: u8,
    stream: &'a [u8],
    sizes: Vec<u8>,
}

fuzz_target!(|input: Input<'_>| {
    let max = usize::from(input.max);
    let framing = if input.lines { Framing::Lines { max } } else { Framing::LengthPrefixed { max } };
    let (frames, end) = cut(framing, max, [input.stream]);
    assert!(frames.iter().all(|frame| frame.len() <= max));

    let mut rest = input.stream;
    let mut chunks = Vec::new();
    for size in &input.sizes {
        let (chunk, after) = rest.split_at(usize::from(*size).min(rest.len()));
        chunks.push(chunk);
        rest = after;
    }
    chunks.push(rest);
    assert_eq!(cut(framing, max, chunks), (frames.clone(), end));
    assert_eq!(cut(framing, max, input.stream.chunks(1)), (frames.clone(), end));

    // A frame that ends with a carriage return is one that a wrapped line cannot carry.
    let carried = |frame: &Vec<u8>| !input.lines || frame.last() != Some(&b'\r');
    let frames: Vec<_> = frames.into_iter().filter(carried).collect();
    let mut stream = Vec::new();
    for frame in &frames {
        framing.wrap(frame, &mut stream).expect("the frame is short");
    }
    assert_eq!(cut(framing, max, [stream.as_slice()]), (frames, Ok(())));
});

type Cut = (Vec<Vec<u8>>, Result<(), FrameError>);

fn cut<'a>(framing: Framing, max: usize, chunks: impl IntoIterator<Item = &'a [u8]>) -> Cut {
    let mut deframer = Deframer::new(framing);
    let mut frames = Vec::new();
    for mut chunk in chunks {
        loop {
            match deframer.next(&mut chunk) {
                Ok(Some(frame)) => frames.push(frame.to_vec()),
                Ok(None) => break,
                Err(error) => return (frames, Err(error)),
            }
        }
        assert!(chunk.is_empty() && deframer.held() <= max + 1);
    }
    match deframer.finish() {
        Ok(last) => frames.extend(last.map(<[u8]>::to_vec)),
        Err(error) => return (frames, Err(error)),
    }
    (frames, Ok(()))
}
