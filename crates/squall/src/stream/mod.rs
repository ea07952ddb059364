//! Stream servers: connections whose requests a framing cuts out, on the asynchronous runtime.

pub(crate) mod bridge;
mod connection;
pub(crate) mod conversation;
pub(crate) mod line;
mod listener;

use std::sync::Arc;
use std::time::Duration;

pub(crate) use listener::{Listener, serve};
use squall_proto::Handler;
use squall_proto::framing::Framing;

use self::conversation::StreamHandler;
use crate::offload::Asynchronous;
use crate::pool::Pool;

/// Who talks on a service's connections.
#[derive(Clone)]
pub(crate) enum StreamApp {
    /// A handler, on the runtime's own thread.
    Inline(Arc<dyn Handler>),
    /// A handler, in the pool.
    Pool(Arc<Pool>, Arc<dyn Handler>),
    /// An asynchronous handler.
    Asynchronous(Asynchronous),
    /// A protocol, on its shard.
    Protocol(Arc<bridge::Bridge>),
    /// A whole conversation, on a thread of its own.
    Conversation(Arc<dyn StreamHandler>),
}

/// Bounds on the connections of a server.
///
/// A connection that waits costs the server a task and a descriptor, and no buffer.
#[derive(Clone, Copy, Debug)]
pub struct StreamLimits {
    pub(crate) connections: usize,
    pub(crate) idle: Duration,
    pub(crate) frame: Duration,
    pub(crate) write: Duration,
    pub(crate) lifetime: Duration,
    pub(crate) backlog: u32,
}

impl StreamLimits {
    /// Connections that a service keeps open; those past it are closed at once and counted. 16,384 by
    /// default. Each needs a descriptor: see [`raise_descriptor_limit`](squall_socket::process::raise_descriptor_limit).
    pub fn connections(mut self, connections: usize) -> Self {
        self.connections = connections;
        self
    }

    /// How long a connection may bring nothing; ten minutes by default.
    pub fn idle(mut self, idle: Duration) -> Self {
        self.idle = idle;
        self
    }

    /// How long one frame may take from its first byte to its last; 30 seconds by default. Means
    /// nothing where bytes are taken as they are read.
    pub fn frame(mut self, frame: Duration) -> Self {
        self.frame = frame;
        self
    }

    /// How long the peer may take none of its replies; ten seconds by default.
    pub fn write(mut self, write: Duration) -> Self {
        self.write = write;
        self
    }

    /// How long a connection may be open at all; 24 hours by default.
    pub fn lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// Connections that the kernel keeps waiting to be accepted; 4096 by default, of which the kernel
    /// gives `net.core.somaxconn` at most.
    pub fn backlog(mut self, backlog: u32) -> Self {
        self.backlog = backlog;
        self
    }
}

impl Default for StreamLimits {
    fn default() -> Self {
        Self {
            connections: 16_384,
            idle: Duration::from_secs(600),
            frame: Duration::from_secs(30),
            write: Duration::from_secs(10),
            lifetime: Duration::from_secs(24 * 3600),
            backlog: 4096,
        }
    }
}

/// How a service's connections are read.
#[derive(Clone)]
pub(crate) struct StreamService {
    pub(crate) app: StreamApp,
    pub(crate) framing: Framing,
    pub(crate) limits: StreamLimits,
    /// What a protocol's connection is told that breaks the framing.
    pub(crate) last_word: Option<Arc<[u8]>>,
}
