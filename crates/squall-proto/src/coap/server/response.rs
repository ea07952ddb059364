//! An answer on its way to a datagram.

use alloc::vec::Vec;

use super::echo::EchoValue;
use crate::coap::block::Block;
use crate::coap::message::{Code, Message, Token, Type};
use crate::coap::options::number;
use crate::coap::writer::{Header, Reliability, Writer};
use crate::{Method, Origin, Status};

/// How a response travels.
#[derive(Clone, Copy, Debug)]
pub(super) enum Carrier {
    /// On the acknowledgement of the request with this message ID.
    Acknowledgement(u16),
    /// In a message of its own, with this message ID.
    Message(Reliability, u16),
}

/// A request, as far as its response needs it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Exchange {
    /// Where it came from; validated as its driver says.
    pub(super) origin: Origin,
    /// Whether the peer is validated, by the driver or by Echo.
    pub(super) validated: bool,
    /// Whether it is by an Echo in another request, and so lately that this may be a copy of one that was
    /// told to bring an Echo.
    pub(super) lately: bool,
    pub(super) carrier: Carrier,
    pub(super) id: u16,
    pub(super) token: Token,
    /// How long the request's datagram was, in bytes.
    pub(super) size: usize,
    /// How many bytes were sent for it, headers counted, before the datagram at hand.
    pub(super) spent: usize,
    pub(super) group: bool,
    pub(super) no_response: u8,
}

impl Exchange {
    /// The longest datagram that may be sent for it.
    pub(super) fn budget(&self) -> usize {
        if self.validated {
            return usize::MAX;
        }
        let header = self.origin.header_size();
        (AMPLIFICATION_LIMIT * (self.size + header)).saturating_sub(header + self.spent)
    }

    /// Counts a datagram of `length` bytes as sent for it.
    pub(super) fn spend(&mut self, length: usize) {
        self.spent += length + self.origin.header_size();
    }

    /// Whether `datagram` is an answer to it that may be sent: not that to a request which looks the same by
    /// its hash, and not too long.
    pub(super) fn is_answer(&self, datagram: &[u8]) -> bool {
        Message::parse(datagram).is_ok_and(|answer| {
            let is_own = answer.message_type() != Type::Acknowledgement || answer.id() == self.id;
            let is_wanted = answer.code() == Code::Empty || answer.token() == self.token;
            is_own && is_wanted && datagram.len() <= self.budget()
        })
    }

    pub(super) fn header(&self, status: Status) -> Header {
        match self.carrier {
            Carrier::Acknowledgement(id) => Header::piggybacked(id, self.token, status),
            Carrier::Message(reliability, id) => Header::separate(reliability, id, self.token, status),
        }
    }

    /// Whether the request says that it wants no response of this class
    /// ([RFC 7967 §2.1](https://www.rfc-editor.org/rfc/rfc7967#section-2.1)).
    pub(super) fn does_not_want(&self, status: Status) -> bool {
        self.no_response & 1 << (status.class() - 1) != 0
    }
}

/// A response, before it is encoded.
#[derive(Clone, Copy, Debug)]
pub(super) struct Response<'a> {
    pub(super) status: Status,
    pub(super) payload: &'a [u8],
    pub(super) etag: Option<u64>,
    pub(super) observe: Option<u32>,
    pub(super) format: Option<u16>,
    pub(super) max_age: Option<u32>,
    pub(super) block2: Option<Block>,
    pub(super) block1: Option<Block>,
    pub(super) size2: Option<u32>,
    pub(super) size1: Option<u32>,
    pub(super) echo: Option<EchoValue>,
}

impl<'a> Response<'a> {
    /// A response that says `status` and nothing else.
    pub(super) const fn new(status: Status) -> Self {
        Self {
            status,
            payload: &[],
            etag: None,
            observe: None,
            format: None,
            max_age: None,
            block2: None,
            block1: None,
            size2: None,
            size1: None,
            echo: None,
        }
    }

    /// Writes the datagram into `to`, which is emptied before.
    pub(super) fn encode(&self, header: Header, to: &mut Vec<u8>) {
        to.clear();
        let written = self.write(header, to);
        debug_assert_eq!(written, Some(()), "the options have an order and lengths that they may have");
    }

    fn write(&self, header: Header, to: &mut Vec<u8>) -> Option<()> {
        let mut writer = Writer::new(to, header).ok()?;
        if let Some(etag) = self.etag {
            writer.option(number::ETAG, &etag.to_be_bytes()).ok()?;
        }
        let block = |block: Option<Block>| block.map(|block| block.bits());
        for (number, value) in [
            (number::OBSERVE, self.observe),
            (number::CONTENT_FORMAT, self.format.map(u32::from)),
            (number::MAX_AGE, self.max_age),
            (number::BLOCK2, block(self.block2)),
            (number::BLOCK1, block(self.block1)),
            (number::SIZE2, self.size2),
            (number::SIZE1, self.size1),
        ] {
            if let Some(value) = value {
                writer.uint(number, value).ok()?;
            }
        }
        if let Some(echo) = self.echo {
            writer.option(number::ECHO, &echo).ok()?;
        }
        writer.payload(self.payload).ok()?;
        Some(())
    }
}

/// What a representation is, beside its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Representation {
    pub(super) status: Status,
    pub(super) format: Option<u16>,
    pub(super) max_age: Option<u32>,
    pub(super) etag: Option<u64>,
}

/// What a response says where its handler says nothing.
pub(super) const fn usual_status(method: Method) -> Status {
    match method {
        Method::Get | Method::Fetch => Status::CONTENT,
        Method::Delete => Status::DELETED,
        Method::Post | Method::Put | Method::Patch | Method::IPatch => Status::CHANGED,
    }
}

/// How many times a request a response may be to an address that is not validated, headers counted.
const AMPLIFICATION_LIMIT: usize = 3;
