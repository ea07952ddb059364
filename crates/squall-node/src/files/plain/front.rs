//! The receiver's side: nothing here waits for a disk.

use std::mem::replace;
use std::sync::Arc;
use std::time::SystemTime;

use squall::MAX_DATAGRAM;
use squall::files::plain::{Ended, KeepError, Keeper, Started, UploadId};

use super::drops::Drops;
use super::name::Facts;
use super::shared::{Order, Queue, Shared, add, get};

/// A [`Keeper`] whose uploads are written by another thread.
#[derive(Debug)]
pub(super) struct Front {
    shared: Arc<Shared>,
    drops: Drops,
}

impl Front {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, drops: Drops::default() }
    }

    fn put(&self, queue: &mut Queue, order: Order) {
        let was_empty = queue.orders.is_empty();
        queue.orders.push(order);
        if was_empty {
            self.shared.wake();
        }
    }
}

impl Keeper for Front {
    fn begin(&mut self, started: &Started) -> Result<(), KeepError> {
        let dropped_before = self.drops.before(started.at, self.shared.backlog());
        let mut queue = self.shared.queue();
        // The others are for uploads that have begun.
        if queue.orders.len() >= ORDERS / 2 {
            add(&self.shared.counts.behind, 1);
            return Err(KeepError::Behind);
        }
        let facts = Facts {
            began: SystemTime::now(),
            peer: started.origin.peer,
            number: started.id.0,
            dropped_before,
        };
        self.put(&mut queue, Order::Begin(started.id, Box::new(facts)));
        Ok(())
    }

    fn append(&mut self, id: UploadId, bytes: &[u8]) -> Result<(), KeepError> {
        let counts = &self.shared.counts;
        let mut queue = self.shared.queue();
        if !queue.failed.is_empty() && queue.failed.remove(&id) {
            return Err(KeepError::Failed);
        }
        let len = bytes.len() as u64;
        if get(&counts.used).saturating_add(len) > self.shared.config.space {
            if !replace(&mut queue.is_full, true) {
                self.shared.wake();
            }
            add(&counts.no_space, 1);
            return Err(KeepError::NoSpace);
        }
        // A longest datagram fits an empty queue.
        if queue.bytes.len() + bytes.len() > QUEUE || queue.orders.len() >= ORDERS {
            add(&counts.behind, 1);
            return Err(KeepError::Behind);
        }
        add(&counts.used, len);
        queue.bytes.extend_from_slice(bytes);
        if let Some(Order::Append(last, total)) = queue.orders.last_mut()
            && *last == id
        {
            *total += bytes.len();
            return Ok(());
        }
        self.put(&mut queue, Order::Append(id, bytes.len()));
        Ok(())
    }

    fn end(&mut self, ended: &Ended) {
        let backlog = self.shared.backlog();
        self.drops.before(ended.at, backlog);
        let mut queue = self.shared.queue();
        queue.failed.remove(&ended.id);
        // There are no more of these than uploads, which are bounded.
        self.put(&mut queue, Order::End(Box::new(*ended), backlog.drops));
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.shared.queue().closed = true;
        self.shared.wake();
    }
}

/// Bytes that wait to be written at most; as many again are being written.
const QUEUE: usize = 4 << 20;
const _: () = assert!(QUEUE >= MAX_DATAGRAM);
/// Orders that wait at most, but for ends.
const ORDERS: usize = 16_384;

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use squall::files::plain::{BYE, Receiver, ReceiverConfig};
    use squall::{Input, Origin, Outbox, Peer, Protocol, Request, Time, Transport};

    use super::*;
    use crate::files::plain::folder::Folder;
    use crate::files::plain::store::StoreConfig;

    #[test]
    fn what_waits_for_a_disk_that_stands_still_is_bounded() {
        let place = tempfile::tempdir().unwrap();
        let config = StoreConfig { pattern: "{number}".parse().unwrap(), space: u64::MAX };
        // Nobody writes.
        let shared = Shared::new(Folder::open(place.path()).unwrap(), config, 0, 0);
        let mut receiver =
            Receiver::new(ReceiverConfig::default(), Box::new(Front::new(Arc::clone(&shared))));
        let mut out = Outbox::new();
        let mut give = |port: u16, datagram: &[u8]| {
            let peer = Peer::Ip(SocketAddr::from(([127, 0, 0, 1], port)));
            let origin = Origin { peer, local: None, transport: Transport::Udp, validated: true };
            let request = Request::new(Time::ZERO, datagram, origin);
            receiver.handle_input(Time::ZERO, Input::Message(request), &mut out);
            receiver.stats()
        };
        for _ in 0..100 {
            give(1, &[b'x'; MAX_DATAGRAM]);
        }
        let stats = give(1, BYE);
        assert_eq!((stats.bytes, stats.dropped), (64 * MAX_DATAGRAM as u64, 36));
        assert_eq!((stats.whole, stats.damaged), (0, 1), "its holes are known");
        for port in 2..20_000 {
            give(port, BYE);
        }
        let stats = give(20_000, BYE);
        assert_eq!(stats.began + stats.not_begun, 20_000);
        let queue = shared.queue();
        assert!(stats.not_begun > 0 && queue.orders.len() <= ORDERS && queue.bytes.len() <= QUEUE);
    }
}
