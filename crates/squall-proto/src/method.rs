//! What a request wants done, and whether it may be done twice.

use core::fmt;

use coap_numbers::code;

/// What a request wants done to a resource
/// ([RFC 7252 §5.8](https://www.rfc-editor.org/rfc/rfc7252#section-5.8),
/// [RFC 8132 §2](https://www.rfc-editor.org/rfc/rfc8132#section-2)). On transports without methods every
/// request is a `Post`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Method {
    /// Gives the representation of a resource.
    Get,
    /// Gives the request to the resource, which does with it what it is there for.
    #[default]
    Post,
    /// Puts the payload in the resource's place.
    Put,
    /// Removes the resource.
    Delete,
    /// Gives what the payload asks of the resource.
    Fetch,
    /// Changes the resource in part.
    Patch,
    /// Changes the resource in part; twice is the same as once.
    IPatch,
}

/// Whether a repeated request may be run again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effect {
    /// It changes nothing, however often it is run.
    Safe,
    /// Run twice, it leaves what it leaves when run once.
    Idempotent,
    /// It must be run at most once.
    Once,
}

impl Method {
    /// All methods, in the order of their codes.
    pub const ALL: [Method; 7] = [
        Method::Get,
        Method::Post,
        Method::Put,
        Method::Delete,
        Method::Fetch,
        Method::Patch,
        Method::IPatch,
    ];

    /// What a request of this method does as its definition says: `Get` and `Fetch` are safe, `Put`,
    /// `Delete` and `IPatch` idempotent.
    pub const fn effect(self) -> Effect {
        match self {
            Method::Get | Method::Fetch => Effect::Safe,
            Method::Put | Method::Delete | Method::IPatch => Effect::Idempotent,
            Method::Post | Method::Patch => Effect::Once,
        }
    }

    /// The method's code on the wire, 1 to 7: class 0, `0.01` to `0.07`.
    pub const fn code(self) -> u8 {
        match self {
            Method::Get => code::GET,
            Method::Post => code::POST,
            Method::Put => code::PUT,
            Method::Delete => code::DELETE,
            Method::Fetch => code::FETCH,
            Method::Patch => code::PATCH,
            Method::IPatch => code::IPATCH,
        }
    }

    /// The method of a code on the wire; `None` for codes that are no method known here.
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            code::GET => Some(Method::Get),
            code::POST => Some(Method::Post),
            code::PUT => Some(Method::Put),
            code::DELETE => Some(Method::Delete),
            code::FETCH => Some(Method::Fetch),
            code::PATCH => Some(Method::Patch),
            code::IPATCH => Some(Method::IPatch),
            _ => None,
        }
    }

    /// The name as the registry has it: `GET`, …, `iPATCH`.
    pub const fn name(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Delete => "DELETE",
            Method::Fetch => "FETCH",
            Method::Patch => "PATCH",
            Method::IPatch => "iPATCH",
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The text names no method.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no such method; there are GET, POST, PUT, DELETE, FETCH, PATCH and iPATCH")]
pub struct UnknownMethod;

impl core::str::FromStr for Method {
    type Err = UnknownMethod;

    /// Reads a name in whatever case.
    fn from_str(text: &str) -> Result<Self, UnknownMethod> {
        Method::ALL.into_iter().find(|method| method.name().eq_ignore_ascii_case(text)).ok_or(UnknownMethod)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_keep_their_codes_and_names() {
        for (number, method) in (1..).zip(Method::ALL) {
            assert_eq!(method.code(), number);
            assert_eq!(Method::from_code(number), Some(method));
            assert_eq!(method.name().parse(), Ok(method));
            assert_eq!(coap_numbers::code::to_name(number), Some(method.name()));
        }
        assert_eq!(Method::from_code(0), None);
        assert_eq!(Method::from_code(8), None);
        assert_eq!("get".parse(), Ok(Method::Get));
        assert_eq!("fetch it".parse::<Method>(), Err(UnknownMethod));
    }
}
