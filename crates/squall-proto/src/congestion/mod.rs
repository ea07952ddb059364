//! How much a connection may have under way: a model of its path's bandwidth and of its round trip without a queue.
//!
//! A [`Controller`] is told what was sent, what arrived and what was lost, and says how many bytes may be in flight
//! ([`Controller::window`]). It is made for senders that let it set nothing but this window, and pace what is in
//! it a little faster than one window a round trip, as QUIC's usual libraries do.
//!
//! A queue that fills slows it down, a lost datagram does not. Loss tells of congestion only if there is less of it
//! when less is sent, and that is tried out; what was there anyway is the weather. The queue
//! is seen in the round trip: the mean of a round over what that is without a queue. The
//! controller keeps its own queue at a part of the round trip that is smaller the faster it is, so that
//! several share alike, and regularly lets it run empty, so that all of them know how long the
//! round trip is without one. Where a queue stays although the controller gives way, someone
//! fills it who does not look at delay. Then it takes its share as CUBIC would.
//!
//! The measurements follow [delivery rate estimation](https://datatracker.ietf.org/doc/html/draft-cheng-iccrg-delivery-rate-estimation)
//! and [BBR](https://datatracker.ietf.org/doc/html/draft-ietf-ccwg-bbr), the law for the queue
//! [FAST TCP](https://doi.org/10.1109/TNET.2006.886335) and [Swift](https://doi.org/10.1145/3387514.3406591), the
//! two modes [Copa](https://www.usenix.org/conference/nsdi18/presentation/arun).

mod base;
mod belief;
mod compete;
mod config;
mod controller;
mod delivery;
mod drain;
mod filters;
mod losses;
mod queue;
mod round;
mod startup;

pub use belief::{Belief, Phase};
pub use config::{CongestionConfig, CongestionConfigError};
pub use controller::Controller;
