//! `squall ask` on a terminal.

mod support;

use squall::{Reply, Request};
use support::{At, shout, typed};

#[test]
fn a_prompt_asks_line_by_line_and_an_empty_line_ends_it() {
    let server = At::new("udp://127.0.0.1:0", shout);
    let (code, shown) = typed(&["ask", &server.address()], b"one\ntwo\n\nnever\n");
    assert_eq!((code, shown.as_str()), (Some(0), "> ONE\r\n> TWO\r\n> "));
}

#[test]
fn the_end_of_file_ends_the_prompt_on_a_line_of_its_own() {
    let server = At::new("udp://127.0.0.1:0", shout);
    let (code, shown) = typed(&["ask", &server.address()], b"one\n\x04");
    assert_eq!((code, shown.as_str()), (Some(0), "> ONE\r\n> \r\n"));
}

#[test]
fn what_a_peer_sends_cannot_act_on_the_terminal() {
    let server = At::new("udp://127.0.0.1:0", |_: &Request<'_>, reply: &mut Reply<'_>| {
        reply.write("red\x1b[31m\n\u{202e}".as_bytes())
    });
    let (_, shown) = typed(&["ask", &server.address(), "x"], b"");
    assert_eq!(shown, "red\\x1b[31m\r\n\\u{202e}\r\n");
}
