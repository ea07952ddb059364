//! Options: what stands between a message's token and its payload
//! ([RFC 7252 §3.1](https://www.rfc-editor.org/rfc/rfc7252#section-3.1),
//! [§5.4](https://www.rfc-editor.org/rfc/rfc7252#section-5.4)).

use alloc::vec::Vec;
use core::fmt;
use core::ops::Deref;

use super::block::Block;

/// The numbers of the options, by their names in the registry.
pub mod number {
    pub use coap_numbers::option::{
        ACCEPT, BLOCK1, BLOCK2, CONTENT_FORMAT, ECHO, ETAG, HOP_LIMIT, IF_MATCH, IF_NONE_MATCH,
        LOCATION_PATH, LOCATION_QUERY, MAX_AGE, NO_RESPONSE, OBSERVE, OSCORE, PROXY_CRI, PROXY_SCHEME,
        PROXY_SCHEME_NUMBER, PROXY_URI, Q_BLOCK1, Q_BLOCK2, REQUEST_TAG, SIZE1, SIZE2, URI_HOST, URI_PATH,
        URI_PORT, URI_QUERY,
    };
}

/// One option of a message.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    /// Its number.
    pub number: u16,
    /// Its value, up to 65,804 bytes.
    pub value: &'a [u8],
}

impl<'a> Field<'a> {
    /// The value as an unsigned number, most significant byte first; `None` for more than four bytes.
    pub fn uint(&self) -> Option<u32> {
        let small = self.value.len() <= 4;
        small.then(|| self.value.iter().fold(0, |number, &byte| number << 8 | u32::from(byte)))
    }

    /// The value as text; `None` where it is no UTF-8.
    pub fn text(&self) -> Option<&'a str> {
        core::str::from_utf8(self.value).ok()
    }

    /// Whether the length is one that the option may have; true for options without a definition here.
    pub fn has_valid_length(&self) -> bool {
        definition(self.number).is_none_or(|definition| {
            (definition.min_length..=definition.max_length).contains(&self.value.len())
        })
    }
}

impl fmt::Debug for Field<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_name(f)?;
        write!(f, "={}", self.value.escape_ascii())
    }
}

/// Name and value, the value as its definition has it; what is no text or number is escaped.
impl fmt::Display for Field<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_name(f)?;
        let is_number = definition(self.number).is_some_and(|definition| definition.format == Format::Uint);
        match (Block::parse(self.value), self.uint()) {
            (Ok(block), _) if matches!(self.number, number::BLOCK1 | number::BLOCK2) => write!(f, "={block}"),
            (_, Some(value)) if is_number => write!(f, "={value}"),
            _ => write!(f, "={}", self.value.escape_ascii()),
        }
    }
}

impl Field<'_> {
    fn write_name(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match coap_numbers::option::to_name(self.number) {
            Some(name) => f.write_str(name),
            None => write!(f, "option {}", self.number),
        }
    }
}

/// Whether an endpoint that does not know option `number` must refuse the message
/// ([RFC 7252 §5.4.1](https://www.rfc-editor.org/rfc/rfc7252#section-5.4.1)).
pub const fn is_critical(number: u16) -> bool {
    number & 1 == 1
}

/// Whether a proxy that does not know option `number` must not forward the message
/// ([RFC 7252 §5.4.2](https://www.rfc-editor.org/rfc/rfc7252#section-5.4.2)).
pub const fn is_unsafe(number: u16) -> bool {
    number & 2 == 2
}

/// Whether requests that differ in option `number` alone ask for the same
/// ([RFC 7252 §5.4.6](https://www.rfc-editor.org/rfc/rfc7252#section-5.4.6)).
pub const fn is_no_cache_key(number: u16) -> bool {
    number & 0x1e == 0x1c
}

/// What a value is made of ([RFC 7252 §3.2](https://www.rfc-editor.org/rfc/rfc7252#section-3.2)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Nothing.
    Empty,
    /// Bytes.
    Opaque,
    /// A number, most significant byte first, without zeroes before it.
    Uint,
    /// Text in UTF-8.
    String,
}

/// What an option's specification says of its form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Definition {
    /// What the value is made of.
    pub format: Format,
    /// The shortest value, in bytes.
    pub min_length: usize,
    /// The longest value, in bytes.
    pub max_length: usize,
    /// Whether a message may have more than one of it.
    pub repeatable: bool,
}

