//! One handler on every transport.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream, UdpSocket};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::time::Duration;

use squall::{Model, Refusal, Reply, Request, Server, Service, Uri};

fn shout(request: &Request<'_>, reply: &mut Reply<'_>) -> Result<(), Refusal> {
    reply.write(&request.payload.to_ascii_uppercase())
}

fn models() -> [Model; 2] {
    [Model::Inline, Model::threads(2)]
}

#[test]
fn one_handler_answers_on_every_transport_under_every_model() {
    for model in models() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
        let (stream, datagram) = (path("stream"), path("datagram"));
        let service = Service::new("shout", shout)
            .at("udp://127.0.0.1:0")
            .unwrap()
            .at("udp://[::1]:0")
            .unwrap()
            .at("tcp://127.0.0.1:0")
            .unwrap()
            .at(&format!("unix:{stream}"))
            .unwrap()
            .at(&format!("unixgram:{datagram}"))
            .unwrap();
        let server = Server::new().service(service).model(model).shards(2).start().unwrap();

        let addresses = server.local_addrs();
        for address in &addresses[..2] {
            let mut client = squall::Client::connect(*address).unwrap();
            for text in ["one", "", "two"] {
                let answer = client.ask(text.as_bytes()).unwrap();
                assert_eq!(answer.payload, text.to_uppercase().as_bytes(), "{model:?} {address}");
            }
        }
        let mut tcp = TcpStream::connect(addresses[2]).unwrap();
        tcp.write_all(b"tcp").unwrap();
        let mut answer = [0; 3];
        tcp.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"TCP");
        let mut unix = UnixStream::connect(&stream).unwrap();
        unix.write_all(b"unix").unwrap();
        unix.shutdown(Shutdown::Write).unwrap();
        let mut answer = String::new();
        unix.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "UNIX");
        let unixgram = UnixDatagram::bind(path("client")).unwrap();
        unixgram.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        unixgram.send_to(b"gram", &datagram).unwrap();
        let mut answer = [0; 16];
        let count = unixgram.recv(&mut answer).unwrap();
        assert_eq!(&answer[..count], b"GRAM");

        let report = server.shutdown(Duration::from_secs(5));
        assert_eq!((report.handled, report.unanswered, report.unfinished), (9, 0, 0), "{report:?}");
        assert!(!directory.path().join("datagram").exists(), "socket files go with their server");
    }
}

#[test]
fn a_wildcard_socket_answers_from_the_address_that_was_asked() {
    for (uri, asked) in [
        ("udp://:0", ["127.0.0.1", "127.0.0.2", "127.1.2.3"].as_slice()),
        ("udp://0.0.0.0:0", &["127.0.0.1", "127.0.0.2", "127.1.2.3"]),
        ("udp://[::]:0", &["::1", "127.0.0.7"]),
    ] {
        let service = Service::new("shout", shout).on(uri.parse::<Uri>().unwrap());
        let server = Server::new().service(service).start().unwrap();
        let port = server.local_addrs()[0].port();
        for address in asked {
            let ip: std::net::IpAddr = address.parse().unwrap();
            let client = UdpSocket::bind((if ip.is_ipv4() { "127.0.0.1" } else { "::1" }, 0)).unwrap();
            client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            client.send_to(b"x", (ip, port)).unwrap();
            let (_, from) = client.recv_from(&mut [0; 16]).unwrap();
            assert_eq!(from, (ip, port).into(), "{uri}");
        }
        server.shutdown(Duration::ZERO);
    }
}
