//! One message, which is one datagram ([RFC 7252 §3](https://www.rfc-editor.org/rfc/rfc7252#section-3)).

use core::fmt;
use core::ops::Deref;

use super::options::{self, Options};
use crate::{Method, Status};

/// A message's type ([RFC 7252 §4.2](https://www.rfc-editor.org/rfc/rfc7252#section-4.2)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Type {
    /// To be acknowledged or reset by whom it reaches.
    Confirmable,
    /// Not to be acknowledged.
    NonConfirmable,
    /// Says that a confirmable message arrived, and may carry the response.
    Acknowledgement,
    /// Says that a message arrived and means nothing to whom it reached.
    Reset,
}

impl Type {
    /// The two bits on the wire.
    pub const fn bits(self) -> u8 {
        match self {
            Type::Confirmable => 0,
            Type::NonConfirmable => 1,
            Type::Acknowledgement => 2,
            Type::Reset => 3,
        }
    }

    const fn from_bits(bits: u8) -> Self {
        match bits & 3 {
            0 => Type::Confirmable,
            1 => Type::NonConfirmable,
            2 => Type::Acknowledgement,
            _ => Type::Reset,
        }
    }
}

/// What a message is: a code of one byte, with a meaning by its class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    /// 0.00: no request and no response.
    Empty,
    /// A request of a method known here.
    Request(Method),
    /// A request of another method, by its code, 8 to 31.
    UnknownRequest(u8),
    /// A response.
    Response(Status),
}

impl Code {
    /// The code on the wire.
    pub const fn bits(self) -> u8 {
        match self {
            Code::Empty => 0,
            Code::Request(method) => method.code(),
            Code::UnknownRequest(code) => code,
            Code::Response(status) => status.code(),
        }
    }

    /// The meaning of a code on the wire; `None` for the reserved classes 1, 6 and 7.
    const fn from_bits(code: u8) -> Option<Self> {
        match code {
            0 => Some(Code::Empty),
            1..32 => Some(match Method::from_code(code) {
                Some(method) => Code::Request(method),
                None => Code::UnknownRequest(code),
            }),
            _ => match Status::from_code(code) {
                Some(status) => Some(Code::Response(status)),
                None => None,
            },
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Code::Empty => f.write_str("0.00 Empty"),
            Code::Request(method) => method.fmt(f),
            Code::UnknownRequest(code) => coap_numbers::code::format_dotted(*code, f),
            Code::Response(status) => status.fmt(f),
        }
    }
}

/// `CON`, `NON`, `ACK` or `RST`.
impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Type::Confirmable => "CON",
            Type::NonConfirmable => "NON",
            Type::Acknowledgement => "ACK",
            Type::Reset => "RST",
        })
    }
}

/// What joins a response to its request: up to 8 bytes
/// ([RFC 7252 §5.3.1](https://www.rfc-editor.org/rfc/rfc7252#section-5.3.1)).
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token {
    // Zero behind the length, so that equality and hash may look at all.
    bytes: [u8; MAX_TOKEN],
    len: u8,
}

impl Token {
    /// No bytes.
    pub const EMPTY: Token = Token { bytes: [0; MAX_TOKEN], len: 0 };

    /// A token of `bytes`; `None` for more than 8.
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let mut token = Self::EMPTY;
        token.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        token.len = bytes.len() as u8;
        Some(token)
    }
}

impl From<u64> for Token {
    /// A token of 8 bytes.
    fn from(number: u64) -> Self {
        Self { bytes: number.to_be_bytes(), len: 8 }
    }
}

impl Deref for Token {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A message that was read: what can be had of it is well-formed.
///
/// ```
/// use squall_proto::coap::message::{Code, Message, Type};
/// use squall_proto::Method;
///
/// let message = Message::parse(b"\x41\x01\x12\x34\xab\xb4time")?;
/// assert_eq!(message.message_type(), Type::Confirmable);
/// assert_eq!(message.code(), Code::Request(Method::Get));
/// assert_eq!((message.id(), &*message.token()), (0x1234, b"\xab".as_slice()));
/// # Ok::<(), squall_proto::coap::message::ParseError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    message_type: Type,
    code: Code,
    id: u16,
    token: Token,
    options: Options<'a>,
    payload: &'a [u8],
}