/// The definition of option `number`, where it is one that Squall knows: those of
/// [RFC 7252 §5.10](https://www.rfc-editor.org/rfc/rfc7252#section-5.10), RFC 7641 (Observe), RFC 7959
/// (Block1, Block2, Size2), RFC 7967 (No-Response), RFC 8768 (Hop-Limit) and RFC 9175 (Echo, Request-Tag).
pub const fn definition(number: u16) -> Option<Definition> {
    let (format, min_length, max_length, repeatable) = match number {
        number::IF_MATCH => (Format::Opaque, 0, 8, true),
        number::URI_HOST => (Format::String, 1, 255, false),
        number::ETAG => (Format::Opaque, 1, 8, true),
        number::IF_NONE_MATCH => (Format::Empty, 0, 0, false),
        number::OBSERVE => (Format::Uint, 0, 3, false),
        number::URI_PORT => (Format::Uint, 0, 2, false),
        number::LOCATION_PATH | number::LOCATION_QUERY => (Format::String, 0, 255, true),
        number::URI_PATH | number::URI_QUERY => (Format::String, 0, 255, true),
        number::CONTENT_FORMAT | number::ACCEPT => (Format::Uint, 0, 2, false),
        number::MAX_AGE | number::SIZE1 | number::SIZE2 => (Format::Uint, 0, 4, false),
        number::HOP_LIMIT => (Format::Uint, 1, 1, false),
        number::BLOCK1 | number::BLOCK2 => (Format::Uint, 0, 3, false),
        number::PROXY_URI => (Format::String, 1, 1034, false),
        number::PROXY_SCHEME => (Format::String, 1, 255, false),
        number::ECHO => (Format::Opaque, 1, 40, false),
        number::NO_RESPONSE => (Format::Uint, 0, 1, false),
        number::REQUEST_TAG => (Format::Opaque, 0, 8, true),
        _ => return None,
    };
    Some(Definition { format, min_length, max_length, repeatable })
}

/// The options of a message, encoded and known to be well-formed.
///
/// The typed accessors keep the rules for what is out of form: an option whose length its definition
/// does not allow, and a second one of those that may stand only once, count as not recognised
/// ([RFC 7252 §5.4.3](https://www.rfc-editor.org/rfc/rfc7252#section-5.4.3),
/// [§5.4.5](https://www.rfc-editor.org/rfc/rfc7252#section-5.4.5)), so they are passed over, and
/// [`unrecognized_critical`](Self::unrecognized_critical) finds them where they matter.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Options<'a> {
    encoded: &'a [u8],
}

impl<'a> Options<'a> {
    /// No options.
    pub const EMPTY: Options<'static> = Options { encoded: &[] };

    /// Reads the options at the beginning of `bytes` up to the payload marker or the end; gives them and
    /// the bytes behind the marker, none without one.
    ///
    /// # Errors
    /// [`OptionsError`] with the place of the first byte that is wrong.
    pub fn parse(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), OptionsError> {
        let mut at = 0;
        let mut number = 0;
        while at < bytes.len() {
            if bytes[at] == PAYLOAD_MARKER {
                let payload = &bytes[at + 1..];
                if payload.is_empty() {
                    return Err(OptionsError { problem: Problem::MarkerWithoutPayload, at });
                }
                return Ok((Self { encoded: &bytes[..at] }, payload));
            }
            let (header, delta, length) =
                read_header(&bytes[at..]).map_err(|problem| OptionsError { problem, at })?;
            number += delta;
            if number > u32::from(u16::MAX) {
                return Err(OptionsError { problem: Problem::NumberOverflow, at });
            }
            if length > bytes.len() - at - header {
                return Err(OptionsError { problem: Problem::ValueTruncated, at });
            }
            at += header + length;
        }
        Ok((Self { encoded: bytes }, &[]))
    }

    /// The options as they stand in the message.
    pub const fn encoded(&self) -> &'a [u8] {
        self.encoded
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.encoded.is_empty()
    }

    /// All options, by number; those of one number in the order in which they were sent.
    pub fn iter(&self) -> Fields<'a> {
        Fields { rest: self.encoded, number: 0 }
    }

    /// The value of option `number`: the first, if its length is one that the option may have.
    pub fn get(&self, number: u16) -> Option<&'a [u8]> {
        self.iter()
            .take_while(|field| field.number <= number)
            .find(|field| field.number == number)
            .filter(Field::has_valid_length)
            .map(|field| field.value)
    }

    /// The value of option `number` as [`get`](Self::get) gives it, as a number; `None` for more than
    /// four bytes, too.
    pub fn uint(&self, number: u16) -> Option<u32> {
        self.get(number).and_then(|value| Field { number, value }.uint())
    }

    /// Whether option `number` is there.
    pub fn contains(&self, number: u16) -> bool {
        self.get(number).is_some()
    }

    /// The values of the repeatable option `number`, those with a length that it may have.
    pub fn all(&self, number: u16) -> Values<'a> {
        Values { fields: self.iter(), number }
    }

    /// The first critical option that is not recognised: one that `knows` denies, one of a length that its
    /// definition does not allow, or one too many. A message with such an option is refused.
    pub fn unrecognized_critical(&self, knows: impl Fn(u16) -> bool) -> Option<Field<'a>> {
        let mut last = None;
        self.iter().find(|field| {
            let again = last.replace(field.number) == Some(field.number);
            is_critical(field.number)
                && (!knows(field.number)
                    || !field.has_valid_length()
                    || again && definition(field.number).is_some_and(|definition| !definition.repeatable))
        })
    }
}

