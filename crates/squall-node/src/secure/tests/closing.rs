use std::sync::atomic::{AtomicBool, Ordering};

use tokio::net::UdpSocket;

use super::super::session::part_with;
use super::*;

/// Passes datagrams on between `server` and whoever comes, and drops those for the server while it is `held`.
async fn pass_on(socket: UdpSocket, server: SocketAddr, held: Arc<AtomicBool>) {
    let mut bytes = vec![0; 65536];
    let mut client = server;
    loop {
        let (length, from) = socket.recv_from(&mut bytes).await.unwrap();
        if from == server {
            socket.send_to(&bytes[..length], client).await.unwrap();
        } else {
            client = from;
            if !held.load(Ordering::Relaxed) {
                socket.send_to(&bytes[..length], server).await.unwrap();
            }
        }
    }
}

#[tokio::test]
async fn who_closes_with_a_full_window_under_way_is_heard() {
    let transport = Transport::default();
    let server = SecureServer::bind(config(Admission::Loopback)).unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let between = Target::parse(&socket.local_addr().unwrap().to_string()).unwrap();
    let held = Arc::<AtomicBool>::default();
    let passing = tokio::spawn(pass_on(socket, address(&server), Arc::clone(&held)));
    let client = SecureClient::new(Alpn::FILES, nowhere(), transport.idle(Duration::from_secs(3)));
    let (connected, session) = tokio::join!(client.connect(&between), server.accept());
    let (connected, session) = (connected.unwrap(), session.unwrap());
    held.store(true, Ordering::Relaxed);
    let mut stream = connected.session.connection.open_uni().await.unwrap();
    stream.write_all(&[0; 1 << 20]).await.unwrap();
    let sent = || connected.session.connection.stats().udp_tx.bytes;
    let before = sent();
    // All but a datagram of the first window, of which nobody hears.
    while sent() - before < 39_000 {
        tokio::task::yield_now().await;
    }
    held.store(false, Ordering::Relaxed);
    connected.session.close(Parting::Stopping);
    assert_eq!(parting(&session.connection).await, Some(Parting::Stopping));
    passing.abort();
}

#[tokio::test]
async fn who_parts_and_ends_at_once_is_heard() {
    let server = SecureServer::bind(config(Admission::Loopback)).unwrap();
    let client = SecureClient::new(Alpn::FILES, nowhere(), Transport::default().idle(Duration::from_secs(3)));
    let target = target(&server);
    // A process of its own, as it were: nothing of it goes on when it is over.
    let ending = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let connected = client.connect(&target).await.unwrap();
            part_with(&connected.session.connection, Parting::Done.code(), b"").await;
        });
    });
    let session = server.accept().await.unwrap();
    assert_eq!(parting(&session.connection).await, Some(Parting::Done));
    ending.join().unwrap();
}
