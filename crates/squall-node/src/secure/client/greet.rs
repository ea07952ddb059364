//! The client's side of the greeting.

use std::time::Duration;

use quinn::{Connection, ConnectionError, ReadExactError};
use squall::secure::{Greeting, Parting};
use tokio::time::timeout;

use super::super::proof::Prover;
use super::super::session::close;
use super::super::transport::open_wide;
use super::super::{Alpn, ConnectError, Session, Token};

/// How much later than the end of the stream the reason for it may come.
const REASON: Duration = Duration::from_secs(1);

/// Says that there is a token and proves it, and says nothing else before the server did the same.
pub(super) async fn greet(
    connection: &Connection,
    target: &str,
    token: Option<&Token>,
    protocol: Alpn,
) -> Result<Session, ConnectError> {
    let not_ready = || no_greeting(connection, target, "the handshake is not over".into());
    let greeting = match token {
        Some(token) => Greeting::Proof(Prover::Client.proof(token, connection).ok_or_else(not_ready)?),
        None => Greeting::Open,
    };
    let broken = || explain(connection, target);
    let (mut send, mut receive) = connection.open_bi().await.map_err(|_| broken())?;
    send.write_all(&greeting.encode()).await.map_err(|_| broken())?;
    let mut answer = [0; Greeting::LEN];
    match receive.read_exact(&mut answer).await {
        Ok(()) => {}
        Err(ReadExactError::FinishedEarly(len)) => {
            // A server that turns somebody away drops the stream, too, and why it does may come behind its end.
            if timeout(REASON, connection.closed()).await.is_ok() {
                return Err(broken());
            }
            return Err(no_greeting(connection, target, format!("it ends after {len} bytes")));
        }
        Err(ReadExactError::ReadError(_)) => return Err(broken()),
    }
    let answer =
        Greeting::decode(&answer).map_err(|error| no_greeting(connection, target, error.to_string()))?;
    let target = || target.to_owned();
    match (token, answer) {
        (Some(token), Greeting::Proof(proof)) if Prover::Server.has_proved(token, connection, &proof) => {}
        (Some(_), Greeting::Proof(_)) => {
            close(connection, Parting::NotProved);
            return Err(ConnectError::NotProved { target: target() });
        }
        (Some(_), Greeting::Open) => {
            close(connection, Parting::TokenNotAsked);
            return Err(ConnectError::TokenNotAsked { target: target() });
        }
        (None, Greeting::Open) => {}
        (None, Greeting::Proof(_)) => {
            return Err(no_greeting(connection, &target(), "it proves a token that nobody asked for".into()));
        }
    }
    open_wide(connection);
    let (peer, proved) = (connection.remote_address(), token.is_some());
    Ok(Session { connection: connection.clone(), peer, protocol, proved, send, receive, _place: None })
}

fn no_greeting(connection: &Connection, target: &str, reason: String) -> ConnectError {
    close(connection, Parting::NoGreeting);
    ConnectError::Greeting { target: target.to_owned(), reason }
}

/// What it means that the connection ended in the middle of the greeting.
fn explain(connection: &Connection, target: &str) -> ConnectError {
    let target = target.to_owned();
    let Some(source) = connection.close_reason() else {
        return no_greeting(connection, &target, "it gave up the stream".into());
    };
    let parting = match &source {
        ConnectionError::ApplicationClosed(close) => Parting::of(close.error_code.into_inner()),
        _ => None,
    };
    match parting {
        Some(Parting::TokenWrong) => ConnectError::TokenWrong { target },
        Some(Parting::TokenMissing) => ConnectError::TokenMissing { target },
        Some(Parting::TokenNotAsked) => ConnectError::TokenNotAsked { target },
        Some(Parting::Full | Parting::Stopping) => ConnectError::Refused { target },
        _ => ConnectError::Broken { target, source },
    }
}
