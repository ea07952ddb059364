//! When a shard rests between two batches.

use std::time::Duration;

use squall_proto::Time;

/// Whether what arrives is of the kind that asks for nothing, as heartbeats are, and comes often. Waking up costs several
/// times what such a datagram does, and nobody waits for anything: a shard that rests for a millisecond then takes many
/// for the price of one. As soon as one asks for something there is no rest for a while, so that in a conversation the
/// first word may wait for a millisecond and no other does.
#[derive(Debug, Default)]
pub(crate) struct Lull {
    /// Messages since `since`, none of which asked for anything.
    messages: usize,
    since: Time,
    rests: bool,
}

impl Lull {
    /// A batch of so many messages was taken; `quiet` if there is nothing to send or to do for them.
    pub(crate) fn taken(&mut self, now: Time, messages: usize, quiet: bool) {
        if !quiet {
            *self = Self { messages: 0, since: now, rests: false };
            return;
        }
        self.messages += messages;
        if now.since(self.since) >= WINDOW {
            *self = Self { messages: 0, since: now, rests: self.messages >= OFTEN };
        }
    }

    /// How long to rest before the next batch, if so.
    pub(crate) fn rest(&self) -> Option<Duration> {
        self.rests.then_some(REST)
    }
}

/// How long only such messages must have come, and how many in that time.
const WINDOW: Duration = Duration::from_millis(100);
const OFTEN: usize = 200;
const REST: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Time {
        Time::from_epoch(Duration::from_millis(millis))
    }

    #[test]
    fn a_shard_rests_only_where_much_comes_that_asks_for_nothing() {
        let mut lull = Lull::default();
        (1..=100).for_each(|millis| lull.taken(at(millis), 1, true));
        assert_eq!(lull.rest(), None, "a thousand a second is not much");
        (101..=200).for_each(|millis| lull.taken(at(millis), 10, true));
        assert_eq!(lull.rest(), Some(REST));
        lull.taken(at(201), 1, false);
        assert_eq!(lull.rest(), None, "somebody waits for an answer");
        (202..=300).for_each(|millis| lull.taken(at(millis), 10, true));
        assert_eq!(lull.rest(), None, "and may wait for another");
        lull.taken(at(301), 10, true);
        assert_eq!(lull.rest(), Some(REST));
        // After a silence what comes first is no stream.
        lull.taken(at(5000), 10, true);
        assert_eq!(lull.rest(), None);
    }
}
