//! Whose port it is that cannot be had.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use squall::guard::DEFAULT_PORTS;
use squall::socket::{PortHolder, display_address};

/// Why `address` cannot be listened on, who has its port, and what to do. `everywhere` when no address was
/// asked for.
pub(super) fn explain(address: SocketAddr, holders: &[PortHolder], everywhere: bool) -> String {
    let port = address.port();
    let is_length = port == LENGTH_PORT && holders.iter().any(answers_like_length);
    let who = if is_length { "a `length` service of this machine" } else { "another program" };
    let mut line = format!(
        "cannot listen on {}: {who} has port {port} and does not share it",
        display_address(&address)
    );
    let told = described(holders);
    if !told.is_empty() {
        line += &format!(" ({told})");
    }
    line += "; stop it, or listen on another port with -p";
    let takes_all = holders.is_empty() || holders.iter().any(|holder| holder.address.ip().is_unspecified());
    if everywhere && !takes_all {
        line += ", or hear nothing but broadcasts: squall listen '<broadcast>'";
        if port != LENGTH_PORT {
            line += &format!(" -p {port}");
        }
    }
    line
}

/// `squall, process 4711, on 127.0.0.1:1060 and [::1]:1060`.
fn described(holders: &[PortHolder]) -> String {
    let mut parts: Vec<(String, Vec<String>)> = Vec::new();
    for holder in holders {
        let who = match (&holder.program, holder.process) {
            (Some(program), Some(process)) => format!("{program}, process {process},"),
            _ => format!("of user {},", holder.user),
        };
        let address = holder.address.to_string();
        match parts.iter_mut().find(|(known, _)| *known == who) {
            // The sockets of a server's threads have one address.
            Some((_, addresses)) if addresses.contains(&address) => {}
            Some((_, addresses)) => addresses.push(address),
            None => parts.push((who, vec![address])),
        }
    }
    let parts: Vec<String> =
        parts.into_iter().map(|(who, addresses)| format!("{who} on {}", addresses.join(" and "))).collect();
    parts.join("; ")
}

/// Asks the socket's owner something, and looks whether it counts the bytes.
fn answers_like_length(holder: &PortHolder) -> bool {
    let ip = match holder.address.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    let any: IpAddr = if ip.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let ask = || {
        let socket = UdpSocket::bind((any, 0))?;
        socket.connect((ip, holder.address.port()))?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.send(QUESTION)?;
        let mut answer = [0; 64];
        let len = socket.recv(&mut answer)?;
        Ok::<_, std::io::Error>(
            answer[..len] == *format!("Your data was {} bytes long", QUESTION.len()).as_bytes(),
        )
    };
    ask().unwrap_or(false)
}

/// The port of the `length` service: no other is asked anything.
const LENGTH_PORT: u16 = DEFAULT_PORTS[1];
const QUESTION: &[u8] = b"squall listen: who has this port?";
/// On this machine an answer comes at once or never.
const PATIENCE: Duration = Duration::from_millis(300);
