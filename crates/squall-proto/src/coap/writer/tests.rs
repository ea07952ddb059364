use proptest::prelude::*;

use super::*;
use crate::coap::message::{Code, Message};
use crate::coap::options::{OptionsBuf, number};
use crate::{Outbox, Peer, Time};

fn header() -> Header {
    Header::request(Reliability::Confirmable, 1, Token::EMPTY, Method::Get)
}

#[test]
fn what_no_reader_would_take_is_not_written() {
    let mut datagram = Vec::new();
    let mut writer = Writer::new(&mut datagram, header()).unwrap();
    writer.uint(number::ACCEPT, 50).unwrap();
    let order = OptionError::Order { number: number::URI_PATH, after: number::ACCEPT };
    assert_eq!(writer.option(number::URI_PATH, b"a"), Err(WriteError::Option(order)));
    let repeated = OptionError::Repeated { number: number::ACCEPT };
    assert_eq!(writer.uint(number::ACCEPT, 50), Err(WriteError::Option(repeated)));
    let length = OptionError::Length { number: number::BLOCK2, length: 4 };
    assert_eq!(writer.option(number::BLOCK2, &[0; 4]), Err(WriteError::Option(length)));
    writer.payload(b"").unwrap();
    assert_eq!(datagram, [0x40, 1, 0, 1, 0xd1, 4, 50], "no marker before an empty payload");
}

#[test]
fn empty_messages_are_read_as_what_they_are() {
    for (empty, message_type) in [
        (Empty::Acknowledgement(9), Type::Acknowledgement),
        (Empty::Reset(9), Type::Reset),
        (Empty::Ping(9), Type::Confirmable),
    ] {
        let datagram = empty.datagram();
        let message = Message::parse(&datagram).unwrap();
        assert_eq!((message.message_type(), message.code(), message.id()), (message_type, Code::Empty, 9));
    }
}

#[test]
fn a_reply_that_is_full_says_so() {
    let peer = Peer::Ip("192.0.2.1:5000".parse().unwrap());
    let origin = crate::Origin { peer, local: None, transport: crate::Transport::Udp, validated: false };
    let request = crate::Request::new(Time::ZERO, b"", origin);
    let mut outbox = Outbox::new();
    let mut reply = outbox.answer(&request);
    let writer = Writer::new(&mut reply, header()).unwrap();
    let full = writer.payload(&[0; 100]).map(|_| ());
    assert_eq!(full, Err(WriteError::Sink(Refusal::Amplification)));
    drop(reply);
    assert!(outbox.is_empty());
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(
        confirmable: bool,
        id: u16,
        token in prop::collection::vec(any::<u8>(), 0..=8),
        method in prop::sample::select(Method::ALL.as_slice()),
        fields in prop::collection::vec((any::<u16>(), prop::collection::vec(any::<u8>(), 0..20)), 0..6),
        payload in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let mut options = OptionsBuf::new();
        for (number, value) in fields {
            // What is out of form is refused, which another test is for.
            let _ = options.push(number, &value);
        }
        let reliability = if confirmable { Reliability::Confirmable } else { Reliability::NonConfirmable };
        let token = Token::new(&token).unwrap();
        let mut datagram = Vec::new();
        let mut writer = Writer::new(&mut datagram, Header::request(reliability, id, token, method)).unwrap();
        writer.options(options.as_options()).unwrap();
        writer.payload(&payload).unwrap();
        let message = Message::parse(&datagram).unwrap();
        prop_assert_eq!(message.message_type(), reliability.message_type());
        prop_assert_eq!((message.code(), message.id()), (Code::Request(method), id));
        prop_assert_eq!(message.token(), token);
        prop_assert_eq!(message.options(), options.as_options());
        prop_assert_eq!(message.payload(), payload);
    }
}
