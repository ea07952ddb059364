//! Senders that share a path, in virtual time: each with a window, pacing and loss detection as QUIC's libraries have
//! them ([RFC 9002](https://www.rfc-editor.org/rfc/rfc9002)).

use std::collections::BTreeMap;
use std::time::Duration;

use squall_sim::{Decision, Link, Packet, Queue, Time, Weather};

use super::window::Window;

/// Bytes of a packet that count as in flight, and on the wire.
pub(crate) const PACKET: u64 = 1452;
const WIRE: usize = 1480;

/// A path and who sends over it.
pub(crate) struct Path {
    pub(crate) now: Time,
    up: Link,
    down: Link,
    events: Queue<Event>,
    pub(crate) senders: Vec<Sender>,
    delay: Duration,
}

enum Event {
    /// A sender may send, or looks for losses.
    Wake(usize),
    Arrival(usize, u64),
    /// What has arrived is acknowledged, if this packet is the first of it still.
    Due(usize, u64),
    Acks(usize, Vec<u64>),
}

/// One of those who send.
pub(crate) struct Sender {
    pub(crate) window: Box<dyn Window>,
    start: Time,
    /// What it has to send a second, if that is less than it may.
    supply: Option<u64>,
    supplied: u64,
    next: u64,
    largest: Option<u64>,
    sent: BTreeMap<u64, Time>,
    smoothed: Option<Duration>,
    latest: Duration,
    tokens: f64,
    paced_at: Time,
    wake: Option<Time>,
    heard: Time,
    unacknowledged: Vec<u64>,
    pub(crate) acked: u64,
    pub(crate) lost: u64,
    /// The sum of what its packets waited in the queue, and how many did.
    waited: (Duration, u64),
}

/// What a sender did in a span of time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Did {
    /// In bits a second, of packets that arrived.
    pub(crate) rate: f64,
    /// The mean time that its packets waited before the bottleneck.
    pub(crate) waited: Duration,
    /// The part of its packets that was lost.
    pub(crate) lost: f64,
}

impl Path {
    pub(crate) fn new(weather: &str, seed: u64) -> Self {
        let weather: Weather = weather.parse().unwrap();
        let (up, down) = weather.links(seed);
        Self {
            now: Time::ZERO,
            up,
            down,
            events: Queue::new(1 << 20, usize::MAX),
            senders: Vec::new(),
            delay: Duration::ZERO,
        }
    }

    /// What is not the queue's part of a packet's way.
    pub(crate) fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    pub(crate) fn change(&mut self, weather: &str) {
        let weather: Weather = weather.parse().unwrap();
        self.up.change(self.now, weather.conditions(squall_sim::Direction::Up));
        self.down.change(self.now, weather.conditions(squall_sim::Direction::Down));
    }

    /// Someone begins to send.
    pub(crate) fn sender(&mut self, window: Box<dyn Window>) -> usize {
        self.senders.push(Sender::new(window, self.now));
        let place = self.senders.len() - 1;
        self.wake(place, self.now);
        place
    }

    pub(crate) fn supply(&mut self, place: usize, bytes_per_second: Option<u64>) {
        let sender = &mut self.senders[place];
        (sender.supply, sender.start) = (bytes_per_second, self.now);
        sender.supplied = sender.acked + sender.in_flight();
        self.wake(place, self.now);
    }

