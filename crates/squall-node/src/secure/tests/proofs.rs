//! Proofs that are not one's own.

use super::*;
use crate::secure::proof::Prover;
use quinn::{RecvStream, SendStream};
use squall::secure::Greeting;

async fn say(connection: &Connection, greeting: Greeting) -> (SendStream, RecvStream) {
    let (mut send, receive) = connection.open_bi().await.unwrap();
    send.write_all(&greeting.encode()).await.unwrap();
    (send, receive)
}

async fn hear(receive: &mut RecvStream) -> Greeting {
    let mut bytes = [0; Greeting::LEN];
    receive.read_exact(&mut bytes).await.unwrap();
    Greeting::decode(&bytes).unwrap()
}

#[tokio::test]
async fn a_proof_of_one_session_is_worth_nothing_in_another() {
    let (server, token) = guarded();
    let (first, _endpoint) = raw(address(&server)).await.unwrap();
    let proof = Greeting::Proof(Prover::Client.proof(&token, &first).unwrap());
    let (_send, mut receive) = say(&first, proof).await;
    assert_ne!(hear(&mut receive).await, proof, "the other side's proof is another");
    let (second, _endpoint) = raw(address(&server)).await.unwrap();
    let _streams = say(&second, proof).await;
    assert_eq!(parting(&second).await, Some(Parting::TokenWrong));
    assert_eq!(server.counts().token_wrong, 1);
}

#[tokio::test]
async fn the_servers_proof_is_none_of_the_client() {
    let (server, token) = guarded();
    let (connection, _endpoint) = raw(address(&server)).await.unwrap();
    let _streams =
        say(&connection, Greeting::Proof(Prover::Server.proof(&token, &connection).unwrap())).await;
    assert_eq!(parting(&connection).await, Some(Parting::TokenWrong));
}

async fn victim_of(attacker: &Endpoint) -> (Connection, SendStream, RecvStream) {
    let connection = attacker.accept().await.unwrap().await.unwrap();
    let (send, receive) = connection.accept_bi().await.unwrap();
    (connection, send, receive)
}

#[tokio::test]
async fn who_stands_between_and_passes_the_proofs_on_gets_in_on_neither_side() {
    let (server, token) = guarded();
    let attacker = attacker();
    let folder = tempfile::tempdir().unwrap();
    let nodes = KnownNodes::at(folder.path().join("known_nodes"));
    let target = target_of(&attacker);
    let middle = async {
        let (victim, mut to_victim, mut from_victim) = victim_of(&attacker).await;
        let stolen = hear(&mut from_victim).await;
        let (real, _endpoint) = raw(address(&server)).await.unwrap();
        let _streams = say(&real, stolen).await;
        assert_eq!(parting(&real).await, Some(Parting::TokenWrong));
        // It has no proof of the server's, but one of the client's.
        to_victim.write_all(&stolen.encode()).await.unwrap();
        assert_eq!(parting(&victim).await, Some(Parting::NotProved));
        assert!(from_victim.read(&mut [0]).await.is_err(), "the client said nothing more");
    };
    let client = SecureClient::new(Alpn::FILES, Trust::Known(nodes.clone()), transport()).token(token);
    let (result, ()) = tokio::join!(client.connect(&target), middle);
    let refused = result.unwrap_err();
    assert!(matches!(&refused, ConnectError::NotProved { .. }), "{refused}");
    assert!(!nodes.path().exists(), "the attacker's key is not remembered");
    assert_eq!(server.counts(), SecureCounts { token_wrong: 1, ..SecureCounts::default() });
}

#[tokio::test]
async fn a_server_that_says_that_it_needs_no_token_does_not_get_around_the_clients() {
    let attacker = attacker();
    let target = target_of(&attacker);
    let client = stranger().token(Token::generate().unwrap());
    let (result, _) = tokio::join!(client.connect(&target), async {
        let (victim, mut send, mut receive) = victim_of(&attacker).await;
        hear(&mut receive).await;
        send.write_all(&Greeting::Open.encode()).await.unwrap();
        assert_eq!(parting(&victim).await, Some(Parting::TokenNotAsked));
    });
    assert!(matches!(result, Err(ConnectError::TokenNotAsked { .. })), "a client with a token insists on it");
}

#[tokio::test]
async fn what_is_no_greeting_is_told_on_both_sides() {
    let (server, token) = guarded();
    let (connection, _endpoint) = raw(address(&server)).await.unwrap();
    let (mut send, _receive) = connection.open_bi().await.unwrap();
    send.write_all(&[9; Greeting::LEN]).await.unwrap();
    assert_eq!(parting(&connection).await, Some(Parting::NoGreeting));
    let (connection, _endpoint) = raw(address(&server)).await.unwrap();
    let (mut send, _receive) = connection.open_bi().await.unwrap();
    send.write_all(b"short").await.unwrap();
    send.finish().unwrap();
    assert_eq!(parting(&connection).await, Some(Parting::NoGreeting));
    assert_eq!(server.counts().no_greeting, 2);

    let attacker = attacker();
    let target = target_of(&attacker);
    let client = stranger().token(token);
    let (result, _) = tokio::join!(client.connect(&target), async {
        let (victim, mut send, _receive) = victim_of(&attacker).await;
        send.write_all(&[9; Greeting::LEN]).await.unwrap();
        assert_eq!(parting(&victim).await, Some(Parting::NoGreeting));
    });
    let refused = result.unwrap_err();
    assert!(refused.to_string().contains("byte 0 of a greeting is 9"), "{refused}");
}
