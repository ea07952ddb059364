//! What obeys the orders to a node.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::time::{Duration, Instant};

use squall::chat::{MemberView, Selector, Unheard};
use squall::guard::Network;
use squall::{Counter, Gauge, Peer, RemoteError};

use super::control::{
    Answer, BanRow, Done, MemberRow, NodeView, Obey, Order, StatsView, length, parse_network,
};
use super::running::ChatRemote;
use super::told::{history_counts, hub_counts};
use crate::clock::unix_millis;
use crate::files::FilesRemote;
use crate::node::NodeStopper;

/// Obeys the orders to a node, wherever they come from.
pub struct Operator {
    node: NodeView,
    started: Instant,
    gauges: Vec<Gauge>,
    stopper: NodeStopper,
    chat: Option<ChatRemote>,
    files: FilesRemote,
}

impl fmt::Debug for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Operator").field("node", &self.node).finish_non_exhaustive()
    }
}

impl Operator {
    pub(crate) fn new(
        node: NodeView,
        started: Instant,
        gauges: Vec<Gauge>,
        stopper: NodeStopper,
        chat: Option<ChatRemote>,
        files: FilesRemote,
    ) -> Self {
        Self { node, started, gauges, stopper, chat, files }
    }

    /// Does what `order` says and tells what came of it; the last that is told is done or an error.
    ///
    /// # Errors
    /// Those of `tell`.
    pub fn obey(&self, order: &Order, tell: &mut dyn FnMut(Answer) -> io::Result<()>) -> io::Result<()> {
        let last = match order {
            Order::Node => {
                tell(Answer::Node(self.node.clone()))?;
                Ok(Done::default())
            }
            Order::Stats => match self.stats() {
                Some(stats) => {
                    tell(Answer::Stats(stats))?;
                    Ok(Done::default())
                }
                None => Err(ENDING.to_owned()),
            },
            Order::Stop => {
                self.stop();
                Ok(Done::default())
            }
            order => match &self.chat {
                None => Err("this node runs no chat".to_owned()),
                Some(chat) => match order {
                    Order::Members { room } => return chat.members(room.as_deref(), tell),
                    Order::Bans => return chat.bans(tell),
                    Order::Kick { who } => chat.kick(who),
                    Order::Ban { network, seconds } => chat.ban(network, *seconds),
                    Order::Unban { network } => chat.unban(network),
                    Order::Say { room, text } => chat.say(room.as_deref(), text),
                    Order::Node | Order::Stats | Order::Stop => unreachable!("done above"),
                },
            },
        };
        tell(last.map_or_else(Answer::Error, Answer::Done))
    }

    /// Ends the node.
    pub fn stop(&self) {
        self.stopper.stop();
    }

    /// What was counted so far; `None` when the node is ending.
    pub fn stats(&self) -> Option<StatsView> {
        let mut server = BTreeMap::new();
        for gauge in &self.gauges {
            let snapshot = gauge.read();
            for counter in Counter::ALL {
                *server.entry(counter.name().to_owned()).or_default() += snapshot.total(*counter);
            }
            *server.entry("kernel_drops".to_owned()).or_default() += snapshot.kernel_drops();
        }
        let (mut chat, mut history) = (BTreeMap::new(), BTreeMap::new());
        if let Some(remote) = &self.chat {
            let stats = remote.hub.ask(|chat, _, _| chat.hub.stats()).ok()?;
            chat = named(hub_counts(&stats));
            history = named(history_counts(&remote.store.stats()));
        }
        let files = self.files.counts()?.into_iter().collect();
        Some(StatsView { elapsed: self.started.elapsed().as_secs_f64(), server, chat, history, files })
    }
}

impl Obey for Operator {
    fn obey(&self, order: Order, tell: &mut dyn FnMut(Answer) -> io::Result<()>) -> io::Result<()> {
        Operator::obey(self, &order, tell)
    }

    fn stop(&self) {
        Operator::stop(self);
    }
}

impl ChatRemote {
    /// Tells the members, some at a time, so that the hub does not wait for whoever reads.
    fn members(&self, room: Option<&str>, tell: &mut dyn FnMut(Answer) -> io::Result<()>) -> io::Result<()> {
        let (mut count, mut next) = (0, 0);
        loop {
            let wanted = room.map(str::to_owned);
            let page = self.hub.ask(move |chat, now, _| {
                let known =
                    wanted.as_ref().is_none_or(|room| chat.hub.rooms().any(|view| view.name == *room));
                let page: Vec<(u32, MemberView)> = chat.hub.members_from(now, next).take(PAGE).collect();
                (known, page)
            });
            let (known, page) = match page {
                Ok(page) => page,
                Err(problem) => return tell(Answer::Error(failure(problem))),
            };
            if !known && count == 0 {
                return tell(Answer::Error("there is no such room".into()));
            }
            let last = page.len() < PAGE;
            next = page.last().map_or(next, |(place, _)| place + 1);
            let wanted = page.iter().filter(|(_, member)| room.is_none_or(|room| member.room == room));
            for (_, member) in wanted {
                tell(Answer::Member(row(member)))?;
                count += 1;
            }
            if last {
                return tell(Answer::Done(Done::members(count)));
            }
        }
    }

