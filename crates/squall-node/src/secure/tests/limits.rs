//! Those who come and say nothing, who are too many, who mean somebody else.

use super::*;
use quinn::TransportErrorCode;

fn is_refusal(error: &ConnectionError) -> bool {
    matches!(error, ConnectionError::ConnectionClosed(close) if close.error_code == TransportErrorCode::CONNECTION_REFUSED)
}

#[tokio::test]
async fn who_connects_and_says_nothing_is_dropped_after_the_deadline() {
    let admission = Admission::Token(Token::generate().unwrap());
    let server = SecureServer::bind(config(admission).greeting_time(Duration::from_millis(100))).unwrap();
    let (connection, _endpoint) = raw(address(&server)).await.unwrap();
    assert_eq!(parting(&connection).await, Some(Parting::Silent));
    let (connection, _endpoint) = raw(address(&server)).await.unwrap();
    let (mut send, _receive) = connection.open_bi().await.unwrap();
    send.write_all(&[1]).await.unwrap();
    assert_eq!(parting(&connection).await, Some(Parting::Silent), "half a greeting");
    assert_eq!(server.counts(), SecureCounts { silent: 2, ..SecureCounts::default() });
}

#[tokio::test]
async fn before_the_greeting_is_over_nobody_opens_streams_for_content() {
    let server = SecureServer::bind(config(Admission::Loopback)).unwrap();
    let (connection, _endpoint) = raw(address(&server)).await.unwrap();
    tokio::select! {
        biased;
        stream = connection.open_uni() => panic!("{stream:?}"),
        () = std::future::ready(()) => {}
    }
    let (mut send, mut receive) = connection.open_bi().await.unwrap();
    send.write_all(&[0; 33]).await.unwrap();
    let mut answer = [0; 33];
    let (opened, heard) = tokio::join!(connection.open_uni(), receive.read_exact(&mut answer));
    assert!(opened.is_ok() && heard.is_ok());
}

#[tokio::test]
async fn half_open_connections_are_bounded_and_those_who_leave_make_room() {
    let server = SecureServer::bind(config(Admission::Loopback).max_half_open(4)).unwrap();
    let mut silent = Vec::new();
    for _ in 0..4 {
        silent.push(raw(address(&server)).await.unwrap());
    }
    assert_eq!(server.counts().validated, 3, "the first one needs no round trip more");
    for _ in 0..3 {
        assert!(is_refusal(&raw(address(&server)).await.unwrap_err()));
    }
    let refused = stranger().connect(&target(&server)).await.unwrap_err();
    assert!(matches!(&refused, ConnectError::Refused { .. }) && refused.is_temporary(), "{refused}");
    assert_eq!(server.counts().refused, 4);
    let (left, endpoint) = silent.remove(0);
    left.close(0u32.into(), b"");
    endpoint.wait_idle().await;
    session(&stranger(), &server).await;
}

#[tokio::test]
async fn one_address_has_a_bound_of_its_own() {
    let server = SecureServer::bind(config(Admission::Loopback).max_half_open_of_address(2)).unwrap();
    let _first = raw(address(&server)).await.unwrap();
    let _second = raw(address(&server)).await.unwrap();
    assert!(is_refusal(&raw(address(&server)).await.unwrap_err()));
}

#[tokio::test]
async fn sessions_are_bounded_too() {
    let server = SecureServer::bind(config(Admission::Loopback).max_sessions(1)).unwrap();
    let (_connected, first) = session(&stranger(), &server).await;
    let refused = stranger().connect(&target(&server)).await.unwrap_err();
    assert!(matches!(refused, ConnectError::Refused { .. }), "{refused}");
    drop(first);
    session(&stranger(), &server).await;
}

