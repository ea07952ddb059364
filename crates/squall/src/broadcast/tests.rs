use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::ops::ControlFlow;
use std::thread;
use std::time::{Duration, Instant};

use super::*;

/// The loopback interface, whose groups nobody else hears.
fn lo() -> &'static str {
    if squall_socket::interface_index("lo").is_ok() { "lo" } else { "lo0" }
}

const GROUP: IpAddr = IpAddr::V4(Ipv4Addr::new(239, 255, 80, 81));
const PATIENCE: Option<Duration> = Some(Duration::from_secs(5));

/// The next datagram, its sender and its kind.
fn next(listener: &mut Listener) -> (Vec<u8>, SocketAddr, Kind) {
    let mut got = None;
    let waited = listener.receive(PATIENCE, |heard| {
        got = Some((heard.payload.to_vec(), heard.from, heard.kind));
        ControlFlow::Break(())
    });
    assert_eq!(waited.unwrap(), Waited::Enough);
    got.unwrap()
}

#[test]
fn what_is_sent_to_a_group_reaches_every_listener_and_their_answers_come_back() {
    let mut listeners = Vec::new();
    let mut port = 0;
    for _ in 0..3 {
        let listener = Listen::on_port(port).group(GROUP, None).interface(lo()).open().unwrap();
        port = listener.port();
        listeners.push(listener);
    }
    let mut shouter = Shout::new().interface(lo()).open();
    let sent = shouter.send(SocketAddr::new(GROUP, port), b"hello").unwrap();
    assert_eq!(sent.len(), 1);
    assert!(sent[0].result.is_ok(), "{:?}", sent[0].result);
    assert_eq!(sent[0].interface.as_deref(), Some(lo()));
    let answering = UdpSocket::bind("127.0.0.1:0").unwrap();
    for listener in &mut listeners {
        let (payload, from, kind) = next(listener);
        assert_eq!((payload.as_slice(), kind), (b"hello".as_slice(), Kind::Multicast));
        answering.send_to(b"I hear", from).unwrap();
    }
    let mut answers = 0;
    let waited = shouter.receive(PATIENCE, |heard| {
        assert_eq!((heard.payload, heard.kind), (b"I hear".as_slice(), Kind::Unicast));
        assert_eq!(heard.from, answering.local_addr().unwrap());
        answers += 1;
        if answers == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert_eq!(waited.unwrap(), Waited::Enough);
}

#[test]
fn a_datagram_for_this_host_is_told_from_one_for_all() {
    let mut listener = Listen::on_port(0).open().unwrap();
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    sender.send_to(b"you", ("127.0.0.1", listener.port())).unwrap();
    assert_eq!(next(&mut listener), (b"you".to_vec(), sender.local_addr().unwrap(), Kind::Unicast));
    if cfg!(target_os = "linux") {
        // The network of the loopback interface has a broadcast address, which leads nowhere else.
        let mut shouter = Shout::new().open();
        let all = SocketAddr::from(([127, 255, 255, 255], listener.port()));
        let sent = shouter.send(all, b"all of you").unwrap();
        assert!(sent.iter().all(|sent| sent.result.is_ok()), "{sent:?}");
        let (payload, _, kind) = next(&mut listener);
        assert_eq!((payload.as_slice(), kind), (b"all of you".as_slice(), Kind::Broadcast));
    }
}

#[test]
#[cfg(target_os = "linux")]
fn without_permission_a_broadcast_address_is_named_as_one() {
    let mut shouter = Shout::new().broadcast(false).open();
    let sent = shouter.send("127.255.255.255:9".parse().unwrap(), b"x").unwrap();
    let error = sent[0].result.as_ref().unwrap_err();
    assert!(matches!(error, ShoutError::NoPermission { .. }));
    assert!(error.to_string().contains("is a broadcast address"), "{error}");
}

#[test]
fn interfaces_that_are_not_there_are_named() {
    let sent = Shout::new().interface("no-such0").open().send("255.255.255.255:9".parse().unwrap(), b"x");
    let error = sent.unwrap().remove(0).result.unwrap_err();
    assert_eq!(error.to_string(), "there is no interface \"no-such0\"; see `squall lookup --interfaces`");
    assert!(error.is_usage());
    let error = Listen::on_port(0).interface("no-such0").open().unwrap_err();
    assert!(matches!(error, ListenError::NoInterface(name) if name == "no-such0"));
}

#[test]
fn what_comes_by_another_interface_is_passed_over_and_counted() {
    let Some(other) = squall_socket::interfaces().unwrap().into_iter().find(|known| known.name != lo())
    else {
        eprintln!("not tested: this machine has no interface but loopback");
        return;
    };
    let mut listener = Listen::on_port(0).interface(other.name).open().unwrap();
    let (port, waker) = (listener.port(), listener.waker());
    UdpSocket::bind("127.0.0.1:0").unwrap().send_to(b"not you", ("127.0.0.1", port)).unwrap();
    let deadline = Instant::now() + Duration::from_secs(5);
    while listener.passed_over() == 0 && Instant::now() < deadline {
        let waited = listener.receive(Some(Duration::from_millis(1)), |heard| panic!("heard {heard:?}"));
        assert_eq!(waited.unwrap(), Waited::Elapsed);
    }
    assert_eq!(listener.passed_over(), 1);
    waker.wake();
    assert_eq!(listener.receive(None, |_| ControlFlow::Continue(())).unwrap(), Waited::Woken);
}

#[test]
fn a_port_that_is_not_shared_is_in_use_and_its_holder_is_named() {
    let holder = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = holder.local_addr().unwrap().port();
    let error = Listen::on_port(port).open().unwrap_err();
    let ListenError::InUse { holders, .. } = &error else { panic!("{error}") };
    if cfg!(target_os = "linux") {
        let own = holders.iter().find(|known| known.address == holder.local_addr().unwrap()).unwrap();
        assert_eq!(own.process, Some(std::process::id()));
    }
}

#[test]
fn a_waker_ends_the_wait_from_another_thread() {
    let mut listener = Listen::on_port(0).open().unwrap();
    let waker = listener.waker();
    let thread = thread::spawn(move || waker.wake());
    assert_eq!(listener.receive(PATIENCE, |_| ControlFlow::Continue(())).unwrap(), Waited::Woken);
    thread.join().unwrap();
}

#[test]
fn a_group_of_a_family_that_is_not_listened_to_is_refused() {
    let v4 = || Listen::on_port(0).at("127.0.0.1:0".parse().unwrap());
    let group = "ff15::1".parse().unwrap();
    assert!(matches!(v4().group(group, None).open(), Err(ListenError::OtherFamily(_))));
    let host = "192.0.2.1".parse().unwrap();
    assert!(matches!(v4().group(host, None).open(), Err(ListenError::NoGroup(_))));
}
