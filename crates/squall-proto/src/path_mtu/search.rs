//! The search itself.

use alloc::vec::Vec;

use super::odds::Odds;
use super::pace::Pace;
use super::sizes::{self, Known};
use super::{
    Evidence, Input, Limit, Matched, Outcome, Phase, Probe, ProbeRecord, ProbeResult, SearchConfig,
    Unfinished,
};
use crate::Time;

/// A search for the MTU of one path, with one probe on its way at a time.
///
/// Its driver calls [`poll_transmit`](Self::poll_transmit) and sends what that gives, tells it what happens by
/// [`handle_input`](Self::handle_input), and calls [`handle_timeout`](Self::handle_timeout) at
/// [`poll_timeout`](Self::poll_timeout), until there is an [`outcome`](Self::outcome). Calls may come in any order.
///
/// ```
/// use squall_proto::Time;
/// use squall_proto::path_mtu::{Evidence, Input, Matched, Outcome, Search, SearchConfig};
///
/// // A path that carries 1400 bytes, and a router that says so.
/// let address = "192.0.2.1".parse()?;
/// let mut search = Search::new(SearchConfig::to(&address), Time::ZERO);
/// while search.outcome().is_none() {
///     let now = search.poll_timeout().unwrap();
///     search.handle_timeout(now);
///     let Some(sent) = search.poll_transmit(now) else { continue };
///     let probe = Matched::Id(sent.id);
///     search.handle_input(now, match sent.size {
///         ..=1400 => Input::Answered { probe, how: Evidence::Echo },
///         _ => Input::TooBig { probe, mtu: 1400, router: None },
///     });
/// }
/// assert!(matches!(search.outcome(), Some(Outcome::Found { mtu: 1400, certain: true, .. })));
/// # Ok::<(), core::net::AddrParseError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Search {
    config: SearchConfig,
    ends: Time,
    /// The largest size that passes; 0 before anything has been answered.
    passes: u32,
    /// How many probes of that size were answered.
    passed: u32,
    /// Sizes that do not pass, ascending.
    failures: Vec<Failure>,
    /// Nothing above is sent: what the first link carries, or what the configuration says.
    ceiling: u32,
    /// The size that a router named last.
    named: Option<u32>,
    candidate: Option<Candidate>,
    contact_losses: u32,
    control: Control,
    records: Vec<ProbeRecord>,
    on_its_way: Option<Probe>,
    not_before: Time,
    /// What goes next, once it may.
    next: Option<u32>,
    pace: Pace,
    odds: Odds,
    /// Answers have come that do not tell which probe they belong to.
    is_loose: bool,
    /// Something was lost since the last answer.
    lost_lately: bool,
    /// When something was lost last.
    lost_at: Time,
    reversals: u32,
    ignored: u32,
    outcome: Option<Outcome>,
}

/// A size that does not pass.
#[derive(Clone, Copy, Debug)]
struct Failure {
    size: u32,
    limit: Limit,
    /// How many probes of it were lost.
    losses: u32,
}

/// The size that is being asked about.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    size: u32,
    losses: u32,
    /// Its losses have to be shown to be no accident: nothing else is left to ask.
    is_last: bool,
    /// Before its next probe a smaller one must be answered.
    wants_control: bool,
    /// Its losses were forgotten once, since the smaller one was lost, too.
    is_retried: bool,
}

/// Probes of a size that has passed, to tell a size from an outage.
#[derive(Clone, Copy, Debug, Default)]
struct Control {
    losses: u32,
    /// Of the smallest size, once the one that had passed is answered no more.
    floor_losses: u32,
}

impl Search {
    /// A search that begins `now`.
    pub fn new(config: SearchConfig, now: Time) -> Self {
        let mut search = Self {
            ends: now + config.total,
            ceiling: config.ceiling,
            passes: 0,
            passed: 0,
            failures: Vec::new(),
            named: None,
            candidate: None,
            contact_losses: 0,
            control: Control::default(),
            records: Vec::new(),
            on_its_way: None,
            not_before: now,
            next: None,
            pace: Pace::default(),
            odds: Odds::default(),
            is_loose: false,
            lost_lately: false,
            lost_at: now,
            reversals: 0,
            ignored: 0,
            outcome: None,
            config,
        };
        search.advance(now);
        search
    }

