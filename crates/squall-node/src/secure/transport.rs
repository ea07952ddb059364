//! What QUIC does on the way.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use quinn::congestion::ControllerFactory;
use quinn::{AckFrequencyConfig, Connection, IdleTimeout, MtuDiscoveryConfig, TransportConfig, VarInt};
use quinn_proto::HashedConnectionIdGenerator;

use super::Identity;
use super::congestion::ModelFactory;

/// Settings of connections. Both sides begin with little and allow more after the greeting.
#[derive(Clone)]
pub struct Transport {
    congestion: Arc<dyn ControllerFactory + Send + Sync>,
    largest_datagram: u16,
    idle: Duration,
}

/// Bidirectional streams that a peer may have open; one of them is that of the greeting.
const BIDIRECTIONAL: VarInt = VarInt::from_u32(16);

/// Unidirectional streams that a peer may have open: pieces of files, so many that a lost packet holds up one of many.
const UNIDIRECTIONAL: VarInt = VarInt::from_u32(256);

/// What may be on its way in one stream, in bytes. QUIC's own default in quinn, 1.25 MB, is 100 Mbit/s at 100 ms; a
/// piece of a file, 1 MiB, fits wholly with the next one begun.
const STREAM_WINDOW: VarInt = VarInt::from_u32(2 << 20);

/// What may be on its way in all streams, in bytes: 1 Gbit/s at 250 ms. It bounds what a peer can make this
/// side keep.
const WINDOW: VarInt = VarInt::from_u32(32 << 20);

/// The same at a client: it hears what the other side has, and little else.
const CLIENT_WINDOW: VarInt = VarInt::from_u32(4 << 20);

/// What a peer may send before the greeting is over, in bytes: the greeting, and nothing worth an attack.
const WINDOW_BEFORE: VarInt = VarInt::from_u32(4096);

/// What this side keeps of what was sent and not acknowledged, in bytes: as much as the peer allows.
const SEND_WINDOW: u64 = 32 << 20;

/// What a round trip is taken for before there was one. A packet of the handshake that is lost is sent again after three
/// times this; [RFC 9002 §6.2.2](https://www.rfc-editor.org/rfc/rfc9002#section-6.2.2) would wait for a second. Where the
/// path is longer than that, one packet is sent twice, and the wait doubles.
const FIRST_ROUND_TRIP: Duration = Duration::from_millis(100);

/// Packets that are acknowledged together
/// ([draft-ietf-quic-ack-frequency](https://datatracker.ietf.org/doc/html/draft-ietf-quic-ack-frequency)).
///
/// Its frame counts those that may come before one is acknowledged. quinn sends the frame once: where that is lost, the
/// connection keeps QUIC's own policy.
const ACKNOWLEDGED: u32 = 20;
/// How long one waits for the others. With 25 ms, QUIC's default, a window of a few packets had only these each 25 ms.
const ACKNOWLEDGED_WITHIN: Duration = Duration::from_millis(2);

/// A client's sign of life. NATs forget UDP after 30 s ([RFC
/// 9000](https://www.rfc-editor.org/rfc/rfc9000#section-10.1.2), 10.1.2), and two of three may be lost.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// A datagram on loopback, in bytes of UDP payload. It has 65,536 bytes for a packet; ten of these, which is what quinn
/// hands to the kernel at a time, are just below that. Measured: half the processor time of 1452.
const LOOPBACK: u16 = 6500;

impl Default for Transport {
    /// Settings with Squall's congestion control.
    fn default() -> Self {
        Self::new(ModelFactory::usual())
    }
}

impl Transport {
    /// Settings with this congestion control and defaults otherwise.
    pub fn new(congestion: Arc<dyn ControllerFactory + Send + Sync>) -> Self {
        Self { congestion, largest_datagram: 1452, idle: Duration::from_secs(30) }
    }

    /// How large datagrams are tried, in bytes of UDP payload: 1452 by default, an Ethernet over IPv6; 1200 at least.
    /// Buffers for what is received grow with it: 2,048 times what is over 1472.
    pub fn largest_datagram(mut self, bytes: u16) -> Self {
        self.largest_datagram = bytes.max(1200);
        self
    }

