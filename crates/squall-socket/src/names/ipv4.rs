//! The short forms of IPv4 addresses.

use std::net::Ipv4Addr;

/// Reads an IPv4 address as BSD's
/// [inet_aton(3)](https://man7.org/linux/man-pages/man3/inet_aton.3.html) does: one to four numbers with dots
/// between, decimal, octal (`0…`) or hexadecimal (`0x…`), the last one filling the bytes that remain:
/// `127.1` is 127.0.0.1 and `0x7f000001` too. Nothing may follow.
///
/// Only for input that people wrote in these forms: `010.0.0.1` is 8.0.0.1 here and an error to the standard
/// library's parser, and such differences have opened access lists.
pub fn parse_ipv4_short(text: &str) -> Option<Ipv4Addr> {
    let parts = text.split('.').map(number).collect::<Option<Vec<u32>>>()?;
    let (last, bytes) = parts.split_last()?;
    if bytes.len() > 3 {
        return None;
    }
    let mut address = 0;
    for (position, byte) in bytes.iter().enumerate() {
        address |= u32::from(u8::try_from(*byte).ok()?) << (24 - 8 * position);
    }
    // The bytes that remain: at least one, and all four for a number alone.
    let limit = u32::MAX >> (8 * bytes.len());
    (*last <= limit).then(|| Ipv4Addr::from(address | last))
}

fn number(text: &str) -> Option<u32> {
    let (digits, radix) = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => (digits, 16),
        None if text.len() > 1 && text.starts_with('0') => (&text[1..], 8),
        None => (text, 10),
    };
    // The standard library's parser would take a sign.
    digits.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| u32::from_str_radix(digits, radix).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_forms_fill_the_bytes_that_remain() {
        for (text, address) in [
            ("127.0.0.1", [127, 0, 0, 1]),
            ("127.1", [127, 0, 0, 1]),
            ("10.1.513", [10, 1, 2, 1]),
            ("2130706433", [127, 0, 0, 1]),
            ("0x7f.1", [127, 0, 0, 1]),
            ("0177.0.0.1", [127, 0, 0, 1]),
            ("0", [0, 0, 0, 0]),
            ("1.0xffffff", [1, 255, 255, 255]),
            ("4294967295", [255, 255, 255, 255]),
        ] {
            assert_eq!(parse_ipv4_short(text), Some(address.into()), "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "",
            ".",
            "1.",
            "1.2.3.4.5",
            "256.1",
            "1.2.3.256",
            "1.16777216",
            "08",
            "0x",
            "+1",
            "1 ",
            "-1",
            "4294967296",
        ] {
            assert_eq!(parse_ipv4_short(text), None, "{text:?}");
        }
    }
}
