//! From a configuration to a chat that runs.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use squall::chat::{Hub, HubConfig, LivenessConfig};
use squall::framing::Framing;
use squall::guard::Trust;
use squall::{MAX_DATAGRAM, Outbox, Remote, RemoteError, Service, Time};

use super::history::{Place, Store, StoreConfig};
use super::service::GuardedHub;
use super::{Chat, ChatConfig};
use crate::clock::unix_millis;
use crate::config::{Config, ServiceConfig};
use crate::data::{DataDirectory, SharedData};
use crate::node::{Addresses, NodeError, addresses, refuse_exposed};

/// A chat that is to be.
#[derive(Debug)]
pub(crate) struct ChatPlan {
    config: ChatConfig,
    trust: Trust,
    listen: Addresses,
}

impl ChatPlan {
    pub(crate) fn new(service: &ServiceConfig, node: &Config) -> Result<Self, NodeError> {
        let incomplete = |needs| NodeError::Incomplete { service: service.name.clone(), needs };
        if service.command.is_some() || service.pool.is_some() {
            return Err(incomplete("runs no command; only exec does"));
        }
        if service.text.is_some() {
            return Err(incomplete("has no text to set; only reply and coap have"));
        }
        if service.framing.is_some_and(|framing| !matches!(framing, Framing::Lines { .. })) {
            return Err(incomplete("speaks lines on streams; --framing says otherwise"));
        }
        let listen = addresses(service)?;
        refuse_exposed(service, &listen, node)?;
        Ok(Self {
            config: ChatConfig {
                history: node.history.clone().or_else(|| service.chat.history.clone()),
                ..service.chat.clone()
            },
            trust: node.trust_networks.iter().copied().collect(),
            listen,
        })
    }

    /// Opens the history and makes the service. What is kept in memory only, though it was to be in a file, is said by
    /// the log.
    pub(crate) fn open(self, data: &mut SharedData) -> Result<(Service, Chat), NodeError> {
        let (store, data) = self.place(data)?;
        let remote = Arc::new(OnceLock::<Remote<GuardedHub>>::new());
        let answering = Arc::clone(&remote);
        let answer = move |recall, answer| {
            if let Some(remote) = answering.get() {
                let pause = || thread::sleep(PAUSE);
                let told = insist(remote, ATTEMPTS, pause, move |chat, now, out| {
                    chat.hub.recall(now, recall, answer, out);
                });
                // A hub that has stopped has nobody to tell.
                if told == Err(RemoteError::Full) {
                    tracing::warn!("an answer of the chat history is lost: the chat takes no calls");
                }
            }
        };
        let (history, store) =
            Store::open(self.store(store), answer).map_err(|problem| NodeError::Data(problem.to_string()))?;
        let hub = Hub::new(self.hub(), history);
        let (guarded, last) = GuardedHub::new(hub, self.trust);
        let (service, calls) = Service::protocol_with_remote("chat", guarded);
        let _ = remote.set(calls.clone());
        let service = service
            .framing(Framing::Lines { max: MAX_DATAGRAM })
            .last_word(format!("! too long: a line has {MAX_DATAGRAM} bytes at most"));
        Ok((self.listen.add_to(service), Chat::start(calls, store, data, last)))
    }

    /// Where the history is, and the directory that is this node's as long as it runs.
    fn place(&self, data: &mut SharedData) -> Result<(StoreConfig, Option<Arc<DataDirectory>>), NodeError> {
        if let Some(place) = &self.config.history {
            return Ok((StoreConfig::new(place.clone()), None));
        }
        match data.open() {
            Ok(directory) => {
                let file = Place::File(directory.path().join("chat.db"));
                Ok((StoreConfig::new(file), Some(directory)))
            }
            Err(problem) if problem.is_in_use() => Err(NodeError::Data(problem.to_string())),
            Err(problem) => {
                tracing::error!(
                    "what is said in the chat is kept in memory only until the node is started again, and no earlier ban \
                     is in force: {problem}"
                );
                Ok((StoreConfig::new(Place::Memory).instead_of_a_file(), None))
            }
        }
    }

    fn store(&self, config: StoreConfig) -> StoreConfig {
        let config = match self.config.keep {
            Some(Duration::MAX) => config.age(None),
            Some(age) => config.age(Some(age)),
            None => config,
        };
        match self.config.history_size {
            Some(u64::MAX) => config.size(None),
            Some(size) => config.size(Some(size)),
            None => config,
        }
    }

