//! What a client asks.

use alloc::vec::Vec;
use core::time::Duration;

use super::event::Response;
use crate::coap::block::BlockSize;
use crate::coap::options::{OptionError, Options, OptionsBuf, number};
use crate::coap::writer::Reliability;
use crate::{Effect, Method};

/// A request as its caller sees it: how it is cut into blocks, acknowledged and repeated is the client's
/// business.
///
/// ```
/// use squall_proto::Method;
/// use squall_proto::coap::client::ClientRequest;
///
/// let request = ClientRequest::new(Method::Put).path("/scratch/a")?.content_format(0).payload(*b"hello");
/// assert_eq!(request.method(), Method::Put);
/// # Ok::<(), squall_proto::coap::client::BadOption>(())
/// ```
#[derive(Clone, Debug)]
pub struct ClientRequest {
    pub(super) method: Method,
    pub(super) options: OptionsBuf,
    pub(super) payload: Vec<u8>,
    pub(super) reliability: Reliability,
    pub(super) observe: bool,
    pub(super) block_size: Option<BlockSize>,
    pub(super) gather: Option<Duration>,
    pub(super) echo: Option<Vec<u8>>,
    effect: Option<Effect>,
}

/// Why an option cannot be given to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadOption {
    /// It would make the message malformed.
    #[error(transparent)]
    Malformed(#[from] OptionError),
    /// The client sets it itself: Observe, Block1, Block2, Size1, Echo, Request-Tag.
    #[error("option {number} is the client's own")]
    Reserved {
        /// The option's number.
        number: u16,
    },
}

impl ClientRequest {
    /// A confirmable request of `method` for `/`, without payload.
    pub fn new(method: Method) -> Self {
        Self {
            method,
            options: OptionsBuf::new(),
            payload: Vec::new(),
            reliability: Reliability::Confirmable,
            observe: false,
            block_size: None,
            gather: None,
            echo: None,
            effect: None,
        }
    }

    /// A confirmable GET for `/`.
    pub fn get() -> Self {
        Self::new(Method::Get)
    }

    /// The method.
    pub fn method(&self) -> Method {
        self.method
    }

    /// Adds the segments of `path`, which are not decoded: `time`, `/scratch/a`. A slash at the beginning means
    /// nothing.
    ///
    /// # Errors
    /// [`BadOption::Malformed`] for a segment of more than 255 bytes.
    pub fn path(mut self, path: &str) -> Result<Self, BadOption> {
        let path = path.strip_prefix('/').unwrap_or(path);
        if !path.is_empty() {
            for segment in path.split('/') {
                self.options.push(number::URI_PATH, segment.as_bytes())?;
            }
        }
        Ok(self)
    }

    /// Adds an argument of the query: `rt=sensor`.
    ///
    /// # Errors
    /// [`BadOption::Malformed`] for more than 255 bytes.
    pub fn query(self, argument: &str) -> Result<Self, BadOption> {
        self.option(number::URI_QUERY, argument.as_bytes())
    }

    /// Adds an option.
    ///
    /// # Errors
    /// [`BadOption`]
    pub fn option(mut self, number: u16, value: &[u8]) -> Result<Self, BadOption> {
        if OWN.contains(&number) {
            return Err(BadOption::Reserved { number });
        }
        self.options.push(number, value)?;
        Ok(self)
    }

    /// Adds options, such as those that a URI stands for.
    ///
    /// # Errors
    /// [`BadOption`], for the first that cannot be added.
    pub fn options(self, options: Options<'_>) -> Result<Self, BadOption> {
        options.iter().try_fold(self, |request, field| request.option(field.number, field.value))
    }

    /// Whether an option of this number was added.
    pub fn has_option(&self, number: u16) -> bool {
        self.options.as_options().contains(number)
    }

    /// What the payload is made of, by its number in the registry of
    /// [Content-Formats](https://www.iana.org/assignments/core-parameters/core-parameters.xhtml#content-formats).
    pub fn content_format(self, format: u16) -> Self {
        self.uint(number::CONTENT_FORMAT, format)
    }

    /// What the answer must be made of; anything by default.
    pub fn accept(self, format: u16) -> Self {
        self.uint(number::ACCEPT, format)
    }

    /// What is sent with it: nothing by default. What does not fit one block goes in several.
    pub fn payload(mut self, payload: impl Into<Vec<u8>>) -> Self {
        self.payload = payload.into();
        self
    }

    /// Sends each message once and without asking for an acknowledgement. What gets lost is a time-out.
    pub fn non_confirmable(mut self) -> Self {
        self.reliability = Reliability::NonConfirmable;
        self
    }

    /// Asks for the present state and all that follow it ([RFC 7641](https://www.rfc-editor.org/rfc/rfc7641)).
    /// Means something for GET and FETCH only.
    pub fn observe(mut self) -> Self {
        self.observe = matches!(self.method, Method::Get | Method::Fetch);
        self
    }

    /// Asks for a long answer in blocks of this size from the beginning; the server chooses by default.
    pub fn block_size(mut self, size: BlockSize) -> Self {
        self.block_size = Some(size);
        self
    }

    /// Asks a multicast group and takes answers from all its members for so long. Such a request is
    /// non-confirmable, and goes to the first of the servers that are named for it, without a queue.
    pub fn gather(mut self, time: Duration) -> Self {
        self.reliability = Reliability::NonConfirmable;
        self.observe = false;
        self.gather = Some(time);
        self
    }

    /// Brings back the Echo option that `answer` has, if any: that of a group's member, whose server knows by it that
    /// the client is where it says ([RFC 9175 §2](https://www.rfc-editor.org/rfc/rfc9175#section-2)). For a
    /// request to that server alone.
    pub fn echo_of(mut self, answer: &Response) -> Self {
        self.echo = answer.options().get(number::ECHO).map(<[u8]>::to_vec);
        self
    }

    /// Says whether the request may be run twice, where the caller knows better than the method: decides whether
    /// it may go to another server while the first is silent.
    pub fn with_effect(mut self, effect: Effect) -> Self {
        self.effect = Some(effect);
        self
    }

    /// Whether it may be run twice: what the method's definition says, unless
    /// [`with_effect`](Self::with_effect) said otherwise.
    pub fn effect(&self) -> Effect {
        self.effect.unwrap_or_else(|| self.method.effect())
    }

    fn uint(mut self, number: u16, value: u16) -> Self {
        // With the old one gone, a number of two bytes is always taken.
        let _ = self.options.remove(number).push_uint(number, value.into());
        self
    }
}

const OWN: [u16; 6] =
    [number::OBSERVE, number::BLOCK1, number::BLOCK2, number::SIZE1, number::ECHO, number::REQUEST_TAG];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_becomes_its_segments() {
        for (path, segments) in [
            ("", &[][..]),
            ("/", &[]),
            ("time", &["time"]),
            ("/a/b", &["a", "b"]),
            ("a/", &["a", ""]),
            ("//a", &["", "a"]),
        ] {
            let request = ClientRequest::get().path(path).unwrap();
            let found = request.options.as_options().all(number::URI_PATH);
            assert!(found.eq(segments.iter().map(|segment| segment.as_bytes())), "{path:?}");
        }
    }

    #[test]
    fn the_clients_own_options_are_refused() {
        for number in OWN {
            let refused = ClientRequest::get().option(number, b"").unwrap_err();
            assert_eq!(refused, BadOption::Reserved { number });
        }
        let twice = ClientRequest::get().accept(1).accept(2);
        assert_eq!(twice.options.as_options().uint(number::ACCEPT), Some(2));
    }
}
