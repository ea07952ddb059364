//! Whether the hub is there: attempts, probes, heartbeats.

use alloc::collections::VecDeque;
use core::time::Duration;

use super::config::ClientConfig;
use super::losses::Losses;
use crate::Time;
use crate::chat::wire::Token;
use crate::random::SplitMix64;

/// Attempts that were made since the hub was there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attempts {
    pub(super) made: u32,
    /// When the last one was made, or counting began.
    last: Time,
    wait: Duration,
    pub(super) next: Time,
}

impl Attempts {
    /// None yet; the first is due.
    pub(super) fn new(config: &ClientConfig, now: Time) -> Self {
        Self { made: 0, last: now, wait: config.first_wait, next: now }
    }

    /// None since the hub was lost: the first is due after a wait, since all its members lost it.
    pub(super) fn after_loss(config: &ClientConfig, now: Time, random: &mut SplitMix64) -> Self {
        let next = now + config.first_wait.mul_f64(random.unit());
        Self { made: 0, last: now, wait: config.first_wait, next }
    }

    /// One is made now.
    pub(super) fn make(&mut self, config: &ClientConfig, now: Time, random: &mut SplitMix64) {
        self.made = self.made.saturating_add(1);
        self.last = now;
        self.next = now + self.wait.mul_f64(1.0 + 0.5 * random.unit());
        self.wait = (self.wait * 2).min(config.max_wait);
    }

    /// Somebody wants the hub now: the next is due as soon as a second one would have been, and the waits grow from there.
    pub(super) fn hurry(&mut self, config: &ClientConfig) {
        if self.last + config.first_wait < self.next {
            self.next = self.last + config.first_wait;
            self.wait = config.first_wait;
        }
    }
}

/// Probes of the hub: questions with a token, whose answers tell the round trip.
#[derive(Debug)]
pub(super) struct Probes {
    open: VecDeque<(u64, Time)>,
    /// What became of them, and of what else comes and goes.
    pub(super) losses: Losses,
    /// Probes in a row without an answer, and when the last answer came.
    unanswered: u32,
    pub(super) heard: Time,
    pub(super) next: Time,
    /// When the last one left.
    sent: Time,
    round_trip: Option<Duration>,
    /// When the first came of those answers that took longer than they may.
    held_up: Option<Time>,
}

impl Probes {
    pub(super) fn new(now: Time) -> Self {
        Self {
            open: VecDeque::new(),
            losses: Losses::default(),
            unanswered: 0,
            heard: now,
            next: now,
            sent: now,
            round_trip: None,
            held_up: None,
        }
    }

    /// A probe leaves now: its token.
    pub(super) fn send(&mut self, config: &ClientConfig, now: Time, random: &mut SplitMix64) -> Token {
        self.expire(now);
        self.losses.age(now);
        if self.open.len() == MAX_OPEN {
            self.give_up_oldest(now);
        }
        let token = random.next_u64();
        self.open.push_back((token, now));
        self.sent = now;
        // The wait for this one's answer doubles with each before it that has none.
        let wait = self.patience() * (1 << self.unanswered.min(3));
        self.unanswered = self.unanswered.saturating_add(1);
        self.next = now + wait.min(jittered(config.interval, random)).max(Duration::from_millis(1));
        token_of(token)
    }

    /// A token came back: when it had been sent, if it was open.
    pub(super) fn answered(
        &mut self,
        config: &ClientConfig,
        now: Time,
        token: &Token,
        random: &mut SplitMix64,
    ) -> Option<Time> {
        let token = u64::from_str_radix(token.as_str(), 16).ok()?;
        let Some(index) = self.open.iter().position(|(open, _)| *open == token) else {
            // It tells nothing of the present, but it was not lost.
            self.losses.answers.came_late(token);
            return None;
        };
        let (_, sent) = self.open.remove(index)?;
        self.measure(sent, now);
        self.losses.answers.came(token, now);
        (self.unanswered, self.heard) = (0, now);
        self.next = now + jittered(config.interval, random);
        Some(sent)
    }

    /// There is a sign that the hub is gone: it is asked soon. What is asked in vain counts as ever, so that a hub that is
    /// there is not lost by a forged sign.
    pub(super) fn hurry(&mut self) {
        self.next = self.next.min(self.sent + HURRY);
    }

    /// Forgets what is open, since the hub was lost.
    pub(super) fn reset(&mut self, now: Time) {
        self.open.clear();
        self.unanswered = 0;
        (self.heard, self.next) = (now, now);
    }

    /// The mean round trip.
    pub(super) fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }

    /// How many probes in a row had no answer when the last one left.
    pub(super) fn unanswered(&self) -> u32 {
        self.unanswered.saturating_sub(1)
    }

    /// So many probes in a row are without an answer, for longer than one takes.
    pub(super) fn missing(&self, now: Time) -> u32 {
        let waiting = self.open.back().is_some_and(|(_, sent)| now < *sent + self.patience());
        self.unanswered - u32::from(waiting).min(self.unanswered)
    }

    /// How long an answer may take.
    pub(super) fn patience(&self) -> Duration {
        self.round_trip.map_or(SLOW, |mean| (mean * 4).clamp(SLOW, SLOWEST))
    }

    fn expire(&mut self, now: Time) {
        while self.open.front().is_some_and(|(_, sent)| *sent + self.patience() * 4 <= now) {
            self.give_up_oldest(now);
        }
    }

    fn give_up_oldest(&mut self, now: Time) {
        if let Some((token, _)) = self.open.pop_front() {
            self.losses.answers.lost(token, now);
        }
    }

    /// Takes a round trip into the mean. What was held up, as by a hub that stood still, tells nothing of the way, unless what
    /// is asked after that takes as long.
    fn measure(&mut self, sent: Time, now: Time) {
        let sample = now.since(sent);
        let Some(mean) = self.round_trip else {
            self.round_trip = Some(sample);
            return;
        };
        let is_long = sample > self.patience();
        let held_up = is_long.then(|| *self.held_up.get_or_insert(now));
        self.held_up = held_up;
        self.round_trip = match held_up {
            Some(since) if sent < since => Some(mean),
            Some(_) => Some(sample),
            // The first was held up, or the way was long and is not any more.
            None if mean > SLOW && sample < mean / 4 => Some(sample),
            None => Some((mean * 7 + sample) / 8),
        };
    }
}

/// `interval`, longer or shorter by up to a tenth.
pub(super) fn jittered(interval: Duration, random: &mut SplitMix64) -> Duration {
    interval.mul_f64(0.9 + 0.2 * random.unit())
}

fn token_of(token: u64) -> Token {
    let mut digits = [0; Token::MAX];
    for (place, digit) in digits.iter_mut().rev().enumerate() {
        *digit = b"0123456789abcdef"[(token >> (4 * place) & 15) as usize];
    }
    core::str::from_utf8(&digits).ok().and_then(Token::new).unwrap_or_else(|| unreachable!("they are digits"))
}

const MAX_OPEN: usize = 16;
/// What an answer takes at most, where round trips are short.
const SLOW: Duration = Duration::from_secs(1);
/// The time between two probes of a hub that is said to be gone.
const HURRY: Duration = Duration::from_millis(500);
const SLOWEST: Duration = Duration::from_secs(10);
/// Probes in a row that may be without an answer before the hub counts as quiet, and as lost: with a quarter of all
/// datagrams lost either way it happens once in 12 probes, and once in 700.
pub(super) const QUIET: u32 = 3;
pub(super) const LOST: u32 = 8;
