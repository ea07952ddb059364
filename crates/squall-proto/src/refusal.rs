//! Why a request got no answer.

/// Why a request got no answer, or a reply could not be written.
///
/// A server counts each by its kind; nothing is sent to the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The answer would be more than three times the request, headers counted, and the peer's address
    /// is not validated ([RFC 9000 §8.1](https://www.rfc-editor.org/rfc/rfc9000#section-8.1) takes the
    /// same factor): answering could be used to flood somebody else.
    #[error("the answer is over three times the request and the peer's address is not validated")]
    Amplification,
    /// One datagram or frame of the answer would be longer than its transport carries.
    #[error("the answer is longer than the {limit} bytes that the transport carries")]
    TooLong {
        /// The limit, in bytes.
        limit: usize,
    },
    /// All replies that wait to be sent fill the outbox.
    #[error("the outbox is full")]
    Full,
    /// The request could be the answer of another server: answering it could go on for ever
    /// (CVE-2024-2169).
    #[error("the request looks like a server's answer ({0})")]
    Loop(&'static str),
    /// The request is not of the form that the service reads.
    #[error("malformed request: {0}")]
    Malformed(&'static str),
    /// The peer sends more than its rate limit, or there is no worker or memory left for it.
    #[error("too much to do: {0}")]
    Overload(&'static str),
    /// The request was dropped on purpose, to make bad weather.
    #[error("pretending to drop")]
    Dropped,
    /// The handler cannot answer.
    #[error("{0}")]
    Failed(&'static str),
}
