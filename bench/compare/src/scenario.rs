//! What the servers are put through.

use std::net::SocketAddr;

use squall::load::Load;

use crate::server::Server;

/// A scenario's name on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Name {
    Many,
    One,
    Latency,
    Burst,
    Threads,
}

impl Name {
    pub(crate) const ALL: [Name; 5] = [Name::Many, Name::One, Name::Latency, Name::Burst, Name::Threads];
}

/// A load, and the servers that get it.
pub(crate) struct Scenario {
    name: Name,
    pub(crate) about: &'static str,
    pub(crate) load: fn(SocketAddr) -> Load,
    pub(crate) servers: &'static [Server],
}

impl Scenario {
    pub(crate) fn of(name: Name) -> Self {
        let (about, load, servers): (_, fn(SocketAddr) -> Load, _) = match name {
            Name::Many => ("256 peers, 128 requests of 64 bytes in flight", many, ALL),
            Name::One => ("one peer, 64 requests of 64 bytes in flight", one, ALL),
            Name::Latency => ("one peer, one request of 64 bytes in flight", latency, ALL),
            Name::Burst => {
                ("one peer, bursts of 32 datagrams of 64 bytes, 8 bursts in flight", burst, TRAINS)
            }
            Name::Threads => {
                ("256 peers, 64 requests of 64 bytes in flight, a thread for each", threads, THREADS)
            }
        };
        Self { name, about, load, servers }
    }

    /// The name as it is typed.
    pub(crate) fn name(&self) -> String {
        format!("{:?}", self.name).to_lowercase()
    }
}

fn many(target: SocketAddr) -> Load {
    Load::udp(target).peers(256).in_flight(128).busy(true)
}

fn one(target: SocketAddr) -> Load {
    Load::udp(target).in_flight(64).busy(true)
}

/// Both sides sleep between two datagrams, as they do where nobody measures.
fn latency(target: SocketAddr) -> Load {
    Load::udp(target).in_flight(1)
}

fn burst(target: SocketAddr) -> Load {
    Load::udp(target).burst(32).in_flight(8 * 32).busy(true)
}

fn threads(target: SocketAddr) -> Load {
    Load::udp(target).peers(256).in_flight(64).busy(true)
}

const ALL: &[Server] = &[
    Server::Squall,
    Server::C,
    Server::Tokio,
    Server::TokioMain,
    Server::Std,
    Server::PythonRaw,
    Server::PythonPlain,
    Server::PythonThreading,
    Server::PythonForking,
    Server::PythonAsyncio,
];
const TRAINS: &[Server] = &[Server::Squall, Server::CTrains, Server::C, Server::Tokio, Server::Std];
const THREADS: &[Server] = &[Server::SquallThreads, Server::PythonThreading, Server::PythonForking];
