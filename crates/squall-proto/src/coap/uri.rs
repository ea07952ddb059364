//! `coap://host/path` and the options that it stands for
//! ([RFC 7252 §6](https://www.rfc-editor.org/rfc/rfc7252#section-6)).

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::net::{Ipv4Addr, Ipv6Addr};

use super::PORT;
use super::options::{OptionError, Options, OptionsBuf, number};

/// A `coap://` URI that was read: what of it becomes options can become them.
///
/// ```
/// use squall_proto::coap::uri::CoapUri;
///
/// let uri: CoapUri = "coap://[fe80::1%25eth0]:5684/a%20b?x=1".parse()?;
/// assert_eq!((uri.host(), uri.port()), ("fe80::1%eth0", Some(5684)));
/// assert!(uri.to_options().all(squall_proto::coap::options::number::URI_PATH).eq([b"a b"]));
/// # Ok::<(), squall_proto::coap::uri::CoapUriError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoapUri {
    host: String,
    is_address: bool,
    port: Option<u16>,
    options: OptionsBuf,
}

/// Why a text is no `coap://` URI.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CoapUriError {
    /// It does not begin with `coap://`.
    #[error("it does not begin with coap://")]
    Scheme,
    /// It has a part behind `#`.
    #[error("a coap URI has no part behind #")]
    Fragment,
    /// It has a name before the host.
    #[error("a coap URI names no user")]
    User,
    /// There is no host.
    #[error("there is no host")]
    NoHost,
    /// An IPv6 address is not in brackets, or is none.
    #[error("an IPv6 address stands in brackets, coap://[::1]/")]
    Brackets,
    /// The zone behind an IPv6 address is no interface's name that can stand in a URI.
    #[error("the zone behind the address is no name of an interface")]
    Zone,
    /// The port is no number from 1 to 65535.
    #[error("the port is no number from 1 to 65535")]
    Port,
    /// A `%` is not followed by two hexadecimal digits.
    #[error("a % is not followed by two hexadecimal digits")]
    Escape,
    /// A host that is not text when decoded.
    #[error("the host is no UTF-8")]
    HostText,
    /// A segment, an argument or the host is longer than an option can be.
    #[error("a part of {0} bytes is longer than the 255 of an option")]
    TooLong(usize),
}

impl CoapUri {
    /// The host: a name in lower case, or an address without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Whether the host is an address and not a name.
    pub fn host_is_address(&self) -> bool {
        self.is_address
    }

    /// The port, where one is named; [`PORT`] otherwise.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// Uri-Host where the host is a name, Uri-Path and Uri-Query. Uri-Port is left out, for it is the
    /// port that the request is sent to
    /// ([RFC 7252 §6.4](https://www.rfc-editor.org/rfc/rfc7252#section-6.4)).
    pub fn to_options(&self) -> Options<'_> {
        self.options.as_options()
    }
}

impl core::str::FromStr for CoapUri {
    type Err = CoapUriError;

    fn from_str(text: &str) -> Result<Self, CoapUriError> {
        let rest = match text.split_at_checked(SCHEME.len()) {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case(SCHEME) => rest,
            _ => return Err(CoapUriError::Scheme),
        };
        if rest.contains('#') {
            return Err(CoapUriError::Fragment);
        }
        let (rest, query) = match rest.split_once('?') {
            Some((rest, query)) => (rest, Some(query)),
            None => (rest, None),
        };
        let (authority, path) = match rest.split_once('/') {
            Some((authority, path)) => (authority, path),
            None => (rest, ""),
        };
        if authority.contains('@') {
            return Err(CoapUriError::User);
        }
        let (host, port, is_address) = read_authority(authority)?;
        let mut options = OptionsBuf::new();
        if !is_address {
            push(&mut options, number::URI_HOST, host.as_bytes())?;
        }
        for segment in read_path(path)? {
            push(&mut options, number::URI_PATH, &segment)?;
        }
        if let Some(query) = query {
            query
                .split('&')
                .try_for_each(|argument| push(&mut options, number::URI_QUERY, &decode(argument)?))?;
        }
        Ok(Self { host, is_address, port, options })
    }
}

impl fmt::Display for CoapUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write(f, &self.host, self.port.unwrap_or(PORT), self.to_options())
    }
}

/// The URI that a request with `options` to `host`, an address without brackets, and `port` asks for
/// ([RFC 7252 §6.5](https://www.rfc-editor.org/rfc/rfc7252#section-6.5)). Bytes that cannot stand in a URI
/// are percent-encoded, so that the text is safe to show.
pub fn compose(host: &str, port: u16, options: Options<'_>) -> String {
    let mut text = String::new();
    let named = options.get(number::URI_HOST).map(|host| String::from_utf8_lossy(host).into_owned());
    let port = options.uint(number::URI_PORT).map_or(port, |port| port as u16);
    // A string takes all that is written to it.
    let _ = write(&mut text, named.as_deref().unwrap_or(host), port, options);
    text
}

