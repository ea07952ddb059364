//! What a request is addressed to, where the transport can say it.

use crate::Method;
use crate::coap::options::{Options, Values, number};

/// The method and the options of a request. On transports that have neither it is
/// [`Target::PLAIN`], a `Post` to nothing in particular.
///
/// ```
/// use squall_proto::coap::options::{OptionsBuf, number};
/// use squall_proto::{Method, Target};
///
/// let mut options = OptionsBuf::new();
/// options.push(number::URI_PATH, b"scratch")?.push(number::URI_PATH, b"a")?;
/// let options = options.as_options();
/// let target = Target::new(Method::Get, options);
/// assert!(target.path_is(&["scratch", "a"]));
/// assert_eq!(target.path_after(&["scratch"]).map(Iterator::count), Some(1));
/// # Ok::<(), squall_proto::coap::options::OptionError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Target<'a> {
    method: Method,
    options: Options<'a>,
}

impl<'a> Target<'a> {
    /// A `Post` without options: what a request is that only has bytes.
    pub const PLAIN: Target<'static> = Target { method: Method::Post, options: Options::EMPTY };

    /// A target of `method` and `options`.
    pub const fn new(method: Method, options: Options<'a>) -> Self {
        Self { method, options }
    }

    /// What is to be done.
    pub const fn method(&self) -> Method {
        self.method
    }

    /// All options, as they came.
    pub const fn options(&self) -> Options<'a> {
        self.options
    }

    /// The segments of the path, decoded, without the slashes; a client may send any bytes, UTF-8 or not.
    pub fn path(&self) -> Values<'a> {
        self.options.all(number::URI_PATH)
    }

    /// Whether the path has these segments and no others.
    pub fn path_is(&self, segments: &[&str]) -> bool {
        self.path_after(segments).is_some_and(|mut rest| rest.next().is_none())
    }

    /// The segments behind `prefix`, if the path begins with it.
    pub fn path_after(&self, prefix: &[&str]) -> Option<Values<'a>> {
        let mut path = self.path();
        prefix.iter().all(|segment| path.next() == Some(segment.as_bytes())).then_some(path)
    }

    /// The arguments of the query, decoded, without the `&` between them: `rt=sensor`.
    pub fn query(&self) -> Values<'a> {
        self.options.all(number::URI_QUERY)
    }

    /// The Content-Format of the payload, by its number in the registry; `None` where the request does
    /// not say.
    pub fn content_format(&self) -> Option<u16> {
        self.options.uint(number::CONTENT_FORMAT).map(|format| format as u16)
    }

    /// The Content-Format that the client wants, and no other; `None` where it takes any.
    pub fn accept(&self) -> Option<u16> {
        self.options.uint(number::ACCEPT).map(|format| format as u16)
    }
}