    /// The next probe, if one is to be sent now. It counts as sent.
    pub fn poll_transmit(&mut self, now: Time) -> Option<Probe> {
        if self.outcome.is_some() || self.on_its_way.is_some() || now < self.not_before {
            return None;
        }
        let size = self.next.take()?;
        let losses = match self.candidate {
            Some(candidate) if candidate.size == size => candidate.losses,
            _ if self.passes == 0 => self.contact_losses,
            _ => self.control.losses + self.control.floor_losses,
        };
        // An answer that tells whose it is counts however late it comes: there is no need to wait for it.
        let losses = if self.is_loose || self.passes == 0 { losses } else { (losses / 2).min(1) };
        if self.odds.has_losses() {
            // Each probe may have used up an answer that was lost on its way.
            self.pace.spend(now);
        }
        let id = u32::try_from(self.records.len()).unwrap_or(u32::MAX);
        let probe = Probe { id, size, deadline: now + self.pace.wait(losses) };
        self.records.push(ProbeRecord { id, size, sent: now, result: ProbeResult::Waiting });
        self.on_its_way = Some(probe);
        Some(probe)
    }

    /// Takes what happened. Answers and reports that cannot be are left out and counted in
    /// [`ignored`](Self::ignored).
    pub fn handle_input(&mut self, now: Time, input: Input) {
        if self.outcome.is_none() {
            match input {
                Input::Answered { probe, how } => self.handle_answer(now, probe, how),
                Input::TooBig { .. } => self.handle_report(now, input),
                Input::Unsendable { id, mtu } => self.handle_unsendable(id, mtu),
            }
        }
        self.advance(now);
    }

    /// Gives up the probe on its way, if its time is over, and ends the search when its own is.
    pub fn handle_timeout(&mut self, now: Time) {
        if self.outcome.is_none()
            && let Some(probe) = self.on_its_way.filter(|probe| probe.deadline <= now)
        {
            self.on_its_way = None;
            self.records[probe.id as usize].result = ProbeResult::Lost;
            self.lose(now, probe.size);
        }
        self.advance(now);
    }

    /// When something is due: a probe to be sent, or one to be given up. `None` once there is an outcome.
    pub fn poll_timeout(&self) -> Option<Time> {
        if self.outcome.is_some() {
            return None;
        }
        Some(self.on_its_way.map_or(self.not_before, |probe| probe.deadline).min(self.ends))
    }

    /// How the search ended, if it has.
    pub fn outcome(&self) -> Option<Outcome> {
        self.outcome
    }

    /// Every probe that was sent, in order; 500 at most.
    pub fn records(&self) -> &[ProbeRecord] {
        &self.records
    }

    /// Where the search is.
    pub fn phase(&self) -> Phase {
        match self.outcome {
            Some(Outcome::Found { .. }) => Phase::SearchComplete,
            Some(Outcome::Silent) => Phase::Disabled,
            _ if self.passes == 0 => Phase::Disabled,
            _ if self.passes >= self.config.base => Phase::Searching,
            _ if self.bound() <= self.config.base => Phase::Error,
            _ => Phase::Base,
        }
    }

    /// The largest size that has passed so far, in bytes; 0 before anything was answered.
    pub fn passes(&self) -> u32 {
        self.passes
    }

    /// Answers and reports that belonged to no probe or made no sense.
    pub fn ignored(&self) -> u32 {
        self.ignored
    }
}

