//! `accept()` for datagrams.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::thread;
use std::time::{Duration, Instant};

use squall::sessions::{Overflow, Session, SessionConfig, SessionError, SessionListener, TableFull};
use squall::socket::Address;

const LONG: Duration = Duration::from_secs(20);

fn listen(config: SessionConfig) -> (SessionListener, SocketAddr) {
    let listener = SessionListener::bind_with(config, &"udp://127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addrs()[0];
    (listener, address)
}

fn peer(server: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind((if server.is_ipv4() { "127.0.0.1" } else { "::1" }, 0)).unwrap();
    socket.connect(server).unwrap();
    socket.set_read_timeout(Some(LONG)).unwrap();
    socket
}

fn accept(listener: &SessionListener) -> Session {
    listener.accept_timeout(LONG).unwrap().expect("a peer")
}

fn text(session: &Session) -> String {
    let mut buffer = [0; 64];
    let count = session.recv_timeout(&mut buffer, LONG).unwrap().expect("a datagram");
    String::from_utf8(buffer[..count].to_vec()).unwrap()
}

fn heard(peer: &UdpSocket) -> String {
    let mut buffer = [0; 64];
    let count = peer.recv(&mut buffer).unwrap();
    String::from_utf8(buffer[..count].to_vec()).unwrap()
}

/// Waits for what the receiving thread is about to do.
fn until(condition: impl Fn() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < LONG, "it never came");
        thread::yield_now();
    }
}

/// Sends `payloads` and then asks another peer's session, so that all of them have arrived.
fn send_all(listener: &SessionListener, address: SocketAddr, peer: &UdpSocket, payloads: &[&[u8]]) {
    let before = listener.stats().received;
    for payload in payloads {
        peer.send(payload).unwrap();
    }
    let marker = UdpSocket::bind("127.0.0.1:0").unwrap();
    marker.send_to(b"marker", address).unwrap();
    let all = before + payloads.len() as u64 + 1;
    until(|| listener.stats().received == all && listener.stats().waiting > 0);
}

#[test]
fn each_peer_has_a_session_of_its_own_in_both_directions() {
    let (listener, address) = listen(SessionConfig::default());
    let (one, two) = (peer(address), peer(address));
    one.send(b"one").unwrap();
    let first = accept(&listener);
    two.send(b"two").unwrap();
    let second = accept(&listener);
    one.send(b"").unwrap();
    assert_eq!((text(&first), text(&second), text(&first)), ("one".into(), "two".into(), String::new()));
    assert_eq!(first.peer(), Address::Ip(one.local_addr().unwrap()));
    assert_eq!(first.local(), Address::Ip(address));
    first.send(b"to one").unwrap();
    second.send(b"to two").unwrap();
    assert_eq!((heard(&one), heard(&two)), ("to one".into(), "to two".into()));
    assert!(first.is_validated(), "loopback");
    let stats = listener.stats();
    assert_eq!((stats.open, stats.opened, stats.received, stats.sent), (2, 2, 3, 2));
    assert!(first.try_recv(&mut [0; 8]).unwrap().is_none());
}

#[test]
fn a_session_answers_from_the_address_that_was_asked_on_a_wildcard_socket() {
    for (uri, asked) in
        [("udp://0.0.0.0:0", ["127.0.0.1", "127.1.2.3"]), ("udp://[::]:0", ["::1", "127.0.0.7"])]
    {
        let listener = SessionListener::bind(uri).unwrap();
        let port = listener.local_addrs()[0].port();
        for address in asked {
            let server = SocketAddr::new(address.parse::<IpAddr>().unwrap(), port);
            // A connected socket hears nobody but the address that it asked.
            let client = peer(server);
            client.send(b"hello").unwrap();
            let session = accept(&listener);
            assert_eq!(session.local(), Address::Ip(server));
            session.send(b"welcome").unwrap();
            assert_eq!(heard(&client), "welcome");
        }
    }
}

#[test]
fn a_dropped_session_is_opened_again_by_the_next_datagram() {
    let (listener, address) = listen(SessionConfig::default());
    let client = peer(address);
    for name in ["first", "second"] {
        client.send(name.as_bytes()).unwrap();
        let session = accept(&listener);
        assert_eq!(text(&session), name);
    }
    assert_eq!((listener.stats().opened, listener.stats().open), (2, 0));
}

