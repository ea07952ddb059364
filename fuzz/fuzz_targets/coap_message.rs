//! What is read as a CoAP message can be written again and read as the same; what is not says where it is
//! wrong. The values of its options keep their bounds.
#![no_main]

use libfuzzer_sys::fuzz_target;
use squall_proto::coap::block::Block;
use squall_proto::coap::link_format::links;
use squall_proto::coap::message::{Code, Message, Type};
use squall_proto::coap::options::{Options, OptionsBuf, number};
use squall_proto::coap::uri::{CoapUri, compose};
use squall_proto::coap::writer::{Empty, Header, Reliability, Writer};

fuzz_target!(|datagram: &[u8]| {
    if let Ok(text) = str::from_utf8(datagram) {
        read_text(text);
    }
    let message = match Message::parse(datagram) {
        Ok(message) => message,
        Err(error) => {
            assert!(error.at() <= datagram.len());
            let confirmable = datagram.len() >= 4 && datagram[0] >> 4 == 0b0100;
            assert_eq!(error.reset().is_some(), confirmable && datagram.len() >= 4, "{error}");
            return;
        }
    };
    assert!(message.options().encoded().len() + message.payload().len() <= datagram.len());
    read_options(message.options());

    let mut sorted = OptionsBuf::new();
    let well_formed = message.options().iter().all(|field| sorted.push(field.number, field.value).is_ok());
    if well_formed {
        assert_eq!(sorted.as_options(), message.options(), "they are in order already");
    }
    if let Some(written) = write(&message) {
        // Deltas and lengths have one encoding, so that reading and writing is the way there and back.
        assert_eq!(written, datagram);
    }
});

/// The message, written anew; `None` where an option has a form that may be read but not written.
fn write(message: &Message<'_>) -> Option<Vec<u8>> {
    let (id, token) = (message.id(), message.token());
    let reliability = match message.message_type() {
        Type::Confirmable => Reliability::Confirmable,
        _ => Reliability::NonConfirmable,
    };
    let header = match (message.message_type(), message.code()) {
        (Type::Confirmable, Code::Empty) => return Some(Empty::Ping(id).datagram().to_vec()),
        (Type::Acknowledgement, Code::Empty) => return Some(Empty::Acknowledgement(id).datagram().to_vec()),
        (Type::Reset, _) => return Some(Empty::Reset(id).datagram().to_vec()),
        (Type::Acknowledgement, Code::Response(status)) => Header::piggybacked(id, token, status),
        (_, Code::Response(status)) => Header::separate(reliability, id, token, status),
        (_, Code::Request(method)) => Header::request(reliability, id, token, method),
        (_, Code::UnknownRequest(_)) => return None,
        other => panic!("{other:?} is no message"),
    };
    let mut datagram = Vec::new();
    let mut writer = Writer::new(&mut datagram, header).unwrap();
    writer.options(message.options()).ok()?;
    writer.payload(message.payload()).unwrap();
    Some(datagram)
}

fn read_options(options: Options<'_>) {
    let mut last = 0;
    for field in options {
        assert!(field.number >= last);
        last = field.number;
        if let Ok(block) = Block::parse(field.value) {
            assert!(block.offset() < 1 << 30 && (16..=1024).contains(&block.size().bytes()));
        }
    }
    options.unrecognized_critical(|_| false);
    let uri = compose("::1", 5683, options);
    assert!(uri.is_ascii() || options.contains(number::URI_HOST), "{uri}");
}

fn read_text(text: &str) {
    for link in links(text).flatten() {
        link.attributes().for_each(|attribute| drop(attribute.value()));
        assert!(text.contains(link.as_str()));
    }
    if let Ok(uri) = text.parse::<CoapUri>() {
        let again: CoapUri = uri.to_string().parse().expect("what is written can be read");
        assert_eq!(again.to_string(), uri.to_string());
    }
}
