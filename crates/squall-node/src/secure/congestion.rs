//! `quinn`'s interface for congestion control, around Squall's.

use std::any::Any;
use std::sync::Arc;
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
}

impl ControllerFactory for ModelFactory {
    fn build(self: Arc<Self>, now: Instant, current_mtu: u16) -> Box<dyn Controller> {
        let model =
            Model::new(&self.config, current_mtu.into(), Time::ZERO).expect("validated at the beginning");
        Box::new(ModelController { model, epoch: now })
    }
}

/// Squall's controller as `quinn` wants one.
#[derive(Clone, Debug)]
pub(crate) struct ModelController {
    model: Model,
    /// The model's time counts from here.
    epoch: Instant,
}

impl ModelController {
    /// What a connection's controller believes of its path; `None` if it has another kind of controller.
    pub(crate) fn belief(connection: &quinn::Connection) -> Option<Belief> {
        let controller = connection.congestion_state().into_any().downcast::<Self>().ok()?;
        Some(controller.model.belief())
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
        self.model.window()
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
