//! The services of a Squall node, its configuration and its life.
#![forbid(unsafe_code)]

mod units;

pub use units::{parse_duration, parse_framing, parse_model, parse_offload, parse_ratio};
