//! What the user typed wrong, and what the system refused: one line that names it, and the exit code.

mod support;

use support::squall;

#[track_caller]
fn one_line(arguments: &[&str], code: i32, says: &str) {
    let ended = squall(arguments);
    assert_eq!((ended.code, ended.text()), (Some(code), ""), "{arguments:?}: {}", ended.stderr);
    assert!(ended.stderr.contains(says), "{arguments:?}: {}", ended.stderr);
    assert_eq!(ended.stderr.lines().count(), 1, "{arguments:?}: {}", ended.stderr);
    assert!(ended.stderr.starts_with("squall: "), "{}", ended.stderr);
}

#[test]
fn a_wrong_address_is_named_with_what_to_write() {
    for (address, says) in [
        ("http://localhost:1", "\"http\" is no transport; there are udp, tcp, coap, quic, unix and unixgram"),
        ("quic://localhost:1", "is an address of the secure tier, which squall send speaks"),
        ("udp:localhost:1", "write host:port, udp://host:port"),
        ("/run/a.sock", "or unix:/path"),
        ("localhost:99999", "neither a port (0 to 65535) nor a known service"),
        ("localhost:no-such-service", "neither a port"),
        ("::1:20000", "an IPv6 address stands in brackets, [::1]:port"),
        ("[::1", "brackets"),
        ("[localhost]:1", "brackets"),
        ("[fe80::1%no-such-dev]:1", "no interface \"no-such-dev\"; see `squall lookup --interfaces`"),
        ("127.0.0.1:0", "no server has port 0"),
        ("udp://:9000", "is every address of this machine, to listen on: name one to ask"),
        ("0.0.0.0:9000", "name one to ask"),
        ("", "name one to ask"),
        ("unix:", "not a path for a Unix socket"),
        ("a..b", "no such name: host \"a..b\""),
    ] {
        one_line(&["ask", address, "x"], 2, says);
    }
}

#[test]
fn options_that_do_not_go_together_are_named() {
    one_line(&["ask", "127.0.0.1:9", "-6", "x"], 2, "\"udp://127.0.0.1:9\" has no IPv6 address");
    one_line(&["ask", "127.0.0.1:9", "--from", "unixgram:/tmp/x", "x"], 2, "a Unix path is no address");
    one_line(&["ask", "unixgram:/tmp/x", "--from", "127.0.0.1", "x"], 2, "an IP address is no path");
    one_line(&["ask", "127.0.0.1:9", "--also", "tcp://127.0.0.1:9", "x"], 2, "cannot be asked in turn");
    one_line(&["ask", "127.0.0.1:9", "--timeout", "0", "x"], 2, "at least 1 ms");
    one_line(&["lookup", "--service", "53/sctp"], 2, "one of /udp or /tcp, not of /sctp");
}

#[test]
fn what_was_typed_at_length_is_said_again_in_part() {
    let long = "é".repeat(300);
    for arguments in [["serve", "time", "--name", &long], ["serve", "time", "--gso", &long]] {
        one_line(&arguments, 2, &format!("invalid value '{}…'", "é".repeat(60)));
        let ended = squall(&arguments);
        assert!(ended.stderr.chars().count() < 300, "{}", ended.stderr);
    }
    one_line(&["ask", "x", "y", &long], 2, &format!("unexpected argument '{}…'", "é".repeat(60)));
    one_line(&[&long], 2, &format!("unrecognized subcommand '{}…'", "é".repeat(60)));
}

#[test]
fn a_wrong_option_ends_with_2_and_says_what_it_takes() {
    for (arguments, says) in [
        (["ask", "x", "y", "--tries=0"], "0 is not in 1.."),
        (["ask", "x", "y", "--timeout=soon"], "write 250ms, 2s or 1m30s"),
        (["ask", "x", "y", "--port=no-such-service"], "neither a port (0 to 65535) nor a known service"),
        (["ask", "x", "--tries", "-1"], "unexpected argument '-1' found; see --help"),
        (["ask", "x", "y", "--stdin"], "cannot be used with"),
        (["ask", "x", "-4", "-6"], "cannot be used with"),
        (["ask", "x", "y", "z"], "unexpected argument 'z'"),
    ] {
        let ended = squall(&arguments);
        assert_eq!((ended.code, ended.text()), (Some(2), ""), "{arguments:?}");
        assert!(ended.stderr.contains(says), "{arguments:?}: {}", ended.stderr);
    }
}

#[test]
fn what_the_system_refuses_ends_with_1() {
    let foreign = ["ask", "127.0.0.1:9", "--from", "203.0.113.1", "x"];
    one_line(&foreign, 1, "cannot ask from 203.0.113.1:0: ");
    one_line(&["man", "/nonexistent/folder"], 1, "cannot write manual pages to /nonexistent/folder");
}

#[test]
fn a_unix_socket_without_a_server_is_no_answer() {
    let folder = tempfile::tempdir().unwrap();
    for scheme in ["unix", "unixgram"] {
        let uri = format!("{scheme}:{}/nobody", folder.path().display());
        one_line(&["ask", &uri, "x"], 69, &uri);
    }
}