impl<'a> IntoIterator for Options<'a> {
    type Item = Field<'a>;
    type IntoIter = Fields<'a>;

    fn into_iter(self) -> Fields<'a> {
        self.iter()
    }
}

impl fmt::Debug for Options<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(*self).finish()
    }
}

/// See [`Options::iter`].
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    rest: &'a [u8],
    number: u16,
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    #[inline]
    fn next(&mut self) -> Option<Field<'a>> {
        // Both were checked when the options were read, so that neither can fail here.
        let (header, delta, length) = read_header(self.rest).ok()?;
        let value = self.rest.get(header..header + length)?;
        self.rest = &self.rest[header + length..];
        self.number = self.number.wrapping_add(delta as u16);
        Some(Field { number: self.number, value })
    }
}

/// See [`Options::all`].
#[derive(Clone, Debug)]
pub struct Values<'a> {
    fields: Fields<'a>,
    number: u16,
}

impl<'a> Iterator for Values<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let number = self.number;
        self.fields.find(|field| field.number == number && field.has_valid_length()).map(|field| field.value)
    }
}

/// Why options cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem} at byte {at}")]
pub struct OptionsError {
    /// What is wrong.
    pub problem: Problem,
    /// Where the option in question begins, in bytes.
    pub at: usize,
}

/// What is wrong with options.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The delta's nibble is 15, which is the payload marker's alone.
    #[error("option delta 15 is reserved")]
    ReservedDelta,
    /// The length's nibble is 15.
    #[error("option length 15 is reserved")]
    ReservedLength,
    /// The message ends within an option's delta or length.
    #[error("option header is cut off")]
    HeaderTruncated,
    /// The message ends within an option's value.
    #[error("option value is cut off")]
    ValueTruncated,
    /// The deltas add up to more than 65,535.
    #[error("option number is over 65535")]
    NumberOverflow,
    /// Nothing follows the payload marker.
    #[error("payload marker without a payload")]
    MarkerWithoutPayload,
}

/// Options that are being put together, in whatever order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OptionsBuf {
    encoded: Vec<u8>,
    last: u16,
}

/// Why an option cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OptionError {
    /// The option's definition does not allow a value of this length.
    #[error("option {number} cannot have a value of {length} bytes")]
    Length {
        /// The option's number.
        number: u16,
        /// The value's length, in bytes.
        length: usize,
    },
    /// The option may stand only once and is there already.
    #[error("option {number} cannot be repeated")]
    Repeated {
        /// The option's number.
        number: u16,
    },
    /// An option with a higher number stands before it.
    #[error("option {number} cannot follow option {after}")]
    Order {
        /// The option's number.
        number: u16,
        /// The number of the option before it.
        after: u16,
    },
}

impl OptionsBuf {
    /// No options yet.
    pub const fn new() -> Self {
        Self { encoded: Vec::new(), last: 0 }
    }

    /// Adds option `number` behind those of the same number.
    ///
    /// # Errors
    /// [`OptionError::Length`] and [`OptionError::Repeated`], when nothing is added.
    pub fn push(&mut self, number: u16, value: &[u8]) -> Result<&mut Self, OptionError> {
        check(number, value)?;
        if number >= self.last && !self.encoded.is_empty() || self.encoded.is_empty() {
            if number == self.last && !self.encoded.is_empty() && !may_repeat(number) {
                return Err(OptionError::Repeated { number });
            }
            append(&mut self.encoded, self.last, number, value);
            self.last = number;
            return Ok(self);
        }
        let old = Options { encoded: &self.encoded };
        if !may_repeat(number) && old.iter().any(|field| field.number == number) {
            return Err(OptionError::Repeated { number });
        }
        let before = old.iter().take_while(|field| field.number <= number);
        let after = old.iter().skip_while(|field| field.number <= number);
        let mut encoded = Vec::with_capacity(self.encoded.len() + value.len() + MAX_HEADER);
        let mut last = 0;
        for field in before.chain([Field { number, value }]).chain(after) {
            append(&mut encoded, last, field.number, field.value);
            last = field.number;
        }
        self.encoded = encoded;
        Ok(self)
    }

