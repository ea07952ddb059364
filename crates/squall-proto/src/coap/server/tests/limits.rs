//! Never more than three times to who has not shown where he is.

use proptest::prelude::*;

use super::*;

/// What is counted of a datagram: itself and 28 bytes of headers.
fn size(datagram: &[u8]) -> usize {
    datagram.len() + 28
}

#[test]
fn a_spoofed_source_never_gets_more_than_three_times_what_it_sends() {
    let mut bench = bench();
    let paths = [
        "echo",
        "time",
        "large",
        "frames",
        "empty",
        "count",
        "secret",
        "known",
        "store/a",
        ".well-known/core",
        "none",
    ];
    let mut id = 0;
    for path in paths {
        for method in Method::ALL {
            for token in [b"".as_slice(), b"12345678"] {
                for non in [false, true] {
                    for (option, value) in [
                        (2048, 0),
                        (number::OBSERVE, 0),
                        (number::BLOCK2, 6),
                        (number::BLOCK2, 0x16),
                        (number::BLOCK1, 0x0e),
                    ] {
                        id += 1;
                        let request = ask(method, path).token(token).uint(option, value).id(id);
                        let request = if non { request.non() } else { request };
                        let request =
                            if option == number::BLOCK1 { request.payload(&[0; 1024]) } else { request };
                        let datagram = request.datagram();
                        let limit = 3 * size(&datagram);
                        for _ in 0..2 {
                            let sent: usize = bench
                                .raw(STRANGER, &datagram, false)
                                .iter()
                                .map(|answer| size(&answer.datagram))
                                .sum();
                            assert!(sent <= limit, "{path} {method} {option}: {sent} for {}", datagram.len());
                        }
                    }
                }
            }
        }
    }
    assert_eq!(bench.wait(seconds(1000)), [], "and nothing comes later");
}

#[test]
fn a_large_answer_goes_on_with_the_echo() {
    let mut bench = bench();
    let first = bench.one(STRANGER, &get("large"));
    assert_eq!(first.status(), Status::CONTENT);
    assert!(first.payload().len() < 64 && long(100_000).starts_with(&first.payload()));
    let echo = first.option(number::ECHO).unwrap();
    let without = bench.one(STRANGER, &get("large").block(number::BLOCK2, 1, false, 64).id(2));
    assert!(without.payload().len() < 64, "it is still not known where the peer is");
    let with = get("large").block(number::BLOCK2, 1, false, 1024).option(number::ECHO, &echo).id(3);
    assert_eq!(
        bench.one(STRANGER, &with).payload(),
        long(100_000)[1024..2048],
        "a client may ask for more now"
    );
    assert_eq!(bench.one(STRANGER, &get("large").id(4)).payload().len(), 1024, "and is remembered");
    assert_eq!((bench.count(Event::Validated), bench.count(Event::Restrained)), (1, 2));
}

#[test]
fn the_directory_of_a_stranger_is_in_small_blocks_too() {
    let mut bench = bench();
    let first = bench.one(STRANGER, &get(".well-known/core"));
    assert_eq!(first.status(), Status::CONTENT);
    assert!(first.option(number::ECHO).is_some() && first.payload().starts_with(b"</echo>,"));
}

proptest! {
    #[test]
    fn nothing_upsets_a_server_and_its_bounds_hold(
        inputs in prop::collection::vec(
            (0_u8..6, prop::collection::vec(any::<u8>(), 0..40), 0_u64..300, any::<bool>()),
            0..40,
        ),
    ) {
        let config = ServerConfig::default().marks(16).answer_bytes(1024).observers(2, 2).group_answers(2).upload_bytes(4096);
        let mut bench = bench_with(config);
        for (kind, bytes, wait, group) in inputs {
            let datagram = match kind {
                0 => bytes,
                1 => [[0x40, 1, 0, 1].as_slice(), &bytes].concat(),
                2 => [b"\x40\x02\x00\x01\xb5count".as_slice(), &bytes].concat(),
                3 => [b"\x50\x01\x00\x02\xb5large".as_slice(), &bytes].concat(),
                4 => [b"\x40\x01\x00\x02\x60\x54time".as_slice(), &bytes].concat(),
                _ => [b"\x40\x03\x00\x02\xb5store\x01a\xd1\x03\x08\xff".as_slice(), &bytes].concat(),
            };
            let sent: usize = bench.raw(STRANGER, &datagram, group).iter().map(|answer| size(&answer.datagram)).sum();
            prop_assert!(sent <= 3 * size(&datagram));
            bench.wait(seconds(wait));
            prop_assert!(bench.server.observations() <= 2);
            prop_assert!(bench.server.remembered().1 <= 16);
        }
    }
}
