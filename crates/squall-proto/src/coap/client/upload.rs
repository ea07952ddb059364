//! A long payload on its way to the server
//! ([RFC 7959 §2.5](https://www.rfc-editor.org/rfc/rfc7959#section-2.5)).

use core::ops::Range;

use super::event::Why;
use crate::Status;
use crate::coap::block::{Block, BlockSize};

/// How far a payload is sent.
#[derive(Clone, Debug)]
pub(super) struct Upload {
    length: usize,
    offset: usize,
    size: BlockSize,
    /// Whether it goes in blocks.
    split: bool,
    restarts: u8,
}

/// What follows from the server's answer to a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Uploaded {
    /// The next block is sent.
    Next,
    /// All of it is sent again, as another body.
    Restart,
    /// The answer is the answer to the request.
    Final,
}

impl Upload {
    pub(super) fn new(length: usize, size: BlockSize) -> Self {
        Self { length, offset: 0, size, split: length > size.bytes(), restarts: 0 }
    }

    /// The whole from the beginning.
    pub(super) fn rewind(&mut self) {
        self.offset = 0;
        self.split = self.length > self.size.bytes();
    }

    /// The block to be sent, `None` where the payload goes in one piece, and its place in the payload.
    ///
    /// # Errors
    /// [`Why::TooLarge`] for more than 2²⁰ blocks.
    pub(super) fn piece(&self) -> Result<(Option<Block>, Range<usize>), Why> {
        if !self.split {
            return Ok((None, 0..self.length));
        }
        let end = self.end();
        let block = Block::at(self.offset, end < self.length, self.size).ok_or(Why::TooLarge)?;
        Ok((Some(block), self.offset..end))
    }

    /// Whether the block at hand completes the payload, so that a server can execute the request.
    pub(super) fn is_last(&self) -> bool {
        !self.split || self.end() == self.length
    }

    /// Whether it goes in several blocks.
    pub(super) fn is_split(&self) -> bool {
        self.split
    }

    /// Whether it is the first block of several.
    pub(super) fn is_first_of_several(&self) -> bool {
        self.split && self.offset == 0
    }

    /// Takes the answer to the block at hand.
    ///
    /// # Errors
    /// [`Why::Protocol`]
    pub(super) fn take(&mut self, status: Status, block: Option<Block>) -> Result<Uploaded, Why> {
        let smaller = block.map(|block| block.size()).filter(|size| *size < self.size);
        if status == Status::REQUEST_ENTITY_INCOMPLETE && self.split && self.restarts < RESTARTS {
            self.restarts += 1;
            self.rewind();
            return Ok(Uploaded::Restart);
        }
        if let (Status::REQUEST_ENTITY_TOO_LARGE, 0, Some(size)) = (status, self.offset, smaller) {
            // RFC 7959 §2.9.3: the server names the size that it takes.
            self.size = size;
            self.rewind();
            return Ok(Uploaded::Restart);
        }
        if self.is_last() {
            return match status {
                Status::CONTINUE => Err(Why::Protocol("2.31 Continue to the last block")),
                _ => Ok(Uploaded::Final),
            };
        }
        if !status.is_success() {
            return Ok(Uploaded::Final);
        }
        match block {
            Some(block) if block.number() as usize == self.offset / self.size.bytes() => {}
            Some(_) => return Err(Why::Protocol("an answer to another block than was sent")),
            None => return Err(Why::Protocol("an answer that does not say to which block")),
        }
        self.offset = self.end();
        // What was sent at the larger size has arrived; smaller blocks go on behind it, numbered anew.
        self.size = smaller.unwrap_or(self.size);
        Ok(Uploaded::Next)
    }

    fn end(&self) -> usize {
        self.length.min(self.offset + self.size.bytes())
    }
}

