//! `quinn`'s interface for congestion control, around Squall's.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use quinn::congestion::{Controller, ControllerFactory};
use quinn_proto::RttEstimator;
use squall::Time;
use squall::congestion::{Belief, CongestionConfig, CongestionConfigError, Controller as Model};

/// Makes a controller for each path of a connection.
#[derive(Clone, Debug)]
pub(crate) struct ModelFactory {
    config: CongestionConfig,
}

impl ModelFactory {
    /// A factory for [`quinn::TransportConfig::congestion_controller_factory`].
    ///
    /// # Errors
    /// The first bound of the configuration that is not kept.
    pub(crate) fn new(config: &CongestionConfig) -> Result<Arc<Self>, CongestionConfigError> {
        config.validate()?;
        Ok(Arc::new(Self { config: config.clone() }))
    }

    /// The factory with the defaults.
    pub(crate) fn usual() -> Arc<Self> {
        Self::new(&CongestionConfig::default()).expect("the defaults are valid")
    }
}

impl ControllerFactory for ModelFactory {
    fn build(self: Arc<Self>, now: Instant, current_mtu: u16) -> Box<dyn Controller> {
        let model =
            Model::new(&self.config, current_mtu.into(), Time::ZERO).expect("validated at the beginning");
        Box::new(ModelController { model, epoch: now, closes: Arc::default() })
    }
}

/// Squall's controller as `quinn` wants one.
#[derive(Clone, Debug)]
pub(crate) struct ModelController {
    model: Model,
    /// The model's time counts from here.
    epoch: Instant,
    /// Whether the connection is about to be closed; `quinn` has one of these controllers, and whoever asks for it gets a
    /// copy.
    closes: Arc<AtomicBool>,
}

impl ModelController {
    /// What a connection's controller believes of its path; `None` if it has another kind of controller.
    pub(crate) fn belief(connection: &quinn::Connection) -> Option<Belief> {
        Some(Self::of(connection)?.model.belief())
    }

    /// Lets what closes a connection leave, however much is under way: `quinn` counts it as content
    /// ([issue 2785](https://github.com/quinn-rs/quinn/issues/2785), mended behind quinn-proto 0.11.19), and a peer that
    /// does not hear of it waits until nothing came for too long.
    pub(super) fn let_close(connection: &quinn::Connection) {
        if let Some(controller) = Self::of(connection) {
            controller.closes.store(true, Ordering::Relaxed);
        }
    }

    fn of(connection: &quinn::Connection) -> Option<Box<Self>> {
        connection.congestion_state().into_any().downcast().ok()
    }

    fn time(&self, instant: Instant) -> Time {
        Time::from_epoch(instant.saturating_duration_since(self.epoch))
    }
}

impl Controller for ModelController {
    fn on_sent(&mut self, now: Instant, bytes: u64, _: u64) {
        self.model.handle_sent(self.time(now), bytes);
    }

    // The round trip that comes with it is the one before this acknowledgement; the model makes its own.
    fn on_ack(&mut self, _: Instant, sent: Instant, bytes: u64, _: bool, _: &RttEstimator) {
        self.model.handle_acked(self.time(sent), bytes);
    }

    fn on_end_acks(&mut self, now: Instant, in_flight: u64, app_limited: bool, _: Option<u64>) {
        // `quinn` looks at its clock before it reads from the socket: on a busy host the time that it passes is several
        // milliseconds old when an acknowledgement is read, and the round trip would be shorter than the path.
        let now = now.max(Instant::now());
        self.model.handle_acks_end(self.time(now), in_flight, app_limited);
    }

    fn on_congestion_event(
        &mut self,
        _: Instant,
        _: Instant,
        is_persistent_congestion: bool,
        lost_bytes: u64,
    ) {
        if lost_bytes == 0 {
            self.model.handle_marked();
        } else {
            self.model.handle_lost(lost_bytes, is_persistent_congestion);
        }
    }

    fn on_mtu_update(&mut self, new_mtu: u16) {
        self.model.handle_packet_size(new_mtu.into());
    }

    fn window(&self) -> u64 {
        if self.closes.load(Ordering::Relaxed) { u64::MAX } else { self.model.window() }
    }

    fn initial_window(&self) -> u64 {
        self.model.initial_window()
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const PACKET: u64 = 1452;

    fn factory() -> Arc<ModelFactory> {
        ModelFactory::new(&CongestionConfig::default()).unwrap()
    }

    fn model(controller: Box<dyn Controller>) -> Model {
        controller.into_any().downcast::<ModelController>().unwrap().model
    }

    #[test]
    fn a_factory_refuses_what_the_model_would() {
        assert!(ModelFactory::new(&CongestionConfig::default().max_window(1)).is_err());
    }

    #[test]
    fn what_quinn_tells_reaches_the_model() {
        let now = Instant::now();
        let mut controller = factory().build(now, 1452);
        assert_eq!(controller.window(), controller.initial_window());
        controller.on_mtu_update(9000);
        controller.on_congestion_event(now, now, false, 0);
        assert!(controller.window() < controller.initial_window(), "a mark counts");
        controller.on_sent(now, PACKET, 0);
        controller.on_congestion_event(now, now, true, PACKET);
        assert_eq!(controller.window(), controller.initial_window(), "it begins anew");
        let copy = model(controller.clone_box());
        assert_eq!(copy.belief(), model(controller).belief());
    }

    #[test]
    fn a_time_before_the_beginning_is_the_beginning() {
        let now = Instant::now();
        let mut controller = factory().build(now + Duration::from_secs(1), 1452);
        controller.on_sent(now, PACKET, 0);
        controller.on_end_acks(now, 0, false, None);
        assert_eq!(model(controller).belief().shortest, None);
    }

    /// Over real sockets: acknowledgements bring round trips, and the window grows.
    #[tokio::test]
    async fn a_connection_has_the_model_for_its_path() {
        let key = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
        let certificate = key.cert.der().clone();
        let private = rustls::pki_types::PrivatePkcs8KeyDer::from(key.signing_key.serialize_der());
        let server =
            quinn::ServerConfig::with_single_cert(vec![certificate.clone()], private.into()).unwrap();
        let loopback = (std::net::Ipv4Addr::LOCALHOST, 0).into();
        let server = quinn::Endpoint::server(server, loopback).unwrap();
        let address = server.local_addr().unwrap();
        let mut roots = rustls::RootCertStore::empty();
        roots.add(certificate).unwrap();
        let mut config = quinn::ClientConfig::with_root_certificates(Arc::new(roots)).unwrap();
        let mut transport = quinn::TransportConfig::default();
        transport.congestion_controller_factory(factory());
        config.transport_config(Arc::new(transport));
        let mut client = quinn::Endpoint::client(loopback).unwrap();
        client.set_default_client_config(config);

        let serve = tokio::spawn(async move {
            let connection = server.accept().await.unwrap().await.unwrap();
            let mut stream = connection.accept_uni().await.unwrap();
            let received = stream.read_to_end(1 << 20).await.unwrap().len();
            connection.closed().await;
            received
        });
        let connection = client.connect(address, "localhost").unwrap().await.unwrap();
        let mut stream = connection.open_uni().await.unwrap();
        stream.write_all(&vec![7; 1 << 20]).await.unwrap();
        stream.finish().unwrap();
        stream.stopped().await.unwrap();
        let belief = ModelController::belief(&connection).unwrap();
        assert!(belief.bandwidth > 0 && belief.round_trip.is_some(), "{belief:?}");
        connection.close(0_u32.into(), b"");
        assert_eq!(serve.await.unwrap(), 1 << 20);
    }
}
