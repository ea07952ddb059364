//! Who comes to a server's sockets, and what becomes of them until they are sessions.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use quinn::{Connecting, Endpoint, Incoming};
use squall::secure::Parting;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::super::limits::{Place, Places, Ruling};
use super::super::session::{close, plain};
use super::super::{Admission, Alpn, Session};
use super::counts::{Counts, count};
use super::greet::{Turned, greet};

/// What the sockets of a server have in common.
pub(super) struct Listener {
    pub(super) admission: Admission,
    pub(super) protocols: Vec<Alpn>,
    pub(super) greeting_time: Duration,
    /// Places for sessions.
    pub(super) sessions: Arc<Places>,
    pub(super) half_open: Arc<Places>,
    pub(super) counts: Arc<Counts>,
    pub(super) give: mpsc::Sender<Session>,
    pub(super) stopping: watch::Receiver<bool>,
}

impl Listener {
    /// Takes who comes to `endpoint`, until it is closed.
    pub(super) async fn listen(self: Arc<Self>, endpoint: Endpoint) {
        let mut greetings = JoinSet::new();
        loop {
            tokio::select! {
                incoming = endpoint.accept() => {
                    let Some(incoming) = incoming else { return };
                    let peer = plain(incoming.remote_address());
                    if let Some((connecting, place)) = self.admit(incoming) {
                        greetings.spawn(self.clone().receive(connecting, peer, place));
                    }
                }
                Some(_) = greetings.join_next() => {}
            }
        }
    }

    /// Lets a first packet's sender go on to the handshake, or not.
    fn admit(&self, incoming: Incoming) -> Option<(Connecting, Place)> {
        let refuse = |incoming: Incoming| {
            count(&self.counts.refused);
            incoming.refuse();
            None
        };
        if *self.stopping.borrow() || self.sessions.is_full() {
            return refuse(incoming);
        }
        let validated = incoming.remote_address_validated();
        match self.half_open.rule(incoming.remote_address(), validated) {
            Ruling::Refuse => refuse(incoming),
            Ruling::Validate => {
                count(&self.counts.validated);
                // It can be asked again only where it could show that it was asked before.
                incoming.retry().err().and_then(|error| refuse(error.into_incoming()))
            }
            Ruling::Admit(place) => match incoming.accept() {
                Ok(connecting) => Some((connecting, place)),
                Err(_) => {
                    count(&self.counts.broken);
                    None
                }
            },
        }
    }

    /// From the handshake to the session, or to the end.
    async fn receive(self: Arc<Self>, connecting: Connecting, peer: SocketAddr, place: Place) {
        let deadline = Instant::now() + self.greeting_time;
        let connection = match timeout_at(deadline, connecting).await {
            Ok(Ok(connection)) => connection,
            Ok(Err(error)) => {
                count(&self.counts.broken);
                tracing::debug!(%peer, %error, "a handshake failed");
                return;
            }
            Err(_) => {
                count(&self.counts.silent);
                tracing::debug!(%peer, "a handshake did not end in time");
                return;
            }
        };
        let greeting = greet(&connection, &self.admission, &self.protocols, &self.sessions);
        let greeted = timeout_at(deadline, greeting).await;
        match greeted.unwrap_or(Err(Turned::Away(Parting::Silent))) {
            Ok(session) => {
                count(&self.counts.admitted);
                // Whoever takes no sessions takes no peers: the place stays taken.
                if let Err(unwanted) = self.give.send(session).await {
                    unwanted.0.close(Parting::Stopping);
                }
            }
            Err(Turned::Away(why)) => {
                close(&connection, why);
                self.tell(peer, why);
            }
            Err(Turned::NoGreeting(error)) => {
                close(&connection, Parting::NoGreeting);
                count(&self.counts.no_greeting);
                tracing::warn!(%peer, "turned away: {error}");
            }
            Err(Turned::Left(error)) => {
                count(&self.counts.broken);
                tracing::debug!(%peer, %error, "left before the greeting was over");
            }
        }
        drop(place);
    }

    fn tell(&self, peer: SocketAddr, why: Parting) {
        count(match why {
            Parting::TokenWrong => &self.counts.token_wrong,
            Parting::TokenMissing => &self.counts.token_missing,
            Parting::TokenNotAsked => &self.counts.token_not_asked,
            Parting::Silent => &self.counts.silent,
            Parting::Full => &self.counts.refused,
            _ => &self.counts.no_greeting,
        });
        tracing::warn!(%peer, "turned away: {why}");
    }
}
