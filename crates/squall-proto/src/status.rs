//! How a request went, as a response code.

use core::fmt;

use coap_numbers::code;

/// A response code ([RFC 7252 §5.9](https://www.rfc-editor.org/rfc/rfc7252#section-5.9)): a class from 2
/// to 5 and a detail from 0 to 31, written `2.05`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Status(u8);

macro_rules! statuses {
    ($($name:ident, $text:literal;)*) => {
        impl Status {
            $(#[doc = concat!("`", $text, "`.")] pub const $name: Status = Status(code::$name);)*
        }

        #[cfg(test)]
        const NAMED: &[(Status, &str)] = &[$((Status::$name, $text)),*];
    };
}

statuses! {
    CREATED, "2.01 Created";
    DELETED, "2.02 Deleted";
    VALID, "2.03 Valid";
    CHANGED, "2.04 Changed";
    CONTENT, "2.05 Content";
    CONTINUE, "2.31 Continue";
    BAD_REQUEST, "4.00 Bad Request";
    UNAUTHORIZED, "4.01 Unauthorized";
    BAD_OPTION, "4.02 Bad Option";
    FORBIDDEN, "4.03 Forbidden";
    NOT_FOUND, "4.04 Not Found";
    METHOD_NOT_ALLOWED, "4.05 Method Not Allowed";
    NOT_ACCEPTABLE, "4.06 Not Acceptable";
    REQUEST_ENTITY_INCOMPLETE, "4.08 Request Entity Incomplete";
    CONFLICT, "4.09 Conflict";
    PRECONDITION_FAILED, "4.12 Precondition Failed";
    REQUEST_ENTITY_TOO_LARGE, "4.13 Request Entity Too Large";
    UNSUPPORTED_CONTENT_FORMAT, "4.15 Unsupported Content-Format";
    UNPROCESSABLE_ENTITY, "4.22 Unprocessable Entity";
    TOO_MANY_REQUESTS, "4.29 Too Many Requests";
    INTERNAL_SERVER_ERROR, "5.00 Internal Server Error";
    NOT_IMPLEMENTED, "5.01 Not Implemented";
    BAD_GATEWAY, "5.02 Bad Gateway";
    SERVICE_UNAVAILABLE, "5.03 Service Unavailable";
    GATEWAY_TIMEOUT, "5.04 Gateway Timeout";
    PROXYING_NOT_SUPPORTED, "5.05 Proxying Not Supported";
    HOP_LIMIT_REACHED, "5.08 Hop Limit Reached";
}

impl Status {
    /// The status of a code on the wire; `None` for classes that are no response (0, 1, 6 and 7).
    pub const fn from_code(code: u8) -> Option<Self> {
        match code >> 5 {
            2..=5 => Some(Self(code)),
            _ => None,
        }
    }

    /// The code on the wire: three bits of class, five of detail.
    pub const fn code(self) -> u8 {
        self.0
    }

    /// The class: 2 success, 4 the client's error, 5 the server's; nothing in 3 is assigned.
    pub const fn class(self) -> u8 {
        self.0 >> 5
    }

    /// What is behind the point, 0 to 31.
    pub const fn detail(self) -> u8 {
        self.0 & 0x1f
    }

    /// Whether the class is 2.
    pub const fn is_success(self) -> bool {
        self.class() == 2
    }

    /// The registered name, `Not Found`; `None` where none is registered.
    pub fn name(self) -> Option<&'static str> {
        code::to_name(self.0)
    }
}

impl fmt::Display for Status {
    /// `4.04 Not Found`, or the number alone.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        code::format_dotted(self.0, f)?;
        match self.name() {
            Some(name) => write!(f, " {name}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn statuses_print_as_the_registry_has_them() {
        for (status, text) in NAMED {
            assert_eq!(status.to_string(), *text);
            assert_eq!(Status::from_code(status.code()), Some(*status));
        }
        assert_eq!(Status::from_code(0x5e).unwrap().to_string(), "2.30");
    }

    #[test]
    fn requests_and_signals_are_no_status() {
        for code in 0..=255_u8 {
            let status = Status::from_code(code);
            assert_eq!(status.is_some(), (0x40..0xc0).contains(&code), "{code:#x}");
            if let Some(status) = status {
                assert_eq!(status.class() << 5 | status.detail(), code);
            }
        }
    }
}
