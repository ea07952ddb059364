//! Who holds a port: what an "address already in use" does not say.

use std::net::SocketAddr;

/// A UDP socket of this machine, and the program that has it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PortHolder {
    /// What the socket is bound to.
    pub address: SocketAddr,
    /// The number of the user who opened it.
    pub user: u32,
    /// The process that has it; `None` where this user may not see that, or no process has it any more.
    pub process: Option<u32>,
    /// The name of that process, at most 15 bytes.
    pub program: Option<String>,
}

/// The unconnected UDP sockets of this network namespace that are bound to `port`
/// (`/proc/net/udp`, [proc_net(5)](https://man7.org/linux/man-pages/man5/proc_net.5.html)). Whose they are is
/// seen for one's own processes, and for all by root. Empty on systems that do not tell: it is there to make
/// an error clearer and never fails itself.
pub fn udp_port_holders(port: u16) -> Vec<PortHolder> {
    #[cfg(target_os = "linux")]
    return linux::holders(port);
    #[cfg(not(target_os = "linux"))]
    {
        let _ = port;
        Vec::new()
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::fs;
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

    use super::PortHolder;

    /// The kernel gives its tables in pieces, and a socket is missing from them that stood behind others which were closed
    /// between two pieces: where nobody seems to hold the port the tables are read again.
    const READINGS: usize = 4;

    pub(super) fn holders(port: u16) -> Vec<PortHolder> {
        let mut readings = (0..READINGS).map(|_| read(port));
        let mut found = readings.find(|found| !found.is_empty()).unwrap_or_default();
        name(&mut found);
        found.into_iter().map(|(holder, _)| holder).collect()
    }

    /// The sockets of a port, with their inodes.
    fn read(port: u16) -> Vec<(PortHolder, u64)> {
        let mut found: Vec<(PortHolder, u64)> = Vec::new();
        for table in ["/proc/thread-self/net/udp", "/proc/thread-self/net/udp6"] {
            let text = fs::read_to_string(table).unwrap_or_default();
            let lines = text.lines().skip(1).filter_map(line);
            found.extend(lines.filter(|(holder, _)| holder.address.port() == port));
        }
        found
    }

    /// A line of the table: a socket without a peer, and its inode.
    pub(super) fn line(line: &str) -> Option<(PortHolder, u64)> {
        let mut fields = line.split_ascii_whitespace();
        let address = address(fields.nth(1)?)?;
        let peer = fields.next()?;
        if peer.contains(|digit| digit != '0' && digit != ':') {
            return None;
        }
        let user = fields.nth(4)?.parse().ok()?;
        let inode = fields.nth(1)?.parse().ok()?;
        Some((PortHolder { address, user, process: None, program: None }, inode))
    }

    /// `0100007F:0424`: words of 32 bits as this machine orders their bytes, and a port.
    fn address(text: &str) -> Option<SocketAddr> {
        let (ip, port) = text.split_once(':')?;
        let port = u16::from_str_radix(port, 16).ok()?;
        let mut bytes = Vec::with_capacity(16);
        for at in (0..ip.len()).step_by(8) {
            let word = u32::from_str_radix(ip.get(at..at + 8)?, 16).ok()?;
            bytes.extend(word.to_ne_bytes());
        }
        let ip: IpAddr = match <[u8; 4]>::try_from(bytes.as_slice()) {
            Ok(v4) => Ipv4Addr::from(v4).into(),
            Err(_) => Ipv6Addr::from(<[u8; 16]>::try_from(bytes.as_slice()).ok()?).into(),
        };
        Some(SocketAddr::new(ip, port))
    }

    /// Finds the processes whose descriptors are the sockets.
    fn name(found: &mut [(PortHolder, u64)]) {
        if found.is_empty() {
            return;
        }
        let Ok(processes) = fs::read_dir("/proc") else { return };
        for process in processes.flatten() {
            let Some(number) = process.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
                continue;
            };
            // Another user's process keeps its descriptors to itself.
            let Ok(descriptors) = fs::read_dir(process.path().join("fd")) else { continue };
            for descriptor in descriptors.flatten() {
                let Ok(target) = fs::read_link(descriptor.path()) else { continue };
                let inode = target.to_str().and_then(|target| {
                    target.strip_prefix("socket:[")?.strip_suffix(']')?.parse::<u64>().ok()
                });
                let Some(inode) = inode else { continue };
                for (holder, _) in found.iter_mut().filter(|(_, own)| *own == inode) {
                    // Of several that share it the oldest, as a rule the parent.
                    if holder.process.is_none_or(|other| number < other) {
                        holder.process = Some(number);
                        let program = fs::read_to_string(process.path().join("comm"));
                        holder.program = program.ok().map(|name| name.trim_end().to_owned());
                    }
                }
            }
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    #[test]
    fn a_socket_of_this_process_is_found_with_its_address_and_process() {
        for bound in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(socket) = UdpSocket::bind(bound) else { continue };
            let address = socket.local_addr().unwrap();
            let holders = udp_port_holders(address.port());
            let own = holders.iter().find(|holder| holder.address == address).expect("the socket");
            assert_eq!(own.process, Some(std::process::id()));
            assert!(own.program.as_ref().is_some_and(|name| !name.is_empty()));
        }
    }

    #[test]
    fn a_connected_socket_holds_nothing_and_what_cannot_be_read_is_passed_over() {
        let connected = "  10: 0100007F:0424 0100007F:1A0B 01 00000000:00000000 00:00000000 00000000  1000 \
                         0 4711 2 0000 0";
        assert_eq!(linux::line(connected), None);
        for text in ["", "sl local_address", "1: zz:zz 00000000:0000 07", "1: 0100007F 0:0 07 0 0 0 0 0 0 0"]
        {
            assert_eq!(linux::line(text), None, "{text}");
        }
    }
}