/// What happens.
impl Search {
    fn handle_answer(&mut self, now: Time, probe: Matched, how: Evidence) {
        let Some(id) = self.find(probe) else {
            self.ignored = self.ignored.saturating_add(1);
            return;
        };
        let record = &mut self.records[id];
        let (size, sent) = (record.size, record.sent);
        let after = now.since(sent);
        if matches!(record.result, ProbeResult::Answered { .. } | ProbeResult::Unsendable) {
            // The network made two of one, or somebody made one of none.
            self.ignored = self.ignored.saturating_add(1);
            return;
        }
        record.result = ProbeResult::Answered { how, after };
        if how == Evidence::Unreachable {
            let is_first = !self.pace.is_saving();
            self.pace.save(now);
            if is_first && self.records[..id].iter().any(|record| record.result == ProbeResult::Lost) {
                // Somebody may have used up the host's ICMP errors just before.
                self.pace.exhaust(now);
            } else if self.candidate.is_some_and(|candidate| candidate.is_last) {
                // The next probe must find an answer left, or it would be lost for the want of one each
                // time, while the one after it is answered.
                self.pace.exhaust(now);
            } else if !self.odds.has_losses() {
                self.pace.spend(now);
            }
        }
        if probe != Matched::Unknown {
            self.pace.measured(after);
        } else {
            self.is_loose = true;
            // After a loss it may be the answer to the probe before (Karn's algorithm, RFC 6298 §3).
            if !self.lost_lately {
                self.pace.measured(after);
            }
        }
        self.not_before = match (self.is_loose, self.lost_lately) {
            (false, _) => now,
            (true, false) => now + self.pace.pause(),
            (true, true) => now + self.pace.wait(1),
        };
        self.lost_lately = false;
        if self.on_its_way.is_some_and(|probe| probe.id as usize == id || probe.size <= size) {
            self.on_its_way = None;
        }
        self.odds.answered();
        self.pass(size, sent);
    }

    /// A probe of `size` bytes that was sent at `sent` has reached the target.
    fn pass(&mut self, size: u32, sent: Time) {
        let since_the_loss = sent >= self.lost_at;
        if size < self.passes {
            if since_the_loss && self.control.losses >= CONTROL_TRIES {
                // The smallest size is answered and what had passed before is not: the path has changed,
                // or an answer was taken for another's.
                self.reverse();
            }
            return;
        }
        self.passed = if size > self.passes { 1 } else { self.passed.saturating_add(1) };
        self.passes = size;
        self.control = Control::default();
        // What was lost of this size and smaller ones was lost by accident.
        let odds = &mut self.odds;
        self.failures.retain(|failure| {
            if failure.size <= size {
                odds.lost(failure.losses);
            }
            failure.size > size
        });
        match &mut self.candidate {
            Some(candidate) if candidate.size <= size => {
                self.odds.lost(candidate.losses);
                self.candidate = None;
            }
            // An answer to a probe from before the loss would say nothing of the time of the loss.
            Some(candidate) if since_the_loss => candidate.wants_control = false,
            _ => {}
        }
    }

    /// A size that had passed does so no more.
    fn reverse(&mut self) {
        self.reversals += 1;
        self.fail(self.passes, Limit::Silence, self.control.losses);
        self.passes = self.config.floor;
        self.passed = 1;
        self.control = Control::default();
        self.candidate = None;
        if self.reversals > MAX_REVERSALS {
            self.stop(Unfinished::Stopped);
        }
    }

    fn handle_report(&mut self, now: Time, input: Input) {
        let Input::TooBig { probe, mtu, router } = input else { return };
        let found = self.find(probe);
        let record = found.map(|id| &mut self.records[id]).filter(|record| {
            // Answered after all, or reported before.
            let is_open = matches!(record.result, ProbeResult::Waiting | ProbeResult::Lost);
            // https://www.rfc-editor.org/rfc/rfc8899#section-4.6.1: a size below the least there is, or not
            // below the probe's, is no report of this path.
            is_open && (mtu == 0 || (self.config.least_report..record.size).contains(&mtu))
        });
        let Some(record) = record else {
            self.ignored = self.ignored.saturating_add(1);
            return;
        };
        let (id, size) = (record.id, record.size);
        record.result = ProbeResult::TooBig { mtu, router, after: now.since(record.sent) };
        if self.on_its_way.is_some_and(|probe| probe.id == id) {
            self.on_its_way = None;
        }
        if mtu != 0 {
            self.named = Some(mtu);
        }
        if size > self.passes {
            self.fail(size, Limit::TooBig, 0);
        } else {
            self.lose(now, size);
        }
    }

