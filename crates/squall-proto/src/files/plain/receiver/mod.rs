//! Whose datagrams are which upload, and when it has ended.

mod config;
mod keeper;
mod peers;

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

pub use config::ReceiverConfig;
pub use keeper::{End, Ended, KeepError, Keeper, Started, UploadId};

use self::peers::{Peers, State, Upload};
use super::BYE;
use crate::guard::prefix_counts::PrefixCounts;
use crate::wheel::Wheel;
use crate::{Input, Origin, Outbox, Protocol, Refusal, Request, Time};

/// Takes uploads of many senders. It never answers.
///
/// - Each sender's address is an upload of its own, which begins with the first datagram that is not empty, has
///   the content of all that follow in the order of their arrival, and ends with `bye`. A lone `bye` is an empty file.
/// - An upload that brings nothing for the [idle time](ReceiverConfig::idle), is [too long](ReceiverConfig::size), or cannot be
///   kept, ends incomplete.
/// - `bye` again, soon after an upload ended by it, is that one's, doubled on the way. Any other content begins the
///   next upload.
/// - What follows from an address whose upload was broken off is no file: it is dropped up to its `bye`. What follows from one whose
///   upload ended by silence begins an upload that [lacks its beginning](Ended::lacks_beginning).
///
/// Up to 16,384 addresses without an upload are remembered for this. Where more would be, uploads that begin within ten
/// idle times may be the rest of one that is not remembered, and count as lacking their beginning: an incomplete
/// file has to be looked at, and one that only seems complete is worse.
pub struct Receiver {
    config: ReceiverConfig,
    keeper: Box<dyn Keeper>,
    peers: Peers,
    prefixes: PrefixCounts,
    wheel: Wheel,
    /// Addresses, in order, whose uploads an earlier run has not seen to their end.
    earlier: Vec<SocketAddr>,
    /// Until when they are remembered.
    earlier_until: Option<Time>,
    /// Until when an upload that begins may be the rest of a forgotten one.
    unsure_until: Option<Time>,
    began: u64,
    stats: ReceiverStats,
    stopped: bool,
    /// The latest time that it was told.
    now: Time,
}

/// What a [`Receiver`] has counted, and one level of the present.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReceiverStats {
    /// Uploads now.
    pub uploads: u64,
    /// Datagrams that came.
    pub received: u64,
    /// Bytes of content that were taken.
    pub bytes: u64,
    /// Uploads that began.
    pub began: u64,
    /// Uploads that ended whole.
    pub whole: u64,
    /// Uploads that ended by `bye` and have a hole, or may lack their beginning.
    pub damaged: u64,
    /// Uploads that ended by silence.
    pub idle: u64,
    /// Uploads that were too long.
    pub too_long: u64,
    /// Uploads for which there was no space left.
    pub no_space: u64,
    /// Uploads that could not be kept for another reason.
    pub failed: u64,
    /// Uploads that the receiver's end broke off.
    pub stopped: u64,
    /// Uploads turned away because there were as many as may be.
    pub full: u64,
    /// Uploads turned away because their network had as many as it may have.
    pub prefix_full: u64,
    /// Uploads turned away because the keeper had no room for one more.
    pub not_begun: u64,
    /// Datagrams of uploads that were turned away or broken off.
    pub discarded: u64,
    /// Datagrams dropped because the keeper had no room.
    pub dropped: u64,
    /// Datagrams `bye` of an upload that had ended.
    pub repeated_byes: u64,
    /// Empty datagrams.
    pub empty: u64,
    /// Addresses that could not be remembered.
    pub forgotten: u64,
}

impl Receiver {
    /// A receiver that gives what it gets to `keeper`.
    pub fn new(config: ReceiverConfig, keeper: Box<dyn Keeper>) -> Self {
        Self {
            keeper,
            peers: Peers::new(config.seed),
            prefixes: PrefixCounts::new(config.seed),
            wheel: Wheel::new(PRECISION),
            earlier: Vec::new(),
            earlier_until: None,
            unsure_until: None,
            began: 0,
            stats: ReceiverStats::default(),
            stopped: false,
            now: Time::ZERO,
            config,
        }
    }

    /// Says whose uploads an earlier run has not seen to their end: for ten idle times, content from these addresses
    /// is the rest of them. As many are remembered as of its own.
    pub fn earlier(mut self, peers: impl IntoIterator<Item = SocketAddr>) -> Self {
        self.earlier = peers.into_iter().take(REMEMBERED).collect();
        self.earlier.sort_unstable();
        self
    }

    /// What was counted so far.
    pub fn stats(&self) -> ReceiverStats {
        ReceiverStats { uploads: self.peers.uploads().into(), ..self.stats }
    }

