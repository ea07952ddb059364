use alloc::vec::Vec;

use super::*;
use crate::coap::options::Problem as OptionProblem;

fn problem(bytes: &[u8]) -> (Problem, usize, Option<u16>) {
    let error = Message::parse(bytes).expect_err("malformed");
    (error.problem(), error.at(), error.reset())
}

#[test]
fn the_examples_of_the_rfc_are_read() {
    // RFC 7252, appendix A, figures 16 and 18.
    let request = Message::parse(b"\x40\x01\x7d\x34\xbbtemperature").unwrap();
    assert_eq!(request.code(), Code::Request(Method::Get));
    assert_eq!((request.message_type(), request.id()), (Type::Confirmable, 0x7d34));
    assert_eq!(request.options().iter().map(|field| field.number).collect::<Vec<_>>(), [11]);
    let response = Message::parse(b"\x61\x45\x7d\x35\x20\xff22.3 C").unwrap();
    assert_eq!(response.code(), Code::Response(Status::CONTENT));
    assert_eq!((&*response.token(), response.payload()), ([0x20].as_slice(), b"22.3 C".as_slice()));
}

#[test]
fn what_comes_before_the_version_is_known_is_ignored() {
    for bytes in [&[] as &[u8], &[0x40], &[0x40, 1, 0]] {
        assert_eq!(problem(bytes), (Problem::TooShort, bytes.len(), None));
    }
    for version in [0, 2, 3] {
        let bytes = [version << 6, 1, 0, 7];
        assert_eq!(problem(&bytes), (Problem::Version(version), 0, None), "confirmable, but not ours");
    }
}

/// Section 4.2 has a format error of a confirmable message rejected, 4.3 one of a non-confirmable one
/// may be ignored, and an acknowledgement's or a reset's must be.
#[test]
fn a_format_error_is_reset_when_confirmable_and_ignored_otherwise() {
    let table: [(&[u8], Problem, usize); 13] = [
        (&[0x09, 0x01, 0x12, 0x34], Problem::TokenLength(9), 0),
        (&[0x0f, 0x01, 0x12, 0x34], Problem::TokenLength(15), 0),
        (&[0x08, 0x45, 0x12, 0x34, 1, 2, 3, 4, 5, 6, 7], Problem::TokenTruncated, 4),
        (&[0x00, 0x20, 0x12, 0x34], Problem::ReservedCode(0x20), 1),
        (&[0x00, 0xc0, 0x12, 0x34], Problem::ReservedCode(0xc0), 1),
        (&[0x00, 0xe1, 0x12, 0x34], Problem::ReservedCode(0xe1), 1),
        (&[0x00, 0x00, 0x12, 0x34, 0xff], Problem::NotEmpty, 4),
        (&[0x00, 0x00, 0x12, 0x34, 0x10], Problem::NotEmpty, 4),
        (&[0x01, 0x00, 0x12, 0x34, 0x10], Problem::NotEmpty, 4),
        (&[0x01, 0x00, 0x12, 0x34], Problem::NotEmpty, 0),
        (&[0x00, 0x45, 0x12, 0x34, 0xf0], Problem::Options(OptionProblem::ReservedDelta), 4),
        (&[0x01, 0x45, 0x12, 0x34, 1, 0xff], Problem::Options(OptionProblem::MarkerWithoutPayload), 5),
        (&[0x00, 0x45, 0x12, 0x34, 0x20, 0x2f], Problem::Options(OptionProblem::ReservedLength), 5),
    ];
    for (bytes, expected, at) in table {
        for message_type in 0..4 {
            let mut bytes = bytes.to_vec();
            bytes[0] |= 0x40 | message_type << 4;
            let found = problem(&bytes);
            let reset = (message_type == 0).then_some(0x1234);
            if message_type == 3 && bytes[1] == 0x45 {
                assert!(matches!(found.0, Problem::Unfit(Type::Reset, _)), "a reset is empty");
                assert_eq!(found.2, None);
            } else {
                assert_eq!(found, (expected, at, reset), "{bytes:02x?}");
            }
        }
    }
}

#[test]
fn each_type_has_the_codes_of_table_1() {
    // Request, response, empty.
    let table = [
        (Type::Confirmable, [true, true, true]),
        (Type::NonConfirmable, [true, true, false]),
        (Type::Acknowledgement, [false, true, true]),
        (Type::Reset, [false, false, true]),
    ];
    for (message_type, fits) in table {
        for (code, fits) in [0x01, 0x45, 0x00].into_iter().zip(fits) {
            let bytes = [0x40 | message_type.bits() << 4, code, 0, 1];
            assert_eq!(Message::parse(&bytes).is_ok(), fits, "{message_type:?} {code:#x}");
        }
    }
}

#[test]
fn requests_of_unknown_methods_can_be_answered() {
    let message = Message::parse(&[0x40, 0x1f, 0, 1]).unwrap();
    assert_eq!(message.code(), Code::UnknownRequest(0x1f));
    let message = Message::parse(&[0x50, 0x7f, 0, 1]).unwrap();
    assert!(matches!(message.code(), Code::Response(status) if status.class() == 3));
}

#[test]
fn tokens_have_up_to_eight_bytes_and_are_compared_by_them() {
    assert_eq!(Token::new(&[0; 9]), None);
    assert_ne!(Token::new(&[0]), Token::new(&[0, 0]));
    for length in 0..=8 {
        let mut bytes = alloc::vec![0x40 | length as u8, 1, 0, 1];
        bytes.extend(core::iter::repeat_n(0xaa, length));
        assert_eq!(&*Message::parse(&bytes).unwrap().token(), alloc::vec![0xaa; length]);
    }
}
