//! Writing messages.

use alloc::vec::Vec;
use core::convert::Infallible;

use super::message::{HEADER, MAX_TOKEN, Token, Type, VERSION};
use super::options::{self, OptionError, Options, PAYLOAD_MARKER, UintValue};
use crate::{Method, Refusal, Reply, Status};

/// Where bytes are written to.
pub trait Sink {
    /// Why bytes are not taken.
    type Error;

    /// Takes `bytes` behind those taken before.
    ///
    /// # Errors
    /// When it has no room for them.
    fn put(&mut self, bytes: &[u8]) -> Result<(), Self::Error>;
}

impl Sink for Vec<u8> {
    type Error = Infallible;

    fn put(&mut self, bytes: &[u8]) -> Result<(), Infallible> {
        self.extend_from_slice(bytes);
        Ok(())
    }
}

impl Sink for Reply<'_> {
    type Error = Refusal;

    fn put(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        self.write(bytes)
    }
}

impl<S: Sink + ?Sized> Sink for &mut S {
    type Error = S::Error;

    fn put(&mut self, bytes: &[u8]) -> Result<(), S::Error> {
        (**self).put(bytes)
    }
}

/// Whether a message is to be acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Reliability {
    /// Sent again until it is acknowledged.
    #[default]
    Confirmable,
    /// Sent once.
    NonConfirmable,
}

impl Reliability {
    const fn message_type(self) -> Type {
        match self {
            Reliability::Confirmable => Type::Confirmable,
            Reliability::NonConfirmable => Type::NonConfirmable,
        }
    }
}

/// What a message begins with, token included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    message_type: Type,
    code: u8,
    id: u16,
    token: Token,
}

impl Header {
    /// Of a request.
    pub const fn request(reliability: Reliability, id: u16, token: Token, method: Method) -> Self {
        Self { message_type: reliability.message_type(), code: method.code(), id, token }
    }

    /// Of a response that rides on the acknowledgement of the confirmable request with this message ID.
    pub const fn piggybacked(id: u16, token: Token, status: Status) -> Self {
        Self { message_type: Type::Acknowledgement, code: status.code(), id, token }
    }

    /// Of a response in a message of its own, with a message ID of the sender's.
    pub const fn separate(reliability: Reliability, id: u16, token: Token, status: Status) -> Self {
        Self { message_type: reliability.message_type(), code: status.code(), id, token }
    }

    /// Writes it into `bytes` and gives its length.
    pub(super) fn encode(&self, bytes: &mut [u8; HEADER + MAX_TOKEN]) -> usize {
        bytes[..HEADER].copy_from_slice(&first_bytes(
            self.message_type,
            self.token.len(),
            self.code,
            self.id,
        ));
        bytes[HEADER..HEADER + self.token.len()].copy_from_slice(&self.token);
        HEADER + self.token.len()
    }
}

/// A message without a code ([RFC 7252 §4.1](https://www.rfc-editor.org/rfc/rfc7252#section-4.1)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Empty {
    /// The confirmable message with this ID arrived.
    Acknowledgement(u16),
    /// The message with this ID arrived, and its receiver can do nothing with it.
    Reset(u16),
    /// Are you there? A living endpoint answers with a reset of this ID.
    Ping(u16),
}

impl Empty {
    /// The datagram.
    pub const fn datagram(self) -> [u8; HEADER] {
        let (message_type, id) = match self {
            Empty::Acknowledgement(id) => (Type::Acknowledgement, id),
            Empty::Reset(id) => (Type::Reset, id),
            Empty::Ping(id) => (Type::Confirmable, id),
        };
        first_bytes(message_type, 0, 0, id)
    }
}

/// Writes one request or response into a [`Sink`], front to back: options by rising number, then the
/// payload. What cannot be read again cannot be written: an option out of order, too often, or of a
/// length that its definition does not allow, is an error.
///
/// ```
/// use squall_proto::Method;
/// use squall_proto::coap::message::{Message, Token};
/// use squall_proto::coap::options::number;
/// use squall_proto::coap::writer::{Header, Reliability, Writer};
///
/// let mut datagram = Vec::new();
/// let header = Header::request(Reliability::Confirmable, 7, Token::from(9), Method::Put);
/// let mut writer = Writer::new(&mut datagram, header)?;
/// writer.option(number::URI_PATH, b"scratch")?;
/// writer.uint(number::CONTENT_FORMAT, 0)?;
/// writer.payload(b"hello")?;
/// assert_eq!(Message::parse(&datagram)?.payload(), b"hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Writer<S> {
    sink: S,
    last: Option<u16>,
}

/// Why a message cannot be written on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError<E> {
    /// The message would be malformed; nothing of this option was written.
    #[error(transparent)]
    Option(#[from] OptionError),
    /// The sink has no room.
    #[error("{0}")]
    Sink(E),
}

impl<S: Sink> Writer<S> {
    /// Begins a message in `sink`.
    ///
    /// # Errors
    /// [`WriteError::Sink`].
    pub fn new(mut sink: S, header: Header) -> Result<Self, WriteError<S::Error>> {
        let mut bytes = [0; HEADER + MAX_TOKEN];
        let length = header.encode(&mut bytes);
        sink.put(&bytes[..length]).map_err(WriteError::Sink)?;
        Ok(Self { sink, last: None })
    }

    /// Adds option `number`.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn option(&mut self, number: u16, value: &[u8]) -> Result<(), WriteError<S::Error>> {
        options::check(number, value)?;
        match self.last {
            Some(after) if after > number => return Err(OptionError::Order { number, after }.into()),
            Some(after) if after == number && !options::may_repeat(number) => {
                return Err(OptionError::Repeated { number }.into());
            }
            _ => {}
        }
        let header = options::Header::new(self.last.unwrap_or(0), number, value.len());
        self.sink.put(&header).map_err(WriteError::Sink)?;
        self.sink.put(value).map_err(WriteError::Sink)?;
        self.last = Some(number);
        Ok(())
    }

    /// Adds option `number` with a number for a value.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn uint(&mut self, number: u16, value: u32) -> Result<(), WriteError<S::Error>> {
        self.option(number, &UintValue::new(value))
    }

    /// Adds `options`, as they are.
    ///
    /// # Errors
    /// [`WriteError`], for the first that cannot stand here.
    pub fn options(&mut self, options: Options<'_>) -> Result<(), WriteError<S::Error>> {
        options.iter().try_for_each(|field| self.option(field.number, field.value))
    }

    /// Ends the message with `payload` and gives the sink back. An empty payload is none.
    ///
    /// # Errors
    /// [`WriteError::Sink`].
    pub fn payload(mut self, payload: &[u8]) -> Result<S, WriteError<S::Error>> {
        if !payload.is_empty() {
            self.sink.put(&[PAYLOAD_MARKER]).map_err(WriteError::Sink)?;
            self.sink.put(payload).map_err(WriteError::Sink)?;
        }
        Ok(self.sink)
    }
}

const fn first_bytes(message_type: Type, token_length: usize, code: u8, id: u16) -> [u8; HEADER] {
    let [id_high, id_low] = id.to_be_bytes();
    [VERSION << 6 | message_type.bits() << 4 | token_length as u8, code, id_high, id_low]
}

#[cfg(test)]
#[path = "writer/tests.rs"]
mod tests;