    fn message(&mut self, now: Time, request: &Request<'_>, out: &mut Outbox) {
        self.stats.received += 1;
        let is_bye = request.payload == BYE;
        if request.payload.is_empty() {
            self.stats.empty += 1;
        }
        let Some(index) = self.peers.find(&request.origin) else {
            return self.newcomer(now, request, false, out);
        };
        let Some(known) = self.peers.get_mut(index) else { return };
        match &mut known.state {
            State::Uploads(upload) => {
                upload.last = now;
                match is_bye {
                    true => self.end(now, index, End::Bye),
                    false => self.append(now, index, request.payload, out),
                }
            }
            State::Discarded => {
                self.stats.discarded += 1;
                out.refuse(Refusal::Overload("the upload was turned away or broken off"));
                if is_bye {
                    self.turn_into(now, index, State::SaidBye);
                } else {
                    self.wheel.schedule(index, now + self.config.idle);
                }
            }
            State::SaidBye if is_bye => self.stats.repeated_byes += 1,
            State::Lapsed if is_bye => {
                self.stats.repeated_byes += 1;
                self.turn_into(now, index, State::SaidBye);
            }
            // As good as none for whoever has no upload.
            _ if request.payload.is_empty() => {}
            state => {
                let is_rest = matches!(state, State::Lapsed);
                self.forget(index);
                self.newcomer(now, request, is_rest, out);
            }
        }
    }

    /// Begins an upload, if there may be one more.
    fn newcomer(&mut self, now: Time, request: &Request<'_>, is_rest: bool, out: &mut Outbox) {
        let (origin, payload) = (request.origin, request.payload);
        if payload.is_empty() {
            return;
        }
        let is_rest = is_rest || self.is_of_earlier(now, &origin);
        if is_rest && payload == BYE {
            // Nothing but the end of what was given up.
            self.stats.repeated_byes += 1;
            return self.remember(now, origin, State::SaidBye);
        }
        let counted = self.counted(&origin);
        if self.peers.uploads() >= self.config.uploads {
            self.stats.full += 1;
            return self.turn_away(now, origin, payload, "as many uploads as may be", out);
        }
        if let Some(ip) = counted
            && !self.prefixes.enter(ip, self.config.uploads_per_prefix)
        {
            self.stats.prefix_full += 1;
            return self.turn_away(now, origin, payload, "as many uploads of one network as may be", out);
        }
        self.began += 1;
        let id = UploadId(self.began);
        if let Err(problem) = self.keeper.begin(&Started { id, origin, at: now }) {
            if let Some(ip) = counted {
                self.prefixes.leave(ip);
            }
            self.stats.not_begun += 1;
            let why = match problem {
                KeepError::Behind => "too much waits to be written",
                KeepError::NoSpace | KeepError::Failed => "the upload cannot be kept",
            };
            return self.turn_away(now, origin, payload, why, out);
        }
        self.stats.began += 1;
        let lacks_beginning = is_rest || self.unsure_until.is_some_and(|until| now < until);
        let upload = Upload {
            id,
            began: now,
            last: now,
            bytes: 0,
            datagrams: 0,
            dropped: 0,
            lacks_beginning,
            counted,
        };
        let index = self.peers.add(origin, State::Uploads(upload));
        if payload == BYE {
            self.end(now, index, End::Bye);
        } else {
            self.append(now, index, payload, out);
        }
    }

    /// Whether an upload of `origin` was under way when an earlier run ended. It is asked once.
    fn is_of_earlier(&mut self, now: Time, origin: &Origin) -> bool {
        if self.earlier_until.is_none_or(|until| until <= now) {
            return false;
        }
        let place = origin.peer.ip().and_then(|peer| self.earlier.binary_search(&peer).ok());
        place.map(|place| self.earlier.remove(place)).is_some()
    }

    fn turn_away(&mut self, now: Time, origin: Origin, payload: &[u8], why: &'static str, out: &mut Outbox) {
        out.refuse(Refusal::Overload(why));
        if payload != BYE {
            self.remember(now, origin, State::Discarded);
        }
    }

    fn append(&mut self, now: Time, index: u32, payload: &[u8], out: &mut Outbox) {
        let Some(State::Uploads(upload)) = self.peers.get_mut(index).map(|known| &mut known.state) else {
            return;
        };
        self.wheel.schedule(index, now + self.config.idle);
        if payload.is_empty() {
            return;
        }
        let bytes = upload.bytes + payload.len() as u64;
        if bytes > self.config.size {
            out.refuse(Refusal::Overload("the upload is longer than it may be"));
            return self.end(now, index, End::TooLong);
        }
        let end = match self.keeper.append(upload.id, payload) {
            Ok(()) => {
                upload.bytes = bytes;
                upload.datagrams += 1;
                self.stats.bytes += payload.len() as u64;
                return;
            }
            Err(KeepError::Behind) => {
                upload.dropped += 1;
                self.stats.dropped += 1;
                return out.refuse(Refusal::Overload("too much waits to be written"));
            }
            Err(KeepError::NoSpace) => End::NoSpace,
            Err(KeepError::Failed) => End::Failed,
        };
        out.refuse(Refusal::Overload("the upload cannot be kept"));
        self.end(now, index, end);
    }

