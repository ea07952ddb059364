//! The services of a Squall node, its configuration and its life.
//!
//! A node is a [`squall::Server`] with services that people know: the time, the length of a datagram, a
//! time stamp, a fixed reply, an echo, a command's output. [`Config`] says which, [`Node::start`] runs
//! them.
#![forbid(unsafe_code)]

mod clock;
mod config;
mod loss;
mod node;
pub mod relay;
pub mod services;
pub mod under;
mod units;

pub use config::{Config, ConfigError, ServiceConfig};
pub use loss::Loss;
pub use node::{Node, NodeError};
pub use units::{parse_duration, parse_framing, parse_model, parse_offload, parse_ratio, parse_time_limit};
