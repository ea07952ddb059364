use core::time::Duration;

use super::*;
use crate::{Peer, Transport};

fn hub() -> Origin {
    let peer = Peer::Ip("192.0.2.1:9999".parse().unwrap());
    Origin { peer, local: None, transport: Transport::Udp, validated: true }
}

#[test]
fn a_hub_that_is_silent_is_asked_again_with_growing_waits() {
    let config = ClientConfig::default().attempts(Some(8));
    let mut client = Client::new(config, Some(hub()));
    let mut out = Outbox::new();
    let mut times = Vec::new();
    while let Some(due) = client.poll_timeout() {
        times.push(due);
        client.handle_timeout(due, &mut out);
    }
    assert_eq!(out.len(), 8);
    assert_eq!(client.state(), &State::Gone(Why::Silent));
    let waits: Vec<u64> = times.windows(2).map(|pair| (pair[1] - pair[0]).as_secs()).collect();
    for (wait, least) in waits.iter().zip([1, 2, 4, 8, 16, 32, 60, 60]) {
        assert!((least..=least + least / 2).contains(wait), "{waits:?}");
    }
    assert!(times.iter().all(|time| *time < Time::ZERO + Duration::from_secs(300)));
}
