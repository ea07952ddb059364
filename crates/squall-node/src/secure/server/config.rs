//! Settings of a server.

use std::time::Duration;

use squall::Uri;

use super::super::{Admission, Alpn, Identity, Transport};

/// Settings of a server: an identity, who may come in, at least one address and one protocol.
#[derive(Clone)]
pub struct SecureConfig {
    pub(super) identity: Identity,
    pub(super) admission: Admission,
    pub(super) transport: Transport,
    pub(super) protocols: Vec<Alpn>,
    pub(super) on: Vec<(Uri, bool)>,
    pub(super) greeting_time: Duration,
    pub(super) max_half_open: usize,
    pub(super) max_half_open_of_address: usize,
    pub(super) max_sessions: usize,
    pub(super) max_sessions_of_address: usize,
    pub(super) buffers: usize,
}

impl SecureConfig {
    /// Settings that lack an address and a protocol.
    pub fn new(identity: Identity, admission: Admission, transport: Transport) -> Self {
        Self {
            identity,
            admission,
            transport,
            protocols: Vec::new(),
            on: Vec::new(),
            greeting_time: Duration::from_secs(10),
            max_half_open: 512,
            max_half_open_of_address: 64,
            max_sessions: 1024,
            max_sessions_of_address: 256,
            buffers: super::super::socket::BUFFERS,
        }
    }

    /// Listens on `uri` (`udp://…`), besides the addresses that it has. Port 0 lets the kernel choose.
    pub fn on(mut self, uri: Uri) -> Self {
        self.on.push((uri, false));
        self
    }

    /// Listens on `uri` if this machine has its address family and its address;
    /// [`SecureServer::left_out`](super::SecureServer::left_out) tells if not.
    pub fn on_if_present(mut self, uri: Uri) -> Self {
        self.on.push((uri, true));
        self
    }

    /// Speaks this protocol too. Where a client offers several, the one named here first is taken.
    pub fn serve(mut self, protocol: Alpn) -> Self {
        self.protocols.push(protocol);
        self
    }

    /// How long a peer has from its first packet to the end of the greeting: 10 s by default.
    pub fn greeting_time(mut self, time: Duration) -> Self {
        self.greeting_time = time;
        self
    }

    /// How many connections may be in the greeting at once: 512 by default, each of some 20 KiB. From an eighth of
    /// them on, peers have to show first that their addresses are theirs, which costs them a round trip.
    pub fn max_half_open(mut self, max: usize) -> Self {
        self.max_half_open = max.max(1);
        self
    }

    /// How many of them may come from one address, or one /64 of IPv6: 64 by default.
    pub fn max_half_open_of_address(mut self, max: usize) -> Self {
        self.max_half_open_of_address = max.max(1);
        self
    }

    /// How many sessions there may be at once: 1,024 by default. Who comes later is refused.
    pub fn max_sessions(mut self, max: usize) -> Self {
        self.max_sessions = max.max(1);
        self
    }

    /// How many of them may be with one address, or one /64 of IPv6: 256 by default, so that one peer leaves room for
    /// others.
    pub fn max_sessions_of_address(mut self, max: usize) -> Self {
        self.max_sessions_of_address = max.max(1);
        self
    }

    /// The buffers asked for on each socket, for receiving and for sending, in bytes: 8 MiB by default.
    pub fn buffers(mut self, bytes: usize) -> Self {
        self.buffers = bytes;
        self
    }
}
