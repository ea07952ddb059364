//! Echo servers as Rust programs write them first.

use std::io;
use std::net::{SocketAddr, UdpSocket};

/// Which socket the server is made of.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum Kind {
    Std,
    Tokio,
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
        Kind::Tokio => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
            runtime.block_on(async {
                let socket = tokio::net::UdpSocket::bind(address).await?;
                let mut buffer = vec![0; 65_536];
                loop {
                    let (len, peer) = socket.recv_from(&mut buffer).await?;
                    socket.send_to(&buffer[..len], peer).await?;
                }
            })
        }
    }
}
