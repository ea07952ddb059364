//! A long answer on its way from the server
//! ([RFC 7959 §2.4](https://www.rfc-editor.org/rfc/rfc7959#section-2.4)).

use alloc::vec::Vec;

use super::event::{Response, Why};
use crate::Status;
use crate::coap::block::{Block, BlockSize};
use crate::coap::message::Message;
use crate::coap::options::{Options, OptionsBuf, number};

/// The blocks of an answer that have come so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Download {
    /// The first block's status and options, with the body so far.
    begun: Option<Response>,
    etag: Vec<u8>,
    restarts: u8,
    /// Whether an answer that began small was asked for again.
    pub(super) widened: bool,
}

/// What follows from an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Downloaded {
    /// This block is asked for next.
    Next(Block),
    /// The answer has changed meanwhile; it is asked for again from its beginning.
    Restart,
    /// It has come whole.
    Whole(Response),
}

impl Download {
    /// Whether part of an answer has come.
    pub(super) fn has_begun(&self) -> bool {
        self.begun.is_some()
    }

    /// Takes an answer, which can be all or a block, of up to `limit` bytes in all.
    ///
    /// # Errors
    /// [`Why::TooLarge`] and [`Why::Protocol`]
    pub(super) fn take(
        &mut self,
        message: &Message<'_>,
        status: Status,
        limit: usize,
    ) -> Result<Downloaded, Why> {
        let (options, payload) = (message.options(), message.payload());
        let block =
            Block::of(options, number::BLOCK2).map_err(|_| Why::Protocol("a block of no valid size"))?;
        let too_large = options.uint(number::SIZE2).is_some_and(|size| size as usize > limit);
        if too_large || payload.len() > limit {
            return Err(Why::TooLarge);
        }
        let changed = self.begun.as_ref().is_some_and(|begun| begun.status != status);
        if changed && status == Status::REQUEST_ENTITY_INCOMPLETE {
            return self.restart();
        }
        let Some(block) = block.filter(|_| !changed) else {
            // All of it, or the reason why there is no more of it.
            self.begun = None;
            return Ok(Downloaded::Whole(response(status, options, payload)));
        };
        let size = block.size().bytes();
        if block.more() && payload.len() != size || payload.len() > size {
            return Err(Why::Protocol("a block whose length is not its size"));
        }
        let etag = options.get(number::ETAG).unwrap_or_default();
        let begun = match &mut self.begun {
            None if block.number() != 0 => {
                return Err(Why::Protocol("a block that does not begin the answer"));
            }
            None => {
                self.etag = etag.to_vec();
                self.begun.insert(response(status, options, payload))
            }
            Some(_) if *self.etag != *etag => return self.restart(),
            Some(begun) if begun.payload.len() != block.offset() => {
                return Err(Why::Protocol("another block than was asked for"));
            }
            Some(begun) if begun.payload.len() + payload.len() > limit => return Err(Why::TooLarge),
            Some(begun) => {
                begun.payload.extend_from_slice(payload);
                begun
            }
        };
        if block.more() {
            let next = Block::at(begun.payload.len(), false, block.size()).ok_or(Why::TooLarge)?;
            return Ok(Downloaded::Next(next));
        }
        self.begun.take().map(Downloaded::Whole).ok_or(Why::Protocol("no answer"))
    }

    /// Whether an answer of `options` began with less than `wanted` because its server does not know yet
    /// whether the client is where it says: it is worth being asked for again with the proof.
    pub(super) fn began_small(&self, options: Options<'_>, wanted: BlockSize) -> bool {
        let small = |block: Block| block.number() == 0 && block.more() && block.size() < wanted;
        !self.widened
            && options.contains(number::ECHO)
            && Block::of(options, number::BLOCK2).ok().flatten().is_some_and(small)
    }

    fn restart(&mut self) -> Result<Downloaded, Why> {
        if self.restarts == RESTARTS {
            return Err(Why::Protocol("the answer changes faster than it can be fetched"));
        }
        self.restarts += 1;
        self.begun = None;
        Ok(Downloaded::Restart)
    }
}

fn response(status: Status, options: Options<'_>, payload: &[u8]) -> Response {
    let mut kept = OptionsBuf::new();
    for field in options {
        // RFC 7959 §2.9.3: of a request that is too large it is how large one may be.
        let tells_limit = field.number == number::SIZE1 && status == Status::REQUEST_ENTITY_TOO_LARGE;
        if tells_limit || !OF_THE_TRANSFER.contains(&field.number) {
            // What cannot be written is not of its definition's form, and elective: critical ones of that
            // kind are refused before.
            let _ = kept.push(field.number, field.value);
        }
    }
    Response { status, options: kept, payload: payload.to_vec() }
}

const OF_THE_TRANSFER: [u16; 5] =
    [number::BLOCK1, number::BLOCK2, number::SIZE1, number::SIZE2, number::ECHO];
