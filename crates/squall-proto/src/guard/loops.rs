//! Datagrams that another server may have sent as its answer.

use crate::Refusal;
use crate::guard::PortSet;

/// The ports on which a node's plain services listen by default: `time`, `length`, `stamp`, `reply`,
/// `chat` and `files`.
pub const DEFAULT_PORTS: [u16; 6] = [20_000, 1060, 21_567, 8888, 9999, 7776];

/// What the `reply` service answers by default.
pub const DEFAULT_REPLY: &str = "你好";

/// Why a datagram from `source_port` could be a server's answer, if it could: a service that answers
/// anything leaves it alone then, because its own answer might be answered again, and so on for ever
/// ([CVE-2024-2169](https://www.kb.cert.org/vuls/id/417980)). `own_ports` are those this node listens on.
///
/// The ports stop most loops at once. The shape of the plain services' answers stops the rest: two
/// nodes on arbitrary ports die out at the first exchange. The price is that a client that asks from
/// such a port, or with such a text, gets no answer.
///
/// ```
/// use squall_proto::guard::{PortSet, suspicious};
///
/// let own = PortSet::from_iter([4000]);
/// assert_eq!(suspicious(50_000, &own, b"hello"), None);
/// assert!(suspicious(4000, &own, b"hello").is_some());
/// assert!(suspicious(50_000, &own, b"Your data was 5 bytes long").is_some());
/// ```
#[inline]
pub fn suspicious(source_port: u16, own_ports: &PortSet, payload: &[u8]) -> Option<Refusal> {
    let rule = if source_port == 0 {
        "it came from port 0"
    } else if source_port < 1024 {
        "it came from a port below 1024"
    } else if own_ports.contains(source_port) {
        "it came from a port that this node listens on"
    } else if DEFAULT_PORTS.contains(&source_port) {
        "it came from a service's default port"
    } else {
        answer_of(payload)?
    };
    Some(Refusal::Loop(rule))
}

/// The rule by which `payload` has the shape of a plain service's answer. Most payloads are done with
/// after their first byte.
#[inline]
fn answer_of(payload: &[u8]) -> Option<&'static str> {
    match payload.first()? {
        b'F' | b'M' | b'S' | b'T' | b'W' if is_ctime(payload) => Some("it is a time"),
        b'Y' if is_length_answer(payload) => Some("it is an answer of the length service"),
        b'[' if is_stamped(payload) => Some("it begins with a time stamp"),
        0xe4 if payload == DEFAULT_REPLY.as_bytes() => Some("it is the default reply"),
        _ => None,
    }
}

/// `Your data was N bytes long`.
fn is_length_answer(payload: &[u8]) -> bool {
    payload
        .strip_prefix(b"Your data was ")
        .and_then(|rest| rest.strip_suffix(b" bytes long"))
        .is_some_and(|number| !number.is_empty() && number.iter().all(u8::is_ascii_digit))
}

/// `[Wed Aug 15 20:35:08 2012] `, and then anything.
fn is_stamped(payload: &[u8]) -> bool {
    payload.len() >= 27
        && payload[0] == b'['
        && is_ctime(&payload[1..25])
        && payload[25] == b']'
        && payload[26] == b' '
}

/// `Wed Aug  5 20:35:08 2012`: what [`ctime`](https://man7.org/linux/man-pages/man3/ctime.3.html) gives,
/// without its newline. Whether the day fits the month, and the weekday the date, is not asked.
fn is_ctime(text: &[u8]) -> bool {
    let Ok(text) = <&[u8; 24]>::try_from(text) else { return false };
    let number = |at: usize| match (text[at], text[at + 1]) {
        (tens @ b'0'..=b'9', ones @ b'0'..=b'9') => (tens - b'0') * 10 + (ones - b'0'),
        _ => u8::MAX,
    };
    let day = match text[8] {
        b' ' if text[9].is_ascii_digit() => text[9] - b'0',
        b'1'..=b'3' => number(8),
        _ => u8::MAX,
    };
    is_one_of(b"SunMonTueWedThuFriSat", &text[0..3])
        && text[3] == b' '
        && is_one_of(b"JanFebMarAprMayJunJulAugSepOctNovDec", &text[4..7])
        && text[7] == b' '
        && (1..=31).contains(&day)
        && text[10] == b' '
        && number(11) < 24
        && text[13] == b':'
        && number(14) < 60
        && text[16] == b':'
        && number(17) <= 60 // a leap second
        && text[19] == b' '
        && text[20..].iter().all(u8::is_ascii_digit)
}

