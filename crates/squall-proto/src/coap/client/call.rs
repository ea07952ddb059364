//! One request, and what has become of it so far.

use alloc::vec::Vec;
use core::net::SocketAddr;

use super::download::Download;
use super::event::{Executed, Why};
use super::observation::Observation;
use super::request::ClientRequest;
use super::upload::Upload;
use crate::Outbox;
use crate::coap::block::{Block, BlockSize};
use crate::coap::message::Token;
use crate::coap::options::{Field, UintValue, number};
use crate::coap::writer::{Empty, Header, Reliability, Writer};
use crate::retry::Schedule;
use crate::{Effect, Origin, Peer, Refusal, Time, Transport};

/// A request that is open.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) request: ClientRequest,
    /// Who can still be asked, the present one first.
    pub(super) servers: Vec<SocketAddr>,
    /// Whether no other than the first is asked while that is silent.
    pub(super) bound: bool,
    pub(super) purpose: Purpose,
    pub(super) exchange: Option<Exchange>,
    pub(super) upload: Upload,
    pub(super) download: Download,
    /// The block of the answer that is asked for, once blocks are spoken of.
    pub(super) block2: Option<Block>,
    /// What tells this body from others that are sent to the same resource
    /// ([RFC 9175 §3](https://www.rfc-editor.org/rfc/rfc9175#section-3)).
    pub(super) tag: u32,
    /// The Echo of the first of the servers.
    pub(super) echo: Option<Vec<u8>>,
    /// How often a server asked for its Echo.
    pub(super) echoes: u8,
    pub(super) observation: Option<Observation>,
    pub(super) members: Vec<SocketAddr>,
    pub(super) gather_until: Option<Time>,
    /// When the caller has waited long enough for the first answer.
    pub(super) end: Option<Time>,
    /// Messages sent, repetitions counted.
    pub(super) messages: u32,
    /// What is known from exchanges that are over.
    pub(super) executed: Executed,
    /// The timer that is set.
    pub(super) timer: Option<Time>,
}

/// What the present exchange is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// The request itself, and the blocks of its answer.
    Ask,
    /// Nothing but whether the server is there.
    Ping,
    /// The rest of a notification.
    Rest,
    /// Another registration for what is observed.
    Renew,
    /// The end of an observation.
    Withdraw,
}

/// A message that waits to be sent or answered.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) token: Token,
    pub(super) state: State,
    /// To whom it went, as which message.
    pub(super) sent: Vec<Sent>,
    pub(super) copies: u32,
}

/// How far an exchange is.
#[derive(Debug)]
pub(super) enum State {
    /// Waits for a place at its server.
    Queued,
    /// Sent; an acknowledgement or answer is due, or it is sent again.
    Waiting(Schedule),
    /// Sent once, without asking for an acknowledgement.
    Unconfirmed {
        /// When the answer is no longer awaited.
        until: Time,
        /// The bytes that were sent.
        length: usize,
    },
    /// Acknowledged; the answer is due.
    Acknowledged {
        /// When the answer is no longer awaited.
        until: Time,
    },
}

/// A message at a server.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    pub(super) server: SocketAddr,
    pub(super) id: u16,
    pub(super) at: Time,
    /// Whether it counts for NSTART.
    pub(super) is_open: bool,
}

impl Exchange {
    pub(super) fn new(token: Token) -> Self {
        Self { token, state: State::Queued, sent: Vec::new(), copies: 0 }
    }

    pub(super) fn went_to(&self, server: SocketAddr) -> bool {
        self.sent.iter().any(|sent| sent.server == server)
    }

    /// Whether nobody but a single datagram can have brought it to a server.
    pub(super) fn is_single(&self) -> bool {
        self.copies <= 1 && !matches!(self.state, State::Acknowledged { .. })
    }
}

impl Call {
    pub(super) fn new(
        request: ClientRequest,
        servers: Vec<SocketAddr>,
        size: BlockSize,
        purpose: Purpose,
    ) -> Self {
        Self {
            bound: stays(&request),
            servers,
            purpose,
            exchange: None,
            upload: Upload::new(request.payload.len(), size),
            download: Download::default(),
            block2: request.block_size.map(Block::first),
            tag: 0,
            echo: None,
            echoes: 0,
            observation: None,
            members: Vec::new(),
            gather_until: None,
            end: None,
            messages: 0,
            executed: Executed::No,
            timer: None,
            request,
        }
    }