#[test]
fn silence_ends_a_session_and_its_owner_is_told() {
    let (listener, address) = listen(SessionConfig::default().idle_timeout(Duration::from_millis(40)));
    let client = peer(address);
    client.send(b"once").unwrap();
    let session = accept(&listener);
    assert_eq!(text(&session), "once");
    let error = session.recv(&mut [0; 8]).unwrap_err();
    assert!(matches!(error, SessionError::Idle { .. }) && error.is_end(), "{error}");
    assert!(session.send(b"too late").unwrap_err().is_end());
    client.send(b"again").unwrap();
    assert_eq!(text(&accept(&listener)), "again");
    assert_eq!((listener.stats().ended_idle, listener.stats().opened), (1, 2));
}

#[test]
fn dropping_the_listener_ends_its_sessions_after_what_they_hold() {
    let (listener, address) = listen(SessionConfig::default());
    let client = peer(address);
    client.send(b"last").unwrap();
    let session = accept(&listener);
    let waiting = thread::spawn({
        let other = peer(address);
        other.send(b"other").unwrap();
        let session = accept(&listener);
        move || (text(&session), session.recv(&mut [0; 8]).unwrap_err().is_end())
    });
    drop(listener);
    assert_eq!(waiting.join().unwrap(), ("other".into(), true));
    assert_eq!(text(&session), "last");
    assert!(matches!(session.recv(&mut [0; 8]), Err(SessionError::Stopped { .. })));
    assert!(matches!(session.send(b"x"), Err(SessionError::Stopped { .. })));
}

#[test]
fn a_slow_consumer_loses_its_own_datagrams_alone() {
    for (policy, left) in [(Overflow::DropNewest, ["0", "1"]), (Overflow::DropOldest, ["3", "4"])] {
        let (listener, address) = listen(SessionConfig::default().queue(2).when_queue_full(policy));
        let (slow, quick) = (peer(address), peer(address));
        send_all(&listener, address, &slow, &[b"0", b"1", b"2", b"3", b"4"]);
        let slow = accept(&listener);
        drop(accept(&listener));
        for round in ["a", "b", "c"] {
            quick.send(round.as_bytes()).unwrap();
            let session = accept(&listener);
            assert_eq!(text(&session), round);
        }
        assert_eq!([text(&slow), text(&slow)], left);
        assert!(slow.try_recv(&mut [0; 8]).unwrap().is_none());
        let stats = listener.stats();
        assert_eq!(stats.dropped_newest + stats.dropped_oldest, 3);
        assert_eq!(stats.dropped_oldest > 0, policy == Overflow::DropOldest);
        assert_eq!(stats.queued_bytes, 0);
    }
}

#[test]
fn all_sessions_together_hold_a_bounded_number_of_bytes() {
    let (listener, address) = listen(SessionConfig::default().memory(1000));
    let (one, two) = (peer(address), peer(address));
    send_all(&listener, address, &one, &[&[1; 600]]);
    send_all(&listener, address, &two, &[&[2; 600], &[3; 300]]);
    let mut buffer = [0; 1000];
    let first = accept(&listener);
    drop(accept(&listener));
    let second = accept(&listener);
    assert_eq!(second.recv(&mut buffer).unwrap(), 300, "the one that fitted");
    assert_eq!(first.recv(&mut buffer).unwrap(), 600);
    assert_eq!(listener.stats().dropped_memory, 1);
    drop(listener.accept_timeout(LONG).unwrap());
    assert_eq!(listener.stats().queued_bytes, 0, "dropped sessions hold nothing");
}

#[test]
fn a_full_table_refuses_new_peers_or_ends_the_longest_idle() {
    let (listener, address) = listen(SessionConfig::default().max_sessions(1));
    let (one, two) = (peer(address), peer(address));
    one.send(b"one").unwrap();
    let session = accept(&listener);
    two.send(b"two").unwrap();
    until(|| listener.stats().refused_full > 0);
    one.send(b"still here").unwrap();
    assert_eq!((text(&session), text(&session)), ("one".into(), "still here".into()));

    let evict = SessionConfig::default().max_sessions(1).when_full(TableFull::EvictLongestIdle);
    let (listener, address) = listen(evict);
    let (one, two) = (peer(address), peer(address));
    one.send(b"one").unwrap();
    let session = accept(&listener);
    two.send(b"two").unwrap();
    assert_eq!(text(&accept(&listener)), "two");
    assert_eq!(text(&session), "one", "what it held can be read");
    assert!(matches!(session.recv(&mut [0; 8]), Err(SessionError::Evicted { .. })));
    assert_eq!(listener.stats().evicted, 1);
}

