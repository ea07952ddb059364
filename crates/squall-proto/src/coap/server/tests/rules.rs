//! What each rule of the message and request layers says.

use super::*;

#[test]
fn a_handler_answers_in_the_acknowledgement() {
    let mut bench = bench();
    let answer = bench.one(TRUSTED, &ask(Method::Post, "echo").payload(b"hello").id(0x1234));
    let message = answer.message();
    assert_eq!((message.message_type(), message.id()), (Type::Acknowledgement, 0x1234));
    assert_eq!((&*message.token(), message.payload()), (b"T".as_slice(), b"hello".as_slice()));
    assert_eq!(answer.status(), Status::CHANGED);
    let time = bench.one(TRUSTED, &get("time"));
    assert_eq!((time.status(), time.option(number::CONTENT_FORMAT)), (Status::CONTENT, Some(Vec::new())));
    assert_eq!(bench.one(TRUSTED, &get("frames")).payload(), b"onetwo", "frames are one representation");
    let empty = bench.one(TRUSTED, &get("empty"));
    assert_eq!((empty.status(), empty.payload()), (Status::CONTENT, Vec::new()));
    assert_eq!(bench.count(Event::Requests), 4);
}

#[test]
fn a_non_confirmable_request_gets_a_message_of_its_own() {
    let mut bench = bench();
    let one = bench.one(TRUSTED, &get("time").non().id(9));
    let other = bench.one(TRUSTED, &get("time").non().id(10));
    for answer in [&one, &other] {
        assert_eq!(answer.message().message_type(), Type::NonConfirmable);
        assert_eq!(&*answer.message().token(), b"T");
    }
    assert_ne!(one.message().id(), other.message().id());
}

#[test]
fn what_is_no_message_is_reset_or_ignored() {
    let table: [(&[u8], Option<&[u8]>); 9] = [
        (&[], None),
        (&[0x40, 1, 0], None),
        // Another version.
        (&[0x80, 1, 0, 1], None),
        // Confirmable, with a token of nine bytes.
        (&[0x49, 1, 0, 1], Some(&[0x70, 0, 0, 1])),
        (&[0x59, 1, 0, 1], None),
        (&[0x69, 0x45, 0, 1], None),
        // A reserved code.
        (&[0x40, 0xe1, 0xab, 0xcd], Some(&[0x70, 0, 0xab, 0xcd])),
        // An option that overflows.
        (&[0x40, 1, 0, 7, 0xe0, 0xff, 0xff], Some(&[0x70, 0, 0, 7])),
        // A marker without a payload.
        (&[0x40, 1, 0, 7, 0xff], Some(&[0x70, 0, 0, 7])),
    ];
    let mut bench = bench();
    for (index, (datagram, expected)) in table.into_iter().enumerate() {
        for peer in [TRUSTED, STRANGER] {
            let answers = bench.raw(peer, datagram, false);
            let found = answers.first().map(|answer| answer.datagram.as_slice());
            assert_eq!(found, expected, "{index}: {datagram:02x?}");
        }
        assert_eq!(bench.raw(STRANGER, datagram, true), [], "a group's message is never reset");
        assert_eq!(bench.count(Event::Malformed), 3 * (index as u64 + 1));
    }
}

#[test]
fn a_ping_is_answered_and_what_nobody_asked_for_is_reset() {
    let mut bench = bench();
    let reset = |id| alloc::vec![0x70, 0, 0, id];
    assert_eq!(bench.raw(STRANGER, &[0x40, 0, 0, 5], false)[0].datagram, reset(5));
    assert_eq!(bench.count(Event::Pings), 1);
    assert_eq!(bench.raw(STRANGER, &[0x40, 0x45, 0, 6], false)[0].datagram, reset(6), "a response");
    for ignored in [[0x50, 0x45, 0, 6], [0x60, 0x45, 0, 6], [0x60, 0, 0, 6], [0x70, 0, 0, 6]] {
        assert_eq!(bench.raw(STRANGER, &ignored, false), []);
    }
    assert_eq!(bench.raw(STRANGER, &[0x40, 0, 0, 5], true), [], "a ping to a group");
}