    fn handle_unsendable(&mut self, id: u32, mtu: Option<u32>) {
        let Some(record) = self.records.get_mut(id as usize) else { return };
        if record.result != ProbeResult::Waiting {
            return;
        }
        record.result = ProbeResult::Unsendable;
        let size = record.size;
        if self.odds.has_losses() {
            self.pace.give_back();
        }
        if self.on_its_way.is_some_and(|probe| probe.id == id) {
            self.on_its_way = None;
        }
        let Some(known) = mtu.filter(|mtu| (self.config.floor..size).contains(mtu)) else {
            return self.fail(size, Limit::FirstHop, 0);
        };
        self.ceiling = self.ceiling.min(known);
        self.failures.retain(|failure| failure.size <= known);
        self.candidate = None;
        if self.passes > known {
            // The first link was made narrower meanwhile.
            self.passes = self.config.floor;
        }
    }

    /// A probe of `size` bytes was given up.
    fn lose(&mut self, now: Time, size: u32) {
        self.lost_lately = true;
        self.lost_at = now;
        if self.passes == 0 {
            self.contact_losses += 1;
        } else if size > self.passes && self.pace.is_assumed() {
            // It may have arrived, and the host had no ICMP error left to say so. That does not count, and the
            // next one goes when there must be one.
            self.pace.exhaust(now);
        } else if size > self.passes {
            let tries = self.config.tries;
            if let Some(candidate) = self.candidate.as_mut().filter(|candidate| candidate.size == size) {
                candidate.losses += 1;
                candidate.wants_control = candidate.is_last || candidate.losses >= tries;
            }
        } else {
            self.odds.lost(1);
            self.pace.exhaust(now);
            if let Some(candidate) = self.candidate.as_mut().filter(|_| self.pace.is_saving())
                && candidate.wants_control
                && !candidate.is_last
                && !candidate.is_retried
            {
                // Somebody else uses up the host's ICMP errors, and the candidate may have missed one, too.
                *candidate = Candidate { losses: 0, wants_control: false, is_retried: true, ..*candidate };
            }
            if size < self.passes && self.control.losses >= CONTROL_TRIES {
                self.control.floor_losses += 1;
            } else {
                self.control.losses += 1;
            }
        }
    }

    fn fail(&mut self, size: u32, limit: Limit, losses: u32) {
        let failure = Failure { size, limit, losses };
        match self.failures.binary_search_by_key(&size, |failure| failure.size) {
            Ok(index) => self.failures[index] = failure,
            Err(index) => self.failures.insert(index, failure),
        }
        if self.candidate.is_some_and(|candidate| candidate.size >= size) {
            self.candidate = None;
        }
    }

    /// The probe that something belongs to.
    fn find(&self, probe: Matched) -> Option<usize> {
        match probe {
            Matched::Id(id) => Some(id as usize).filter(|id| *id < self.records.len()),
            Matched::Payload(payload) => {
                // The newest of that size that is still open.
                let size = self.config.size_of(payload);
                self.records.iter().rposition(|record| {
                    let is_open = matches!(record.result, ProbeResult::Waiting | ProbeResult::Lost);
                    record.size == size && is_open
                })
            }
            // However soon it comes: the first round trip, with its ARP, may have been the longest.
            Matched::Unknown => self.on_its_way.map(|probe| probe.id as usize),
        }
    }
}

