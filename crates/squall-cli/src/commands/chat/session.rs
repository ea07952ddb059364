//! A client's machine on a real link: one thread, which sleeps until something happens.

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use squall::chat::client::{Client, ClientConfig, Event, State};
use squall::chat::wire::Name;
use squall::framing::{Deframer, Framing};
use squall::socket::{Poller, Waker};
use squall::{Input, IpFamily, Origin, Outbox, Peer, Protocol, Request, Time, Uri};

use super::link::{self, Link};

/// A conversation with a hub.
pub(super) struct Session {
    pub(super) client: Client,
    link: Link,
    poller: Poller,
    waker: Waker,
    ready: Vec<usize>,
    outbox: Outbox,
    /// Datagrams that wait for the link to be opened.
    waiting: VecDeque<Vec<u8>>,
    /// The datagram of the last attempt, for each of the hub's addresses.
    attempt: Vec<u8>,
    deframer: Deframer,
    hub: Origin,
    epoch: Instant,
    /// What the client is called unless somebody has chosen, and how many such names were taken.
    usual_name: Option<(String, u32)>,
}

impl Session {
    /// A client that begins to look for its hub.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn new(config: ClientConfig, uri: Uri, family: IpFamily) -> io::Result<Self> {
        let waker = Waker::new()?;
        let mut poller = Poller::new()?;
        poller.add(&waker, WOKEN)?;
        let transport = uri.transport();
        // The link decides who the hub is; to the machine it is one peer, wherever its name leads.
        let hub = Origin { peer: Peer::Conn(0), local: None, transport, validated: true };
        let config = config.epoch_millis(unix_millis()).seed(squall::seed());
        let mut session = Self {
            client: Client::new(config, (!transport.is_stream()).then_some(hub)),
            link: Link::new(uri, family, waker.clone(), LINK),
            poller,
            waker,
            ready: Vec::new(),
            outbox: Outbox::with_limits(OUTBOX, OUTBOX / 16),
            waiting: VecDeque::new(),
            attempt: Vec::new(),
            deframer: deframer(),
            hub,
            epoch: Instant::now(),
            usual_name: None,
        };
        if !session.link.is_stream() {
            session.link.open(&mut session.poller)?;
        }
        Ok(session)
    }

    /// What ends a [`wait`](Self::wait).
    pub(super) fn waker(&self) -> &Waker {
        &self.waker
    }

    pub(super) fn uri(&self) -> &Uri {
        self.link.uri()
    }

    /// Time since the session began, as its machine counts it.
    pub(super) fn now(&self) -> Time {
        Time::from_epoch(self.epoch.elapsed())
    }

    /// Sleeps until something has happened, the machine's next deadline or `at_most`.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn wait(&mut self, at_most: Option<Duration>) -> io::Result<()> {
        let now = self.now();
        let mut timeout = self.client.poll_timeout().map(|due| due.since(now));
        if self.link.has_unsent() {
            // A poller tells when there is something to read, not when there is room.
            timeout = Some(timeout.map_or(AGAIN, |timeout| timeout.min(AGAIN)));
        }
        let timeout = match (timeout, at_most) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        let mut ready = std::mem::take(&mut self.ready);
        let waited = self.poller.wait(&mut ready, timeout);
        if ready.contains(&WOKEN) {
            self.waker.clear();
        }
        self.ready = ready;
        waited
    }

    /// Does what is due: takes what has come, and sends.
    ///
    /// # Errors
    /// The system's, where there can be no new link.
    pub(super) fn turn(&mut self) -> io::Result<()> {
        // The session's clock stands still while the machine sleeps.
        self.client.set_calendar(self.now(), unix_millis());
        if let Some(event) = self.link.look(&mut self.poller) {
            self.linked(event)?;
        }
        if let Some(event) = self.link.flush() {
            self.linked(event)?;
        }
        let Self { client, link, outbox, deframer, hub, epoch, .. } = self;
        let is_stream = link.is_stream();
        let mut take = |payload: &[u8]| {
            let now = Time::from_epoch(epoch.elapsed());
            let request = Request::new(now, payload, *hub);
            client.handle_input(now, Input::Message(request), outbox);
        };
        let mut too_long = false;
        let event = link.receive(|mut bytes| {
            if !is_stream {
                return take(bytes);
            }
            while !too_long {
                match deframer.next(&mut bytes) {
                    Ok(Some(line)) => take(line),
                    Ok(None) => break,
                    Err(_) => too_long = true,
                }
            }
        });
        let event = if too_long { Some(link::Event::Lost("it is no chat hub".to_owned())) } else { event };
        self.deliver()?;
        if let Some(event) = event {
            self.linked(event)?;
        }
        let now = self.now();
        if self.client.poll_timeout().is_some_and(|due| due <= now) {
            let before = attempt(&self.client);
            self.client.handle_timeout(now, &mut self.outbox);
            let attempt = attempt(&self.client);
            // Its name may lead elsewhere by now, and it may have another address. What the attempt says goes there.
            if attempt != before && attempt >= 2 && !self.link.is_stream() && !self.link.is_fresh() {
                self.link.open(&mut self.poller)?;
            }
            self.deliver()?;
        }
        Ok(())
    }

    /// Lets the machine do something, and sends what it has to say.
    ///
    /// # Errors
    /// Those of [`turn`](Self::turn).
    pub(super) fn call<R>(
        &mut self,
        call: impl FnOnce(&mut Client, Time, &mut Outbox) -> R,
    ) -> io::Result<R> {
        let now = self.now();
        let result = call(&mut self.client, now, &mut self.outbox);
        self.deliver()?;
        Ok(result)
    }

    /// What has happened since it was asked last.
    ///
    /// # Errors
    /// Those of [`turn`](Self::turn).
    pub(super) fn event(&mut self) -> io::Result<Option<Event>> {
        loop {
            let Some(event) = self.client.poll_event() else { return Ok(None) };
            match &event {
                Event::Connect => self.link.open(&mut self.poller)?,
                Event::Refused(why) => {
                    let why = why.clone();
                    self.vary(&why);
                    return Ok(Some(event));
                }
                Event::Named(name) => {
                    // Once it was called so, whoever has that name may be its own former self.
                    if self.usual_name.as_ref().is_some_and(|(usual, taken)| *name == varied(usual, *taken)) {
                        self.usual_name = None;
                    }
                    return Ok(Some(event));
                }
                _ => return Ok(Some(event)),
            }
        }
    }

    /// Has it called so, which the user has chosen.
    pub(super) fn rename(&mut self, name: Name) {
        self.usual_name = None;
        let now = self.now();
        self.client.rename(now, name);
    }

    /// Nobody has chosen the name: where it is taken, `name-2` does as well.
    pub(super) fn name_may_vary(&mut self, name: &Name) {
        self.usual_name = Some((name.to_string(), 1));
    }

    /// Takes the next name if this refusal is of the last.
    fn vary(&mut self, refusal: &str) {
        let Some((name, taken)) = self.usual_name.as_mut() else { return };
        if !(refusal.starts_with("name: ") && refusal.contains(" is taken")) || *taken >= NAMES {
            return;
        }
        *taken += 1;
        if let Ok(next) = Name::new(&varied(name, *taken)) {
            let now = self.now();
            self.client.rename(now, next);
        }
    }

    /// Leaves: says so and sends it, as far as that goes at once.
    pub(super) fn leave(&mut self) {
        // What cannot be sent now is not waited for: the hub forgets us by itself.
        let _ = self.call(|client, now, out| client.leave(now, out));
        let _ = self.link.flush();
    }

    fn linked(&mut self, event: link::Event) -> io::Result<()> {
        match event {
            link::Event::Opened => {
                self.deframer = deframer();
                if self.link.is_stream() {
                    let hub = self.hub;
                    self.call(|client, now, out| client.handle_input(now, Input::Opened(hub), out))?;
                }
                for datagram in std::mem::take(&mut self.waiting) {
                    self.link.send(&datagram);
                }
            }
            link::Event::Lost(why) => {
                let goes_on = !self.link.is_stream() && self.link.has_another();
                let (is_stream, was_open) = (self.link.is_stream(), self.link.is_open());
                if is_stream {
                    self.link.close(&mut self.poller);
                }
                let hub = self.hub;
                if is_stream && was_open {
                    self.call(|client, now, out| client.handle_input(now, Input::Closed(hub), out))?;
                } else if goes_on {
                    // Another of its addresses is asked the same at once.
                    self.link.open(&mut self.poller)?;
                    if attempt(&self.client) > 0 && !self.attempt.is_empty() {
                        self.waiting.push_back(self.attempt.clone());
                    }
                } else {
                    // A socket for datagrams stays what it is: the hub may know it.
                    self.client.unreachable(&why);
                }
            }
        }
        Ok(())
    }

    /// Sends what the machine has written.
    fn deliver(&mut self) -> io::Result<()> {
        let mut lost = None;
        let is_attempt = attempt(&self.client) > 0;
        for frame in self.outbox.frames() {
            if is_attempt && !self.link.is_stream() {
                self.attempt.clear();
                self.attempt.extend_from_slice(frame.payload);
            }
            if self.link.is_stream() {
                let mut line = frame.payload.to_vec();
                line.push(b'\n');
                lost = lost.or(self.link.send(&line));
            } else if self.link.is_open() {
                lost = lost.or(self.link.send(frame.payload));
            } else if self.waiting.len() < WAITING {
                self.waiting.push_back(frame.payload.to_vec());
            }
        }
        let closes = !self.outbox.closes().is_empty();
        self.outbox.clear();
        if closes {
            let _ = self.link.flush();
            self.link.close(&mut self.poller);
        }
        match lost {
            Some(event) => self.linked(event),
            None => Ok(()),
        }
    }
}

/// The usual name, or one like it after so many that were taken.
fn varied(name: &str, taken: u32) -> String {
    if taken > 1 { format!("{name}-{taken}") } else { name.to_owned() }
}

/// The present in milliseconds since 1970-01-01T00:00Z.
fn unix_millis() -> u64 {
    u64::try_from(Timestamp::now().as_millisecond()).unwrap_or(0)
}

/// Which attempt to reach the hub is made; 0 while it is there.
fn attempt(client: &Client) -> u32 {
    match client.state() {
        State::Connecting { attempt, .. } => *attempt,
        _ => 0,
    }
}

fn deframer() -> Deframer {
    Deframer::new(Framing::Lines { max: LINE })
}

/// What the poller tells of.
const WOKEN: usize = 0;
const LINK: usize = 1;
/// When what a stream did not take is offered again.
const AGAIN: Duration = Duration::from_millis(20);
/// Bytes that the machine may say at once.
const OUTBOX: usize = 256 * 1024;
/// Datagrams that wait for the link.
const WAITING: usize = 64;
/// Names that are tried.
const NAMES: u32 = 9;
/// The longest line of a hub.
const LINE: usize = 64 * 1024;