    /// When something is due.
    pub(super) fn deadline(&self) -> Option<Time> {
        let exchange = match &self.exchange {
            None => self.observation.as_ref().map(|observation| observation.renew_at),
            Some(exchange) => match &exchange.state {
                State::Queued => None,
                State::Waiting(schedule) => schedule.poll_timeout(),
                State::Unconfirmed { until, .. } | State::Acknowledged { until } => Some(*until),
            },
        };
        [exchange, self.gather_until, self.end].into_iter().flatten().min()
    }

    /// The server that the present exchange goes to first.
    pub(super) fn server(&self) -> SocketAddr {
        self.servers[0]
    }

    /// How many servers take turns while they are silent.
    pub(super) fn turns(&self) -> u32 {
        if self.bound || self.purpose != Purpose::Ask { 1 } else { self.servers.len() as u32 }
    }

    /// Stays with the server that answered.
    pub(super) fn bind(&mut self, server: SocketAddr) {
        if let Some(index) = self.servers.iter().position(|other| *other == server).filter(|index| *index > 0)
        {
            self.servers.swap(0, index);
            self.echo = None;
        }
        self.bound = true;
    }

    /// Whether another server may be asked instead, one having certainly not executed the request
    /// (`is_definite`) or perhaps.
    pub(super) fn can_move(&self, is_definite: bool) -> bool {
        self.purpose == Purpose::Ask
            && self.servers.len() > 1
            && !self.download.has_begun()
            && self.executed != Executed::Yes
            && (is_definite && self.executed == Executed::No || self.request.effect() != Effect::Once)
    }

    /// Leaves `server` for the next one, which is asked from the beginning.
    pub(super) fn leave(&mut self, server: SocketAddr) {
        self.servers.retain(|other| *other != server);
        self.bound = stays(&self.request);
        self.upload.rewind();
        self.block2 = self.request.block_size.map(Block::first);
        self.echo = None;
    }

    /// Asks for the answer from its beginning, in blocks of `size`.
    pub(super) fn start_over(&mut self, size: BlockSize) {
        self.block2 = Some(Block::first(size));
        self.upload.rewind();
    }

    /// What is known of the request's execution now that the present exchange is over without an answer.
    pub(super) fn executed(&self) -> Executed {
        let may_be = self.purpose == Purpose::Ask
            && self.upload.is_last()
            && self.exchange.as_ref().is_some_and(|exchange| exchange.copies > 0);
        match self.executed {
            Executed::No if may_be => Executed::Unknown,
            known => known,
        }
    }

    /// Why there is no answer once waiting is over.
    pub(super) fn why_silent(&self) -> Why {
        match self.exchange.as_ref().map(|exchange| &exchange.state) {
            Some(State::Acknowledged { .. }) => Why::Unanswered,
            _ => Why::TimedOut,
        }
    }

    /// How a message of the present exchange is sent.
    pub(super) fn reliability(&self) -> Reliability {
        match self.purpose {
            Purpose::Ask | Purpose::Rest => self.request.reliability,
            _ => Reliability::Confirmable,
        }
    }

    /// Writes the present message as `id` to `server`, and gives its length.
    ///
    /// # Errors
    /// [`Unsent`]
    pub(super) fn write(&self, id: u16, server: SocketAddr, out: &mut Outbox) -> Result<usize, Unsent> {
        let origin =
            Origin { peer: Peer::Ip(server), local: None, transport: Transport::Udp, validated: true };
        let mut reply = out.to(&origin);
        let before = reply.room();
        if self.purpose == Purpose::Ping {
            let datagram = Empty::Ping(id).datagram();
            reply.write(&datagram).map_err(|_| Unsent::Full)?;
            return Ok(datagram.len());
        }
        let token = self.exchange.as_ref().map_or(Token::EMPTY, |exchange| exchange.token);
        let header = Header::request(self.reliability(), id, token, self.request.method);
        let written = self.write_message(header, server, &mut reply)?;
        let length = before - reply.room();
        reply.finish(written).map_err(|_| Unsent::Full)?;
        Ok(length)
    }

