//! The server's side of the greeting.

use std::sync::Arc;

use quinn::crypto::rustls::HandshakeData;
use quinn::{Connection, ConnectionError, ReadExactError, RecvStream, SendStream};
use squall::secure::{Greeting, GreetingError, Parting};

use super::super::limits::Places;
use super::super::proof::Prover;
use super::super::session::peer_of;
use super::super::transport::open_wide;
use super::super::{Admission, Alpn, Session};

/// Why a peer does not come in.
#[derive(Debug)]
pub(super) enum Turned {
    /// It is turned away, for this reason.
    Away(Parting),
    /// What it said is no greeting.
    NoGreeting(GreetingError),
    /// It left, or the connection broke.
    Left(ConnectionError),
}

/// Hears who the peer is, and tells it who this is.
pub(super) async fn greet(
    connection: &Connection,
    admission: &Admission,
    protocols: &[Alpn],
    sessions: &Arc<Places>,
) -> Result<Session, Turned> {
    let protocol = spoken(connection, protocols).ok_or(Turned::Away(Parting::NoGreeting))?;
    let (mut send, mut receive) = connection.accept_bi().await.map_err(Turned::Left)?;
    let greeting = hear(connection, &mut receive).await?;
    let answer = match (admission.token(), greeting) {
        (Some(token), Greeting::Proof(proof)) if Prover::Client.has_proved(token, connection, &proof) => {
            let proof = Prover::Server.proof(token, connection);
            Greeting::Proof(proof.ok_or(Turned::Away(Parting::NotProved))?)
        }
        (Some(_), Greeting::Proof(_)) => return Err(Turned::Away(Parting::TokenWrong)),
        (Some(_), Greeting::Open) => return Err(Turned::Away(Parting::TokenMissing)),
        (None, Greeting::Proof(_)) => return Err(Turned::Away(Parting::TokenNotAsked)),
        (None, Greeting::Open) => Greeting::Open,
    };
    let peer = peer_of(connection);
    let place = sessions.take(peer).ok_or(Turned::Away(Parting::Full))?;
    open_wide(connection);
    say(connection, &mut send, answer).await?;
    let proved = answer != Greeting::Open;
    Ok(Session { connection: connection.clone(), peer, protocol, proved, send, receive, _place: Some(place) })
}

fn spoken(connection: &Connection, protocols: &[Alpn]) -> Option<Alpn> {
    let data = connection.handshake_data()?.downcast::<HandshakeData>().ok()?;
    let name = data.protocol?;
    protocols.iter().copied().find(|protocol| protocol.name().as_bytes() == name)
}

async fn hear(connection: &Connection, receive: &mut RecvStream) -> Result<Greeting, Turned> {
    let mut bytes = [0; Greeting::LEN];
    match receive.read_exact(&mut bytes).await {
        Ok(()) => Greeting::decode(&bytes).map_err(Turned::NoGreeting),
        Err(ReadExactError::FinishedEarly(_)) => Err(Turned::Away(Parting::NoGreeting)),
        Err(ReadExactError::ReadError(_)) => Err(broken(connection)),
    }
}

async fn say(connection: &Connection, send: &mut SendStream, greeting: Greeting) -> Result<(), Turned> {
    send.write_all(&greeting.encode()).await.map_err(|_| broken(connection))
}

/// Why a stream ended before its time: with the connection, or reset by a peer that wants nothing more.
fn broken(connection: &Connection) -> Turned {
    connection.close_reason().map_or(Turned::Away(Parting::NoGreeting), Turned::Left)
}