    fn hub(&self) -> HubConfig {
        let config = &self.config;
        let mut liveness = LivenessConfig::default();
        if let Some(interval) = config.heartbeat {
            liveness = liveness.interval(interval);
        }
        if let Some(hours) = config.member_hours {
            liveness = liveness.member_hours(hours);
        }
        if config.hard_limit.is_some() || config.hard_intervals.is_some() {
            let (intervals, limit) = (config.hard_intervals, config.hard_limit);
            liveness = liveness.hard_limit(intervals.unwrap_or(10), limit.unwrap_or(Duration::from_secs(60)));
        }
        if let Some(quiet) = config.quiet {
            liveness = liveness.quiet(quiet);
        }
        // The hub itself trusts no network but loopback: that a network's members may come says not that it may fill
        // the hub.
        let mut hub =
            HubConfig::default().seed(squall::seed()).epoch_millis(unix_millis()).liveness(liveness);
        if let Some(room) = &config.room {
            hub = hub.lobby(room.clone());
        }
        if let Some(members) = config.members {
            hub = hub.members(members);
        }
        if let Some(members) = config.prefix_members {
            hub = hub.members_per_prefix(members);
        }
        if let Some(rooms) = config.rooms {
            hub = hub.rooms(rooms);
        }
        if let Some(rate) = config.rate {
            hub = hub.member_rate(rate.per_second, rate.burst);
        }
        if let Some(rate) = config.prefix_rate {
            hub = hub.prefix_rate(rate.per_second, rate.burst);
        }
        hub
    }
}

/// Calls a protocol, again and again while as many calls as may wait do, with a pause before each further attempt.
fn insist<P>(
    remote: &Remote<P>,
    attempts: u32,
    mut pause: impl FnMut(),
    f: impl FnOnce(&mut P, Time, &mut Outbox) + Send + 'static,
) -> Result<(), RemoteError> {
    // A call that is refused is dropped; this one is needed again.
    let f = Arc::new(Mutex::new(Some(f)));
    let mut attempt = 0;
    loop {
        let again = Arc::clone(&f);
        let called = remote.call(move |protocol, now, out| {
            let f = again.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(f) = f {
                f(protocol, now, out);
            }
        });
        attempt += 1;
        if called != Err(RemoteError::Full) || attempt >= attempts {
            return called;
        }
        pause();
    }
}

/// Attempts of a call, and what is between two of them: two seconds in all.
const ATTEMPTS: u32 = 200;
const PAUSE: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use squall::{Input, Protocol, Server};

    use super::*;

    struct Idle;

    impl Protocol for Idle {
        fn handle_input(&mut self, _now: Time, _input: Input<'_>, _out: &mut Outbox) {}

        fn handle_timeout(&mut self, _now: Time, _out: &mut Outbox) {}

        fn poll_timeout(&self) -> Option<Time> {
            None
        }
    }

    #[test]
    fn an_answer_for_which_there_is_no_room_is_given_when_there_is() {
        let (service, remote) = Service::protocol_with_remote("idle", Idle);
        let (tell, told) = channel();
        let say = |what: &'static str| {
            let tell = tell.clone();
            move |_: &mut Idle, _: Time, _: &mut Outbox| tell.send(what).expect("somebody waits for it")
        };
        // They wait for the server, which is not there yet.
        remote.call(say("there is room")).unwrap();
        while remote.call(|_, _, _| {}).is_ok() {}
        let never = || panic!("there is no further attempt");
        assert_eq!(insist(&remote, 1, never, say("given up")), Err(RemoteError::Full));
        let mut service = Some(service.at("udp://127.0.0.1:0").unwrap());
        let mut server = None;
        let start = || {
            let service = service.take().expect("one further attempt is enough");
            server = Some(Server::new().service(service).start().unwrap());
            assert_eq!(told.recv(), Ok("there is room"));
        };
        assert_eq!(insist(&remote, 2, start, say("the answer")), Ok(()));
        assert_eq!(told.recv(), Ok("the answer"));
        server.expect("it was started").shutdown(Duration::ZERO);
        assert_eq!(insist(&remote, 2, never, |_, _, _| {}), Err(RemoteError::Stopped));
    }
}
