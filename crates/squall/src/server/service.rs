//! A service: a name, who answers, and where.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use squall_proto::framing::Framing;
use squall_proto::{Handler, Protocol};

use crate::offload::{AsyncHandler, Asynchronous};
use crate::remote::{self, Machine, Plain, Remote};
use crate::stream::conversation::StreamHandler;
use crate::uri::{Uri, UriError};

/// A named thing that a server runs, and the addresses that it listens on.
pub struct Service {
    pub(crate) name: String,
    pub(crate) app: Application,
    pub(crate) listen: Vec<Listen>,
    pub(crate) framing: Framing,
    pub(crate) last_word: Option<Arc<[u8]>>,
    pub(crate) answers_anything: bool,
    pub(crate) rate_limited: bool,
    pub(crate) groups: Vec<IpAddr>,
}

/// An address to listen on.
#[derive(Clone, Debug)]
pub(crate) struct Listen {
    pub(crate) uri: Uri,
    /// Left out where the machine lacks its family or address.
    pub(crate) optional: bool,
}

/// Who answers.
pub(crate) enum Application {
    Handler(Arc<dyn Handler>),
    Asynchronous(Asynchronous),
    Protocol(Box<dyn Machine>),
    Protocols(Arc<dyn Fn() -> Box<dyn Protocol> + Send + Sync>),
    Conversation(Arc<dyn StreamHandler>),
}

impl Service {
    /// A service of `handler`, on any transport.
    pub fn new(name: impl Into<String>, handler: impl Handler + 'static) -> Self {
        Self::with(name, Application::Handler(Arc::new(handler)))
    }

    /// A service whose handler waits for something.
    pub fn asynchronous(name: impl Into<String>, handler: impl AsyncHandler) -> Self {
        Self::with(name, Application::Asynchronous(Asynchronous::new(handler)))
    }

    /// A service of a protocol with state and time, on any transport. It has one owner: all its sockets
    /// are read by the first shard, and what its connections bring goes there.
    ///
    /// A connection lives as long as the peer and the protocol want: of the limits on streams
    /// ([`StreamLimits`](crate::StreamLimits)) those on their number and on a frame's time hold, and that on a
    /// write once either side has ended it. What is written to a peer waits up to 1 MiB; at 64 KiB the protocol is
    /// told that it is full ([`Input::Full`](squall_proto::Input::Full)).
    pub fn protocol(name: impl Into<String>, protocol: impl Protocol + 'static) -> Self {
        Self::with(name, Application::Protocol(Box::new(Plain(protocol))))
    }

    /// As [`protocol`](Self::protocol), and something to call the protocol with from other threads while it runs: for
    /// an operator's orders, and for what is looked up elsewhere and told to the protocol later.
    ///
    /// ```
    /// # use squall::{Input, Outbox, Protocol, Server, Service, Time};
    /// # #[derive(Default)]
    /// struct Counter { messages: u64 }
    /// # impl Protocol for Counter {
    /// #     fn handle_input(&mut self, _: Time, _: Input<'_>, _: &mut Outbox) { self.messages += 1; }
    /// #     fn handle_timeout(&mut self, _: Time, _: &mut Outbox) {}
    /// #     fn poll_timeout(&self) -> Option<Time> { None }
    /// # }
    /// let (service, remote) = Service::protocol_with_remote("count", Counter::default());
    /// let server = Server::new().service(service.at("udp://127.0.0.1:0")?).start()?;
    /// assert_eq!(remote.ask(|counter, _now, _out| counter.messages), Ok(0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn protocol_with_remote<P: Protocol + 'static>(
        name: impl Into<String>,
        protocol: P,
    ) -> (Self, Remote<P>) {
        let (machine, remote) = remote::with_calls(protocol);
        (Self::with(name, Application::Protocol(machine)), remote)
    }

    /// A service of a protocol whose peers know nothing of each other: `make` makes one for each shard,
    /// and a peer always talks to the same. In worker processes each worker has its own.
    pub fn protocol_each<P, F>(name: impl Into<String>, make: F) -> Self
    where
        P: Protocol + 'static,
        F: Fn() -> P + Send + Sync + 'static,
    {
        Self::with(name, Application::Protocols(Arc::new(move || Box::new(make()))))
    }

    /// A service of whole conversations, on stream sockets.
    pub fn conversation(name: impl Into<String>, handler: impl StreamHandler) -> Self {
        Self::with(name, Application::Conversation(Arc::new(handler)))
    }

    pub(crate) fn has_one_owner(&self) -> bool {
        matches!(self.app, Application::Protocol(_))
    }

    fn with(name: impl Into<String>, app: Application) -> Self {
        Self {
            name: name.into(),
            app,
            listen: Vec::new(),
            framing: Framing::AsRead,
            last_word: None,
            answers_anything: true,
            rate_limited: true,
            groups: Vec::new(),
        }
    }

    /// Listens on `uri`, besides the addresses that it has. Port 0 lets the kernel choose.
    pub fn on(mut self, uri: Uri) -> Self {
        self.listen.push(Listen { uri, optional: false });
        self
    }

    /// Listens on `uri` if this machine has its address family and its address;
    /// [`Running::left_out`](crate::Running::left_out) tells if not.
    pub fn on_if_present(mut self, uri: Uri) -> Self {
        self.listen.push(Listen { uri, optional: true });
        self
    }

    /// Listens on the address `text`, as [`Uri`] reads it.
    ///
    /// # Errors
    /// [`UriError`], for what is written wrong.
    pub fn at(self, text: &str) -> Result<Self, UriError> {
        Ok(self.on(Uri::from_str(text)?))
    }

    /// How requests are cut out of streams; as they are read by default. Means nothing for datagrams
    /// and conversations.
    pub fn framing(mut self, framing: Framing) -> Self {
        self.framing = framing;
        self
    }

    /// What a connection of a protocol is told before it is ended for a request that the framing does not allow; it is
    /// framed as a reply is. Without this it is ended at once. The peer has some seconds to read it and to close: what it
    /// goes on sending is read and dropped, since a reset would take the word away.
    pub fn last_word(mut self, word: impl Into<Vec<u8>>) -> Self {
        self.last_word = Some(word.into().into());
        self
    }

    /// Whether the service answers anything that it is sent; true by default. It then gives no answer
    /// to what may be another server's answer, by its source port or its form, since the two could go
    /// on for ever (CVE-2024-2169). A service that checks the form of its requests, and whose answers
    /// are none, can do without.
    pub fn answers_anything(mut self, anything: bool) -> Self {
        self.answers_anything = anything;
        self
    }

    /// Whether the server's limits on the rate of each peer and network
    /// ([`Server::rate_limit`](crate::Server::rate_limit)) hold for the service's datagrams; true by default. A service that
    /// takes a stream of them, has bounds of its own and answers nothing can do without: there a datagram that is
    /// refused is a hole and not a question that is asked again.
    pub fn rate_limited(mut self, limited: bool) -> Self {
        self.rate_limited = limited;
        self
    }
}

// Multicast.
impl Service {
    /// Takes what is sent to the multicast group `group` too, on each interface that can multicast, also
    /// on those that come later. Such requests say so ([`Request::group`](squall_proto::Request::group)):
    /// many hosts hear them, so that an answer wants care. It needs a `udp` address on every interface
    /// (`udp://:5683`); on a single address, groups are not heard. Without a group, what comes by
    /// multicast is counted and not answered.
    pub fn group(mut self, group: IpAddr) -> Self {
        self.groups.push(group);
        self
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service")
            .field("name", &self.name)
            .field("listen", &self.listen)
            .finish_non_exhaustive()
    }
}
