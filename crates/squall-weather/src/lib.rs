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
//!
//! # The text form
//! Settings with commas between them: `delay=25ms,jitter=5ms,loss=1%`. Each holds for both directions, or with `up.`
//! (client to server) or `down.` before it for one, which is the stronger wherever it stands. A [preset](PRESETS)
//! may come first: `lte,loss=2%`. What is written behind it replaces what the preset says of that key, in both directions
//! unless it names one: `half` is `up.loss=50%`, `half,loss=10%` loses 10 % both ways, `half,down.loss=10%` keeps the 50 %.
//!
//! | key | what it does | default |
//! | --- | --- | --- |
//! | `delay=25ms` | how long each datagram takes | 0 |
//! | `jitter=5ms` | how much that varies; [`JitterShape`] says what it means | 0 |
//! | `jitter-shape=uniform` | `uniform`, `normal` or `pareto` | `uniform` |
//! | `order=keep` | `free` lets jittered datagrams overtake | `keep` |
//! | `loss=1%` | the probability that a datagram is lost, each by itself | 0% |
//! | `burst=1%:25%` | loss in bursts: the probabilities of entering one and of leaving it; also as `burst-enter` and `burst-leave`. See [`Conditions::burst`] | 0% |
//! | `burst-loss=100%` | the loss within a burst | 100% |
//! | `burst-good-loss=0%` | the loss between bursts | 0% |
//! | `duplicate=1%` | the probability that a datagram arrives twice | 0% |
//! | `reorder=2%` | the probability that a datagram is held back, and overtaken | 0% |
//! | `reorder-by=10ms` | for how long | 10ms |
//! | `corrupt=0.1%` | the probability that one bit of the payload is wrong | 0% |
//! | `rate=10mbit` | a bottleneck: `bit`, `kbit`, `mbit`, `gbit`, `tbit` a second, or bytes, `1MB/s`; decimal | none |
//! | `queue=64KiB` | what may wait before it: `B`, `KB`, `MB`, `GB`, `KiB`, `MiB`, `GiB` | 100 ms at the rate, at least 64 KiB |
//! | `mtu=1400` | the longest datagram that passes, headers counted | none |
//! | `mtu-icmp=yes` | whether the sender of a longer one is told; `no` is a black hole | `yes` |
//! | `blackout=10s+2s` | down from 10 s on for 2 s; more with `/` between them | none |
//! | `blackout-every=30s+2s` | down for 2 s at 30 s, 60 s, … | none |
//! | `rule=PICKS DOES` | see below; any number of them, the first that picks a datagram counts | none |
//!
//! Times have a unit: `ns`, `us`, `ms`, `s`, `m`, `h`, also together, `1m30s`. Probabilities are percentages, or fractions
//! such as `0.01`; a plain `1` is refused, since it may mean either.
//!
//! A rule says with blanks between them what it picks, `size:1000-1500` (bytes with headers), `every:3` (every third that
//! the rest picks), `peer:10.0.0.0/8` or `peer:10.0.0.1:5000` (the client), `prefix:GET` or `prefix:0x00ff` (the payload's
//! first bytes), and what it does: `drop`, or `loss:P`, `delay:T`, `jitter:T`, `duplicate:P`, `reorder:P`, `corrupt:P` instead of what
//! holds for all. So `rule=every:3 prefix:GET drop` drops every third datagram that begins with `GET`.
//!
//! Other weather follows after `@TIME:`, a whole one that replaces what was, and `@TIME:repeat` begins anew:
//! `lte@10s:storm@20s:clear@60s:repeat`. Times, those of blackouts too, count from [the link's beginning](Link::begin).
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
pub use units::parse_rate;
pub use weather::{Direction, Weather};
