//! Every system call of Squall: sockets, options, batches, ancillary data, names, interfaces.
//!
//! This crate alone holds `unsafe` code and tells operating systems apart. Above it stands safe Rust.
//! On Linux it uses what Linux has (`recvmmsg`, segmentation offload, `epoll`); with
//! `--cfg squall_portable` it does without, by calls that every Unix has, one datagram at a time.
#![allow(unsafe_code)]

mod address;
mod ancillary;
mod batch;
pub mod errno;
mod holders;
pub mod hosts;
mod interface_changes;
mod interfaces;
pub mod names;
mod options;
mod poll;
pub mod process;
mod socket;
pub mod unix;
mod zone;

pub use address::{Address, UnixAddress};
pub use ancillary::{Ancillary, QueuedError, ReportedError, next_error, next_quoted_error};
pub use batch::{Message, Outgoing, ReceiveBatch, SEGMENTED_SENDS, Segments, SendBatch};
pub use holders::{PortHolder, udp_port_holders};
pub use interface_changes::InterfaceChanges;
pub use interfaces::{
    Interface, InterfaceAddress, InterfaceError, InterfaceFlags, interface_index, interface_name, interfaces,
};
pub use options::{Credentials, Ecn, Memory, PathMtuDiscovery};
pub use poll::{Poller, Waker, wait_writable};
pub use socket::{ConnectError, Family, Kind, Received, Socket};
pub use zone::{ZoneError, display_address, parse_address, zone_index};
