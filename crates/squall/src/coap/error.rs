//! Why there is no answer.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use squall_proto::coap::client::{BadOption, Executed, Failure, RequestError, Why};
use squall_proto::coap::uri::CoapUriError;
use squall_proto::retry::RetryPolicyError;

use crate::broadcast::ShoutError;
use crate::uri::UriError;

/// Why a CoAP request has no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CoapError {
    /// The text is no `coap://` URI.
    #[error("{text:?} is no address: {source}")]
    Uri {
        /// What was written.
        text: String,
        /// What is wrong with it.
        source: CoapUriError,
    },
    /// The server's name cannot be resolved.
    #[error(transparent)]
    Address(#[from] UriError),
    /// An option cannot be given to the request.
    #[error("request: {0}")]
    Option(#[from] BadOption),
    /// The retry policy is out of bounds.
    #[error("retry policy: {0}")]
    Policy(#[from] RetryPolicyError),
    /// The client takes no more requests.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The address to ask from is not of this machine, or is taken.
    #[error("cannot ask from {from}: {source}")]
    From {
        /// The local address.
        from: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
    /// No socket could be had.
    #[error("cannot {what} {server}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// With whom.
        server: String,
        /// The system's reason.
        source: io::Error,
    },
    /// A group cannot be asked by an interface.
    #[error(transparent)]
    Group(#[from] ShoutError),
    /// The request failed.
    #[error(
        "no answer from {} after {} {} in {:.1} s; {}; {}",
        names(servers), failure.messages, if failure.messages == 1 { "message" } else { "messages" },
        elapsed.as_secs_f64(), reason(failure, unsent.as_deref()), failure.executed
    )]
    Failed {
        /// Who was asked.
        servers: Vec<SocketAddr>,
        /// What is known of it.
        failure: Failure,
        /// For how long.
        elapsed: Duration,
        /// What the system said if the last message did not leave this machine.
        unsent: Option<String>,
    },
}

impl CoapError {
    /// Whether the server is to blame, by not answering.
    pub fn is_no_answer(&self) -> bool {
        match self {
            CoapError::Failed { failure, .. } => {
                matches!(failure.why, Why::Refused | Why::TimedOut | Why::Unanswered | Why::Unreachable)
            }
            _ => false,
        }
    }

    /// Whether what the caller named is wrong.
    pub fn is_usage(&self) -> bool {
        match self {
            CoapError::Address(error) => !error.is_temporary(),
            CoapError::Group(error) => error.is_usage(),
            CoapError::Uri { .. } | CoapError::Option(_) | CoapError::Policy(_) => true,
            _ => false,
        }
    }

    /// What is known of the request's execution; [`Executed::No`] where it was not sent.
    pub fn executed(&self) -> Executed {
        match self {
            CoapError::Failed { failure, .. } => failure.executed,
            _ => Executed::No,
        }
    }
}

fn names(servers: &[SocketAddr]) -> String {
    servers.iter().map(|server| format!("coap://{server}")).collect::<Vec<_>>().join(", ")
}

fn reason(failure: &Failure, unsent: Option<&str>) -> String {
    match unsent {
        Some(reason) => format!("the last message could not be sent: {reason}"),
        None => failure.why.to_string(),
    }
}
