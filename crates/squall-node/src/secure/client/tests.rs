use std::net::UdpSocket;
use std::time::Duration;

use super::race::{Racer, race};
use super::*;
use crate::secure::tests::{address, config, stranger, transport};
use crate::secure::{Admission, KnownNodes, SecureServer};

fn deaf() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

#[tokio::test]
async fn silence_until_the_deadline_is_no_answer() {
    let (_socket, deaf) = deaf();
    let client = stranger().deadline(Duration::from_millis(50));
    let error = client.connect(&Target::parse(&deaf.to_string()).unwrap()).await.unwrap_err();
    assert!(matches!(&error, ConnectError::NoAnswer { tried, .. } if *tried == [deaf]), "{error}");
    assert!(error.is_no_answer() && error.is_temporary() && !error.is_usage());
}

#[tokio::test]
async fn the_next_address_is_tried_where_one_is_silent_or_cannot_be_reached() {
    let server = SecureServer::bind(config(Admission::Loopback)).unwrap();
    let (_socket, deaf) = deaf();
    let trust = Trust::Known(KnownNodes::at("/dev/null/known_nodes"));
    let racer = Racer {
        target: "server:1".into(),
        protocol: Alpn::FILES,
        expected: Expected::of(&trust, "server:1").unwrap(),
        transport: transport(),
    };
    // Nobody has port 0.
    let nowhere: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let winner = race(&racer, &[deaf, nowhere, address(&server)]).await.unwrap();
    assert_eq!(winner.connection.remote_address(), address(&server));
    let obstacle = race(&racer, &[nowhere, nowhere]).await.err().unwrap();
    assert!(matches!(obstacle, ConnectError::System { .. }), "{obstacle}");
}

#[test]
fn where_no_way_leads_now_one_may_lead_later() {
    let unreachable = |kind: io::ErrorKind| ConnectError::System { what: "reach it", source: kind.into() };
    for kind in
        [io::ErrorKind::NetworkUnreachable, io::ErrorKind::HostUnreachable, io::ErrorKind::NetworkDown]
    {
        let error = unreachable(kind);
        assert!(error.is_temporary() && error.is_no_answer() && !error.is_usage(), "{error}");
    }
    assert!(!unreachable(io::ErrorKind::PermissionDenied).is_temporary());
}
