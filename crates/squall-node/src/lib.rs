//! The services of a Squall node, its configuration and its life.
//!
//! A node is a [`squall::Server`] with services that people know: the time, the length of a datagram, a
//! time stamp, a fixed reply, an echo, a command's output. [`Config`] says which, [`Node::start`] runs
//! them.
#![forbid(unsafe_code)]

mod announce;
pub mod chat;
mod clock;
mod config;
mod data;
mod discover;
mod lossy;
mod node;
mod record_file;
pub mod relay;
mod secure;
pub mod services;
pub mod under;
mod units;
mod weather;

pub use announce::{AnnounceError, AnnounceNews, Announced, Announcer, NameProblem, parse_node_name};
pub use config::{Config, ConfigError, ControlPlace, ServiceConfig};
pub use data::{DataDirectory, DataError};
pub use discover::{DiscoverError, Discovery, FoundBy, FoundNode, FoundService, Search, SearchStopper};
pub use lossy::{Loss, parse_drop};
pub use node::{CoapCounts, Node, NodeError, NodeReport, NodeStopper, RunningNode};
pub use record_file::{is_same_file, open_record};
pub use units::{parse_age, parse_duration, parse_framing, parse_model, parse_offload, parse_time_limit};
pub use weather::{WeatherError, load_weather, parse_weather};