fn is_one_of(names: &[u8], name: &[u8]) -> bool {
    names.chunks_exact(3).any(|other| other == name)
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    fn is_answer(payload: &[u8]) -> bool {
        suspicious(50_000, &PortSet::new(), payload).is_some()
    }

    #[test]
    fn the_port_alone_gives_a_server_away() {
        let own = PortSet::from_iter([4000]);
        for port in DEFAULT_PORTS.into_iter().chain([0, 1, 53, 1023, 4000]) {
            assert!(matches!(suspicious(port, &own, b"hello"), Some(Refusal::Loop(_))), "{port}");
        }
        for port in [1024, 3999, 4001, 65_535] {
            assert_eq!(suspicious(port, &own, b"hello"), None, "{port}");
        }
    }

    #[test]
    fn every_answer_of_a_plain_service_is_known() {
        for answer in [
            "Wed Aug 15 20:35:08 2012",
            "Wed Aug  5 20:35:08 2012",
            "Sat Dec 31 23:59:60 2016",
            "Your data was 0 bytes long",
            "Your data was 65507 bytes long",
            "[Wed Aug 15 20:35:08 2012] ",
            "[Wed Aug 15 20:35:08 2012] hello",
            "[Wed Aug 15 20:35:08 2012] [Wed Aug 15 20:35:08 2012] hello",
            DEFAULT_REPLY,
        ] {
            assert!(is_answer(answer.as_bytes()), "{answer}");
        }
    }

    #[test]
    fn what_only_resembles_an_answer_is_a_request() {
        for request in [
            "",
            "hello",
            "Wed Aug 15 20:35:08 2012\n",
            "Wed Aug 15 20:35:08 201",
            "Wet Aug 15 20:35:08 2012",
            "Wed Aux 15 20:35:08 2012",
            "WedXAug 15 20:35:08 2012",
            "Wed AugX15 20:35:08 2012",
            "Wed Aug 00 20:35:08 2012",
            "Wed Aug  0 20:35:08 2012",
            "Wed Aug 05 20:35:08 2012",
            "Wed Aug 32 20:35:08 2012",
            "Wed Aug 15X20:35:08 2012",
            "Wed Aug 15 24:35:08 2012",
            "Wed Aug 15 20:60:08 2012",
            "Wed Aug 15 20:35:61 2012",
            "Wed Aug 15 20.35:08 2012",
            "Wed Aug 15 20:35.08 2012",
            "Wed Aug 15 20:35:08X2012",
            "Wed Aug 15 20:35:08 2O12",
            "Your data was  bytes long",
            "Your data was -1 bytes long",
            "Your data was 5 bytes long.",
            "[Wed Aug 15 20:35:08 2012]",
            "[Wed Aug 15 20:35:08 2012]x",
            "[Wed Aug 15 20:35:08 2012 ",
            "你好!",
            "你",
        ] {
            assert!(!is_answer(request.as_bytes()), "{request}");
        }
    }

    proptest! {
        #[test]
        fn no_payload_upsets_the_check(payload in prop::collection::vec(any::<u8>(), 0..40)) {
            let _: bool = is_answer(&payload);
        }

        #[test]
        fn a_changed_time_upsets_nothing(at in 0usize..24, byte: u8) {
            let mut text = Vec::from(b"Wed Aug 15 20:35:08 2012".as_slice());
            text[at] = byte;
            let _: bool = is_answer(&text);
        }
    }
}