    pub(crate) fn run(&mut self, span: Duration) -> Vec<Did> {
        let end = self.now + span;
        let before: Vec<(u64, u64)> = self.senders.iter().map(|sender| (sender.acked, sender.lost)).collect();
        for sender in &mut self.senders {
            sender.waited = (Duration::ZERO, 0);
        }
        while let Some(at) = self.events.poll_timeout().filter(|at| *at <= end) {
            self.now = at;
            let Some(event) = self.events.pop(at) else { break };
            match event {
                Event::Wake(place) => {
                    if self.senders[place].wake.is_some_and(|wake| wake <= at) {
                        self.senders[place].wake = None;
                        self.send(place);
                    }
                }
                Event::Arrival(place, number) => self.arrive(place, number),
                Event::Due(place, first) if self.senders[place].unacknowledged.first() == Some(&first) => {
                    self.acknowledge(place);
                }
                Event::Due(..) => {}
                Event::Acks(place, numbers) => {
                    self.senders[place].acknowledge(at, &numbers);
                    self.send(place);
                }
            }
        }
        self.now = end;
        let did = |(sender, (acked, lost)): (&Sender, (u64, u64))| {
            let (acked, lost) = (sender.acked - acked, sender.lost - lost);
            Did {
                rate: acked as f64 * 8.0 / span.as_secs_f64(),
                waited: sender.waited.0 / sender.waited.1.max(1) as u32,
                lost: lost as f64 / (acked + lost).max(1) as f64,
            }
        };
        self.senders.iter().zip(before).map(did).collect()
    }

    fn wake(&mut self, place: usize, at: Time) {
        let sender = &mut self.senders[place];
        if sender.wake.is_none_or(|wake| at < wake || wake <= self.now) {
            sender.wake = Some(at);
            assert!(self.events.push(at, 0, Event::Wake(place)).is_ok());
        }
    }

    fn send(&mut self, place: usize) {
        let now = self.now;
        let mut bytes = 0;
        let probe = self.senders[place].probes(now);
        while let Some(number) = self.senders[place].next(now, probe && bytes == 0) {
            bytes += PACKET;
            let packet = Packet { size: WIRE, payload: &[], peer: None };
            if let Decision::Delivered(copies) = self.up.decide(now, &packet) {
                let waited = (copies.first().at - now).saturating_sub(self.delay);
                let sender = &mut self.senders[place];
                sender.waited = (sender.waited.0 + waited, sender.waited.1 + 1);
                let pushed = self.events.push(copies.first().at, 0, Event::Arrival(place, number));
                assert!(pushed.is_ok());
            }
        }
        if bytes > 0 {
            self.senders[place].window.sent(now, bytes);
        }
        let again = self.senders[place].again(now);
        self.wake(place, again);
    }

    /// Packets are acknowledged as the secure tier has it: twenty together, or what is there after 2 ms.
    fn arrive(&mut self, place: usize, number: u64) {
        let waiting = &mut self.senders[place].unacknowledged;
        waiting.push(number);
        match waiting.len() {
            1 => self.acknowledge_later(place),
            20.. => self.acknowledge(place),
            _ => {}
        }
    }

    fn acknowledge_later(&mut self, place: usize) {
        if let Some(&first) = self.senders[place].unacknowledged.first() {
            let at = self.now + Duration::from_millis(2);
            assert!(self.events.push(at, 0, Event::Due(place, first)).is_ok());
        }
    }

    /// Acknowledgements repeat what earlier ones said, so that the loss of one only makes the next one say more.
    fn acknowledge(&mut self, place: usize) {
        let packet = Packet { size: 60, payload: &[], peer: None };
        if let Decision::Delivered(copies) = self.down.decide(self.now, &packet) {
            let numbers = std::mem::take(&mut self.senders[place].unacknowledged);
            assert!(self.events.push(copies.first().at, 0, Event::Acks(place, numbers)).is_ok());
        } else {
            self.acknowledge_later(place);
        }
    }
}

impl Sender {
    fn new(window: Box<dyn Window>, now: Time) -> Self {
        Self {
            window,
            start: now,
            supply: None,
            supplied: 0,
            next: 0,
            largest: None,
            sent: BTreeMap::new(),
            smoothed: None,
            latest: Duration::ZERO,
            tokens: 0.0,
            paced_at: now,
            wake: None,
            heard: now,
            unacknowledged: Vec::new(),
            acked: 0,
            lost: 0,
            waited: (Duration::ZERO, 0),
        }
    }

    fn in_flight(&self) -> u64 {
        self.sent.len() as u64 * PACKET
    }

    fn smoothed(&self) -> Duration {
        self.smoothed.unwrap_or(Duration::from_millis(333))
    }

