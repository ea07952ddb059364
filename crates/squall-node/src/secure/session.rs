//! A connection whose two sides know each other.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use squall::congestion::Belief;
use squall::secure::Parting;

use super::congestion::ModelController;
use super::limits::Place;

/// A protocol and its version, as ALPN names it ([RFC 7301](https://www.rfc-editor.org/rfc/rfc7301)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Alpn(&'static str);

impl Alpn {
    /// Moving files, `squall-files/1`.
    pub const FILES: Self = Self("squall-files/1");

    /// A protocol of this name.
    pub const fn new(name: &'static str) -> Self {
        Self(name)
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        self.0
    }
}

impl fmt::Display for Alpn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// A connection that passed the greeting: where there is a token, both sides have proved it. It counts as one of a
/// server's sessions as long as this value is there.
#[derive(Debug)]
#[non_exhaustive]
pub struct Session {
    /// The connection.
    pub connection: quinn::Connection,
    /// The peer's address when it came; [`quinn::Connection::remote_address`] tells the present one.
    pub peer: SocketAddr,
    /// The protocol that both speak.
    pub protocol: Alpn,
    /// Whether both sides proved a token.
    pub proved: bool,
    /// The stream of the greeting, from here to the peer, for what the protocol says next.
    pub send: quinn::SendStream,
    /// The same stream, from the peer to here.
    pub receive: quinn::RecvStream,
    /// Its place among a server's sessions, given back with this value.
    pub(super) _place: Option<Place>,
}

impl Session {
    /// What this side's congestion control believes of the path; `None` if it is not Squall's.
    pub fn belief(connection: &quinn::Connection) -> Option<Belief> {
        ModelController::belief(connection)
    }

    /// Closes the connection; what is not acknowledged yet is lost.
    pub fn close(&self, why: Parting) {
        close(&self.connection, why);
    }
}

/// Where a connection's peer is now. A socket for both families has IPv4 in IPv6's clothes.
pub(crate) fn peer_of(connection: &quinn::Connection) -> SocketAddr {
    plain(connection.remote_address())
}

pub(super) fn plain(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        ip @ IpAddr::V4(_) => SocketAddr::new(ip, address.port()),
        // With its scope.
        IpAddr::V6(_) => address,
    }
}

pub(crate) fn close(connection: &quinn::Connection, why: Parting) {
    close_with(connection, why.code(), why.to_string().as_bytes());
}

/// Closes with a code and a reason of the protocol's own.
pub(crate) fn close_with(connection: &quinn::Connection, code: u32, reason: &[u8]) {
    ModelController::let_close(connection);
    connection.close(code.into(), reason);
}

/// Closes as [`close_with`] does and waits until that was handed to the kernel: a process that ends before takes it along,
/// and the peer waits until nothing came for too long.
pub(crate) async fn part_with(connection: &quinn::Connection, code: u32, reason: &[u8]) {
    if connection.close_reason().is_some() {
        return close_with(connection, code, reason);
    }
    let sent = || connection.stats().udp_tx.datagrams;
    let before = sent();
    close_with(connection, code, reason);
    let after = sent();
    // Once it is closed, nothing else is sent. What was sent meanwhile may have been that, or an acknowledgement.
    let patience = if after == before { LEAVING } else { UNSURE };
    let leaves = async {
        while sent() == after {
            tokio::time::sleep(MOMENT).await;
        }
    };
    let _ = tokio::time::timeout(patience, leaves).await;
}

const MOMENT: Duration = Duration::from_millis(1);
/// A host that has no time for it for so long is not waited for.
const LEAVING: Duration = Duration::from_millis(500);
const UNSURE: Duration = Duration::from_millis(20);
