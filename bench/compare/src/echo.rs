//! Servers that are this program itself: echo servers as Rust programs write them first, and a CoAP server whose
//! requests are executed at most once.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicU64, Ordering};

use squall::coap::server::{Resource, Server as Machine, ServerConfig};
use squall::{Reply, Request, Server, Service, Status};

/// Which socket the server is made of.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum Kind {
    /// The standard library's socket, blocking.
    Std,
    /// Tokio's socket on a runtime of one thread.
    Tokio,
    /// Tokio's socket on the runtime that `#[tokio::main]` makes.
    TokioMain,
    /// Squall's CoAP server with a resource that counts, once for each request.
    CoapOnce,
}

/// Serves, for ever.
pub(crate) fn serve(kind: Kind, address: SocketAddr) -> io::Result<()> {
    squall_socket::process::end_with_parent()?;
    match kind {
        Kind::Std => {
            let socket = UdpSocket::bind(address)?;
            let mut buffer = vec![0; 65_536];
            loop {
                let (len, peer) = socket.recv_from(&mut buffer)?;
                socket.send_to(&buffer[..len], peer)?;
            }
        }
        Kind::Tokio => serve_tokio(tokio::runtime::Builder::new_current_thread(), address),
        Kind::TokioMain => serve_tokio(tokio::runtime::Builder::new_multi_thread(), address),
        Kind::CoapOnce => serve_once(address),
    }
}

fn serve_tokio(mut runtime: tokio::runtime::Builder, address: SocketAddr) -> io::Result<()> {
    runtime.enable_io().build()?.block_on(async {
        let socket = tokio::net::UdpSocket::bind(address).await?;
        let mut buffer = vec![0; 65_536];
        loop {
            let (len, peer) = socket.recv_from(&mut buffer).await?;
            socket.send_to(&buffer[..len], peer).await?;
        }
    })
}

fn serve_once(address: SocketAddr) -> io::Result<()> {
    let count = AtomicU64::new(0);
    let count = move |_: &Request<'_>, reply: &mut Reply<'_>| {
        reply.status(Status::CHANGED);
        reply.write(&count.fetch_add(1, Ordering::Relaxed).to_be_bytes())
    };
    // Room for all requests of a measurement, since none is forgotten before 247 s are over.
    let config = ServerConfig::default().marks(MARKS);
    let machine = Machine::new(&config, vec![Resource::new("count", count)], 7);
    let service =
        Service::protocol("coap", machine).at(&format!("udp://{address}")).map_err(io::Error::other)?;
    Server::new().service(service).shards(1).start().map_err(io::Error::other)?.wait();
    Ok(())
}

const MARKS: usize = 16 << 20;