fn write(to: &mut impl fmt::Write, host: &str, port: u16, options: Options<'_>) -> fmt::Result {
    to.write_str(SCHEME)?;
    let address = host.split('%').next().unwrap_or_default();
    if address.parse::<Ipv6Addr>().is_ok() {
        write!(to, "[{}]", host.replace('%', "%25"))?;
    } else {
        encode(to, host.as_bytes(), b"")?;
    }
    if port != PORT {
        write!(to, ":{port}")?;
    }
    let mut path = options.all(number::URI_PATH).peekable();
    if path.peek().is_none() {
        to.write_char('/')?;
    }
    for segment in path {
        to.write_char('/')?;
        encode(to, segment, b":@!$&'()*+,;=")?;
    }
    for (index, argument) in options.all(number::URI_QUERY).enumerate() {
        to.write_char(if index == 0 { '?' } else { '&' })?;
        encode(to, argument, b":@!$'()*+,;=/?")?;
    }
    Ok(())
}

/// The host, the port, and whether the host is an address.
fn read_authority(authority: &str) -> Result<(String, Option<u16>, bool), CoapUriError> {
    let (host, port, is_address) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or(CoapUriError::Brackets)?;
            // RFC 6874 writes the % before a zone as %25; people write %.
            let host = host.replacen("%25", "%", 1);
            let (address, zone) = match host.split_once('%') {
                Some((address, zone)) => (address, Some(zone)),
                None => (host.as_str(), None),
            };
            address.parse::<Ipv6Addr>().map_err(|_| CoapUriError::Brackets)?;
            if zone.is_some_and(|zone| zone.is_empty() || !zone.bytes().all(is_unreserved)) {
                return Err(CoapUriError::Zone);
            }
            (host, port, true)
        }
        None if authority.matches(':').count() > 1 => return Err(CoapUriError::Brackets),
        None => {
            let (host, port) = authority.split_at(authority.find(':').unwrap_or(authority.len()));
            let host =
                String::from_utf8(decode(host)?).map_err(|_| CoapUriError::HostText)?.to_ascii_lowercase();
            let is_address = host.parse::<Ipv4Addr>().is_ok();
            (host, port, is_address)
        }
    };
    if host.is_empty() {
        return Err(CoapUriError::NoHost);
    }
    let port = match port.strip_prefix(':') {
        Some("") => None,
        Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => {
            Some(port.parse().ok().filter(|port| *port != 0).ok_or(CoapUriError::Port)?)
        }
        Some(_) => return Err(CoapUriError::Port),
        None if port.is_empty() => None,
        None => return Err(CoapUriError::Brackets),
    };
    Ok((host, port, is_address))
}

/// The segments of a path without its first slash, `.` and `..` resolved, for they are no values of Uri-Path
/// ([RFC 3986 §5.2.4](https://www.rfc-editor.org/rfc/rfc3986#section-5.2.4)).
fn read_path(path: &str) -> Result<Vec<Vec<u8>>, CoapUriError> {
    let mut segments = Vec::new();
    let mut is_directory = false;
    for segment in path.split('/') {
        let segment = decode(segment)?;
        is_directory = matches!(&*segment, b"." | b"..");
        match &*segment {
            b"." => {}
            b".." => drop(segments.pop()),
            _ => segments.push(segment),
        }
    }
    if is_directory {
        segments.push(Vec::new());
    }
    // The path "/" has no segment.
    if matches!(&*segments, [only] if only.is_empty()) {
        segments.clear();
    }
    Ok(segments)
}

fn push(options: &mut OptionsBuf, number: u16, value: &[u8]) -> Result<(), CoapUriError> {
    match options.push(number, value) {
        Ok(_) => Ok(()),
        Err(OptionError::Length { length, .. }) => Err(CoapUriError::TooLong(length)),
        // A URI has one host, and paths and queries may repeat.
        Err(_) => Err(CoapUriError::NoHost),
    }
}

/// `text` with its percent-escapes undone.
fn decode(text: &str) -> Result<Vec<u8>, CoapUriError> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let mut digit =
            || bytes.next().and_then(|digit| char::from(digit).to_digit(16)).ok_or(CoapUriError::Escape);
        decoded.push((digit()? << 4 | digit()?) as u8);
    }
    Ok(decoded)
}

/// Writes `bytes`, all but unreserved characters and those in `plain` as percent-escapes.
fn encode(to: &mut impl fmt::Write, bytes: &[u8], plain: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|&byte| {
        if is_unreserved(byte) || plain.contains(&byte) {
            to.write_char(char::from(byte))
        } else {
            write!(to, "%{byte:02X}")
        }
    })
}

/// What may stand anywhere in a URI ([RFC 3986 §2.3](https://www.rfc-editor.org/rfc/rfc3986#section-2.3)).
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

const SCHEME: &str = "coap://";

