//! Calls of a shard's protocols from other threads.

use super::Shard;
use crate::engine::sender::FLUSH_AT;
use crate::hooks::panic_message;
use crate::verdict::contain;

impl Shard {
    /// Makes the calls that wait now; those that come meanwhile wake the shard again, so that sockets get their
    /// turn.
    pub(super) fn take_calls(&mut self) {
        for index in 0..self.protocols.len() {
            let waiting = self.protocols[index].protocol.calls();
            if waiting == 0 {
                continue;
            }
            for _ in 0..waiting {
                let now = self.control.now();
                self.busy.set(now);
                let (protocol, outbox) = (&mut self.protocols[index].protocol, &mut self.outbox);
                let mark = outbox.mark();
                if let Err(panic) = contain(|| protocol.run_call(now, outbox)) {
                    outbox.rewind(mark);
                    self.report_protocol_panic(index, &panic_message(&*panic));
                }
                if self.outbox.len() >= FLUSH_AT || !self.outbox.has_room() {
                    self.flush_protocol(index, now);
                }
            }
            let now = self.control.now();
            self.flush_protocol(index, now);
            self.busy.clear();
        }
    }
}
