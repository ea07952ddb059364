//! How much a sender may have on its way: as much as the path holds, and not what a slow disk makes wait.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use quinn::VarInt;
use tokio::time::{Instant, sleep};

use super::session::Shared;

/// Follows the rate at which content comes and the round trip. What is on its way when the receiver ends has to be sent
/// again: where a round trip is short, little should be.
pub(super) async fn follow(shared: Arc<Shared>) {
    let (mut bytes, mut at) = (0, Instant::now());
    let mut rates = [0.0; REMEMBERED];
    let mut turn = 0;
    shared.connection.set_receive_window(VarInt::from_u32(LEAST));
    loop {
        sleep(TICK).await;
        let (present, now) = (shared.counting.bytes.load(Ordering::Relaxed), Instant::now());
        rates[turn] = (present - bytes) as f64 / (now - at).as_secs_f64();
        turn = (turn + 1) % REMEMBERED;
        (bytes, at) = (present, now);
        // What waits for something lost, or for the disk for a moment, comes all the faster then.
        let rate = rates.iter().copied().fold(0.0, f64::max);
        shared.connection.set_receive_window(window(rate, shared.connection.rtt()));
    }
}

/// Three times what comes in a round trip, so that a sender which doubles its rate each round trip is not held up, nor
/// one some of whose packets are lost.
fn window(bytes_per_second: f64, round_trip: Duration) -> VarInt {
    let most = f64::from(MOST - LEAST);
    VarInt::from_u32(LEAST + (3.0 * bytes_per_second * round_trip.as_secs_f64()).min(most) as u32)
}

const TICK: Duration = Duration::from_millis(20);
/// Ticks of which the best counts.
const REMEMBERED: usize = 16;
/// Enough to begin with: 1 Gbit/s at 30 ms.
const LEAST: u32 = 4 << 20;
const MOST: u32 = 32 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_is_what_the_path_holds_three_times_and_bounded() {
        let of = |rate, milliseconds| window(rate, Duration::from_millis(milliseconds)).into_inner();
        assert_eq!(of(0.0, 50), u64::from(LEAST));
        assert_eq!(of(1e6, 1000), u64::from(LEAST) + 3_000_000);
        assert_eq!(of(1e9, 1000), u64::from(MOST));
        assert!(of(500e6, 0) < 5 << 20, "loopback");
    }
}
