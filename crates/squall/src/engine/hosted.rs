//! A protocol on its shard, and its connections.

use std::collections::HashMap;
use std::sync::Arc;

use squall_proto::{Origin, Outbox};
use squall_time::Time;

use crate::remote::Machine;
use crate::stats::Counter;
use crate::stream::bridge::{Bridge, Told};
use crate::stream::line::{Line, Put};

/// A protocol, and what the shard knows of it.
pub(crate) struct Hosted {
    pub(crate) protocol: Box<dyn Machine>,
    /// The service's name.
    pub(crate) service: String,
    /// The time before which it is not called for its deadline: it panicked there.
    pub(crate) muted: Time,
    /// `None` where it has no stream addresses.
    pub(crate) connections: Option<Connections>,
}

impl Hosted {
    pub(crate) fn new(protocol: Box<dyn Machine>, service: &str) -> Self {
        Self { protocol, service: service.to_owned(), muted: Time::ZERO, connections: None }
    }
}

/// The connections of one protocol.
pub(crate) struct Connections {
    pub(crate) bridge: Arc<Bridge>,
    lines: HashMap<Origin, Arc<Line>>,
    /// Lines that have become full and whose protocol does not know it yet.
    filled: Vec<Origin>,
    /// Lines whose frames were taken, and which have not been told so.
    pub(crate) taken: Vec<Arc<Line>>,
    /// Whether the protocol is being told so: what fills meanwhile is told behind it.
    pub(crate) telling: bool,
}

impl Connections {
    pub(crate) fn new(bridge: Arc<Bridge>) -> Self {
        Self { bridge, lines: HashMap::new(), filled: Vec::new(), taken: Vec::new(), telling: false }
    }

    pub(crate) fn take(&self, told: &mut Vec<Told>) {
        self.bridge.take(told);
    }

    pub(crate) fn open(&mut self, line: &Arc<Line>) {
        self.lines.insert(line.origin, Arc::clone(line));
    }

    /// False when it was ended before, by the protocol.
    pub(crate) fn close(&mut self, line: &Arc<Line>) -> bool {
        let own = self.lines.get(&line.origin).is_some_and(|open| Arc::ptr_eq(open, line));
        if own {
            self.lines.remove(&line.origin);
        }
        own
    }

    pub(crate) fn is_open(&self, line: &Arc<Line>) -> bool {
        self.lines.get(&line.origin).is_some_and(|open| Arc::ptr_eq(open, line))
    }

    /// Puts what the protocol wrote into its lines, and ends those that it closed.
    pub(crate) fn deliver(&mut self, outbox: &Outbox) {
        // The frames of a row go to one line, which is looked for once.
        let mut last = None;
        for frame in outbox.frames() {
            let line = match last {
                Some((index, line)) if index == frame.destination_index => line,
                _ if frame.destination.transport.is_stream() => self.lines.get(frame.destination),
                _ => None,
            };
            last = Some((frame.destination_index, line));
            let Some(line) = line else { continue };
            match line.put(frame.payload) {
                Put::Taken => line.stats.add(Counter::Replies, 1),
                Put::Filled => {
                    line.stats.add(Counter::Replies, 1);
                    self.filled.push(line.origin);
                }
                Put::Dropped => line.stats.add(Counter::SendBufferFull, 1),
                Put::Gone => line.stats.add(Counter::SendFailed, 1),
            }
        }
        for origin in outbox.closes() {
            if let Some(line) = self.lines.remove(origin) {
                line.close();
            }
        }
    }

    /// A line that the protocol is to write no more to, each once.
    pub(crate) fn next_filled(&mut self) -> Option<Origin> {
        let lines = &self.lines;
        std::iter::from_fn(|| self.filled.pop()).find(|origin| lines.contains_key(origin))
    }

    /// Ends every connection once what was written to it is sent.
    pub(crate) fn end(&mut self) {
        for (_, line) in self.lines.drain() {
            line.close();
        }
        self.bridge.end();
    }
}
