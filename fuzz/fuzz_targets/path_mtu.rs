//! Whatever comes back from a path, the search goes on: no panic, one probe at a time, sizes within bounds, an
//! end. What an answer or a quoted datagram is taken for follows from its bytes.
#![no_main]

use core::time::Duration;

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use squall_proto::Time;
use squall_proto::path_mtu::{
    Evidence, Input, Matched, Nonce, Outcome, PROBE_HEADER, Recognised, Search, SearchConfig,
};

#[derive(Arbitrary, Debug)]
struct Run<'a> {
    is_v6: bool,
    steps: Vec<Step<'a>>,
}

#[derive(Arbitrary, Debug)]
enum Step<'a> {
    Wait(u16),
    Bytes(&'a [u8]),
    Echo { of: u8, cut: u8 },
    Answer { of: u8, how: u8 },
    TooBig { of: Option<u8>, mtu: u32 },
    Unsendable { of: u8, mtu: Option<u32> },
}

fuzz_target!(|run: Run<'_>| {
    let address = if run.is_v6 { "2001:db8::1" } else { "192.0.2.1" };
    let config = SearchConfig::to(&address.parse().unwrap());
    let (least, most) = (config.size_of(0), config.size_of(65_507));
    let nonce = Nonce::new(0x0123_4567_89ab_cdef);
    let mut now = Time::ZERO;
    let mut search = Search::new(config.clone(), now);
    for step in run.steps {
        if let Some(probe) = search.poll_transmit(now) {
            assert!((least..=most).contains(&probe.size), "{probe:?}");
            assert!(probe.deadline > now);
        }
        assert_eq!(search.poll_transmit(now), None, "one at a time");
        match step {
            Step::Wait(millis) => {
                now += Duration::from_millis(millis.into());
                search.handle_timeout(now);
            }
            Step::Bytes(bytes) => {
                let recognised = nonce.recognise(bytes);
                if bytes.len() < PROBE_HEADER {
                    assert!(!matches!(recognised, Recognised::Probe(_)));
                }
                let probe = recognised.matched();
                search.handle_input(now, Input::Answered { probe, how: Evidence::Datagram });
            }
            Step::Echo { of, cut } => {
                let mut payload = [0; 64];
                nonce.write(of.into(), &mut payload);
                let whole = usize::from(cut) >= PROBE_HEADER;
                let recognised = nonce.recognise(&payload[..usize::from(cut).min(64)]);
                assert_eq!(recognised == Recognised::Probe(of.into()), whole);
                search
                    .handle_input(now, Input::Answered { probe: recognised.matched(), how: Evidence::Echo });
            }
            Step::Answer { of, how } => {
                let how = [Evidence::Length, Evidence::Unreachable, Evidence::Datagram][usize::from(how) % 3];
                search.handle_input(now, Input::Answered { probe: Matched::Id(of.into()), how });
            }
            Step::TooBig { of, mtu } => {
                let probe = of.map_or(Matched::Unknown, |of| Matched::Id(of.into()));
                search.handle_input(now, Input::TooBig { probe, mtu, router: None });
            }
            Step::Unsendable { of, mtu } => {
                search.handle_input(now, Input::Unsendable { id: of.into(), mtu })
            }
        }
        assert_eq!(search.outcome().is_some(), search.poll_timeout().is_none());
    }
    // Left alone, it ends.
    while let Some(due) = search.poll_timeout() {
        now = now.max(due);
        search.handle_timeout(now);
        search.poll_transmit(now);
    }
    if let Some(Outcome::Found { mtu, .. }) = search.outcome() {
        assert!((least..=most).contains(&mtu));
    }
    assert!(search.records().len() <= 500);
});
