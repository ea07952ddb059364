//! What a network does to datagrams: a datagram goes in, copies with delivery times come out.
//!
//! A [`Weather`] has the [`Conditions`] of both directions. A [`Link`] is one direction in operation: it
//! decides for each datagram whether it is dropped, and when its copies arrive. It holds no datagrams;
//! what is under way waits in a [`Queue`]. There is no clock and no unseeded randomness: the same seed
//! and the same datagrams at the same times give the same decisions.
//!
//! ```
//! use squall_time::Time;
//! use squall_weather::{Decision, Packet, Weather};
//!
//! let weather: Weather = "delay=25ms,jitter=5ms,loss=1%,rate=1gbit".parse()?;
//! let (mut up, _down) = weather.links(7);
//! let payload = [0; 100];
//! let packet = Packet { size: 128, payload: &payload, peer: None };
//! match up.decide(Time::ZERO, &packet) {
//!     Decision::Dropped(cause) => println!("dropped: {cause}"),
//!     Decision::Delivered(copies) => copies.iter().for_each(|copy| println!("arrives at {}", copy.at)),
//! }
//! # Ok::<(), squall_weather::TextError>(())
//! ```
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod bottleneck;
mod conditions;
mod counts;
mod decision;
mod draws;
mod jitter;
mod link;
mod presets;
mod probability;
mod queue;
mod record;
mod replay;
mod rule;
mod text;
mod times;
mod units;
mod weather;

pub use conditions::{Conditions, MAX_QUEUE, MAX_RATE, MAX_SPAN, Order};
pub use counts::Counts;
pub use decision::{Cause, Copies, Copy, Corruption, Decision, MAX_COPIES, Packet};
pub use jitter::JitterShape;
pub use link::Link;
pub use presets::{PRESETS, Preset};
pub use probability::{NotAProbability, Probability};
pub use queue::Queue;
pub use record::{Entry, EntryError, Outcome, Passed, Record, RecordError, Recorder};
pub use replay::{Decider, Replay};
pub use rule::Rule;
pub use text::TextError;
pub use weather::{Direction, Weather};
