//! Echo servers as Rust programs write them first.

use std::io;
use std::net::{SocketAddr, UdpSocket};

/// Which socket the server is made of.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum Kind {
    /// The standard library's socket, blocking.
    Std,
    /// Tokio's socket on a runtime of one thread.
    Tokio,
    /// Tokio's socket on the runtime that `#[tokio::main]` makes.
    TokioMain,
}

/// Sends each datagram back to its sender, for ever.
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
