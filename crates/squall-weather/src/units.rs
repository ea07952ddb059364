//! Numbers with units, read and shown without rounding.

use core::fmt;

/// A decimal number: `digits` × 10^−`places`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Decimal {
    digits: u64,
    places: u32,
}

impl Decimal {
    pub(crate) const fn new(digits: u64, places: u32) -> Self {
        Self { digits, places }
    }

    /// ASCII digits with at most one point and no sign, `None` for all else and for what is too long.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let fraction = fraction.trim_end_matches('0');
        let mut digits = 0u64;
        for byte in whole.bytes().chain(fraction.bytes()) {
            let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
            digits = digits.checked_mul(10)?.checked_add(digit)?;
        }
        Some(Self { digits, places: u32::try_from(fraction.len()).ok()? })
    }

    /// This times 10^`places`, if that is a whole number.
    pub(crate) fn scaled(self, places: u32) -> Option<u64> {
        self.digits.checked_mul(10u64.checked_pow(places.checked_sub(self.places)?)?)
    }

    /// This times `unit`, if that is a whole number.
    pub(crate) fn times(self, unit: u64) -> Option<u64> {
        let product = u128::from(self.digits) * u128::from(unit);
        let scale = 10u128.checked_pow(self.places)?;
        if product % scale != 0 { None } else { u64::try_from(product / scale).ok() }
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scale = 10u64.pow(self.places);
        let (whole, mut fraction, mut width) =
            (self.digits / scale, self.digits % scale, self.places as usize);
        write!(f, "{whole}")?;
        if fraction == 0 {
            return Ok(());
        }
        while fraction % 10 == 0 {
            fraction /= 10;
            width -= 1;
        }
        write!(f, ".{fraction:0width$}")
    }
}

/// A length of time in nanoseconds: `25ms`, `1.5s`, `1m30s`, `250us`; `0` needs no unit.
pub(crate) fn parse_span(text: &str) -> Option<u64> {
    if text == "0" {
        return Some(0);
    }
    let mut total = 0u64;
    let mut rest = text;
    while !rest.is_empty() {
        let number = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(number);
        let unit = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit);
        let (_, nanos) = SPANS.iter().find(|(name, _)| *name == unit)?;
        total = total.checked_add(Decimal::parse(number)?.times(*nanos)?)?;
        rest = tail;
    }
    (!text.is_empty()).then_some(total)
}

/// Nanoseconds with the largest unit of a second or below that they reach: `25ms`, `25.103ms`, `90s`.
pub(crate) struct Span(pub(crate) u64);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, places) = match self.0 {
            0 => return f.write_str("0"),
            1_000_000_000.. => ("s", 9),
            1_000_000.. => ("ms", 6),
            1_000.. => ("us", 3),
            _ => ("ns", 0),
        };
        write!(f, "{}{unit}", Decimal::new(self.0, places))
    }
}

/// A number of bytes: `6MB`, `64KiB`, `1500`, `1500B`.
pub(crate) fn parse_bytes(text: &str) -> Option<u64> {
    with_unit(text, &BYTES)
}

/// A rate in bits per second: `1gbit`, `2.5mbit`, `64kbit`, or in bytes, `125MB/s`. `None` if it is none.
pub fn parse_rate(text: &str) -> Option<u64> {
    match text.strip_suffix("/s") {
        Some(bytes) => with_unit(bytes, &BYTES)?.checked_mul(8),
        None => with_unit(text, &BITS),
    }
}

/// Bytes in the largest decimal unit that needs no fraction: `6MB`.
pub(crate) struct Bytes(pub(crate) u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        whole(f, self.0, &BYTES[..4])
    }
}

/// Bits per second in the largest unit that needs no fraction: `1gbit`.
pub(crate) struct Rate(pub(crate) u64);

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        whole(f, self.0, &BITS)
    }
}

type Unit = (&'static str, u64);

const SPANS: [Unit; 7] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];
/// The decimal ones first, the largest first.
const BYTES: [Unit; 7] = [
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1_000),
    ("B", 1),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
];
const BITS: [Unit; 5] =
    [("tbit", 1_000_000_000_000), ("gbit", 1_000_000_000), ("mbit", 1_000_000), ("kbit", 1_000), ("bit", 1)];

/// A number and a unit, whose case does not matter; bytes may go without.
fn with_unit(text: &str, units: &[Unit]) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let unit = if unit.is_empty() { "B" } else { unit };
    let (_, scale) = units.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?;
    Decimal::parse(number)?.times(*scale)
}

fn whole(f: &mut fmt::Formatter<'_>, value: u64, units: &[Unit]) -> fmt::Result {
    for (name, scale) in units {
        if value >= *scale && value.is_multiple_of(*scale) {
            return write!(f, "{}{name}", value / scale);
        }
    }
    write!(f, "{value}{}", units.last().map_or("", |(name, _)| name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn times_rates_and_sizes_are_read_exactly() {
        for (text, nanos) in [
            ("0", 0),
            ("1ns", 1),
            ("0.25us", 250),
            ("25ms", 25_000_000),
            ("25.103ms", 25_103_000),
            ("1m30s", 90_000_000_000),
            ("1.5h", 5_400_000_000_000),
        ] {
            assert_eq!(parse_span(text), Some(nanos), "{text}");
        }
        for (text, bits) in [
            ("1gbit", 1_000_000_000),
            ("2.5Mbit", 2_500_000),
            ("64kbit", 64_000),
            ("9bit", 9),
            ("125MB/s", 1_000_000_000),
            ("10/s", 80),
        ] {
            assert_eq!(parse_rate(text), Some(bits), "{text}");
        }
        for (text, bytes) in
            [("6MB", 6_000_000), ("64KiB", 65_536), ("1500", 1500), ("1.5kB", 1500), ("0", 0)]
        {
            assert_eq!(parse_bytes(text), Some(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_no_number_with_a_unit_is_refused() {
        for text in [
            "",
            "1",
            "ms",
            "-1ms",
            "1.2.3s",
            "0.1ns",
            "1 ms",
            "1e3s",
            "99999999999999999999s",
            "6000000h",
            ".",
        ] {
            assert_eq!(parse_span(text), None, "{text}");
        }
        for text in ["", "1", "gbit", "0.1bit", "-1bit", "1e9bit", "nan"] {
            assert_eq!(parse_rate(text), None, "{text}");
        }
        for text in ["", "B", "0.5B", "-6MB", "6XB", "6MB/s"] {
            assert_eq!(parse_bytes(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_shown_is_read_back() {
        for nanos in [0, 1, 999, 1_000, 25_103_000, 999_999_999, 1_000_000_000, 90_000_000_001, u64::MAX] {
            assert_eq!(parse_span(&Span(nanos).to_string()), Some(nanos), "{}", Span(nanos));
        }
        for value in [0, 1, 1_500, 65_536, 6_000_000, 1_000_000_000, u64::MAX] {
            assert_eq!(parse_bytes(&Bytes(value).to_string()), Some(value), "{}", Bytes(value));
            assert_eq!(parse_rate(&Rate(value).to_string()), Some(value), "{}", Rate(value));
        }
        assert_eq!(
            (Span(25_103_000).to_string(), Rate(2_500_000).to_string()),
            ("25.103ms".into(), "2500kbit".into())
        );
    }
}