    /// Ends an upload. Its address is known a while longer.
    fn end(&mut self, now: Time, index: u32, end: End) {
        let next = match end {
            End::Bye => State::SaidBye,
            End::Idle | End::Stopped => State::Lapsed,
            _ => State::Discarded,
        };
        let time = self.memory(&next);
        let Some(origin) = self.peers.get_mut(index).map(|known| known.origin) else { return };
        let Some(State::Uploads(upload)) = self.peers.set(index, next) else { return };
        if let Some(ip) = upload.counted {
            self.prefixes.leave(ip);
        }
        let ended = Ended {
            id: upload.id,
            origin,
            end,
            bytes: upload.bytes,
            datagrams: upload.datagrams,
            dropped: upload.dropped,
            lacks_beginning: upload.lacks_beginning,
            took: upload.last.since(upload.began),
            at: now,
        };
        let count = match end {
            End::Bye if ended.is_whole() => &mut self.stats.whole,
            End::Bye => &mut self.stats.damaged,
            End::Idle => &mut self.stats.idle,
            End::TooLong => &mut self.stats.too_long,
            End::NoSpace => &mut self.stats.no_space,
            End::Failed => &mut self.stats.failed,
            End::Stopped => &mut self.stats.stopped,
        };
        *count += 1;
        self.keeper.end(&ended);
        if self.peers.others() > REMEMBERED {
            let state = self.forget(index);
            self.forgot(now, state.as_ref());
        } else {
            self.wheel.schedule(index, now + time);
        }
    }

    /// Gives an address without an upload another state, which lasts as long as such a state does.
    fn turn_into(&mut self, now: Time, index: u32, state: State) {
        let time = self.memory(&state);
        self.peers.set(index, state);
        self.wheel.schedule(index, now + time);
    }

    /// Remembers an address that is not known yet, if there is room.
    fn remember(&mut self, now: Time, origin: Origin, state: State) {
        if self.peers.others() < REMEMBERED {
            let time = self.memory(&state);
            let index = self.peers.add(origin, state);
            self.wheel.schedule(index, now + time);
        } else {
            self.forgot(now, Some(&state));
        }
    }

    /// How long an address is known in a state without a word from it.
    fn memory(&self, state: &State) -> Duration {
        match state {
            State::Uploads(_) | State::Discarded => self.config.idle,
            State::SaidBye => self.config.repeated_bye,
            State::Lapsed => self.config.idle.saturating_mul(LAPSED),
        }
    }

    fn forget(&mut self, index: u32) -> Option<State> {
        self.wheel.cancel(index);
        self.peers.remove(index).map(|known| known.state)
    }

    /// An address could not be remembered: what comes of it would pass for a file of its own.
    fn forgot(&mut self, now: Time, state: Option<&State>) {
        self.stats.forgotten += 1;
        if matches!(state, Some(State::Discarded | State::Lapsed)) {
            self.unsure_until = Some(now + self.config.idle.saturating_mul(LAPSED));
        }
    }

    fn expire(&mut self, now: Time) {
        for _ in 0..EXPIRIES {
            let Some(index) = self.wheel.expire(now) else { return };
            match self.peers.get_mut(index).map(|known| &known.state) {
                Some(State::Uploads(_)) => self.end(now, index, End::Idle),
                // Who says nothing may go on yet.
                Some(State::Discarded) => self.turn_into(now, index, State::Lapsed),
                _ => drop(self.peers.remove(index)),
            }
        }
    }

    fn stop(&mut self, now: Time) {
        for index in self.peers.uploading() {
            self.end(now, index, End::Stopped);
        }
        self.stopped = true;
    }

    /// The address whose network's uploads are counted, if they are.
    fn counted(&self, origin: &Origin) -> Option<IpAddr> {
        let ip = origin.peer.ip()?.ip();
        (!self.config.trust.validated(ip)).then_some(ip)
    }

    fn at(&mut self, now: Time) -> Time {
        self.now = self.now.max(now);
        if !self.earlier.is_empty() {
            let until = self.now + self.config.idle.saturating_mul(LAPSED);
            self.earlier_until.get_or_insert(until);
        }
        self.now
    }
}

impl Protocol for Receiver {
    fn handle_input(&mut self, now: Time, input: Input<'_>, out: &mut Outbox) {
        let now = self.at(now);
        match input {
            Input::Message(_) if self.stopped => out.refuse(Refusal::Failed("the receiver has stopped")),
            Input::Message(request) => self.message(now, &request, out),
            Input::Stopping => self.stop(now),
            _ => {}
        }
    }

    fn handle_timeout(&mut self, now: Time, _out: &mut Outbox) {
        let now = self.at(now);
        if !self.stopped {
            self.expire(now);
        }
    }

    fn poll_timeout(&self) -> Option<Time> {
        if self.stopped { None } else { self.wheel.poll_timeout() }
    }
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

/// Addresses without an upload that are remembered.
const REMEMBERED: usize = 16_384;
/// Idle times for which an address is remembered whose upload ended by silence.
const LAPSED: u32 = 10;
/// Deadlines that are looked at in one call.
const EXPIRIES: usize = 1024;
/// How late a deadline may be looked at.
const PRECISION: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests;
