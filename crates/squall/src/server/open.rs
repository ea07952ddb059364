//! Sockets for programs that serve them by themselves.

use std::sync::Arc;

use squall_socket::{Address, Socket};

use super::Config;
use super::bind::{BindError, Binder};
use crate::uri::Uri;

/// A socket that [`open`] opened.
#[derive(Debug)]
#[non_exhaustive]
pub struct OpenSocket {
    /// The socket; a stream socket listens.
    pub socket: Arc<Socket>,
    /// Where it is bound, with the port that the kernel chose.
    pub address: Address,
    /// The same as it is written.
    pub uri: Uri,
    /// Whether it takes what is sent to any address of this machine. A datagram's ancillary data then
    /// tells which one, and an answer must leave from there.
    pub wildcard: bool,
    /// The receive buffer that the kernel gave, in bytes; `None` for a stream.
    pub receive_buffer: Option<usize>,
}

/// Opens the sockets of `uri`, one for each address that its name stands for and this machine has, as a
/// [`Server`](crate::Server) opens its own: on every interface with both families in one socket and the
/// destination told, with merged datagrams where the kernel can, a taken port an error in any case. `name`
/// is what an error calls the program.
///
/// # Errors
/// [`BindError`], which names the address and the remedy; nothing stays open.
pub fn open(name: &str, uri: &Uri) -> Result<Vec<OpenSocket>, BindError> {
    if let Some(path) = uri.unix() {
        let (service, uri) = (name.to_owned(), format!("{}:{path}", uri.transport()));
        return Err(BindError::Transport { service, uri, reason: "it needs udp or tcp" });
    }
    let config = Config::default();
    let bound = Binder { name, index: 0, uri, config: &config, shards: 1, v4_wildcards: &[] }.bind()?;
    let open = bound.into_iter().flat_map(|bound| {
        let (address, uri) = (bound.address, bound.uri());
        let (wildcard, receive_buffer) = (bound.wildcard, bound.receive_buffer);
        let sockets = bound.sockets.into_iter();
        sockets.map(move |socket| OpenSocket { socket, address, uri: uri.clone(), wildcard, receive_buffer })
    });
    Ok(open.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_opened_can_be_reached_and_a_taken_port_is_an_error() {
        let open_at = |text: &str| open("relay", &text.parse().unwrap());
        let udp = open_at("udp://:0").unwrap();
        assert!(udp[0].wildcard && udp[0].receive_buffer.is_some());
        let tcp = open_at("tcp://127.0.0.1:0").unwrap();
        assert!(tcp[0].socket.is_listening().unwrap() && !tcp[0].wildcard);
        let error = open_at(&tcp[0].uri.to_string()).unwrap_err();
        assert!(error.to_string().contains("for relay: another program has it"), "{error}");
        assert!(open_at("unix:/tmp/x").unwrap_err().is_usage());
    }
}
