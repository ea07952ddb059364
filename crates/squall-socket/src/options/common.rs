//! Options of sockets of every family, and of TCP.

use std::io;
use std::time::Duration;

use super::numbers::SO_INCOMING_CPU;
use crate::Socket;

impl Socket {
    /// Lets a bind take an address that is still in `TIME_WAIT` (`SOL_SOCKET`, `SO_REUSEADDR`,
    /// [socket(7)](https://man7.org/linux/man-pages/man7/socket.7.html)). Right for TCP servers. On a
    /// Linux UDP socket it lets two programs have one port, where the newest gets every datagram: leave it
    /// off, but for multicast.
    ///
    /// # Errors
    /// The system's.
    pub fn set_reuse_address(&self, on: bool) -> io::Result<()> {
        self.inner.set_reuse_address(on)
    }

    /// Whether `SO_REUSEADDR` is on.
    ///
    /// # Errors
    /// The system's.
    pub fn reuse_address(&self) -> io::Result<bool> {
        self.inner.reuse_address()
    }

    /// Lets several sockets of one user bind one address, the kernel spreading peers over them
    /// (`SOL_SOCKET`, `SO_REUSEPORT`). Each must have it on before its bind; a socket that gets it after
    /// its own bind refuses the address to other programs first. A group that changes sends peers to
    /// other sockets than before.
    ///
    /// # Errors
    /// The system's.
    pub fn set_reuse_port(&self, on: bool) -> io::Result<()> {
        self.inner.set_reuse_port(on)
    }

    /// Whether `SO_REUSEPORT` is on.
    ///
    /// # Errors
    /// The system's.
    pub fn reuse_port(&self) -> io::Result<bool> {
        self.inner.reuse_port()
    }

    /// Shares the port with other programs that listen for broadcasts and multicasts, of which each gets a
    /// copy of every one; all must have asked for it before their binds. A datagram for one host goes to one
    /// of them: on Linux to that which was bound last. It is `SO_REUSEADDR` on Linux, where `SO_REUSEPORT`
    /// would also let one in among the sockets of a server and take a share of its peers; other systems want
    /// both ([socket(7)](https://man7.org/linux/man-pages/man7/socket.7.html)).
    ///
    /// # Errors
    /// The system's.
    pub fn set_shared_with_listeners(&self, on: bool) -> io::Result<()> {
        self.set_reuse_address(on)?;
        #[cfg(not(target_os = "linux"))]
        self.set_reuse_port(on)?;
        Ok(())
    }

    /// Allows sending to broadcast addresses (`SOL_SOCKET`, `SO_BROADCAST`); off by default.
    ///
    /// # Errors
    /// The system's.
    pub fn set_broadcast(&self, on: bool) -> io::Result<()> {
        self.inner.set_broadcast(on)
    }

    /// Whether `SO_BROADCAST` is on.
    ///
    /// # Errors
    /// The system's.
    pub fn broadcast(&self) -> io::Result<bool> {
        self.inner.broadcast()
    }

    /// Asks an idle TCP peer now and then whether it still lives (`SOL_SOCKET`, `SO_KEEPALIVE`): after two
    /// hours, unless [`set_keepalive_times`](Self::set_keepalive_times) says otherwise.
    ///
    /// # Errors
    /// The system's.
    pub fn set_keepalive(&self, on: bool) -> io::Result<()> {
        self.inner.set_keepalive(on)
    }

    /// Whether `SO_KEEPALIVE` is on.
    ///
    /// # Errors
    /// The system's.
    pub fn keepalive(&self) -> io::Result<bool> {
        self.inner.keepalive()
    }

    /// Turns keepalive on: the first question after `idle`, then one each `interval`, in whole seconds
    /// (`IPPROTO_TCP`, `TCP_KEEPIDLE` and `TCP_KEEPINTVL`,
    /// [tcp(7)](https://man7.org/linux/man-pages/man7/tcp.7.html)).
    ///
    /// # Errors
    /// `InvalidInput` for less than a second, and for more than Linux's 32,767 s; the system's otherwise.
    pub fn set_keepalive_times(&self, idle: Duration, interval: Duration) -> io::Result<()> {
        let times = socket2::TcpKeepalive::new().with_time(idle).with_interval(interval);
        self.inner.set_tcp_keepalive(&times)
    }

    /// Sends small TCP segments at once instead of joining them (`IPPROTO_TCP`, `TCP_NODELAY`); off by
    /// default.
    ///
    /// # Errors
    /// The system's: `Unsupported` for a socket that is not TCP.
    pub fn set_no_delay(&self, on: bool) -> io::Result<()> {
        self.inner.set_tcp_nodelay(on)
    }

    /// Whether `TCP_NODELAY` is on.
    ///
    /// # Errors
    /// The system's.
    pub fn no_delay(&self) -> io::Result<bool> {
        self.inner.tcp_nodelay()
    }

    /// How long closing waits for what was sent and not yet acknowledged, in whole seconds (`SOL_SOCKET`,
    /// `SO_LINGER`); zero drops it and resets the connection. `None`, the default, does not wait and
    /// still delivers.
    ///
    /// # Errors
    /// The system's.
    pub fn set_linger(&self, wait: Option<Duration>) -> io::Result<()> {
        self.inner.set_linger(wait)
    }

    /// What [`set_linger`](Self::set_linger) set.
    ///
    /// # Errors
    /// The system's.
    pub fn linger(&self) -> io::Result<Option<Duration>> {
        self.inner.linger()
    }

    /// Restricts the socket to one interface, by name; `None` lifts it (`SOL_SOCKET`, `SO_BINDTODEVICE`).
    ///
    /// # Errors
    /// `PermissionDenied` to lift or change it without `CAP_NET_RAW`, `ENODEV` when there is no such
    /// interface; `Unsupported` other than on Linux.
    pub fn bind_device(&self, interface: Option<&str>) -> io::Result<()> {
        #[cfg(all(target_os = "linux", not(squall_portable)))]
        return self.inner.bind_device(interface.map(str::as_bytes));
        #[cfg(not(all(target_os = "linux", not(squall_portable))))]
        {
            let _ = interface;
            Err(io::Error::new(io::ErrorKind::Unsupported, "this build has no SO_BINDTODEVICE"))
        }
    }

    /// The CPU that last handled a packet of this connected socket (`SOL_SOCKET`, `SO_INCOMING_CPU`), if
    /// one did. Linux does not keep it for an unconnected datagram socket.
    ///
    /// # Errors
    /// `Unsupported` other than on Linux; the system's otherwise.
    pub fn incoming_cpu(&self) -> io::Result<Option<usize>> {
        // -1 before the first packet.
        self.get(SO_INCOMING_CPU).map(|cpu| usize::try_from(cpu).ok())
    }

    /// In a `SO_REUSEPORT` group, prefers this socket for packets that `cpu` handles (`SOL_SOCKET`,
    /// `SO_INCOMING_CPU`).
    ///
    /// # Errors
    /// `Unsupported` other than on Linux; `InvalidInput` for a number beyond `i32`; the system's otherwise.
    pub fn set_incoming_cpu(&self, cpu: usize) -> io::Result<()> {
        let cpu = i32::try_from(cpu).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        self.set(SO_INCOMING_CPU, cpu)
    }
}