/// What to do next.
impl Search {
    fn advance(&mut self, now: Time) {
        if self.outcome.is_some() {
            return;
        }
        if now >= self.ends {
            return self.stop(Unfinished::Time);
        }
        if self.on_its_way.is_some() {
            return;
        }
        match self.step() {
            Ok(_) if self.records.len() >= MAX_PROBES => self.stop(Unfinished::Probes),
            Ok(size) => {
                self.next = Some(size);
                self.not_before = self.not_before.max(self.pace.ready(now));
            }
            Err(outcome) => self.outcome = Some(outcome),
        }
    }

    /// The next size to probe, or the end.
    fn step(&mut self) -> Result<u32, Outcome> {
        let floor = self.config.floor;
        if self.passes == 0 {
            return if self.contact_losses < CONTACT_TRIES { Ok(floor) } else { Err(Outcome::Silent) };
        }
        if self.control.losses >= CONTROL_TRIES {
            let is_gone = self.passes == floor || self.control.floor_losses >= CONTROL_TRIES;
            return if is_gone { Err(self.unfinished(Unfinished::Stopped)) } else { Ok(floor) };
        }
        loop {
            let candidate = match self.candidate {
                Some(candidate) => candidate,
                None => match (self.choose(), self.failures.first()) {
                    (Some(size), _) => self.ask(size, 0, false),
                    (None, Some(last)) if last.limit == Limit::Silence => {
                        let (size, losses) = (last.size, last.losses);
                        self.ask(size, losses, true)
                    }
                    // One answer that does not tell whose it is may have been another's.
                    _ if self.is_loose && self.passed < 2 => return Ok(self.passes),
                    (None, failure) => {
                        let limit = failure.map_or(Limit::FirstHop, |failure| failure.limit);
                        return Err(self.found(limit, true));
                    }
                },
            };
            if candidate.wants_control {
                return Ok(self.passes);
            }
            if candidate.is_last {
                if self.odds.all_lost(candidate.losses) <= DOUBT {
                    return Err(self.found(Limit::Silence, true));
                } else if candidate.losses >= LAST_TRIES {
                    return Err(self.found(Limit::Silence, false));
                }
            } else if candidate.losses >= self.config.tries {
                self.fail(candidate.size, Limit::Silence, candidate.losses);
                self.candidate = None;
                continue;
            }
            return Ok(candidate.size);
        }
    }

    fn ask(&mut self, size: u32, losses: u32, is_last: bool) -> Candidate {
        *self.candidate.insert(Candidate { size, losses, is_last, wants_control: false, is_retried: false })
    }

    /// The next size to ask about: between what passes and what does not.
    fn choose(&self) -> Option<u32> {
        sizes::next(&Known {
            passes: self.passes,
            bound: self.bound(),
            is_bound_tried: !self.failures.is_empty(),
            named: self.named,
            base: self.config.base,
        })
    }

    /// The smallest size that does not pass.
    fn bound(&self) -> u32 {
        self.failures.first().map_or(self.ceiling + 1, |failure| failure.size)
    }

    fn found(&self, limit: Limit, certain: bool) -> Outcome {
        Outcome::Found { mtu: self.passes, limit, certain }
    }

    fn unfinished(&self, why: Unfinished) -> Outcome {
        let fails = (self.bound() <= self.ceiling).then_some(self.bound());
        Outcome::Unfinished { passes: self.passes, fails, why }
    }

    fn stop(&mut self, why: Unfinished) {
        let outcome = if self.passes == 0 { Outcome::Silent } else { self.unfinished(why) };
        self.outcome = Some(outcome);
    }
}

/// Probes of the smallest size before the target counts as silent: in 7.5 s.
const CONTACT_TRIES: u32 = 5;

/// Probes in a row of a size that has passed before it counts as passing no more.
const CONTROL_TRIES: u32 = 8;

/// How often a size may turn out to pass no more.
const MAX_REVERSALS: u32 = 3;

/// The chance that is taken of calling a path narrower than it is.
const DOUBT: f64 = 1e-6;

/// Probes of the last size after which the search ends in doubt.
const LAST_TRIES: u32 = 40;

/// The bound of all that a search sends.
const MAX_PROBES: usize = 500;