    fn write_message(
        &self,
        header: Header,
        server: SocketAddr,
        reply: &mut crate::Reply<'_>,
    ) -> Result<Result<(), Refusal>, Unsent> {
        let goes_on = self.block2.is_some_and(|block| block.number() > 0);
        let withdraws = self.purpose == Purpose::Withdraw;
        let asks_anew = self.request.method == crate::Method::Fetch && self.upload.is_last();
        // What goes on with an answer does not bring the payload again
        // (RFC 7959 §3.3), but to FETCH the payload is part of what is asked for (RFC 8132 §2).
        let (block1, range) = match self.upload.piece().map_err(Unsent::Never)? {
            (Some(_), _) if goes_on || withdraws => (None, 0..0),
            _ if goes_on && !asks_anew => (None, 0..0),
            piece => piece,
        };
        let observe = match self.purpose {
            Purpose::Ask if self.request.observe && !goes_on => Some(UintValue::new(REGISTER)),
            Purpose::Renew => Some(UintValue::new(REGISTER)),
            Purpose::Withdraw => Some(UintValue::new(DEREGISTER)),
            _ => None,
        };
        let block2 = self.block2.filter(|_| !withdraws).map(|block| block.value());
        let size1 = block1.filter(|_| self.upload.is_first_of_several());
        let size1 = size1.map(|_| UintValue::new(self.request.payload.len() as u32));
        // The rest of an answer is asked for under the tag of the payload that it answers: to some servers the
        // tag is part of what tells requests apart.
        let tag = self.upload.is_split() && !withdraws && self.purpose == Purpose::Ask;
        let tag = tag.then(|| UintValue::new(self.tag));
        let block1 = block1.map(|block| block.value());
        // RFC 9175 §2.3: nobody else gets the Echo of a server.
        let echo = self.echo.as_deref().filter(|_| server == self.server());
        let own: [(u16, Option<&[u8]>); 6] = [
            (number::OBSERVE, observe.as_deref()),
            (number::BLOCK2, block2.as_deref()),
            (number::BLOCK1, block1.as_deref()),
            (number::SIZE1, size1.as_deref()),
            (number::ECHO, echo),
            (number::REQUEST_TAG, tag.as_deref()),
        ];
        let own = own.into_iter().filter_map(|(number, value)| Some(Field { number, value: value? }));
        let mut own = own.peekable();
        let mut given = self.request.options.as_options().iter().peekable();
        let write = || {
            let mut writer = Writer::new(reply, header)?;
            loop {
                let own_is_next = match (own.peek(), given.peek()) {
                    (Some(own), Some(given)) => own.number < given.number,
                    (own, _) => own.is_some(),
                };
                let Some(field) = (if own_is_next { own.next() } else { given.next() }) else { break };
                writer.option(field.number, field.value)?;
            }
            writer.payload(&self.request.payload[range.clone()]).map(drop)
        };
        match write() {
            Ok(()) => Ok(Ok(())),
            Err(crate::coap::writer::WriteError::Sink(refusal)) => Ok(Err(refusal)),
            // Options were checked when they were given.
            Err(_) => Err(Unsent::Never(Why::Protocol("an option that cannot be written"))),
        }
    }
}

/// Whether `request` goes to another server only if the present one says no.
fn stays(request: &ClientRequest) -> bool {
    request.effect() == Effect::Once || request.reliability == Reliability::NonConfirmable
}

/// Why a message was not sent.
#[derive(Clone, Copy, Debug)]
pub(super) enum Unsent {
    /// There was no room, as if the network had lost it.
    Full,
    /// It cannot be.
    Never(Why),
}

/// The values of Observe in a request ([RFC 7641 §2](https://www.rfc-editor.org/rfc/rfc7641#section-2)).
const REGISTER: u32 = 0;
const DEREGISTER: u32 = 1;
