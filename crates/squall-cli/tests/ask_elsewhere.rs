//! `squall ask` over streams and Unix sockets.

mod support;

use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;
use std::thread;

use squall::framing::Framing;
use squall::{Reply, Request, Server, Service};
use support::{At, shout, squall, squall_with};

#[test]
fn a_server_of_chunks_and_one_of_lines_both_answer() {
    let chunks = At::new("tcp://127.0.0.1:0", shout);
    squall(&["ask", &chunks.tcp(), "hello"]).is(0, "HELLO\n", "");

    let service = Service::new("lines", shout).framing(Framing::Lines { max: 1000 });
    let lines = Server::new().service(service.at("tcp://127.0.0.1:0").unwrap()).start().unwrap();
    let uri = format!("tcp://{}", lines.local_addrs()[0]);
    // The text goes as it is; the end of the stream ends its last line.
    squall(&["ask", &uri, "hello"]).is(0, "HELLO\n", "");
    squall(&["ask", &uri, "one\ntwo\n"]).is(0, "ONE\nTWO\n", "");
}

#[test]
fn a_stream_that_nobody_serves_is_no_answer() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let ended = squall(&["ask", &format!("tcp://{gone}"), "x"]);
    assert_eq!((ended.code, ended.text()), (Some(69), ""));
    assert!(ended.stderr.starts_with(&format!("squall: cannot connect to tcp://{gone}: ")), "{ended:?}");
}

#[test]
fn a_long_answer_over_a_stream_comes_in_full() {
    let server = At::new("tcp://127.0.0.1:0", |request: &Request<'_>, reply: &mut Reply<'_>| {
        reply.write(request.payload)
    });
    let request: Vec<u8> = (0..300_000u32).flat_map(u32::to_le_bytes).collect();
    let ended = squall_with(&["ask", &server.tcp(), "--stdin"], &request);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    assert!(ended.stdout == request, "{} bytes", ended.stdout.len());
}

#[test]
fn unix_sockets_of_both_kinds_answer() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket").to_str().unwrap().to_owned();
    for scheme in ["unix", "unixgram"] {
        let uri = format!("{scheme}:{path}");
        let _server = At::new(&uri, shout);
        squall(&["ask", &uri, "hello"]).is(0, "HELLO\n", "");
    }
    assert_eq!(folder.path().read_dir().unwrap().count(), 0, "the server's file and no other was here");
}

#[test]
fn a_return_path_that_was_named_is_removed_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let (server, client) = (folder.path().join("server"), folder.path().join("client"));
    let socket = UnixDatagram::bind(&server).unwrap();
    let answering = thread::spawn(move || {
        let (_, from) = socket.recv_from(&mut [0; 16]).unwrap();
        let from = from.as_pathname().unwrap();
        socket.send_to(from.as_os_str().as_encoded_bytes(), from).unwrap();
    });
    let from = format!("unixgram:{}", client.display());
    let ended = squall(&["ask", &format!("unixgram:{}", server.display()), "--from", &from, "x"]);
    ended.is(0, &format!("{}\n", client.display()), "");
    answering.join().unwrap();
    assert!(!client.exists());
}

#[test]
fn an_interrupt_removes_the_return_path_too() {
    let folder = tempfile::tempdir().unwrap();
    let (server, client) = (folder.path().join("server"), folder.path().join("client"));
    let silent = UnixDatagram::bind(&server).unwrap();
    let (server, from) = (format!("unixgram:{}", server.display()), format!("unixgram:{}", client.display()));
    let mut child = support::command(&["ask", &server, "--from", &from, "x"]).spawn().unwrap();
    // The second try comes after the first was noted.
    silent.recv(&mut [0; 16]).unwrap();
    silent.recv(&mut [0; 16]).unwrap();
    assert!(client.exists());
    std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(!client.exists());
}
