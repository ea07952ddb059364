//! What a session listener counts.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

macro_rules! counts {
    ($($(#[doc = $doc:literal])+ $field:ident,)+) => {
        /// A session listener's counts at one moment.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct SessionStats {
            /// Sessions that are open now.
            pub open: u64,
            /// Those of them that wait to be accepted.
            pub waiting: u64,
            /// Bytes that sessions hold and that were not read yet.
            pub queued_bytes: u64,
            $($(#[doc = $doc])+ pub $field: u64,)+
        }

        /// The counts that grow.
        #[derive(Debug, Default)]
        pub(super) struct Counts {
            $(pub(super) $field: AtomicU64,)+
        }

        impl Counts {
            pub(super) fn snapshot(&self, open: u64, waiting: u64, queued_bytes: u64) -> SessionStats {
                SessionStats { open, waiting, queued_bytes, $($field: self.$field.load(Relaxed),)+ }
            }
        }
    };
}

counts! {
    /// Sessions that were opened.
    opened,
    /// Sessions that ended because their peer was silent for the idle time.
    ended_idle,
    /// Sessions that ended to make room for a new peer.
    evicted,
    /// Datagrams that arrived.
    received,
    /// Their bytes, without headers.
    received_bytes,
    /// Datagrams of new peers that were refused because every session was taken.
    refused_full,
    /// Datagrams of new peers that were refused because too many sessions waited to be accepted.
    refused_backlog,
    /// Datagrams that were refused because they may be another server's answer.
    refused_loop,
    /// Datagrams that were refused by the rate limit.
    refused_rate,
    /// Datagrams that were refused because they came by broadcast or multicast.
    refused_multicast,
    /// Datagrams that were refused because their Unix peer has no name.
    refused_unnamed,
    /// Datagrams that were dropped as the newest of a full queue.
    dropped_newest,
    /// Datagrams that were dropped as the oldest of a full queue.
    dropped_oldest,
    /// Datagrams that were dropped because all sessions together held too many bytes.
    dropped_memory,
    /// Datagrams that nobody had read when their session was dropped.
    unread,
    /// Datagrams that the kernel took.
    sent,
    /// Their bytes, without headers.
    sent_bytes,
    /// Datagrams that were not sent because their peer is not validated and had its three times.
    refused_amplification,
    /// Datagrams that the kernel did not take.
    send_failed,
    /// Errors of receiving, for instance ICMP errors; none ends a session.
    receive_errors,
}

/// Adds `count` to a counter.
pub(super) fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Relaxed);
}
