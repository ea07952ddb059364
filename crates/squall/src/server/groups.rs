//! Multicast groups of services, on interfaces that come and go.

use std::net::IpAddr;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use squall_proto::Transport;
use squall_socket::errno::{EADDRINUSE, ENODEV};
use squall_socket::{InterfaceChanges, Poller, Socket, Waker, interfaces};

use super::Service;
use super::bind::Bound;
use crate::ServerError;
use crate::control::Control;

/// A membership to keep up: of a socket in a group.
pub(super) struct Member {
    service: String,
    socket: Arc<Socket>,
    group: IpAddr,
    /// Interfaces that it failed on, which is told once.
    failed: Vec<u32>,
}

/// The memberships that `services` ask for. One socket of each address joins, since the kernel gives a copy
/// to each socket that did: with one for each shard, a request would be answered as often.
pub(super) fn members(services: &[Service], bound: &[Bound]) -> Vec<Member> {
    let mut members = Vec::new();
    for bound in bound.iter().filter(|bound| bound.transport == Transport::Udp && bound.wildcard) {
        let service = &services[bound.service];
        let dual_stack = bound.v6() && matches!(bound.sockets[0].only_v6(), Ok(false));
        if !service.groups.is_empty() {
            for socket in &bound.sockets {
                // What others joined on this machine is not ours; not every system can tell them apart.
                let _ = socket.set_multicast_all(false);
            }
        }
        let own = service.groups.iter().filter(|group| group.is_ipv6() == bound.v6() || dual_stack);
        members.extend(own.map(|group| Member {
            service: service.name.clone(),
            socket: Arc::clone(&bound.sockets[0]),
            group: *group,
            failed: Vec::new(),
        }));
    }
    members
}

/// Joins the groups on every interface, and on those that come later, until the server stops.
/// Memberships belong to the sockets, also to those that worker processes inherit.
pub(super) fn keep(
    control: &Arc<Control>,
    mut members: Vec<Member>,
) -> std::io::Result<Option<JoinHandle<()>>> {
    if members.is_empty() {
        return Ok(None);
    }
    let waker = Waker::new()?;
    let mut poller = Poller::new()?;
    poller.add(&waker, WAKE)?;
    let changes = InterfaceChanges::watch().ok();
    if let Some(changes) = &changes {
        poller.add(changes, CHANGE)?;
    }
    control.add_waker(waker);
    join(control, &mut members);
    let control = Arc::clone(control);
    let keep = move || {
        let mut ready = Vec::new();
        while control.stopping().is_none() {
            let pause = changes.is_none().then_some(LOOK);
            if poller.wait(&mut ready, pause).is_err() {
                break;
            }
            if ready.is_empty() || changes.as_ref().is_some_and(InterfaceChanges::drain) {
                join(&control, &mut members);
            }
        }
    };
    thread::Builder::new().name("squall-groups".into()).spawn(keep).map(Some)
}

fn join(control: &Control, members: &mut [Member]) {
    let Ok(interfaces) = interfaces() else { return };
    let able = || interfaces.iter().filter(|interface| interface.flags.up && interface.flags.multicast);
    for member in members {
        member.failed.retain(|index| able().any(|interface| interface.index == *index));
        for interface in able() {
            // An interface without an address of the family cannot answer.
            let family = |address: &IpAddr| address.is_ipv6() == member.group.is_ipv6();
            if !interface.addresses.iter().any(|own| family(&own.address)) {
                continue;
            }
            match member.socket.join_multicast(member.group, interface.index) {
                Ok(()) => {}
                // It is a member already, or the interface has just gone.
                Err(error) if matches!(error.raw_os_error(), Some(EADDRINUSE | ENODEV)) => {}
                Err(_) if member.failed.contains(&interface.index) => {}
                Err(source) => {
                    member.failed.push(interface.index);
                    control.hooks().report(&ServerError::Group {
                        service: member.service.clone(),
                        group: member.group,
                        interface: interface.name.clone(),
                        source,
                    });
                }
            }
        }
    }
}

const WAKE: usize = 0;
const CHANGE: usize = 1;
/// How often to look for new interfaces where the system tells of none.
const LOOK: Duration = Duration::from_secs(10);