#[cfg(test)]
mod tests {
    use alloc::string::ToString;
    use alloc::vec;

    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Result<CoapUri, CoapUriError> {
        text.parse()
    }

    fn strings(uri: &CoapUri, number: u16) -> Vec<&str> {
        uri.to_options().all(number).map(|value| core::str::from_utf8(value).unwrap()).collect()
    }

    #[test]
    fn the_parts_become_options() {
        // (URI, Uri-Host, Uri-Path, Uri-Query, written again)
        type Texts = &'static [&'static str];
        let table: [(&str, Texts, Texts, Texts, &str); 13] = [
            ("coap://example.com", &["example.com"], &[], &[], "coap://example.com/"),
            ("COAP://Example.COM:5683/", &["example.com"], &[], &[], "coap://example.com/"),
            ("coap://192.0.2.1/time", &[], &["time"], &[], "coap://192.0.2.1/time"),
            ("coap://[2001:db8::1]/a/b", &[], &["a", "b"], &[], "coap://[2001:db8::1]/a/b"),
            ("coap://h/a/", &["h"], &["a", ""], &[], "coap://h/a/"),
            ("coap://h//a", &["h"], &["", "a"], &[], "coap://h//a"),
            ("coap://h/%7Esensors/a%2Fb", &["h"], &["~sensors", "a/b"], &[], "coap://h/~sensors/a%2Fb"),
            ("coap://h/a/./b/../c", &["h"], &["a", "c"], &[], "coap://h/a/c"),
            ("coap://h/a/%2E%2e/.x", &["h"], &[".x"], &[], "coap://h/.x"),
            ("coap://h/a/b/..", &["h"], &["a", ""], &[], "coap://h/a/"),
            ("coap://h/../..", &["h"], &[], &[], "coap://h/"),
            ("coap://h?x=1&y=%26", &["h"], &[], &["x=1", "y=&"], "coap://h/?x=1&y=%26"),
            ("coap://h:61616//?//&?", &["h"], &["", ""], &["//", "?"], "coap://h:61616//?//&?"),
        ];
        for (text, host, path, query, again) in table {
            let uri = read(text).unwrap();
            assert_eq!(strings(&uri, number::URI_HOST), host, "{text}");
            assert_eq!(strings(&uri, number::URI_PATH), path, "{text}");
            assert_eq!(strings(&uri, number::URI_QUERY), query, "{text}");
            assert_eq!(uri.to_string(), again);
        }
    }

    #[test]
    fn what_is_no_coap_uri_says_why() {
        use CoapUriError::*;
        let long = alloc::format!("coap://h/{}", "x".repeat(256));
        for (text, error) in [
            ("", Scheme),
            ("coaps://h/", Scheme),
            ("http://h/", Scheme),
            ("coäp://h", Scheme),
            ("coap://h/#x", Fragment),
            ("coap://me@h/", User),
            ("coap:///time", NoHost),
            ("coap://:5683/", NoHost),
            ("coap://::1/", Brackets),
            ("coap://[::1/", Brackets),
            ("coap://[::1]5683/", Brackets),
            ("coap://[host]/", Brackets),
            ("coap://[fe80::1%]/", Zone),
            ("coap://[fe80::1%25e%20]/", Zone),
            ("coap://h:0/", Port),
            ("coap://h:65536/", Port),
            ("coap://h:+1/", Port),
            ("coap://h/%", Escape),
            ("coap://h/%4", Escape),
            ("coap://h/%+1", Escape),
            ("coap://%ff/", HostText),
            (&long, TooLong(256)),
        ] {
            assert_eq!(read(text), Err(error), "{text}");
        }
    }

    #[test]
    fn a_request_is_shown_as_the_uri_that_it_asks_for() {
        let mut options = OptionsBuf::new();
        options.push(number::URI_PATH, b"\x1b[31m").unwrap();
        assert_eq!(compose("::1", PORT, options.as_options()), "coap://[::1]/%1B%5B31m");
        options.push(number::URI_HOST, b"a b").unwrap().push_uint(number::URI_PORT, 7).unwrap();
        assert_eq!(compose("::1", PORT, options.as_options()), "coap://a%20b:7/%1B%5B31m");
    }

    proptest! {
        #[test]
        fn any_path_survives_its_uri(segments in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..9), 1..5)) {
            // A lone empty segment is the path "/", which is that of no segment.
            prop_assume!(segments != vec![Vec::<u8>::new()]);
            let is_dots = |segment: &Vec<u8>| matches!(&**segment, b"." | b"..");
            prop_assume!(!segments.iter().any(is_dots));
            let mut options = OptionsBuf::new();
            for segment in &segments {
                options.push(number::URI_PATH, segment).unwrap();
            }
            let uri = read(&compose("192.0.2.1", PORT, options.as_options())).unwrap();
            prop_assert!(uri.to_options().all(number::URI_PATH).eq(segments.iter().map(Vec::as_slice)));
        }
    }
}