    fn kick(&self, who: &str) -> Result<Done, String> {
        let Ok(selector) = who.parse::<Selector>();
        let kicked = self.hub.ask(move |chat, now, out| chat.hub.kick(now, &selector, out));
        match kicked.map_err(failure)? {
            0 => Err(format!("nobody here is {who:?}; a name, an address or ~NUMBER is meant")),
            members => Ok(Done::members(members as u64)),
        }
    }

    fn ban(&self, text: &str, seconds: Option<f64>) -> Result<Done, String> {
        let network = parse_network(text)?;
        let time = seconds.map(length).transpose()?;
        let banned = self.hub.ask(move |chat, now, out| chat.hub.ban(now, network, time, out));
        let Some(kicked) = banned.map_err(failure)? else {
            return Err("as many networks as can be are banned already; unban one".into());
        };
        let until = time
            .map(|time| unix_millis().saturating_add(u64::try_from(time.as_millis()).unwrap_or(u64::MAX)));
        let kept = self.store.ban(&network.to_string(), until);
        let mut done = Done::members(kicked as u64);
        done.warning = kept.err().map(|problem| format!("the ban ends with this run of the node: {problem}"));
        Ok(done)
    }

    fn unban(&self, text: &str) -> Result<Done, String> {
        let network = parse_network(text)?;
        let kept = self.store.unban(&network.to_string());
        let held = self.hub.ask(move |chat, _, _| chat.hub.unban(network)).map_err(failure)?;
        if held || kept { Ok(Done::bans(1)) } else { Err(format!("{network} is not banned")) }
    }

    fn bans(&self, tell: &mut dyn FnMut(Answer) -> io::Result<()>) -> io::Result<()> {
        let found = self.hub.ask(|chat, now, _| -> Vec<(Network, Option<Duration>)> {
            chat.hub.bans(now).map(|ban| (ban.network, ban.until.map(|until| until.since(now)))).collect()
        });
        let found = match found {
            Ok(found) => found,
            Err(problem) => return tell(Answer::Error(failure(problem))),
        };
        let count = found.len() as u64;
        for (network, left) in found {
            let left = left.map(|left| left.as_secs_f64());
            tell(Answer::Ban(BanRow { network: network.to_string(), left }))?;
        }
        tell(Answer::Done(Done::bans(count)))
    }

    fn say(&self, room: Option<&str>, text: &str) -> Result<Done, String> {
        let (to, text) = (room.map(str::to_owned), text.to_owned());
        let heard = self.hub.ask(move |chat, now, _| chat.hub.say(now, to.as_deref(), &text));
        match (heard.map_err(failure)?, room) {
            (Ok(rooms), _) => Ok(Done::rooms(rooms as u64)),
            (Err(Unheard::NoRoom), Some(room)) => Err(format!("nobody hears it: there is no room {room:?}")),
            (Err(reason), _) => Err(format!("nobody hears it: {reason}")),
        }
    }
}

fn row(member: &MemberView) -> MemberRow {
    MemberRow {
        number: member.number,
        name: (!member.name.starts_with('~')).then(|| member.name.clone()),
        room: member.room.clone(),
        via: member.origin.transport.name().to_owned(),
        address: match member.origin.peer {
            Peer::Ip(peer) => Some(peer.to_string()),
            Peer::Conn(_) => None,
        },
        idle: rounded(member.idle.as_secs_f64()),
        interval: member.every.map(|every| rounded(every.as_secs_f64())),
        loss: member.loss.map(|loss| rounded(f64::from(loss))),
        limit: member.limit.map(|limit| rounded(limit.as_secs_f64())),
    }
}

/// No more digits than were measured.
fn rounded(number: f64) -> f64 {
    (number * 1e4).round() / 1e4
}

fn failure(problem: RemoteError) -> String {
    match problem {
        RemoteError::Stopped => ENDING.to_owned(),
        problem => problem.to_string(),
    }
}

fn named(counts: Vec<(&'static str, u64)>) -> BTreeMap<String, u64> {
    counts.into_iter().map(|(name, count)| (name.to_owned(), count)).collect()
}

/// Members that the hub tells at a time.
const PAGE: usize = 512;
const ENDING: &str = "the node is ending";
