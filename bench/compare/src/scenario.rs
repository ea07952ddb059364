//! What the servers are put through.

use std::net::SocketAddr;

use clap::ValueEnum;
use squall::load::{Load, LoadError};
use squall::{Method, Status};

use crate::server::Server;

/// A scenario's name on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Name {
    Many,
    One,
    Latency,
    Burst,
    Threads,
    Coap,
    CoapOnce,
}

impl Name {
    pub(crate) const ALL: [Name; 7] =
        [Name::Many, Name::One, Name::Latency, Name::Burst, Name::Threads, Name::Coap, Name::CoapOnce];
}

/// Makes the load for a server at an address.
type MakeLoad = fn(SocketAddr) -> Result<Load, LoadError>;

/// A load, and the servers that get it.
pub(crate) struct Scenario {
    name: Name,
    pub(crate) about: &'static str,
    pub(crate) load: MakeLoad,
    pub(crate) servers: &'static [Server],
}

impl Scenario {
    pub(crate) fn of(name: Name) -> Self {
        let (about, load, servers): (_, MakeLoad, _) = match name {
            Name::Many => ("256 peers, 128 requests of 64 bytes in flight", many, ALL),
            Name::One => ("one peer, 64 requests of 64 bytes in flight", one, ALL),
            Name::Latency => ("one peer, one request of 64 bytes in flight", latency, ALL),
            Name::Burst => {
                ("one peer, bursts of 32 datagrams of 64 bytes, 8 bursts in flight", burst, TRAINS)
            }
            Name::Threads => {
                ("256 peers, 64 requests of 64 bytes in flight, a thread for each", threads, THREADS)
            }
            Name::Coap => {
                ("CoAP: 256 peers, 128 confirmable GETs of /time in flight, 2.05 counted", coap, COAP)
            }
            Name::CoapOnce => (
                "CoAP: 256 peers, 128 confirmable POSTs in flight, each executed at most once, 2.04 counted",
                coap_once,
                COAP_ONCE,
            ),
        };
        Self { name, about, load, servers }
    }

    /// The name as it is typed.
    pub(crate) fn name(&self) -> String {
        self.name.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

fn many(target: SocketAddr) -> Result<Load, LoadError> {
    Ok(Load::udp(target).peers(256).in_flight(128).busy(true))
}

fn one(target: SocketAddr) -> Result<Load, LoadError> {
    Ok(Load::udp(target).in_flight(64).busy(true))
}

/// Both sides sleep between two datagrams, as they do where nobody measures.
fn latency(target: SocketAddr) -> Result<Load, LoadError> {
    Ok(Load::udp(target).in_flight(1))
}

fn burst(target: SocketAddr) -> Result<Load, LoadError> {
    Ok(Load::udp(target).burst(32).in_flight(8 * 32).busy(true))
}

fn threads(target: SocketAddr) -> Result<Load, LoadError> {
    Ok(Load::udp(target).peers(256).in_flight(64).busy(true))
}

fn coap(target: SocketAddr) -> Result<Load, LoadError> {
    Ok(Load::coap(target, Method::Get, "time", b"", Status::CONTENT)?.peers(256).in_flight(128).busy(true))
}

fn coap_once(target: SocketAddr) -> Result<Load, LoadError> {
    let load = Load::coap(target, Method::Post, "count", b"one", Status::CHANGED)?;
    Ok(load.peers(256).in_flight(128).busy(true))
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
const COAP: &[Server] = &[Server::SquallCoap, Server::Libcoap];
const COAP_ONCE: &[Server] = &[Server::SquallOnce];
