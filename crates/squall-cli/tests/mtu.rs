//! `squall mtu` on loopback: its lines, its JSON, its exit codes.

mod support;

use std::net::UdpSocket;

use squall::{Refusal, Reply, Request};
use support::{At, squall};

fn length(request: &Request<'_>, reply: &mut Reply<'_>) -> Result<(), Refusal> {
    reply.write(format!("Your data was {} bytes long", request.payload.len()).as_bytes())
}

#[test]
fn the_path_to_this_machine_is_told_in_a_few_lines() {
    let server = At::new("udp://127.0.0.1:0", length);
    let address = server.address();
    let ended = squall(&["mtu", &address]);
    let lines: Vec<_> = ended.text().lines().collect();
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    assert_eq!(lines[0], format!("{address}: path MTU 65535, UDP payload up to 65507 bytes"));
    assert_eq!(lines[1], "  first hop  65536 (lo)");
    assert_eq!(lines[3..5], ["  limit      no UDP datagram is longer", "  answers    the length service's"]);
    assert!(lines[5].starts_with("  probes     3 in "), "{}", lines[5]);
    assert_eq!(lines.len(), 6);

    let (host, port) = address.split_once(':').unwrap();
    let ended = squall(&["mtu", host, "-p", port, "-v"]);
    let rows: Vec<_> = ended.text().lines().skip(6).collect();
    assert_eq!(rows[0], "  probe   size  payload    sent at  outcome");
    assert!(rows[3].starts_with("      3  65535    65507 "), "{}", rows[3]);
    assert!(rows[3].contains("its length came back after "), "{}", rows[3]);
}

#[test]
fn one_json_object_holds_what_was_found() {
    let server = At::new("udp://127.0.0.1:0", length);
    let address = server.address();
    let ended = squall(&["mtu", &address, "--json", "-v"]);
    let [object] = &ended.json()[..] else { panic!("{}", ended.text()) };
    assert_eq!(object["host"], address);
    let path = &object["paths"][0];
    assert_eq!((&path["mtu"], &path["payload"]), (&65_535.into(), &65_507.into()));
    assert_eq!((&path["limit"], &path["certain"]), (&"first_hop".into(), &true.into()));
    assert_eq!(path["answers"], serde_json::json!(["length"]));
    assert_eq!(path["probes"][2]["size"], 65_535);
    assert_eq!(path["probes"].as_array().unwrap().len(), path["sent"].as_u64().unwrap() as usize);
}

#[test]
fn one_big_datagram_is_sent_over_loopback() {
    let server = At::new("udp://127.0.0.1:0", length);
    let address = server.address();
    squall(&["mtu", &address, "--payload", "65000"]).is(0, "the big datagram was sent\n", "");
    let ended = squall(&["mtu", &address, "--payload", "65000", "--json"]);
    let object = &ended.json()[0];
    assert_eq!((&object["sent"], &object["arrived"]), (&true.into(), &true.into()));
    let ended = squall(&["mtu", &address, "--payload", "65000", "-v"]);
    assert!(ended.stderr.contains(&format!("65000 bytes to {address}: arrived and was answered after")));
}

#[test]
fn a_datagram_that_the_link_does_not_carry_is_refused_with_its_mtu() {
    let Ok(socket) = UdpSocket::bind("[::1]:0") else { return };
    let address = socket.local_addr().unwrap();
    let told = "it did not make it; the MTU is 65536\n";
    squall(&["mtu", &address.to_string(), "--payload", "65507"]).is(1, told, "");
    // An address alone needs no brackets.
    squall(&["mtu", "::1", "-p", &address.port().to_string(), "--payload", "65507"]).is(1, told, "");
}

#[test]
fn a_silent_host_is_no_answer() {
    // Bound, so that no ICMP error comes either.
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap().to_string();
    let ended = squall(&["mtu", &address, "--timeout", "200ms"]);
    assert_eq!((ended.code, ended.text()), (Some(69), ""));
    let says = format!("squall: no answer from {address} to 1 probe in 2");
    assert!(ended.stderr.starts_with(&says), "{}", ended.stderr);
    let ended = squall(&["mtu", &address, "--timeout", "200ms", "--json"]);
    assert_eq!(ended.code, Some(69));
    assert_eq!(ended.json()[0]["paths"][0]["error"], "no answer");
    // Nothing is heard of a single datagram: it has left all the same.
    squall(&["mtu", &address, "--payload", "1000", "--timeout", "50ms"]).is(
        0,
        "the big datagram was sent\n",
        "squall: nothing came back: it may have been lost on the way\n",
    );
}

#[test]
fn what_is_typed_wrong_is_told_in_one_line() {
    for (arguments, says) in [
        (&["mtu"][..], "the following required arguments were not provided: <HOST>"),
        (&["mtu", "::1:20000"], "an IPv6 address stands in brackets"),
        (&["mtu", "tcp://127.0.0.1"], "only the paths of UDP datagrams are probed"),
        (&["mtu", "unix:/tmp/x"], "only the paths of UDP datagrams are probed"),
        (&["mtu", "127.0.0.1", "--payload", "65508"], "65508 is not in 0..=65507"),
        (&["mtu", "127.0.0.1", "--payload", "-1"], "-1 is not in 0..=65507"),
        (&["mtu", "127.0.0.1", "--payload", "big"], "invalid value 'big'"),
        (&["mtu", "127.0.0.1", "--timeout", "0"], "at least 1 ms"),
        (&["mtu", "127.0.0.1", "-6"], "has no IPv6 address"),
        (&["mtu", "127.0.0.1:0"], "no host has port 0"),
        (&["mtu", "224.0.0.1"], "a multicast group has a path to each member"),
        (&["mtu", "255.255.255.255"], "a broadcast address is no host"),
        (&["mtu", "0.0.0.0"], "name one to ask"),
    ] {
        let ended = squall(arguments);
        assert_eq!((ended.code, ended.text()), (Some(2), ""), "{arguments:?}: {}", ended.stderr);
        assert!(ended.stderr.contains(says), "{arguments:?}: {}", ended.stderr);
        assert_eq!(ended.stderr.lines().count(), 1, "{arguments:?}: {}", ended.stderr);
    }
}
