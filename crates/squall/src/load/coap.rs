//! CoAP requests, and which answers to them count.

use squall_proto::coap::message::{MAX_TOKEN, Token};
use squall_proto::coap::options::{OptionsBuf, number};
use squall_proto::coap::writer::{Header, Reliability, Writer};
use squall_proto::{Method, Status};

/// One confirmable request, of which each copy gets a message ID and a token of its own.
#[derive(Clone, Debug)]
pub(super) struct Coap {
    message: Vec<u8>,
    answer: Status,
}

impl Coap {
    /// A request of `method` for `path`; `None` for a segment of more than 255 bytes.
    pub(super) fn new(method: Method, path: &str, payload: &[u8], answer: Status) -> Option<Self> {
        let mut options = OptionsBuf::new();
        for segment in path.trim_matches('/').split('/').filter(|segment| !segment.is_empty()) {
            options.push(number::URI_PATH, segment.as_bytes()).ok()?;
        }
        let header = Header::request(Reliability::Confirmable, 0, Token::from(0), method);
        let mut message = Vec::new();
        let mut writer = Writer::new(&mut message, header).ok()?;
        writer.options(options.as_options()).ok()?;
        writer.payload(payload).ok()?;
        Some(Self { message, answer })
    }

    /// The request, as long as all of its copies.
    pub(super) fn message(&self) -> &[u8] {
        &self.message
    }

    /// The token of an answer that counts: acknowledged and answered in one, with the right code.
    pub(super) fn token(&self, reply: &[u8]) -> Option<u64> {
        match reply.first_chunk::<{ HEADER + MAX_TOKEN }>()? {
            [ACKNOWLEDGEMENT, code, _, _, token @ ..] if *code == self.answer.code() => {
                Some(u64::from_be_bytes(*token))
            }
            _ => None,
        }
    }
}

/// Makes `copy` a request of its own.
pub(super) fn stamp(copy: &mut [u8], message_id: u16, token: u64) {
    copy[2..HEADER].copy_from_slice(&message_id.to_be_bytes());
    copy[HEADER..HEADER + MAX_TOKEN].copy_from_slice(&token.to_be_bytes());
}

const HEADER: usize = 4;
/// Version 1, an acknowledgement, a token of 8 bytes.
const ACKNOWLEDGEMENT: u8 = 0x68;

#[cfg(test)]
mod tests {
    use squall_proto::coap::message::{Code, Message};

    use super::*;

    #[test]
    fn copies_differ_in_message_id_and_token_and_only_the_right_answer_counts() {
        let coap = Coap::new(Method::Get, "/a/b", b"", Status::CONTENT).unwrap();
        let mut copy = coap.message().to_vec();
        stamp(&mut copy, 0x1234, 0x0102_0304_0506_0708);
        let message = Message::parse(&copy).unwrap();
        assert_eq!((message.id(), message.code()), (0x1234, Code::Request(Method::Get)));
        assert_eq!(message.options().all(number::URI_PATH).count(), 2);

        let token = message.token();
        let answer = |header| {
            let mut answer = Vec::new();
            Writer::new(&mut answer, header).unwrap().payload(b"x").unwrap();
            coap.token(&answer)
        };
        assert_eq!(answer(Header::piggybacked(0x1234, token, Status::CONTENT)), Some(0x0102_0304_0506_0708));
        assert_eq!(answer(Header::piggybacked(0x1234, token, Status::SERVICE_UNAVAILABLE)), None);
        assert_eq!(answer(Header::separate(Reliability::Confirmable, 1, token, Status::CONTENT)), None);
        assert_eq!(coap.token(&[]), None);
        assert!(Coap::new(Method::Get, &"x".repeat(256), b"", Status::CONTENT).is_none());
    }
}
