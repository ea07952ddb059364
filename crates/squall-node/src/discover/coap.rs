//! Asking all CoAP servers what they have
//! ([RFC 7252 §8](https://www.rfc-editor.org/rfc/rfc7252#section-8), [RFC 6690](https://www.rfc-editor.org/rfc/rfc6690)).

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::ControlFlow;
use std::sync::mpsc::SyncSender;
use std::thread;
use std::time::{Duration, Instant};

use squall::broadcast::{Shout, ShoutError, Shouter, Waited};
use squall::coap::PORT;
use squall::coap::block::Block;
use squall::coap::link_format::links;
use squall::coap::message::{Code, Message, Token, Type};
use squall::coap::options::{Options, number};
use squall::coap::writer::{Empty, Header, Reliability, Writer};
use squall::socket::Waker;
use squall::{Method, Status};

use super::Event;

/// Begins to ask on a thread of its own, which the waker ends.
pub(super) fn start(interfaces: &[String], tell: SyncSender<Event>) -> io::Result<Option<Waker>> {
    let mut shout = Shout::new();
    for name in interfaces {
        shout = shout.interface(name);
    }
    let mut shouter = shout.open();
    let waker = shouter.waker()?;
    let run = move || {
        let mut asking = Asking::new(squall::seed());
        ask_all(&mut shouter, &asking.question(None), &tell, true);
        let mut wait = AGAIN;
        while listen(&mut shouter, &mut asking, wait, &tell) {
            ask_all(&mut shouter, &asking.question(None), &tell, false);
            wait = RARELY;
        }
    };
    thread::Builder::new().name("squall-discover".into()).spawn(run)?;
    Ok(Some(waker))
}

/// Sends the question to all groups. What cannot be asked is told if `complains`.
fn ask_all(shouter: &mut Shouter, question: &[u8], tell: &SyncSender<Event>, complains: bool) {
    for group in GROUPS {
        let troubles: Vec<String> = match shouter.send((group, PORT).into(), question) {
            Ok(sent) => sent
                .into_iter()
                .filter_map(|sent| sent.result.err())
                // An interface without the family has nothing to be asked.
                .filter(|error| !matches!(error, ShoutError::NoAddress { .. }))
                .map(|error| error.to_string())
                .collect(),
            // A machine without IPv6 is none either.
            Err(ShoutError::Nowhere { family: 6, .. }) => Vec::new(),
            Err(error) => vec![error.to_string()],
        };
        for trouble in troubles.into_iter().filter(|_| complains) {
            let _ = tell.send(Event::Trouble(trouble));
        }
    }
}

/// Takes answers until `wait` is over; false when the search is.
fn listen(shouter: &mut Shouter, asking: &mut Asking, wait: Duration, tell: &SyncSender<Event>) -> bool {
    let until = Instant::now() + wait;
    loop {
        let left = Some(until.saturating_duration_since(Instant::now()));
        let mut step = None;
        let waited = shouter.receive(left, |heard| {
            step = Some((heard.from, asking.take(heard.from, heard.payload)));
            ControlFlow::Break(())
        });
        match waited {
            Ok(Waited::Enough) => {}
            Ok(Waited::Elapsed) => return true,
            _ => return false,
        }
        let Some((from, step)) = step else { continue };
        for datagram in step.send {
            // What is lost is as if it had been lost on the way.
            let _ = shouter.send(from, &datagram);
        }
        if !step.paths.is_empty() && tell.send(Event::Resources(from, step.paths)).is_err() {
            return false;
        }
    }
}

/// What follows from an answer.
#[derive(Debug, Default, PartialEq, Eq)]
struct Step {
    send: Vec<Vec<u8>>,
    paths: Vec<String>,
}

/// A question, and the answers to it as far as they have come.
struct Asking {
    token: Token,
    id: u16,
    /// Lists that come in blocks.
    bodies: BTreeMap<SocketAddr, Vec<u8>>,
}

impl Asking {
    fn new(token: u64) -> Self {
        Self { token: Token::from(token), id: token as u16, bodies: BTreeMap::new() }
    }