    /// Adds option `number` with a number for a value.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub fn push_uint(&mut self, number: u16, value: u32) -> Result<&mut Self, OptionError> {
        self.push(number, &UintValue::new(value))
    }

    /// Takes all options of this number away.
    pub fn remove(&mut self, number: u16) -> &mut Self {
        let old = core::mem::take(self);
        for field in old.as_options().iter().filter(|field| field.number != number) {
            append(&mut self.encoded, self.last, field.number, field.value);
            self.last = field.number;
        }
        self
    }

    /// The options.
    pub fn as_options(&self) -> Options<'_> {
        Options { encoded: &self.encoded }
    }
}

/// A number as an option's value: most significant byte first, zeroes before it left out, so nothing for 0.
///
/// ```
/// use squall_proto::coap::options::UintValue;
///
/// assert_eq!(*UintValue::new(0), []);
/// assert_eq!(*UintValue::new(256), [1, 0]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UintValue {
    bytes: [u8; 4],
    zeroes: u8,
}

impl UintValue {
    /// `number` as a value.
    pub const fn new(number: u32) -> Self {
        Self { bytes: number.to_be_bytes(), zeroes: (number.leading_zeros() / 8) as u8 }
    }
}

impl Deref for UintValue {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[usize::from(self.zeroes)..]
    }
}

/// What stands before an option's value: the delta from the option before it and the value's length.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    bytes: [u8; MAX_HEADER],
    len: u8,
}

impl Header {
    /// The header of option `number` behind option `last`; `length` is at most [`MAX_VALUE`].
    pub(super) fn new(last: u16, number: u16, length: usize) -> Self {
        let mut header = Self { bytes: [0; MAX_HEADER], len: 1 };
        let delta = header.extend(usize::from(number - last));
        let length = header.extend(length);
        header.bytes[0] = delta << 4 | length;
        header
    }

    /// Adds what does not fit the nibble, and gives the nibble.
    fn extend(&mut self, value: usize) -> u8 {
        let at = usize::from(self.len);
        match value {
            0..13 => value as u8,
            13..269 => {
                self.bytes[at] = (value - 13) as u8;
                self.len += 1;
                13
            }
            _ => {
                self.bytes[at..at + 2].copy_from_slice(&((value - 269) as u16).to_be_bytes());
                self.len += 2;
                14
            }
        }
    }
}

impl Deref for Header {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

/// Whether option `number` may have this value.
pub(super) fn check(number: u16, value: &[u8]) -> Result<(), OptionError> {
    let length = value.len();
    if length > MAX_VALUE || !(Field { number, value }).has_valid_length() {
        return Err(OptionError::Length { number, length });
    }
    Ok(())
}

/// Whether a message may have more than one of option `number`; not known of others, so yes.
pub(super) fn may_repeat(number: u16) -> bool {
    definition(number).is_none_or(|definition| definition.repeatable)
}

fn append(encoded: &mut Vec<u8>, last: u16, number: u16, value: &[u8]) {
    encoded.extend_from_slice(&Header::new(last, number, value.len()));
    encoded.extend_from_slice(value);
}

/// The header's length, the delta and the value's length of the option at the beginning of `bytes`.
#[inline]
fn read_header(bytes: &[u8]) -> Result<(usize, u32, usize), Problem> {
    let &first = bytes.first().ok_or(Problem::HeaderTruncated)?;
    let (delta, length) = (first >> 4, first & 15);
    if delta < 13 && length < 13 {
        return Ok((1, u32::from(delta), usize::from(length)));
    }
    let mut at = 1;
    let delta = read_extended(bytes, &mut at, delta, Problem::ReservedDelta)?;
    let length = read_extended(bytes, &mut at, length, Problem::ReservedLength)?;
    Ok((at, delta, length as usize))
}

fn read_extended(bytes: &[u8], at: &mut usize, nibble: u8, reserved: Problem) -> Result<u32, Problem> {
    let mut byte = || {
        let byte = bytes.get(*at).copied().map(u32::from).ok_or(Problem::HeaderTruncated);
        *at += 1;
        byte
    };
    match nibble {
        13 => Ok(byte()? + 13),
        14 => Ok((byte()? << 8 | byte()?) + 269),
        15 => Err(reserved),
        nibble => Ok(u32::from(nibble)),
    }
}

/// What stands before a payload.
pub(super) const PAYLOAD_MARKER: u8 = 0xff;
/// The longest value that a length can tell, in bytes.
const MAX_VALUE: usize = 269 + 0xffff;
/// The longest header of an option, in bytes.
const MAX_HEADER: usize = 5;

#[cfg(test)]
#[path = "options/tests.rs"]
mod tests;
