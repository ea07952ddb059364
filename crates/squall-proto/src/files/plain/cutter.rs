//! How a file's content is cut into datagrams.

use alloc::vec::Vec;

use super::{BYE, LONGEST_PIECE};

/// Cuts content into datagrams of at most [`LONGEST_PIECE`] bytes, and says `bye` behind them.
///
/// No datagram of the content is empty or exactly `bye`, which would be its end. A character of UTF-8 is not split, since
/// receivers print what they get; content that is no UTF-8 is cut where a datagram is full. However the content
/// comes in, the datagrams are the same.
///
/// ```
/// use squall_proto::files::plain::Cutter;
///
/// let mut cutter = Cutter::new();
/// cutter.push("bye".as_bytes());
/// cutter.finish();
/// let datagrams: Vec<Vec<u8>> = std::iter::from_fn(|| cutter.poll_datagram().map(Vec::from)).collect();
/// assert_eq!(datagrams, [&b"by"[..], b"e", b"bye"]);
/// ```
#[derive(Debug, Default)]
pub struct Cutter {
    /// What was pushed and may not have been cut yet.
    content: Vec<u8>,
    /// How much of it has.
    cut: usize,
    stage: Stage,
}

/// How much of the content is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    /// There may be more.
    #[default]
    Open,
    /// This is all.
    Ending,
    /// All was cut, and `bye` said.
    Ended,
}

impl Cutter {
    /// A cutter of content that begins.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes of the content. It keeps all that was not cut, so that whoever has much cuts in between.
    ///
    /// # Panics
    /// After [`finish`](Self::finish): the content has ended.
    pub fn push(&mut self, bytes: &[u8]) {
        assert_eq!(self.stage, Stage::Open, "content behind its end");
        self.content.drain(..self.cut);
        self.cut = 0;
        self.content.extend_from_slice(bytes);
    }

    /// The content is complete.
    pub fn finish(&mut self) {
        if self.stage == Stage::Open {
            self.stage = Stage::Ending;
        }
    }

    /// The next datagram; `None` when more content is wanted first, and behind `bye`.
    pub fn poll_datagram(&mut self) -> Option<&[u8]> {
        let rest = &self.content[self.cut..];
        let len = match self.stage {
            Stage::Open if rest.len() < LONGEST_PIECE + LONGEST_CHARACTER - 1 => return None,
            Stage::Ended => return None,
            Stage::Ending if rest.is_empty() => {
                self.stage = Stage::Ended;
                return Some(BYE);
            }
            // Only what is left at last can be so short.
            _ if rest == BYE => BYE.len() - 1,
            _ => piece(rest),
        };
        self.cut += len;
        Some(&self.content[self.cut - len..self.cut])
    }
}

/// The bytes of the next datagram of `content`, which is as much as there is or more than enough.
fn piece(content: &[u8]) -> usize {
    if content.len() <= LONGEST_PIECE {
        return content.len();
    }
    // The character that stands across the end, if one does, begins with one of the last three bytes.
    for start in (LONGEST_PIECE + 1 - LONGEST_CHARACTER..LONGEST_PIECE).rev() {
        let len = match content[start] {
            0xc2..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf4 => 4,
            // Any of its other bytes.
            0x80..=0xbf => continue,
            _ => break,
        };
        let end = start + len;
        let is_character = content.get(start..end).is_some_and(|bytes| core::str::from_utf8(bytes).is_ok());
        return if end > LONGEST_PIECE && is_character { start } else { LONGEST_PIECE };
    }
    LONGEST_PIECE
}

/// Bytes of UTF-8 ([RFC 3629 §3](https://www.rfc-editor.org/rfc/rfc3629#section-3)).
const LONGEST_CHARACTER: usize = 4;

#[cfg(test)]
mod tests {
    use alloc::string::String;

    use proptest::prelude::*;

    use super::*;

