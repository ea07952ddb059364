//! One direction of a relay: what the weather decides, and what is under way. All flows share it.

use std::net::SocketAddr;

use squall::Time;
use squall_weather::{Conditions, Copy, Decider, Decision, Packet, Queue};

use super::counts::DirectionCounts;
use super::flows::FlowId;
use super::outbox::{Outbox, Place};
use super::pool::Pool;
use super::record::Recording;

/// One direction.
pub(super) struct Road {
    decider: Decider,
    recording: Option<Recording>,
    /// Whether datagrams pass without a decision.
    clear: bool,
    queue: Queue<UnderWay>,
    pool: Pool,
    /// Bytes of the headers of IP and UDP.
    headers: usize,
    pub(super) counts: DirectionCounts,
}

/// A copy of a datagram that is under way.
struct UnderWay {
    flow: FlowId,
    bytes: Vec<u8>,
}

/// A datagram that came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrived<'a> {
    pub(super) flow: FlowId,
    pub(super) client: SocketAddr,
    pub(super) payload: &'a [u8],
    /// Where the payload is, and at which byte it begins there.
    pub(super) slot: usize,
    pub(super) start: usize,
    /// Whether it came with others in one message.
    pub(super) train: bool,
    /// The longest datagram that can be joined to others.
    pub(super) longest: usize,
}

impl Road {
    /// A road on which at most `memory` bytes are under way. `clear` says that the decider lets everything
    /// pass at once, as long as it is not changed. `headers` are the bytes of IP's and UDP's.
    pub(super) fn new(
        decider: Decider,
        clear: bool,
        recording: Option<Recording>,
        headers: usize,
        memory: usize,
    ) -> Self {
        Self {
            decider,
            clear: clear && recording.is_none(),
            recording,
            queue: Queue::new(usize::MAX, memory),
            pool: Pool::default(),
            headers,
            counts: DirectionCounts::default(),
        }
    }

    /// Lets the times of the weather count from `now`.
    pub(super) fn begin(&mut self, now: Time) {
        if let Decider::Link(link) = &mut self.decider {
            link.begin(now);
        }
    }

    /// Has other conditions from now on; what is under way keeps its times, and its place before what comes.
    pub(super) fn change(&mut self, now: Time, conditions: &Conditions) {
        if let Decider::Link(link) = &mut self.decider {
            link.change(now, conditions);
            self.clear = conditions.is_clear() && self.recording.is_none();
        }
    }

    /// Whether datagrams pass without a decision: whole trains then stay as they are. Behind what is under way
    /// from another weather they do not pass: the link keeps the order.
    pub(super) fn is_clear(&self) -> bool {
        self.clear && self.queue.is_empty()
    }

    /// Decides what becomes of a datagram. What passes without delay goes into `outbox`.
    pub(super) fn take(&mut self, now: Time, arrived: &Arrived<'_>, outbox: &mut Outbox) {
        let Arrived { flow, payload, longest, .. } = *arrived;
        let packet = Packet { size: payload.len() + self.headers, payload, peer: Some(arrived.client) };
        let decision = self.decider.decide(now, &packet);
        if let Some(recording) = &mut self.recording {
            recording.note(now, packet.size, &decision);
        }
        let Decision::Delivered(copies) = decision else { return };
        for copy in copies.iter() {
            if copy.at > now {
                self.keep(copy, flow, payload);
            } else if let Some(corruption) = copy.corruption {
                corruption.apply(outbox.push_copy(flow, payload, longest));
            } else if arrived.train {
                outbox.push(flow, Place::Slot(arrived.slot), arrived.start, payload.len(), longest);
            } else {
                outbox.push_message(flow, arrived.slot, payload, None, longest);
            }
        }
    }

    fn keep(&mut self, copy: Copy, flow: FlowId, payload: &[u8]) {
        let mut bytes = self.pool.copy(payload);
        if let Some(corruption) = copy.corruption {
            corruption.apply(&mut bytes);
        }
        let memory = bytes.capacity() + OVERHEAD;
        if let Err(refused) = self.queue.push(copy.at, memory, UnderWay { flow, bytes }) {
            self.counts.overflow += 1;
            self.pool.give_back(refused.bytes);
        }
    }

    /// Puts what arrives by `now` into `outbox`, until that is full; whether there may be more. `longest`
    /// tells for a flow the longest datagram that can be joined to others, `None` when the flow has ended.
    pub(super) fn release(
        &mut self,
        now: Time,
        outbox: &mut Outbox,
        longest: impl Fn(FlowId) -> Option<usize>,
    ) -> bool {
        while !outbox.is_full() {
            let Some(UnderWay { flow, bytes }) = self.queue.pop(now) else { return false };
            match longest(flow) {
                Some(longest) => {
                    outbox.push_copy(flow, &bytes, longest);
                }
                None => self.counts.ended += 1,
            }
            self.pool.give_back(bytes);
        }
        true
    }

    /// When the next copy arrives.
    pub(super) fn poll_timeout(&self) -> Option<Time> {
        self.queue.poll_timeout()
    }

    /// What happened so far.
    pub(super) fn counts(&self) -> DirectionCounts {
        let (weather, under_way) = (*self.decider.counts(), self.queue.len() as u64);
        let mut counts = DirectionCounts { weather, under_way, ..self.counts };
        if let Decider::Replay(replay) = &self.decider {
            counts.replay_beyond = replay.beyond();
            counts.replay_different = replay.different();
            counts.replay_remaining = replay.remaining() as u64;
        }
        counts
    }

    /// What was written down, at the end.
    pub(super) fn into_recording(self) -> Option<Recording> {
        self.recording
    }
}

/// What a copy under way takes besides its buffer: the queue's entry.
const OVERHEAD: usize = 64;
