//! A socket for one peer beside a server's socket.

use std::io;
use std::net::SocketAddr;

use super::{Family, Kind, Socket};

impl Socket {
    /// Opens a non-blocking socket for what one `peer` sends to `local`, which is this UDP socket's own address or, where
    /// this one is bound to every interface, one of this host's with the same port. From then on the kernel gives
    /// that peer's datagrams to the new socket, and those of all others to this one, as before. What came in between
    /// the new socket's bind and its connect, from whomever, is with the new one: read it, and look whom it is from.
    ///
    /// Both share the port by `SO_REUSEPORT` ([socket(7)](https://man7.org/linux/man-pages/man7/socket.7.html)), which
    /// this socket has on only meanwhile if it had it off. This socket must be alone at its address but for those that
    /// were opened so: in a group, the other peers would be sent to other members than before. The receive offload of
    /// the new one is as asked (`UDP_GRO`; without it the kernel cuts each train before it looks for room).
    ///
    /// # Errors
    /// `Unsupported` other than on Linux; the system's: the limit of open descriptors, no route to the peer. Nothing
    /// has changed then and nothing is lost.
    pub fn open_apart(&self, local: SocketAddr, peer: SocketAddr, offload: bool) -> io::Result<Socket> {
        if !cfg!(target_os = "linux") {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "sockets for one peer are known on Linux",
            ));
        }
        // A socket that is bound and cannot be connected would have taken datagrams from this one, and lose
        // them: what can fail is tried at another port first.
        let trial = Socket::open(Family::of(&local.ip()), Kind::Datagram)?;
        let mut any_port = local;
        any_port.set_port(0);
        trial.bind(any_port)?;
        trial.connect(peer)?;
        let apart = Socket::open(Family::of(&local.ip()), Kind::Datagram)?;
        apart.set_nonblocking(true)?;
        apart.set_reuse_port(true)?;
        if offload {
            // Not every kernel has it.
            let _ = apart.set_receive_offload(true);
        }
        let shared = self.reuse_port()?;
        self.set_reuse_port(true)?;
        let joined = apart.bind(local).and_then(|()| apart.connect(peer));
        let restored = self.set_reuse_port(shared);
        joined.and(restored)?;
        Ok(apart)
    }
}