#[test]
fn each_wrong_request_gets_its_code() {
    let table: [(Ask, Status); 17] = [
        (get("nothing"), Status::NOT_FOUND),
        (get(""), Status::NOT_FOUND),
        (get("time/more"), Status::NOT_FOUND),
        (get("store"), Status::NOT_FOUND),
        (ask(Method::Put, "time"), Status::METHOD_NOT_ALLOWED),
        (ask(Method::Post, "store/a"), Status::METHOD_NOT_ALLOWED),
        (ask(Method::Post, ".well-known/core"), Status::METHOD_NOT_ALLOWED),
        (get("time").option(9, b""), Status::BAD_OPTION),
        (get("time").option(number::IF_MATCH, b""), Status::BAD_OPTION),
        (get("nothing").option(65_001, b""), Status::BAD_OPTION),
        (get("time").option(number::PROXY_URI, b"coap://x/"), Status::PROXYING_NOT_SUPPORTED),
        (get("time").option(number::PROXY_SCHEME, b"coap"), Status::PROXYING_NOT_SUPPORTED),
        (get("time").uint(number::ACCEPT, 50), Status::NOT_ACCEPTABLE),
        (get(".well-known/core").uint(number::ACCEPT, 50), Status::NOT_ACCEPTABLE),
        (ask(Method::Put, "store/a").uint(number::CONTENT_FORMAT, 50), Status::UNSUPPORTED_CONTENT_FORMAT),
        (get("time").option(number::BLOCK2, &[7]), Status::BAD_REQUEST),
        (get("large").block(number::BLOCK2, 98, false, 1024), Status::BAD_REQUEST),
    ];
    let mut bench = bench();
    let wrong = table.len() as u64;
    for (ask, status) in table {
        assert_eq!(bench.status(&ask), status, "{:?}", ask.options);
    }
    assert_eq!(bench.count(Event::Errors), wrong);
    for right in [
        get("time").uint(number::ACCEPT, 0),
        get("time").option(number::URI_HOST, b"whoever").uint(number::URI_PORT, 7),
        get("time").option(2048, b"elective"),
        get(".well-known/core").uint(number::ACCEPT, 40),
        ask(Method::Put, "store/a").uint(number::CONTENT_FORMAT, 42),
        ask(Method::Put, "store/a/b"),
    ] {
        assert!(bench.status(&right).is_success(), "{:?}", right.options);
    }
    let mut unknown = get("time").datagram();
    unknown[1] = 0x1f;
    assert_eq!(bench.raw(TRUSTED, &unknown, false)[0].status(), Status::METHOD_NOT_ALLOWED);
}

#[test]
fn an_option_out_of_form_is_an_unknown_one() {
    let mut bench = bench();
    // Accept twice, Uri-Host of no bytes, Block2 of four: what no writer of ours would write.
    for options in [[0xd1_u8, 4, 0x00, 0x00].as_slice(), &[0x30], &[0xd4, 10, 0, 0, 0, 0]] {
        let mut datagram = alloc::vec![0x40, 1, 0, 1];
        datagram.extend_from_slice(options);
        assert_eq!(bench.raw(TRUSTED, &datagram, false)[0].status(), Status::BAD_OPTION, "{options:02x?}");
    }
    // Content-Format of three bytes is elective and passed over.
    let datagram = b"\x40\x01\x00\x01\xb4time\x13\0\0\0";
    assert_eq!(bench.raw(TRUSTED, datagram, false)[0].status(), Status::CONTENT);
}

#[test]
fn a_non_confirmable_request_with_an_unknown_critical_option_is_reset() {
    let mut bench = bench();
    let answers = bench.send(STRANGER, &get("time").option(9, b"").non().id(7));
    assert_eq!(answers[0].datagram, [0x70, 0, 0, 7]);
}

#[test]
fn refusals_have_codes_and_some_are_silence() {
    let table = [
        (Refusal::Malformed("x"), Some(Status::BAD_REQUEST)),
        (Refusal::Overload("x"), Some(Status::SERVICE_UNAVAILABLE)),
        (Refusal::Full, Some(Status::INTERNAL_SERVER_ERROR)),
        (Refusal::TooLong { limit: 1 }, Some(Status::INTERNAL_SERVER_ERROR)),
        (Refusal::Failed("x"), Some(Status::INTERNAL_SERVER_ERROR)),
        (Refusal::Dropped, None),
        (Refusal::Loop("x"), None),
    ];
    for (refusal, status) in table {
        let refuses = Safe(move |_: &Request<'_>, _: &mut Reply<'_>| Err(refusal));
        let once = move |_: &Request<'_>, _: &mut Reply<'_>| Err(refusal);
        let mut bench = Bench::new(
            ServerConfig::default(),
            alloc::vec![Resource::new("safe", refuses), Resource::new("once", once)],
        );
        for path in ["safe", "once"] {
            let answers = bench.send(TRUSTED, &ask(Method::Post, path));
            assert_eq!(answers.first().map(Answer::status), status, "{refusal:?} {path}");
            if status == Some(Status::SERVICE_UNAVAILABLE) {
                assert_eq!(answers[0].uint(number::MAX_AGE), Some(10));
            }
        }
    }
}

