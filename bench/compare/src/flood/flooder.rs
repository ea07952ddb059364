//! A member that sends as much as its processor can.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use squall_socket::{SendBatch, Socket};

use crate::error::Error;
use crate::fanout::Publisher;
use crate::fanout::audience::TEXT;
use crate::fanout::udp::{SEGMENTS, SENDS, say};

/// What is sent, and how the kernel gets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flood {
    Texts(Publisher),
    /// `^hb^`, which a hub answers with nothing.
    Heartbeats(Publisher),
}

impl Flood {
    pub(crate) const ALL: [Flood; 4] = [
        Flood::Texts(Publisher::Singles),
        Flood::Texts(Publisher::Train),
        Flood::Heartbeats(Publisher::Singles),
        Flood::Heartbeats(Publisher::Train),
    ];

    pub(crate) fn label(self) -> &'static str {
        match self {
            Flood::Texts(Publisher::Singles) => "singles",
            Flood::Texts(Publisher::Train) => "trains",
            Flood::Heartbeats(Publisher::Singles) => "heartbeats",
            Flood::Heartbeats(Publisher::Train) => "heartbeats, trains",
        }
    }

    fn publisher(self) -> Publisher {
        let (Flood::Texts(publisher) | Flood::Heartbeats(publisher)) = self;
        publisher
    }

    fn message(self) -> &'static [u8] {
        match self {
            Flood::Texts(_) => TEXTS,
            Flood::Heartbeats(_) => HEARTBEAT,
        }
    }
}

/// Sends from a thread of its own, on the processor of the thread that started it, until it is stopped.
pub(crate) struct Flooder {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<io::Result<u64>>,
}

impl Flooder {
    /// Begins to send through a connected socket.
    pub(crate) fn start(socket: Socket, flood: Flood) -> Result<Self, Error> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let send = move || {
            let mut batch = SendBatch::new(SENDS);
            let (publisher, message) = (flood.publisher(), flood.message());
            let a_call = match publisher {
                Publisher::Singles => SENDS,
                Publisher::Train => CALL_OF_TRAINS * SEGMENTS,
            };
            let texts = message.repeat(a_call);
            let mut sent = 0;
            while !stopped.load(Ordering::Relaxed) {
                match say(&socket, &mut batch, publisher, message.len(), &texts) {
                    Ok(()) => sent += a_call as u64,
                    // A refused one is like one that was sent: nobody had asked.
                    Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(sent)
        };
        let thread = std::thread::Builder::new().name("flooder".into()).spawn(send).map_err(Error::Member)?;
        Ok(Self { stop, thread })
    }

    /// Ends it and tells how many messages it has sent.
    pub(crate) fn stop(self) -> Result<u64, Error> {
        self.stop.store(true, Ordering::Relaxed);
        let ended = self.thread.join().unwrap_or_else(|_| Err(io::Error::other("the flooder panicked")));
        ended.map_err(Error::Member)
    }
}

/// What is said again and again.
pub(crate) const TEXTS: &[u8; TEXT] = b"flood: this is said as often as the sender's processor can do it";
pub(crate) const HEARTBEAT: &[u8] = b"^hb^";
/// Trains for one call.
const CALL_OF_TRAINS: usize = 16;