/// How often an answer that has changed is asked for again.
const RESTARTS: u8 = 3;

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;
    use crate::coap::message::Token;
    use crate::coap::writer::{Header, Writer};

    /// Gives `download` a block: number, whether more follow, the size; an ETag; a payload.
    fn give(
        download: &mut Download,
        block: Option<(u32, bool, usize)>,
        etag: &[u8],
        payload: &[u8],
    ) -> Result<Downloaded, Why> {
        give_as(download, Status::CONTENT, block, etag, payload)
    }

    #[test]
    fn what_is_too_large_keeps_the_limit_and_no_other_size() {
        for (status, limit) in [(Status::REQUEST_ENTITY_TOO_LARGE, Some(64)), (Status::CONTENT, None)] {
            let mut datagram = vec![];
            let mut writer =
                Writer::new(&mut datagram, Header::piggybacked(1, Token::EMPTY, status)).unwrap();
            writer.uint(number::SIZE1, 64).unwrap();
            writer.payload(b"").unwrap();
            let message = Message::parse(&datagram).unwrap();
            let Ok(Downloaded::Whole(response)) = Download::default().take(&message, status, 64) else {
                panic!("{status} is not whole");
            };
            assert_eq!(response.options().uint(number::SIZE1), limit);
        }
    }

    fn give_as(
        download: &mut Download,
        status: Status,
        block: Option<(u32, bool, usize)>,
        etag: &[u8],
        payload: &[u8],
    ) -> Result<Downloaded, Why> {
        let mut datagram = vec![];
        let mut writer = Writer::new(&mut datagram, Header::piggybacked(1, Token::EMPTY, status)).unwrap();
        if !etag.is_empty() {
            writer.option(number::ETAG, etag).unwrap();
        }
        if let Some((number, more, size)) = block {
            let block = Block::new(number, more, BlockSize::at_most(size)).unwrap();
            writer.option(number::BLOCK2, &block.value()).unwrap();
        }
        writer.payload(payload).unwrap();
        let message = Message::parse(&datagram).unwrap();
        download.take(&message, status, 64)
    }

    fn next(number: u32, size: usize) -> Result<Downloaded, Why> {
        Ok(Downloaded::Next(Block::new(number, false, BlockSize::at_most(size)).unwrap()))
    }

    fn body(taken: Result<Downloaded, Why>) -> Vec<u8> {
        match taken {
            Ok(Downloaded::Whole(response)) => response.payload,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn blocks_make_a_body() {
        let mut download = Download::default();
        assert_eq!(give(&mut download, Some((0, true, 32)), b"e", &[1; 32]), next(1, 32));
        // A server may go on in smaller blocks.
        assert_eq!(give(&mut download, Some((2, true, 16)), b"e", &[2; 16]), next(3, 16));
        let whole = give(&mut download, Some((3, false, 16)), b"e", &[3; 4]);
        assert_eq!(body(whole), [&[1; 32][..], &[2; 16], &[3; 4]].concat());
    }

    #[test]
    fn an_answer_without_blocks_is_whole() {
        assert_eq!(body(give(&mut Download::default(), None, b"", b"all")), b"all");
        assert_eq!(body(give(&mut Download::default(), Some((0, false, 16)), b"", b"all")), b"all");
    }

    #[test]
    fn another_etag_begins_again_and_only_so_often() {
        let mut download = Download::default();
        for etag in 0..3 {
            give(&mut download, Some((0, true, 16)), &[etag], &[0; 16]).unwrap();
            let changed = give(&mut download, Some((1, true, 16)), &[etag + 1], &[1; 16]);
            assert_eq!((changed, download.has_begun()), (Ok(Downloaded::Restart), false));
        }
        give(&mut download, Some((0, true, 16)), b"a", &[0; 16]).unwrap();
        let changed = give(&mut download, Some((1, true, 16)), b"b", &[1; 16]);
        assert!(matches!(changed, Err(Why::Protocol(_))));
    }

    #[test]
    fn an_error_in_the_middle_is_the_answer() {
        let mut download = Download::default();
        give(&mut download, Some((0, true, 16)), b"", &[0; 16]).unwrap();
        let gone = give_as(&mut download, Status::NOT_FOUND, None, b"", b"gone");
        assert_eq!(body(gone), b"gone");
        give(&mut download, Some((0, true, 16)), b"", &[0; 16]).unwrap();
        let incomplete = give_as(&mut download, Status::REQUEST_ENTITY_INCOMPLETE, None, b"", b"");
        assert_eq!(incomplete, Ok(Downloaded::Restart));
    }

    #[test]
    fn what_is_no_next_block_breaks_the_protocol() {
        for (number, more, length) in [(1, false, 1), (0, true, 15), (0, false, 17)] {
            let taken = give(&mut Download::default(), Some((number, more, 16)), b"", &vec![0; length]);
            assert!(matches!(taken, Err(Why::Protocol(_))), "{number} {more} {length}: {taken:?}");
        }
        for number in [0, 2, 9] {
            let mut download = Download::default();
            give(&mut download, Some((0, true, 16)), b"", &[0; 16]).unwrap();
            let taken = give(&mut download, Some((number, true, 16)), b"", &[0; 16]);
            assert!(matches!(taken, Err(Why::Protocol(_))), "{number}: {taken:?}");
        }
    }

    #[test]
    fn a_body_over_the_limit_is_not_put_together() {
        let mut download = Download::default();
        for number in 0..4 {
            give(&mut download, Some((number, true, 16)), b"", &[0; 16]).unwrap();
        }
        assert_eq!(give(&mut download, Some((4, false, 16)), b"", &[0]), Err(Why::TooLarge));
        assert_eq!(give(&mut Download::default(), None, b"", &[0; 65]), Err(Why::TooLarge));
    }
}