#[test]
fn peers_beyond_the_backlog_are_refused() {
    let (listener, address) = listen(SessionConfig::default().backlog(1));
    let (one, two) = (peer(address), peer(address));
    one.send(b"one").unwrap();
    two.send(b"two").unwrap();
    until(|| listener.stats().refused_backlog > 0);
    assert_eq!(text(&accept(&listener)), "one");
    assert!(listener.accept_timeout(Duration::ZERO).unwrap().is_none());
}

#[test]
fn a_buffer_that_is_too_small_loses_nothing() {
    let (listener, address) = listen(SessionConfig::default());
    let client = peer(address);
    client.send(b"0123456789").unwrap();
    let session = accept(&listener);
    let error = session.recv(&mut [0; 4]).unwrap_err();
    assert!(matches!(error, SessionError::BufferTooSmall { needed: 10, given: 4 }), "{error}");
    assert_eq!(text(&session), "0123456789");
}

#[test]
fn datagrams_of_every_length_pass_and_longer_ones_are_refused() {
    let (listener, address) = listen(SessionConfig::default());
    let client = peer(address);
    let longest = vec![7; 65_507];
    client.send(&longest).unwrap();
    let session = accept(&listener);
    let mut buffer = vec![0; 65_535];
    assert_eq!(session.recv(&mut buffer).unwrap(), longest.len());
    session.send(&longest).unwrap();
    assert_eq!(client.recv(&mut buffer).unwrap(), longest.len());
    assert!(matches!(session.send(&[0; 65_508]), Err(SessionError::TooLong { len: 65_508 })));
}

#[test]
fn what_may_be_another_server_s_answer_opens_no_session() {
    let (listener, address) = listen(SessionConfig::default());
    let client = peer(address);
    client.send(b"Your data was 5 bytes long").unwrap();
    client.send(b"hello").unwrap();
    assert_eq!(text(&accept(&listener)), "hello");
    assert_eq!(listener.stats().refused_loop, 1);

    let (listener, address) = listen(SessionConfig::default().answers_anything(false));
    let client = peer(address);
    client.send(b"Your data was 5 bytes long").unwrap();
    assert_eq!(text(&accept(&listener)), "Your data was 5 bytes long");
}

#[test]
fn unix_peers_have_sessions_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("server");
    let uri = format!("unixgram:{}", path.display());
    let listener = SessionListener::bind(&uri).unwrap();
    let client = UnixDatagram::bind(folder.path().join("client")).unwrap();
    client.set_read_timeout(Some(LONG)).unwrap();
    client.send_to(b"hello", &path).unwrap();
    let session = accept(&listener);
    assert_eq!(text(&session), "hello");
    assert!(session.is_validated());
    assert_eq!(session.local().to_string(), path.to_str().unwrap());
    session.send(b"welcome").unwrap();
    let mut buffer = [0; 16];
    let (count, from) = client.recv_from(&mut buffer).unwrap();
    assert_eq!(&buffer[..count], b"welcome");
    assert_eq!(from.as_pathname(), Some(path.as_path()));

    let unnamed = UnixDatagram::unbound().unwrap();
    unnamed.send_to(b"nobody", &path).unwrap();
    until(|| listener.stats().refused_unnamed > 0);
    drop(client);
    assert!(matches!(session.send(b"x"), Err(SessionError::Send { .. })), "the peer is gone");
    drop((session, listener));
    assert!(!path.exists(), "the socket file goes with the listener");
}

#[test]
fn a_stream_address_is_refused() {
    let error = SessionListener::bind("tcp://127.0.0.1:0").unwrap_err();
    assert!(error.is_usage() && error.to_string().contains("sessions need udp or unixgram"), "{error}");
}