    /// After how long a silent peer is given up: 30 s by default, the less of both sides' counts.
    pub fn idle(mut self, idle: Duration) -> Self {
        self.idle = idle;
        self
    }

    /// A server gives its key: what it says to connections that it does not know, since it was started again, then
    /// follows from that, so that their clients know at once and come again
    /// ([RFC 9000 §10.3](https://www.rfc-editor.org/rfc/rfc9000#section-10.3)).
    pub(super) fn endpoint(&self, identity: Option<&Identity>) -> quinn::EndpointConfig {
        let mut config = match identity {
            Some(identity) => quinn::EndpointConfig::new(Arc::new(identity.reset_key())),
            None => quinn::EndpointConfig::default(),
        };
        if let Some(key) = identity.map(Identity::connection_key) {
            // Those of an earlier run are known for one's own.
            config.cid_generator(move || Box::new(HashedConnectionIdGenerator::from_key(key)));
        }
        // It refuses nothing from 1200 on.
        let _ = config.max_udp_payload_size(self.largest_datagram.max(LOOPBACK));
        config
    }

    pub(super) fn of_client(&self, server: IpAddr) -> Arc<TransportConfig> {
        let mut config = self.common();
        if server.to_canonical().is_loopback() {
            // Begun with, as a search takes a second. What does not carry them is found by their loss.
            config.initial_mtu(LOOPBACK).mtu_discovery_config(Some(upto(LOOPBACK)));
        }
        config.keep_alive_interval(Some(KEEP_ALIVE.min(self.idle / 3)));
        Arc::new(config)
    }

    pub(super) fn of_server(&self) -> Arc<TransportConfig> {
        Arc::new(self.common())
    }

    fn common(&self) -> TransportConfig {
        let mut config = TransportConfig::default();
        config
            .max_idle_timeout(Some(IdleTimeout::try_from(self.idle).unwrap_or(VarInt::MAX.into())))
            .max_concurrent_bidi_streams(VarInt::from_u32(1))
            .max_concurrent_uni_streams(VarInt::from_u32(0))
            .receive_window(WINDOW_BEFORE)
            .stream_receive_window(STREAM_WINDOW)
            .initial_rtt(FIRST_ROUND_TRIP)
            .ack_frequency_config(Some(acknowledgements()))
            .send_window(SEND_WINDOW)
            // In turn, all of many streams would come to their ends at once, and the other side had all of them in
            // memory until then.
            .send_fairness(false)
            .mtu_discovery_config(Some(upto(self.largest_datagram)))
            // No protocol of this tier uses QUIC's datagrams.
            .datagram_receive_buffer_size(None)
            .congestion_controller_factory(self.congestion.clone());
        config
    }
}

/// Fewer acknowledgements are less work for both sides, and on fast paths only there: after [`ACKNOWLEDGED`] packets, or
/// soon, so that nobody who has little under way waits for them.
fn acknowledgements() -> AckFrequencyConfig {
    let mut acknowledgements = AckFrequencyConfig::default();
    acknowledgements
        .ack_eliciting_threshold(VarInt::from_u32(ACKNOWLEDGED - 1))
        .max_ack_delay(Some(ACKNOWLEDGED_WITHIN))
        .reordering_threshold(VarInt::from_u32(3));
    acknowledgements
}

fn upto(datagram: u16) -> MtuDiscoveryConfig {
    let mut mtu = MtuDiscoveryConfig::default();
    mtu.upper_bound(datagram);
    mtu
}

/// Allows the peer what it may have after the greeting. A client mostly sends.
pub(super) fn open_wide(connection: &Connection) {
    let is_client = connection.side().is_client();
    connection.set_receive_window(if is_client { CLIENT_WINDOW } else { WINDOW });
    connection.set_max_concurrent_uni_streams(UNIDIRECTIONAL);
    connection.set_max_concurrent_bi_streams(BIDIRECTIONAL);
}
