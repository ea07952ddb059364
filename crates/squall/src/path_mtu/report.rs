//! What a search found out.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use squall_proto::path_mtu::{Evidence, Outcome, ProbeRecord, ProbeResult};
use squall_socket::interfaces;

/// What a search found out about the path to one address. Sizes are those of whole IP packets, in bytes.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Report {
    /// The end of the path.
    pub target: SocketAddr,
    /// Its beginning.
    pub local: SocketAddr,
    /// How the search ended.
    pub outcome: Outcome,
    /// The bytes of IP and UDP header in each packet.
    pub header: u32,
    /// The interface that the probes left by, if it could be told.
    pub interface: Option<String>,
    /// The MTU of the first link.
    pub first_hop: Option<u32>,
    /// What the kernel took for the path MTU before the search.
    pub kernel_before: u32,
    /// What it takes for it since.
    pub kernel_after: u32,
    /// Every probe, in the order of sending.
    pub probes: Vec<ProbeRecord>,
    /// What routers and this system said beside "too big"; 16 different ones at most.
    pub complaints: Vec<Complaint>,
    /// Answers and ICMP messages that belonged to no probe or made no sense.
    pub ignored: u32,
    /// How long the search took.
    pub elapsed: Duration,
}

/// What somebody said about a datagram that did not arrive.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Complaint {
    /// Which router, or `None` for this machine.
    pub from: Option<IpAddr>,
    /// What it said.
    pub words: String,
}

impl Report {
    /// The path MTU, if it was found.
    pub fn mtu(&self) -> Option<u32> {
        match self.outcome {
            Outcome::Found { mtu, .. } => Some(mtu),
            _ => None,
        }
    }

    /// The bytes of UDP payload in a packet of `size` bytes.
    pub fn payload_of(&self, size: u32) -> u32 {
        size.saturating_sub(self.header)
    }

    /// The ways in which probes were answered, without repetitions.
    pub fn evidence(&self) -> Vec<Evidence> {
        let mut all: Vec<_> = self
            .probes
            .iter()
            .filter_map(|probe| match probe.result {
                ProbeResult::Answered { how, .. } => Some(how),
                _ => None,
            })
            .collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// The routers that reported a probe as too big, each with the smallest MTU that it named, in the order of
    /// their reports.
    pub fn routers(&self) -> Vec<(Option<IpAddr>, u32)> {
        let mut all: Vec<(Option<IpAddr>, u32)> = Vec::new();
        for probe in &self.probes {
            if let ProbeResult::TooBig { mtu, router, .. } = probe.result {
                match all.iter_mut().find(|(known, _)| *known == router) {
                    Some((_, least)) => *least = (*least).min(mtu),
                    None => all.push((router, mtu)),
                }
            }
        }
        all
    }

    /// How many probes were never answered or reported.
    pub fn lost(&self) -> usize {
        self.probes.iter().filter(|probe| probe.result == ProbeResult::Lost).count()
    }
}

/// The interface with the address `local`, and the first link's MTU: what the kernel `told` when it refused a
/// datagram, or else that interface's.
pub(super) fn first_hop(local: SocketAddr, told: Option<u32>) -> (Option<String>, Option<u32>) {
    let all = interfaces().unwrap_or_default();
    let own = all.into_iter().find(|interface| {
        let is_own = |known: &squall_socket::InterfaceAddress| match local {
            SocketAddr::V6(v6) => {
                known.address == local.ip() && (known.zone == 0 || known.zone == v6.scope_id())
            }
            SocketAddr::V4(_) => known.address == local.ip(),
        };
        interface.addresses.iter().any(is_own)
    });
    let Some(own) = own else { return (None, told) };
    match told {
        // A packet may leave by another interface than the one that has its address.
        Some(told) if own.mtu != Some(told) => (None, Some(told)),
        _ => (Some(own.name), own.mtu),
    }
}