/// How often a body is sent again after a 4.08.
const RESTARTS: u8 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    fn block(text: &str) -> Option<Block> {
        let mut parts = text.split('/').map(|part| part.parse::<usize>().unwrap());
        let (number, more, size) = (parts.next()?, parts.next()?, parts.next()?);
        Block::new(number as u32, more == 1, BlockSize::at_most(size))
    }

    fn sent(upload: &Upload) -> alloc::string::String {
        use alloc::string::ToString;
        match upload.piece().unwrap() {
            (Some(block), _) => block.to_string(),
            (None, _) => "whole".to_string(),
        }
    }

    #[test]
    fn what_fits_goes_in_one_piece() {
        let mut upload = Upload::new(1024, BlockSize::MAX);
        assert_eq!(upload.piece(), Ok((None, 0..1024)));
        assert_eq!(upload.take(Status::CHANGED, None), Ok(Uploaded::Final));
    }

    #[test]
    fn blocks_follow_one_another_and_shrink_when_the_server_asks() {
        // RFC 7959 §3.2, figure 8, with a shorter body.
        let mut upload = Upload::new(300, BlockSize::at_most(128));
        assert_eq!(sent(&upload), "0/1/128");
        assert_eq!(upload.take(Status::CONTINUE, block("0/1/32")), Ok(Uploaded::Next));
        assert_eq!((sent(&upload), upload.is_last()), ("4/1/32".into(), false));
        for number in 4..9 {
            let answer = Block::new(number, true, BlockSize::at_most(32));
            assert_eq!(upload.take(Status::CONTINUE, answer), Ok(Uploaded::Next));
        }
        assert_eq!((sent(&upload), upload.is_last()), ("9/0/32".into(), true));
        assert_eq!(upload.piece().unwrap().1, 288..300);
        assert_eq!(upload.take(Status::CHANGED, block("9/0/32")), Ok(Uploaded::Final));
    }

    #[test]
    fn a_larger_size_is_not_taken() {
        let mut upload = Upload::new(100, BlockSize::at_most(32));
        upload.take(Status::CONTINUE, block("0/1/1024")).unwrap();
        assert_eq!(sent(&upload), "1/1/32");
    }

    #[test]
    fn an_incomplete_body_is_sent_again_twice() {
        let mut upload = Upload::new(40, BlockSize::MIN);
        for _ in 0..2 {
            upload.take(Status::CONTINUE, block("0/1/16")).unwrap();
            let incomplete = upload.take(Status::REQUEST_ENTITY_INCOMPLETE, block("1/1/16"));
            assert_eq!((incomplete, sent(&upload)), (Ok(Uploaded::Restart), "0/1/16".into()));
        }
        assert_eq!(upload.take(Status::REQUEST_ENTITY_INCOMPLETE, None), Ok(Uploaded::Final));
    }

    #[test]
    fn a_body_that_is_too_large_in_one_piece_is_split_as_the_server_says() {
        let mut upload = Upload::new(100, BlockSize::MAX);
        assert_eq!(upload.take(Status::REQUEST_ENTITY_TOO_LARGE, block("0/0/64")), Ok(Uploaded::Restart));
        assert_eq!(sent(&upload), "0/1/64");
        assert_eq!(upload.take(Status::REQUEST_ENTITY_TOO_LARGE, block("0/1/64")), Ok(Uploaded::Final));
    }

    #[test]
    fn answers_that_fit_no_block_break_the_protocol() {
        for (status, answer) in
            [(Status::CONTINUE, block("1/1/16")), (Status::CONTINUE, None), (Status::CHANGED, None)]
        {
            let mut upload = Upload::new(40, BlockSize::MIN);
            assert!(matches!(upload.take(status, answer), Err(Why::Protocol(_))), "{status} {answer:?}");
        }
        let mut whole = Upload::new(4, BlockSize::MIN);
        assert!(matches!(whole.take(Status::CONTINUE, block("0/0/16")), Err(Why::Protocol(_))));
        let huge = Upload::new((1 << 24) + 1, BlockSize::MIN);
        assert!(huge.piece().is_ok());
        assert_eq!(Upload { offset: 1 << 24, ..huge }.piece(), Err(Why::TooLarge));
    }
}