impl<'a> Message<'a> {
    /// Reads a datagram. Nothing is allocated.
    ///
    /// # Errors
    /// [`ParseError`] says what is wrong and where, and [`ParseError::reset`] what the sender is told.
    pub fn parse(datagram: &'a [u8]) -> Result<Self, ParseError> {
        let &[first, code, id_high, id_low, ref rest @ ..] = datagram else {
            return Err(ParseError { problem: Problem::TooShort, at: datagram.len(), reset: None });
        };
        if first >> 6 != VERSION {
            return Err(ParseError { problem: Problem::Version(first >> 6), at: 0, reset: None });
        }
        let id = u16::from_be_bytes([id_high, id_low]);
        let message_type = Type::from_bits(first >> 4);
        let error = |problem, at| {
            let reset = (message_type == Type::Confirmable).then_some(id);
            ParseError { problem, at, reset }
        };
        let token_length = usize::from(first & 15);
        if token_length > MAX_TOKEN {
            return Err(error(Problem::TokenLength(token_length as u8), 0));
        }
        let meaning = Code::from_bits(code).ok_or(error(Problem::ReservedCode(code), 1))?;
        match (message_type, meaning) {
            (_, Code::Empty) if !rest.is_empty() || token_length != 0 => {
                return Err(error(Problem::NotEmpty, if rest.is_empty() { 0 } else { HEADER }));
            }
            (Type::NonConfirmable, Code::Empty)
            | (Type::Acknowledgement, Code::Request(_) | Code::UnknownRequest(_)) => {
                return Err(error(Problem::Unfit(message_type, meaning), 1));
            }
            (Type::Reset, meaning) if meaning != Code::Empty => {
                return Err(error(Problem::Unfit(message_type, meaning), 1));
            }
            _ => {}
        }
        let Some((token, rest)) = rest.split_at_checked(token_length) else {
            return Err(error(Problem::TokenTruncated, HEADER));
        };
        // Its length was looked at above.
        let token = Token::new(token).unwrap_or_default();
        let (options, payload) = Options::parse(rest)
            .map_err(|found| error(Problem::Options(found.problem), HEADER + token_length + found.at))?;
        Ok(Self { message_type, code: meaning, id, token, options, payload })
    }

    /// The type.
    pub const fn message_type(&self) -> Type {
        self.message_type
    }

    /// Whether it is a request, a response or empty.
    pub const fn code(&self) -> Code {
        self.code
    }

    /// The message ID, by which an acknowledgement and a duplicate are known.
    pub const fn id(&self) -> u16 {
        self.id
    }

    /// The token; empty in an empty message.
    pub const fn token(&self) -> Token {
        self.token
    }

    /// The options.
    pub const fn options(&self) -> Options<'a> {
        self.options
    }

    /// The payload; a message cannot tell an empty one from none.
    pub const fn payload(&self) -> &'a [u8] {
        self.payload
    }
}

/// What it is, for people to read: all but the payload, whose length is told. What came in it is escaped.
///
/// ```
/// use squall_proto::coap::message::Message;
///
/// let message = Message::parse(b"\x41\x01\x12\x34\xab\xb4time\xff22")?;
/// assert_eq!(message.to_string(), "CON 0x1234 GET token ab Uri-Path=time and 2 bytes");
/// # Ok::<(), squall_proto::coap::message::ParseError>(())
/// ```
impl fmt::Display for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:#06x} {}", self.message_type(), self.id(), self.code())?;
        if !self.token().is_empty() {
            write!(f, " token {:?}", self.token())?;
        }
        for field in self.options() {
            write!(f, " {field}")?;
        }
        if !self.payload().is_empty() {
            write!(f, " and {} bytes", self.payload().len())?;
        }
        Ok(())
    }
}

/// Why a datagram is no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem} at byte {at}")]
pub struct ParseError {
    problem: Problem,
    at: usize,
    reset: Option<u16>,
}

impl ParseError {
    /// What is wrong.
    pub const fn problem(&self) -> Problem {
        self.problem
    }

    /// Where, in bytes from the beginning of the datagram.
    pub const fn at(&self) -> usize {
        self.at
    }

    /// The message ID to send a reset for, where the rules want one: for a confirmable message of
    /// version 1 ([RFC 7252 §4.2](https://www.rfc-editor.org/rfc/rfc7252#section-4.2)). Anything else is
    /// ignored ([§3](https://www.rfc-editor.org/rfc/rfc7252#section-3),
    /// [§4.3](https://www.rfc-editor.org/rfc/rfc7252#section-4.3)).
    pub const fn reset(&self) -> Option<u16> {
        self.reset
    }
}

/// What is wrong with a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// It has less than the 4 bytes of a header.
    #[error("shorter than a header")]
    TooShort,
    /// The version is not 1.
    #[error("version {0} is unknown")]
    Version(u8),
    /// The token's length is over 8.
    #[error("token length {0} is reserved")]
    TokenLength(u8),
    /// The message ends within the token.
    #[error("token is cut off")]
    TokenTruncated,
    /// The code is of class 1, 6 or 7.
    #[error("code {}.{:02} is reserved", .0 >> 5, .0 & 31)]
    ReservedCode(u8),
    /// An empty message has a token, options or a payload.
    #[error("empty message with something in it")]
    NotEmpty,
    /// A message of this type cannot have this code
    /// ([RFC 7252 §4.3, table 1](https://www.rfc-editor.org/rfc/rfc7252#section-4.3)).
    #[error("{0:?} message cannot be {1}")]
    Unfit(Type, Code),
    /// The options are wrong.
    #[error("{0}")]
    Options(options::Problem),
}

/// The version of the protocol, and the only one.
pub(super) const VERSION: u8 = 1;
/// The length of what every message begins with, in bytes.
pub(super) const HEADER: usize = 4;
/// The longest token, in bytes.
pub const MAX_TOKEN: usize = 8;

#[cfg(test)]
#[path = "message/tests.rs"]
mod tests;