#[tokio::test]
async fn one_address_does_not_get_all_sessions() {
    let server = SecureServer::bind(config(Admission::Loopback).max_sessions_of_address(1)).unwrap();
    let (_connected, first) = session(&stranger(), &server).await;
    let refused = stranger().connect(&target(&server)).await.unwrap_err();
    assert!(matches!(refused, ConnectError::Refused { .. }), "{refused}");
    assert_eq!(server.counts().refused, 1);
    drop(first);
    session(&stranger(), &server).await;
}

#[tokio::test]
async fn of_two_that_greet_at_once_one_gets_the_last_place_and_the_other_is_told() {
    let server = SecureServer::bind(config(Admission::Loopback).max_sessions(1)).unwrap();
    let (waiting, _endpoint) = raw(address(&server)).await.unwrap();
    let _both = session(&stranger(), &server).await;
    let (mut send, _receive) = waiting.open_bi().await.unwrap();
    send.write_all(&[0; 33]).await.unwrap();
    assert_eq!(parting(&waiting).await, Some(Parting::Full));
    assert_eq!(server.counts().refused, 1);
}

#[tokio::test]
async fn a_server_that_stops_refuses_and_lets_sessions_go_on_until_it_closes() {
    let server = SecureServer::bind(config(Admission::Loopback)).unwrap();
    let (mut connected, mut session) = session(&stranger(), &server).await;
    server.stop_accepting();
    assert!(server.accept().await.is_none());
    let refused = stranger().connect(&target(&server)).await.unwrap_err();
    assert!(matches!(refused, ConnectError::Refused { .. }), "{refused}");
    connected.session.send.write_all(b"on").await.unwrap();
    let mut bytes = [0; 2];
    session.receive.read_exact(&mut bytes).await.unwrap();
    server.close(Parting::Stopping);
    assert_eq!(parting(&connected.session.connection).await, Some(Parting::Stopping));
    connected.endpoint.wait_idle().await;
    server.wait_idle().await;
}

#[tokio::test]
async fn who_means_another_protocol_is_told() {
    let server = SecureServer::bind(config(Admission::Loopback)).unwrap();
    let other = SecureClient::new(Alpn::new("squall-other/1"), nowhere(), transport()).deadline(LONG);
    let refused = other.connect(&target(&server)).await.unwrap_err();
    assert!(refused.to_string().contains("does not speak squall-other/1"), "{refused}");
    assert_eq!(server.counts(), SecureCounts { broken: 1, ..SecureCounts::default() });
}

#[tokio::test]
async fn of_several_protocols_each_session_has_its_own() {
    let other = Alpn::new("squall-other/1");
    let server = SecureServer::bind(config(Admission::Loopback).serve(other)).unwrap();
    for protocol in [other, Alpn::FILES] {
        let client = SecureClient::new(protocol, nowhere(), transport()).deadline(LONG);
        let (_connected, session) = session(&client, &server).await;
        assert_eq!(session.protocol, protocol);
    }
}

#[tokio::test]
async fn a_server_that_answers_and_falls_silent_is_told_apart() {
    let deaf = attacker();
    let target = target_of(&deaf);
    let client = stranger().deadline(Duration::from_millis(300));
    let (result, closed) = tokio::join!(client.connect(&target), async {
        let connection = deaf.accept().await.unwrap().await.unwrap();
        parting(&connection).await
    });
    let error = result.unwrap_err();
    assert!(matches!(&error, ConnectError::Silent { .. }) && error.is_no_answer(), "{error}");
    assert_eq!(closed, Some(Parting::Silent));
}

#[tokio::test]
async fn what_the_kernel_gave_of_the_buffers_is_told() {
    let server = SecureServer::bind(config(Admission::Loopback).buffers(1 << 30)).unwrap();
    let (uri, buffers) = &server.locals()[0];
    assert!(uri.to_string().starts_with("quic://127.0.0.1:"), "{uri}");
    assert_eq!(buffers.asked, 1 << 30);
    assert!(buffers.receive > 0 && buffers.send > 0);
    assert_eq!(buffers.note().is_some(), buffers.is_cut());
}