    /// The datagrams of `content`, pushed in pieces of these sizes, over and over.
    fn cut(content: &[u8], sizes: &[usize]) -> Vec<Vec<u8>> {
        let mut cutter = Cutter::new();
        let mut datagrams = Vec::new();
        let mut rest = content;
        let mut sizes = sizes.iter().cycle();
        while !rest.is_empty() {
            let (now, later) = rest.split_at((*sizes.next().unwrap()).clamp(1, rest.len()));
            cutter.push(now);
            rest = later;
            while let Some(datagram) = cutter.poll_datagram() {
                datagrams.push(datagram.to_vec());
            }
        }
        cutter.finish();
        while let Some(datagram) = cutter.poll_datagram() {
            datagrams.push(datagram.to_vec());
        }
        assert_eq!(cutter.poll_datagram(), None);
        datagrams
    }

    fn lengths(content: &[u8]) -> Vec<usize> {
        cut(content, &[content.len()]).iter().map(Vec::len).collect()
    }

    #[test]
    fn an_empty_file_is_a_lone_bye() {
        assert_eq!(cut(b"", &[1]), [b"bye"]);
    }

    #[test]
    fn a_file_of_bye_does_not_end_itself() {
        assert_eq!(cut(b"bye", &[1]), [&b"by"[..], b"e", b"bye"]);
        let long = [&[b'x'; 2048][..], b"bye"].concat();
        assert_eq!(lengths(&long), [1024, 1024, 2, 1, 3]);
        assert_eq!(cut(b"bye\n", &[4]), [&b"bye\n"[..], b"bye"], "with a line feed it is no end");
    }

    #[test]
    fn characters_are_not_split_and_other_bytes_fill_a_datagram() {
        for (character, first) in [("x", 1024), ("é", 1023), ("語", 1024), ("🌧", 1021)] {
            let text: String = core::iter::once("x").chain(core::iter::repeat_n(character, 1200)).collect();
            assert_eq!(lengths(text.as_bytes())[0], first, "{character}");
        }
        for end in [&b"\xff\xff\xff"[..], b"\xe8\xaax", b"\x80\x80\x80", b"\xf0\x9f\x8cx", b"\xc3x"] {
            for before in 1020..1024 {
                let mut content = alloc::vec![b'x'; before];
                content.extend_from_slice(end);
                content.extend_from_slice(&[b'x'; 20]);
                assert_eq!(lengths(&content)[0], 1024, "{end:?} behind {before}");
            }
        }
    }

    /// Bytes of which some are characters and some the end's.
    fn content() -> impl Strategy<Value = Vec<u8>> {
        let part = prop_oneof![
            Just(b"bye".to_vec()),
            Just("🌧".as_bytes().to_vec()),
            Just("語".as_bytes().to_vec()),
            any::<u8>().prop_map(|byte| alloc::vec![byte]),
            (1000usize..1030).prop_map(|len| alloc::vec![b'x'; len]),
        ];
        prop::collection::vec(part, 0..40).prop_map(|parts| parts.concat())
    }

    proptest! {
        #[test]
        fn the_datagrams_are_the_content_whatever_it_is(
            content in content(),
            sizes in prop::collection::vec(1usize..5000, 1..5),
        ) {
            let datagrams = cut(&content, &sizes);
            let (last, pieces) = datagrams.split_last().unwrap();
            prop_assert_eq!(last.as_slice(), BYE);
            prop_assert_eq!(pieces.concat(), content.clone());
            for piece in pieces {
                prop_assert!((1..=LONGEST_PIECE).contains(&piece.len()) && piece != BYE);
            }
            prop_assert_eq!(cut(&content, &[content.len().max(1)]), datagrams, "it depends on the reads");
        }

        #[test]
        fn each_datagram_of_a_text_is_a_text(text in "(\\PC|bye){0,900}", size in 1usize..5000) {
            let datagrams = cut(text.as_bytes(), &[size]);
            prop_assert!(datagrams.iter().all(|datagram| core::str::from_utf8(datagram).is_ok()));
        }
    }
}