#[test]
fn a_handler_says_status_format_age_and_etag() {
    let says = Safe(|_: &Request<'_>, reply: &mut Reply<'_>| {
        reply.status(Status::CREATED).content_format(50).max_age(Duration::from_millis(1500)).etag(0x0102);
        reply.write(b"{}")
    });
    let mut bench = Bench::new(ServerConfig::default(), alloc::vec![Resource::new("a", says).text()]);
    let answer = bench.one(TRUSTED, &get("a"));
    assert_eq!((answer.status(), answer.payload()), (Status::CREATED, b"{}".to_vec()));
    assert_eq!(answer.uint(number::CONTENT_FORMAT), Some(50));
    assert_eq!(answer.uint(number::MAX_AGE), Some(2));
    assert_eq!(answer.option(number::ETAG), Some(alloc::vec![0, 0, 0, 0, 0, 0, 1, 2]));
}

#[test]
fn a_client_that_has_the_representation_is_told_so() {
    let says = Safe(|_: &Request<'_>, reply: &mut Reply<'_>| reply.etag(5).write(b"body"));
    let mut bench = Bench::new(ServerConfig::default(), alloc::vec![Resource::new("a", says)]);
    let valid =
        bench.one(TRUSTED, &get("a").option(number::ETAG, b"x").option(number::ETAG, &5_u64.to_be_bytes()));
    assert_eq!((valid.status(), valid.payload()), (Status::VALID, Vec::new()));
    assert_eq!(valid.option(number::ETAG), Some(5_u64.to_be_bytes().to_vec()));
    let other = bench.one(TRUSTED, &get("a").option(number::ETAG, b"x"));
    assert_eq!((other.status(), other.payload()), (Status::CONTENT, b"body".to_vec()));
}

#[test]
fn a_response_that_is_not_wanted_is_not_sent() {
    let mut bench = bench();
    let wants_no_success = get("time").uint(number::NO_RESPONSE, 2);
    assert_eq!(bench.send(TRUSTED, &wants_no_success.clone().non()), []);
    let acknowledged = bench.send(TRUSTED, &wants_no_success.id(3));
    assert_eq!(acknowledged[0].datagram, [0x60, 0, 0, 3], "it arrived all the same");
    assert_eq!(bench.count(Event::NotWanted), 2);
    let error = bench.send(TRUSTED, &get("nothing").uint(number::NO_RESPONSE, 2).non());
    assert_eq!(error[0].status(), Status::NOT_FOUND);
    assert_eq!(bench.send(TRUSTED, &get("nothing").uint(number::NO_RESPONSE, 8).non()), []);
}

#[test]
fn the_directory_lists_what_the_query_wants() {
    let mut bench = bench();
    let list = |bench: &mut Bench, ask: &Ask| {
        alloc::string::String::from_utf8(bench.one(TRUSTED, ask).payload()).unwrap()
    };
    let all = list(&mut bench, &get(".well-known/core"));
    assert!(
        all.starts_with("</echo>,</time>;title=\"The time\";rt=\"clock\";ct=0;obs,</large>;ct=42;sz=100000,"),
        "{all}"
    );
    let clock = list(&mut bench, &get(".well-known/core").option(number::URI_QUERY, b"rt=cl*"));
    assert_eq!(clock, "</time>;title=\"The time\";rt=\"clock\";ct=0;obs");
    let two = get(".well-known/core")
        .option(number::URI_QUERY, b"rt=clock")
        .option(number::URI_QUERY, b"href=/echo");
    assert_eq!(list(&mut bench, &two), "");
    let answer = bench.one(TRUSTED, &get(".well-known/core"));
    assert_eq!(answer.uint(number::CONTENT_FORMAT), Some(40));
}

#[test]
fn only_trusted_peers_reach_what_is_for_them() {
    let mut bench = bench();
    assert_eq!(bench.one(STRANGER, &get("secret")).status(), Status::FORBIDDEN);
    assert!(bench.status(&get("secret")).is_success());
    let challenged = bench.one(STRANGER, &get("known"));
    assert_eq!(challenged.status(), Status::UNAUTHORIZED);
    let echo = challenged.option(number::ECHO).unwrap();
    assert!(bench.one(STRANGER, &get("known").option(number::ECHO, &echo)).status().is_success());
    assert!(bench.one(STRANGER, &get("known")).status().is_success(), "it is remembered");
    assert_eq!(bench.one(STRANGER, &get("secret")).status(), Status::FORBIDDEN, "an echo is no trust");
    assert_eq!(bench.one("192.0.2.1:40001", &get("known")).status(), Status::UNAUTHORIZED);
    bench.wait(seconds(248));
    assert_eq!(bench.one(STRANGER, &get("known")).status(), Status::UNAUTHORIZED, "not for ever");
}