    fn timeout(&self) -> Duration {
        self.smoothed() * 2 + Duration::from_millis(25)
    }

    fn has_data(&self, now: Time) -> bool {
        self.supply.is_none_or(|rate| {
            let supplied = rate as f64 * (now - self.start).as_secs_f64();
            (self.acked + self.in_flight() + PACKET).saturating_sub(self.supplied) as f64 <= supplied
        })
    }

    fn probes(&self, now: Time) -> bool {
        !self.sent.is_empty() && now - self.heard >= self.timeout()
    }

    /// The number of a packet that may be sent now.
    fn next(&mut self, now: Time, probe: bool) -> Option<u64> {
        if !probe {
            if !self.has_data(now) || self.in_flight() + PACKET >= self.window.window() {
                return None;
            }
            self.refill(now);
            if self.tokens < PACKET as f64 {
                return None;
            }
            self.tokens -= PACKET as f64;
        } else {
            self.heard = now;
        }
        let number = self.next;
        self.next += 1;
        self.sent.insert(number, now);
        Some(number)
    }

    /// Tokens come at 1.25 windows a round trip, and as many as come in 2 ms can be kept.
    fn refill(&mut self, now: Time) {
        let rate = self.rate();
        let most = (rate / 1.25 * 0.002).clamp(10.0 * PACKET as f64, 256.0 * PACKET as f64);
        self.tokens = (self.tokens + rate * (now - self.paced_at).as_secs_f64()).min(most);
        self.paced_at = now;
    }

    fn rate(&self) -> f64 {
        self.window.window() as f64 * 1.25 / self.smoothed().as_secs_f64()
    }

    /// When it acts again if nothing comes.
    fn again(&self, now: Time) -> Time {
        let timeout = (self.heard + self.timeout()).max(now + Duration::from_micros(1));
        if !self.has_data(now) {
            return timeout.min(now + Duration::from_millis(1));
        }
        if self.in_flight() + PACKET >= self.window.window() {
            return timeout;
        }
        let wanted = (10.0 * PACKET as f64 - self.tokens).max(PACKET as f64);
        let pause = Duration::from_secs_f64((wanted / self.rate()).min(1.0));
        now + pause.max(Duration::from_micros(1))
    }

    fn acknowledge(&mut self, now: Time, numbers: &[u64]) {
        self.heard = now;
        let mut newest = None;
        for number in numbers {
            // One that was taken for lost counts no more.
            let Some(sent) = self.sent.remove(number) else { continue };
            self.acked += PACKET;
            self.window.acked(now, sent, PACKET);
            newest = newest.max(Some((*number, sent)));
        }
        let Some((number, sent)) = newest else { return };
        let limited = !self.has_data(now);
        self.window.acks_end(now, self.in_flight(), limited);
        if self.largest.is_none_or(|largest| number > largest) {
            self.largest = Some(number);
            self.latest = now - sent;
            self.smoothed = Some(self.smoothed.map_or(self.latest, |old| old * 7 / 8 + self.latest / 8));
        }
        self.find_lost(now);
    }

    fn find_lost(&mut self, now: Time) {
        let Some(largest) = self.largest else { return };
        let old = self.smoothed().max(self.latest) * 9 / 8;
        let is_lost = |number: u64, sent: Time| number + 3 <= largest || now - sent >= old;
        let lost: Vec<(u64, Time)> = (self.sent.range(..largest))
            .map(|(number, sent)| (*number, *sent))
            .take_while(|(number, sent)| is_lost(*number, *sent))
            .collect();
        let (Some(first), Some(last)) = (lost.first(), lost.last()) else { return };
        let in_a_row = last.0 - first.0 + 1 == lost.len() as u64;
        let persistent = in_a_row && last.1 - first.1 > self.timeout() * 3;
        for (number, _) in &lost {
            self.sent.remove(number);
        }
        let bytes = lost.len() as u64 * PACKET;
        self.lost += bytes;
        self.window.lost(now, last.1, bytes, persistent);
    }
}
