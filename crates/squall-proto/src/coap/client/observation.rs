//! The states of an observed resource, in their order
//! ([RFC 7641](https://www.rfc-editor.org/rfc/rfc7641)).

use core::time::Duration;

use crate::Time;
use crate::coap::message::Token;

/// An observation that a server has agreed to.
#[derive(Clone, Debug)]
pub(super) struct Observation {
    /// What its notifications carry.
    pub(super) token: Token,
    sequence: u32,
    at: Time,
    /// When the state is no longer fresh and the server is asked again.
    pub(super) renew_at: Time,
}

impl Observation {
    pub(super) fn new(token: Token, sequence: u32, now: Time, renew_at: Time) -> Self {
        Self { token, sequence, at: now, renew_at }
    }

    /// Takes the number of a notification, and tells whether it is newer than the newest so far
    /// ([§3.4](https://www.rfc-editor.org/rfc/rfc7641#section-3.4)).
    pub(super) fn take(&mut self, sequence: u32, now: Time, renew_at: Time) -> bool {
        let ahead = sequence.wrapping_sub(self.sequence) & (NUMBERS - 1);
        let newer = ahead != 0 && ahead < NUMBERS / 2;
        if !newer && now.since(self.at) <= REORDERED {
            return false;
        }
        *self = Self::new(self.token, sequence, now, renew_at);
        true
    }
}

/// Sequence numbers have 24 bits.
const NUMBERS: u32 = 1 << 24;
/// Nothing is reordered by more than that.
const REORDERED: Duration = Duration::from_secs(128);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_newer_states_are_taken() {
        let second = Duration::from_secs(1);
        for (before, after, later, newer) in [
            (1, 2, second, true),
            (2, 1, second, false),
            (2, 2, second, false),
            (0, (1 << 23) - 1, second, true),
            (0, 1 << 23, second, false),
            (0xff_ffff, 0, second, true),
            (0, 0xff_ffff, second, false),
            (2, 1, 128 * second, false),
            (2, 1, 129 * second, true),
        ] {
            let mut observation = Observation::new(Token::EMPTY, before, Time::ZERO, Time::ZERO);
            let taken = observation.take(after, Time::ZERO + later, Time::ZERO);
            assert_eq!(taken, newer, "{before} then {after} {later:?} later");
        }
    }
}
