//! Who comes in and who does not.

use super::*;

#[tokio::test]
async fn who_has_the_token_comes_in_and_both_sides_speak_on_the_same_stream() {
    let (server, token) = guarded();
    let (mut connected, mut session) = session(&stranger().token(token), &server).await;
    assert!(connected.session.proved && session.proved);
    assert_eq!((session.protocol, connected.session.protocol), (Alpn::FILES, Alpn::FILES));
    connected.session.send.write_all(b"names of files").await.unwrap();
    connected.session.send.finish().unwrap();
    assert_eq!(session.receive.read_to_end(100).await.unwrap(), b"names of files");
    session.send.write_all(b"yes").await.unwrap();
    session.send.finish().unwrap();
    assert_eq!(connected.session.receive.read_to_end(100).await.unwrap(), b"yes");
    let mut piece = connected.session.connection.open_uni().await.unwrap();
    piece.write_all(&vec![7; 1 << 20]).await.unwrap();
    piece.finish().unwrap();
    let mut arrived = session.connection.accept_uni().await.unwrap();
    assert_eq!(arrived.read_to_end(2 << 20).await.unwrap().len(), 1 << 20);
    assert_eq!(server.counts(), SecureCounts { admitted: 1, ..SecureCounts::default() });
    connected.session.close(Parting::Done);
    assert_eq!(parting(&session.connection).await, Some(Parting::Done));
}

#[tokio::test]
async fn a_wrong_token_is_told_on_both_sides() {
    let (server, _) = guarded();
    let refused = stranger().token(Token::generate().unwrap()).connect(&target(&server)).await.unwrap_err();
    assert!(matches!(&refused, ConnectError::TokenWrong { .. }), "{refused}");
    assert!(refused.to_string().contains("does not accept this token"), "{refused}");
    assert_eq!(server.counts(), SecureCounts { token_wrong: 1, ..SecureCounts::default() });
}

#[tokio::test]
async fn a_refusal_that_comes_behind_the_end_of_the_stream_is_heard() {
    let server = attacker();
    let target = target_of(&server);
    let refusing = tokio::spawn(async move {
        let connection = server.accept().await.unwrap().await.unwrap();
        let (mut send, _receive) = connection.accept_bi().await.unwrap();
        send.finish().unwrap();
        send.stopped().await.unwrap();
        close(&connection, Parting::TokenMissing);
        server.wait_idle().await;
    });
    let refused = stranger().connect(&target).await.unwrap_err();
    assert!(matches!(&refused, ConnectError::TokenMissing { .. }), "{refused}");
    refusing.await.unwrap();
}

#[tokio::test]
async fn who_has_no_token_is_told_that_one_is_needed() {
    let (server, _) = guarded();
    let refused = stranger().connect(&target(&server)).await.unwrap_err();
    assert!(matches!(&refused, ConnectError::TokenMissing { .. }), "{refused}");
    assert_eq!(server.counts(), SecureCounts { token_missing: 1, ..SecureCounts::default() });
}

#[tokio::test]
async fn who_was_given_a_token_goes_on_with_no_server_that_has_none() {
    let server = SecureServer::bind(config(Admission::Loopback)).unwrap();
    let refused = stranger().token(Token::generate().unwrap()).connect(&target(&server)).await.unwrap_err();
    assert!(matches!(&refused, ConnectError::TokenNotAsked { .. }), "{refused}");
    assert_eq!(server.counts(), SecureCounts { token_not_asked: 1, ..SecureCounts::default() });
    let (connected, session) = session(&stranger(), &server).await;
    assert!(!connected.session.proved && !session.proved);
}

#[tokio::test]
async fn many_at_once_come_in_or_not_each_by_its_own_token() {
    let (server, token) = guarded();
    let target = target(&server);
    let mut all = tokio::task::JoinSet::new();
    for number in 0..40 {
        let token = if number % 2 == 0 { token.clone() } else { Token::generate().unwrap() };
        let target = target.clone();
        all.spawn(async move { (number, stranger().token(token).connect(&target).await) });
    }
    let mut sessions = Vec::new();
    for _ in 0..20 {
        sessions.push(server.accept().await.unwrap());
    }
    while let Some(ended) = all.join_next().await {
        let (number, result) = ended.unwrap();
        match result {
            Ok(_) => assert_eq!(number % 2, 0),
            Err(ConnectError::TokenWrong { .. }) => assert_eq!(number % 2, 1),
            Err(other) => panic!("{other}"),
        }
    }
    let counts = server.counts();
    assert_eq!((counts.admitted, counts.token_wrong), (20, 20));
}

#[tokio::test]
async fn off_loopback_no_token_means_no_service_unless_somebody_says_so() {
    let everywhere = |admission| {
        let config = SecureConfig::new(identity(), admission, transport()).serve(Alpn::FILES);
        SecureServer::bind(config.on("udp://:0".parse().unwrap()))
    };
    let refused = everywhere(Admission::of(None, false).unwrap()).unwrap_err();
    assert!(matches!(refused, SecureError::Admission(AdmissionError::NoToken(_))), "{refused}");
    assert!(refused.to_string().contains("--open"), "{refused}");
    everywhere(Admission::of(None, true).unwrap()).unwrap();
    let server = everywhere(Admission::of(Some(Token::generate().unwrap()), false).unwrap()).unwrap();
    // Both families reach every interface by one socket.
    let port = address(&server).port();
    for host in ["127.0.0.1", "[::1]"] {
        let target = Target::parse(&format!("{host}:{port}")).unwrap();
        let refused = stranger().connect(&target).await.unwrap_err();
        assert!(matches!(refused, ConnectError::TokenMissing { .. }), "{host}: {refused}");
    }
}
