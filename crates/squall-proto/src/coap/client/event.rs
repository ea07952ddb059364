//! What becomes of requests.

use alloc::vec::Vec;
use core::fmt;
use core::net::SocketAddr;
use core::time::Duration;

use crate::Status;
use crate::coap::options::{Options, OptionsBuf, number};

/// Names a request of a client; never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub(super) u64);

/// What happened to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// It was answered, with success or with an error of the server's; nothing follows. It ends an observation
    /// too: a resource that cannot be observed, or no longer.
    Answered {
        /// Which request.
        id: RequestId,
        /// Who answered.
        from: SocketAddr,
        /// What it said.
        response: Response,
        /// How many messages were sent for it: repetitions and blocks.
        messages: u32,
    },
    /// A state of an observed resource; others follow. One that nobody has taken yet is replaced by the next.
    Notification {
        /// Which request.
        id: RequestId,
        /// Who sent it.
        from: SocketAddr,
        /// The state.
        response: Response,
    },
    /// The answer of a group's member; others may follow, and [`Gathered`](Self::Gathered) in the end.
    Member {
        /// Which request.
        id: RequestId,
        /// Which member.
        from: SocketAddr,
        /// What it said, with all options. Of a long answer its first block: the member is asked for the whole
        /// by a request of its own ([`ClientRequest::echo_of`](super::ClientRequest::echo_of)).
        response: Response,
    },
    /// The time for a group's answers is over; nothing follows.
    Gathered {
        /// Which request.
        id: RequestId,
        /// How many members answered.
        members: u32,
    },
    /// A ping was answered; nothing follows.
    Pong {
        /// Which request.
        id: RequestId,
        /// Who is alive.
        from: SocketAddr,
    },
    /// There is no answer and will be none; nothing follows.
    Failed {
        /// Which request.
        id: RequestId,
        /// Why.
        failure: Failure,
    },
}

impl Event {
    /// Which request it is about.
    pub fn id(&self) -> RequestId {
        match self {
            Event::Answered { id, .. }
            | Event::Notification { id, .. }
            | Event::Member { id, .. }
            | Event::Gathered { id, .. }
            | Event::Pong { id, .. }
            | Event::Failed { id, .. } => *id,
        }
    }
}

/// A server's answer, put together from its blocks.
#[derive(Clone, PartialEq, Eq)]
pub struct Response {
    pub(super) status: Status,
    pub(super) options: OptionsBuf,
    pub(super) payload: Vec<u8>,
}

impl Response {
    /// How it went.
    pub fn status(&self) -> Status {
        self.status
    }

    /// The options, without those that say which block this is and without Echo. Size1 of a 4.13 is the longest
    /// payload that its server takes. Options that are not of the
    /// form that their definition asks for are left out.
    pub fn options(&self) -> Options<'_> {
        self.options.as_options()
    }

    /// The body.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// The body, taken out.
    pub fn into_payload(self) -> Vec<u8> {
        self.payload
    }

    /// What the body is made of, by its number in the registry; `None` where the server does not say.
    pub fn content_format(&self) -> Option<u16> {
        self.options().uint(number::CONTENT_FORMAT).map(|format| format as u16)
    }

    /// For how long the body is fresh: 60 s where the server does not say
    /// ([RFC 7252 §5.10.5](https://www.rfc-editor.org/rfc/rfc7252#section-5.10.5)). With 5.03, when to try again.
    pub fn max_age(&self) -> Duration {
        max_age(self.options())
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?} \"{}\"", self.status, self.options(), self.payload.escape_ascii())
    }
}

/// See [`Response::max_age`].
pub(super) fn max_age(options: Options<'_>) -> Duration {
    Duration::from_secs(options.uint(number::MAX_AGE).unwrap_or(60).into())
}

/// Why there is no answer, and what that says of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct Failure {
    /// Why.
    pub why: Why,
    /// Whether the request was executed.
    pub executed: Executed,
    /// How many messages were sent for it: repetitions and blocks.
    pub messages: u32,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Why {
    /// The server answered with a reset: it takes no such message.
    #[error("the server reset it")]
    Refused,
    /// Nothing came back in the time that the retry policy gives.
    #[error("nothing came back")]
    TimedOut,
    /// The server acknowledged the request and did not answer it in time.
    #[error("the server accepted it and did not answer")]
    Unanswered,
    /// The network or the server's host says that it cannot be reached, by ICMP.
    #[error("its host says that nobody listens there")]
    Unreachable,
    /// The caller did not want to wait any longer.
    #[error("cancelled")]
    Cancelled,
    /// The answer, or the request in blocks that a server can take, is too long.
    #[error("the body is too long to be put together")]
    TooLarge,
    /// The server's answer breaks the protocol.
    #[error("the answer breaks the protocol: {0}")]
    Protocol(&'static str),
}

/// Whether a request that failed was executed, if its server keeps
/// [RFC 7252 §4.5](https://www.rfc-editor.org/rfc/rfc7252#section-4.5): as far as its process lives, it executes
/// a confirmable message once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Executed {
    /// No server has executed it or will.
    No,
    /// It may have been executed, or be executed yet.
    Unknown,
    /// It was; its answer is what is missing.
    Yes,
}

impl fmt::Display for Executed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Executed::No => "it was not executed",
            Executed::Unknown => "whether it was executed is not known",
            Executed::Yes => "it was executed",
        })
    }
}

/// Why a request is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// No server is named for it.
    #[error("no server is named")]
    NoServer,
    /// As many requests are open as [`Settings::max_requests`](super::Settings::max_requests) allows.
    #[error("{0} requests are open, which is the limit")]
    TooMany(usize),
    /// As many servers are remembered as [`Settings::max_endpoints`](super::Settings::max_endpoints) allows.
    #[error("{0} servers are remembered, which is the limit")]
    TooManyServers(usize),
}