    /// The request for the list, or for a block of it, which returns the server's Echo option if it gave one
    /// ([RFC 9175 §2](https://www.rfc-editor.org/rfc/rfc9175#section-2)).
    fn question(&mut self, block: Option<(Block, Options<'_>)>) -> Vec<u8> {
        self.id = self.id.wrapping_add(1);
        let header = Header::request(Reliability::NonConfirmable, self.id, self.token, Method::Get);
        let write = || {
            let mut writer = Writer::new(Vec::new(), header).ok()?;
            for part in [".well-known", "core"] {
                writer.option(number::URI_PATH, part.as_bytes()).ok()?;
            }
            if let Some((block, said)) = block {
                writer.option(number::BLOCK2, &block.value()).ok()?;
                if let Some(echo) = said.get(number::ECHO) {
                    writer.option(number::ECHO, echo).ok()?;
                }
            }
            writer.payload(&[]).ok()
        };
        // Nothing above can fail but for an Echo option that no reader would have let through.
        write().unwrap_or_default()
    }

    /// Takes a datagram; what is no answer changes nothing.
    fn take(&mut self, from: SocketAddr, datagram: &[u8]) -> Step {
        let mut step = Step::default();
        let Ok(message) = Message::parse(datagram) else { return step };
        if message.token() != self.token || message.code() != Code::Response(Status::CONTENT) {
            return step;
        }
        if message.message_type() == Type::Confirmable {
            step.send.push(Empty::Acknowledgement(message.id()).datagram().to_vec());
        }
        let Ok(block) = Block::of(message.options(), number::BLOCK2) else { return step };
        let Some(block) = block.filter(|block| block.more() || block.number() > 0) else {
            step.paths = paths(message.payload());
            return step;
        };
        if block.number() == 0 && !self.bodies.contains_key(&from) && self.bodies.len() < SERVERS {
            self.bodies.insert(from, Vec::new());
        }
        let Some(body) = self.bodies.get_mut(&from) else { return step };
        // The next block and no other: repeated ones, and those of an answer to the second request, are known.
        if block.offset() != body.len() || body.len() + message.payload().len() > LONGEST {
            return step;
        }
        body.extend_from_slice(message.payload());
        if block.more() {
            // Every whole link is told at once, in case the rest is lost.
            step.paths = paths(body);
            if let Some(next) = Block::new(block.number() + 1, false, block.size()) {
                step.send.push(self.question(Some((next, message.options()))));
            }
        } else {
            step.paths = paths(body);
        }
        step
    }
}

/// The paths of a list of links, up to the first that is cut off. Links to other servers are left out.
fn paths(list: &[u8]) -> Vec<String> {
    let valid = list.utf8_chunks().next().map_or("", |chunk| chunk.valid());
    let whole = links(valid).map_while(Result::ok).map(|link| link.target());
    whole.filter(|path| path.starts_with('/') && !path.starts_with("//")).map(str::to_owned).collect()
}

/// All CoAP servers of IPv4, of a link and of a site
/// ([RFC 7252 §12.8](https://www.rfc-editor.org/rfc/rfc7252#section-12.8)).
const GROUPS: [IpAddr; 3] = [
    IpAddr::V4(Ipv4Addr::new(224, 0, 1, 187)),
    IpAddr::V6(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfd)),
    IpAddr::V6(Ipv6Addr::new(0xff05, 0, 0, 0, 0, 0, 0, 0xfd)),
];
/// When all are asked a second time, for those whom the first request did not reach, or whose answer was lost.
const AGAIN: Duration = Duration::from_millis(700);
/// How often then, for those who come later and on interfaces that come later.
const RARELY: Duration = Duration::from_secs(60);
/// Servers whose lists are put together, and the longest list, in bytes.
const SERVERS: usize = 256;
const LONGEST: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use squall::coap::block::BlockSize;

    use super::*;

    const LIST: &[u8] = b"</time>;obs;title=\"The time, of day\",</echo>,<coap://elsewhere/x>,</scratch/>";

    fn from() -> SocketAddr {
        "192.0.2.1:5683".parse().unwrap()
    }

    fn answer(header: Header, block: Option<Block>, payload: &[u8]) -> Vec<u8> {
        let mut writer = Writer::new(Vec::new(), header).unwrap();
        if let Some(block) = block {
            writer.option(number::BLOCK2, &block.value()).unwrap();
        }
        writer.option(number::ECHO, b"fresh").unwrap();
        writer.payload(payload).unwrap()
    }

    fn non(asking: &Asking) -> Header {
        Header::separate(Reliability::NonConfirmable, 1, asking.token, Status::CONTENT)
    }

    #[test]
    fn an_answer_gives_its_paths_and_those_of_others_do_not() {
        let mut asking = Asking::new(7);
        let datagram = answer(non(&asking), None, LIST);
        let step = asking.take(from(), &datagram);
        assert_eq!(step.paths, ["/time", "/echo", "/scratch/"]);
        assert!(step.send.is_empty());
        let other = Asking::new(8);
        assert_eq!(asking.take(from(), &answer(non(&other), None, LIST)), Step::default());
        assert_eq!(asking.take(from(), b"\xff"), Step::default());
    }

    #[test]
    fn a_confirmable_answer_is_acknowledged() {
        let mut asking = Asking::new(7);
        let header = Header::separate(Reliability::Confirmable, 0x1234, asking.token, Status::CONTENT);
        let step = asking.take(from(), &answer(header, None, LIST));
        assert_eq!(step.send, [vec![0x60, 0, 0x12, 0x34]]);
        assert_eq!(step.paths.len(), 3);
    }

    #[test]
    fn a_list_in_blocks_is_asked_for_to_its_end_with_what_the_server_wants_echoed() {
        let mut asking = Asking::new(7);
        let size = BlockSize::at_most(32);
        let mut told = Vec::new();
        let blocks: Vec<&[u8]> = LIST.chunks(32).collect();
        for (place, payload) in blocks.iter().enumerate() {
            let more = place + 1 < blocks.len();
            let block = Block::new(place as u32, more, size);
            let datagram = answer(non(&asking), block, payload);
            let step = asking.take(from(), &datagram);
            assert_eq!(asking.take(from(), &datagram).send, Vec::<Vec<u8>>::new(), "a repeated block");
            told = step.paths;
            assert_eq!(step.send.len(), usize::from(more));
            for question in &step.send {
                let question = Message::parse(question).unwrap();
                assert_eq!(question.code(), Code::Request(Method::Get));
                let next = Block::of(question.options(), number::BLOCK2).unwrap().unwrap();
                assert_eq!((next.number(), next.size()), (place as u32 + 1, size));
                assert_eq!(question.options().get(number::ECHO), Some(b"fresh".as_slice()));
            }
        }
        assert_eq!(told, ["/time", "/echo", "/scratch/"]);
    }

    #[test]
    fn a_list_without_an_end_is_bounded() {
        let mut asking = Asking::new(7);
        let mut asked = 0;
        for place in 0..1000 {
            let block = Block::new(place, true, BlockSize::MAX);
            asked += asking.take(from(), &answer(non(&asking), block, &[b'x'; 1024])).send.len();
        }
        assert_eq!(asked, LONGEST / 1024);
    }
}
