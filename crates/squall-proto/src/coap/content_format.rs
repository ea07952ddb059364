//! What payloads are made of, by the numbers of the registry of
//! [Content-Formats](https://www.iana.org/assignments/core-parameters/core-parameters.xhtml#content-formats).

/// Text in UTF-8.
pub const TEXT: u16 = 0;
/// A list of links ([`link_format`](super::link_format)).
pub const LINK_FORMAT: u16 = 40;
/// Bytes.
pub const OCTET_STREAM: u16 = 42;

/// The name of a registered format, with its parameters: `text/plain; charset=utf-8`.
pub fn name(number: u16) -> Option<&'static str> {
    coap_numbers::content_format::to_str(number)
}

/// The number that `text` means: a number, a registered name, or a name without its parameters, of which the
/// lowest number is taken.
///
/// ```
/// use squall_proto::coap::content_format::number;
///
/// assert_eq!(number("50"), Some(50));
/// assert_eq!(number("application/json"), Some(50));
/// assert_eq!(number("text/plain"), Some(0));
/// assert_eq!(number("text/no-such"), None);
/// ```
pub fn number(text: &str) -> Option<u16> {
    if let Ok(number) = text.parse() {
        return Some(number);
    }
    coap_numbers::content_format::from_str(text).or_else(|| {
        let is_named = |number: &u16| {
            let media_type = name(*number).and_then(|name| name.split(';').next());
            media_type.is_some_and(|media_type| media_type.eq_ignore_ascii_case(text))
        };
        (0..=u16::MAX).find(is_named)
    })
}
