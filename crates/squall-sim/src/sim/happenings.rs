//! What a test makes happen.

use squall_proto::{Input, Outbox, Protocol};
use squall_time::Time;

use super::Sim;
use crate::host::with_type;
use crate::network::Datagram;
use crate::trace::Outcome;
use crate::{Host, HostId, IntoAddress};

/// Making something happen, at the present moment.
impl Sim {
    /// Lets a host's machine do something that no input makes it do: a client's request, a new setting.
    /// What it writes is sent.
    ///
    /// # Panics
    /// When the host is down.
    pub fn act<P: Protocol + 'static, R>(
        &mut self,
        host: Host<P>,
        act: impl FnOnce(&mut P, Time, &mut Outbox) -> R,
    ) -> R {
        self.note(host.id, Outcome::Acts);
        self.call(host.id.0, |machine, now, out| {
            with_type(machine, out, |machine, out| act(machine, now, out))
        })
    }

    /// Sends a datagram of the test's own from a host's first address of the receiver's family, past its
    /// machine.
    ///
    /// # Panics
    /// When the host has no address of that family.
    pub fn send(&mut self, from: impl Into<HostId>, to: impl IntoAddress, payload: impl AsRef<[u8]>) {
        let (host, to) = (from.into(), to.into_address());
        let socket = self.hosts[host.0 as usize].socket_for(None, to);
        let Some(from) = socket.map(|socket| socket.public) else {
            panic!("{} has no address to send to {to} from", self.name(host))
        };
        let datagram = Datagram { host: host.0, from, to, payload: payload.as_ref() };
        self.network.send(self.now, &mut self.trace, &datagram);
    }

    /// Sends a datagram from [outside](HostId::OUTSIDE) that names any `source` as its sender, a host's
    /// or nobody's address, as an attacker can. It takes the path from outside to its receiver; an answer
    /// goes to `source`.
    pub fn forge(&mut self, source: impl IntoAddress, to: impl IntoAddress, payload: impl AsRef<[u8]>) {
        let (from, to) = (source.into_address(), to.into_address());
        let datagram = Datagram { host: HostId::OUTSIDE.0, from, to, payload: payload.as_ref() };
        self.network.send(self.now, &mut self.trace, &datagram);
    }

    /// Takes a host down at once, as a lost supply does, and hands out what its machine was. What it had
    /// sent arrives; what comes while it is down does not.
    ///
    /// # Panics
    /// When the host is down already.
    pub fn crash<P: Protocol + 'static>(&mut self, host: Host<P>) -> P {
        self.note(host.id, Outcome::Crashes);
        self.forget_connections(host.id.0, true);
        self.take_down(host)
    }

    /// Tells a host's machine to [stop](Input::Stopping), sends what it still writes, and takes the host
    /// down.
    ///
    /// # Panics
    /// When the host is down already.
    pub fn stop<P: Protocol + 'static>(&mut self, host: Host<P>) -> P {
        self.note(host.id, Outcome::Stops);
        self.call(host.id.0, |machine, now, out| machine.handle_input(now, Input::Stopping, out));
        self.close_all(host.id.0);
        self.forget_connections(host.id.0, false);
        self.take_down(host)
    }

    /// Brings a host up again with `machine`, at the addresses and on the paths that it had: a new one,
    /// as a program that is started again, or the one that [`crash`](Self::crash) gave, as a machine
    /// whose memory survived.
    ///
    /// # Panics
    /// When the host is up.
    pub fn restart<P: Protocol + 'static>(&mut self, host: Host<P>, machine: P) {
        assert!(!self.is_up(host), "{} is up; it has to stop or crash first", self.name(host.id));
        self.start(host, machine);
    }

    /// Has the network see a host under another address from now on, as when its NAT has forgotten the
    /// old one ([RFC 9000 §9](https://www.rfc-editor.org/rfc/rfc9000#section-9)). It is the host's first
    /// address that changes. The host itself knows nothing of it; what is under way to the old address is
    /// lost.
    ///
    /// # Panics
    /// When another host has the address.
    pub fn rebind(&mut self, host: impl Into<HostId>, address: impl IntoAddress) {
        let (host, address) = (host.into(), address.into_address());
        let old = self.address(host);
        self.network.disown(old);
        self.network.own(address, host.0);
        self.state(host).sockets[0].public = address;
        self.note(host, Outcome::Moves);
    }

    pub(super) fn start<P: Protocol + 'static>(&mut self, host: Host<P>, machine: P) {
        self.state(host.id).machine = Some(Box::new(machine));
        self.note(host.id, Outcome::Starts);
        self.arm(host.id.0);
    }

    fn take_down<P: Protocol + 'static>(&mut self, host: Host<P>) -> P {
        self.disarm(host.id.0);
        let Some(machine) = self.state(host.id).machine.take() else {
            panic!("{} is down already", self.name(host.id))
        };
        let machine: Box<dyn std::any::Any> = machine;
        *machine.downcast().expect("a handle has its machine's type")
    }

    fn note(&mut self, host: HostId, outcome: Outcome) {
        self.trace.host(self.now, Some(self.address(host)), outcome);
    }
}
