//! `scratch`: small values under names, kept in memory.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use squall::coap::link_format::LinkWriter;
use squall::coap::options::number;
use squall::{Effect, Handler, Method, Refusal, Reply, Request, Status};

/// Values behind `/scratch/NAME`: `Get` gives one, `Put` keeps one, `Delete` forgets it. They are gone
/// when the node ends.
///
/// A name is one segment of a path. There are at most 256 values of 256 KiB, and 4 MiB of all; what does
/// not fit is refused. The last path segments of a request are looked at, so that it is to stand behind
/// [`Resource::under`](squall::coap::server::Resource::under) a path of one segment.
#[derive(Debug, Default)]
pub struct Scratch {
    values: Mutex<Values>,
}

#[derive(Debug)]
struct Values {
    all: BTreeMap<Vec<u8>, Value>,
    bytes: usize,
    /// The last value's tag.
    last: u64,
}

impl Default for Values {
    fn default() -> Self {
        // Not from 1, for a client may have a tag of the node that ran here before.
        Self { all: BTreeMap::new(), bytes: 0, last: squall::seed() }
    }
}

#[derive(Debug)]
struct Value {
    bytes: Vec<u8>,
    format: Option<u16>,
    tag: u64,
}

impl Scratch {
    /// Writes the names, as a list of links.
    pub(crate) fn list(&self, reply: &mut Reply<'_>) -> Result<(), Refusal> {
        let mut links = LinkWriter::new();
        for (name, value) in &self.values().all {
            let mut target = String::from("/scratch/");
            for byte in name {
                if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) {
                    target.push(char::from(*byte));
                } else {
                    target += &format!("%{byte:02X}");
                }
            }
            links.link(&target);
            if let Some(format) = value.format {
                links.number("ct", format.into());
            }
            links.number("sz", value.bytes.len() as u64);
        }
        reply.write(links.finish().as_bytes())
    }

    fn values(&self) -> MutexGuard<'_, Values> {
        // Each change is made in one piece, so that a panic elsewhere leaves the values whole.
        self.values.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Handler for Scratch {
    fn handle(&self, request: &Request<'_>, reply: &mut Reply<'_>) -> Result<(), Refusal> {
        let target = &request.target;
        let mut path = target.path().skip(1);
        // `/scratch/` has a last segment too, which is no name.
        let (Some(name), None) = (path.next().filter(|name| !name.is_empty()), path.next()) else {
            reply.status(Status::NOT_FOUND);
            return Ok(());
        };
        let mut values = self.values();
        let found = values.all.get(name);
        // RFC 7252 §5.10.8: an empty If-Match is any value.
        let options = target.options();
        let mut matches = options.all(number::IF_MATCH).peekable();
        let is_one = |tag: &[u8]| {
            found.is_some_and(|value| tag.is_empty() || tag == value.tag.to_be_bytes().as_slice())
        };
        let fails = matches.peek().is_some() && !matches.any(is_one)
            || options.contains(number::IF_NONE_MATCH) && found.is_some();
        if fails {
            reply.status(Status::PRECONDITION_FAILED);
            return Ok(());
        }
        match (target.method(), found) {
            (Method::Get, Some(value)) => {
                if let (Some(wanted), Some(format)) = (target.accept(), value.format)
                    && wanted != format
                {
                    reply.status(Status::NOT_ACCEPTABLE);
                    return Ok(());
                }
                reply.etag(value.tag);
                if let Some(format) = value.format {
                    reply.content_format(format);
                }
                reply.write(&value.bytes)
            }
            (Method::Get, None) => {
                reply.status(Status::NOT_FOUND);
                Ok(())
            }
            (Method::Delete, _) => {
                values.remove(name);
                reply.status(Status::DELETED);
                Ok(())
            }
            (_, found) => {
                let status = if found.is_some() { Status::CHANGED } else { Status::CREATED };
                let status = values.put(name, request.payload, target.content_format())?.unwrap_or(status);
                reply.status(status);
                match status {
                    Status::REQUEST_ENTITY_TOO_LARGE => {
                        reply.write(format!("a value has at most {MAX_VALUE} bytes").as_bytes())
                    }
                    _ => Ok(()),
                }
            }
        }
    }

    /// A `Put` or `Delete` that is repeated late, after another one, would undo that.
    fn effect(&self, method: Method) -> Effect {
        if method == Method::Get { Effect::Safe } else { Effect::Once }
    }
}

impl Values {
    /// Keeps a value; or the status that says why not.
    fn put(&mut self, name: &[u8], bytes: &[u8], format: Option<u16>) -> Result<Option<Status>, Refusal> {
        if bytes.len() > MAX_VALUE {
            return Ok(Some(Status::REQUEST_ENTITY_TOO_LARGE));
        }
        let old = self.all.get(name).map(|value| value.bytes.len());
        let others = self.bytes - old.unwrap_or(0);
        if others + bytes.len() > MAX_BYTES || old.is_none() && self.all.len() >= MAX_VALUES {
            return Err(Refusal::Overload("there is no room for another value"));
        }
        self.last = self.last.wrapping_add(1);
        self.bytes = others + bytes.len();
        self.all.insert(name.to_vec(), Value { bytes: bytes.to_vec(), format, tag: self.last });
        Ok(None)
    }

    fn remove(&mut self, name: &[u8]) {
        if let Some(value) = self.all.remove(name) {
            self.bytes -= value.bytes.len();
        }
    }
}

/// The longest value, in bytes.
const MAX_VALUE: usize = 256 << 10;
/// The most values.
const MAX_VALUES: usize = 256;
/// The most bytes of all values.
const MAX_BYTES: usize = 4 << 20;

#[cfg(test)]
mod tests {
    use squall::coap::message::{Code, Message, Token};
    use squall::coap::options::OptionsBuf;
    use squall::coap::server::{Server, ServerConfig};
    use squall::coap::writer::{Header, Reliability, Writer};
    use squall::{Input, Origin, Outbox, Peer, Protocol, Time, Transport};

    use super::*;

    /// A server and what it is asked next.
    struct Bench {
        server: Server,
        id: u16,
        /// The ETag of the last answer.
        tag: Vec<u8>,
    }

    impl Bench {
        fn new() -> Self {
            let resources = crate::services::resources(None, true);
            Self { server: Server::new(&ServerConfig::default(), resources, 7), id: 0, tag: Vec::new() }
        }

        /// Sends a request with these options, and gives the code and the payload of the answer.
        fn ask(
            &mut self,
            method: Method,
            path: &[&str],
            options: &[(u16, &[u8])],
            payload: &[u8],
        ) -> (Status, Vec<u8>) {
            let mut all = OptionsBuf::new();
            for segment in path {
                all.push(number::URI_PATH, segment.as_bytes()).unwrap();
            }
            for (number, value) in options {
                all.push(*number, value).unwrap();
            }
            self.id += 1;
            let mut datagram = Vec::new();
            let header = Header::request(Reliability::Confirmable, self.id, Token::EMPTY, method);
            let mut writer = Writer::new(&mut datagram, header).unwrap();
            writer.options(all.as_options()).unwrap();
            writer.payload(payload).unwrap();
            let peer = Peer::Ip("127.0.0.1:50000".parse().unwrap());
            let origin = Origin { peer, local: None, transport: Transport::Udp, validated: true };
            let mut out = Outbox::new();
            let request = Request::new(Time::ZERO, &datagram, origin);
            self.server.handle_input(Time::ZERO, Input::Message(request), &mut out);
            let frame = out.frames().next().expect("an answer");
            let message = Message::parse(frame.payload).unwrap();
            self.tag = message.options().get(number::ETAG).unwrap_or_default().to_vec();
            let Code::Response(status) = message.code() else { panic!("{message:?}") };
            (status, message.payload().to_vec())
        }
    }

    const A: &[&str] = &["scratch", "a"];

    #[test]
    fn a_value_is_what_was_put_last_until_it_is_deleted() {
        let mut bench = Bench::new();
        assert_eq!(bench.ask(Method::Get, A, &[], b"").0, Status::NOT_FOUND);
        assert_eq!(bench.ask(Method::Put, A, &[(number::CONTENT_FORMAT, &[50])], b"{}").0, Status::CREATED);
        assert_eq!(bench.ask(Method::Get, A, &[], b""), (Status::CONTENT, b"{}".to_vec()));
        assert_eq!(bench.ask(Method::Get, A, &[(number::ACCEPT, &[0])], b"").0, Status::NOT_ACCEPTABLE);
        assert_eq!(bench.ask(Method::Put, A, &[], b"x").0, Status::CHANGED);
        assert_eq!(bench.ask(Method::Get, A, &[], b"").1, b"x");
        assert_eq!(bench.ask(Method::Get, &["scratch"], &[], b"").1, b"</scratch/a>;sz=1");
        assert_eq!(bench.ask(Method::Delete, A, &[], b"").0, Status::DELETED);
        assert_eq!(bench.ask(Method::Delete, A, &[], b"").0, Status::DELETED);
        assert_eq!(bench.ask(Method::Get, A, &[], b"").0, Status::NOT_FOUND);
        assert_eq!(bench.ask(Method::Post, A, &[], b"").0, Status::METHOD_NOT_ALLOWED);
        assert_eq!(bench.ask(Method::Put, &["scratch", "a", "b"], &[], b"").0, Status::NOT_FOUND);
        assert_eq!(bench.ask(Method::Put, &["scratch", ""], &[], b"x").0, Status::NOT_FOUND);
        assert_eq!(bench.ask(Method::Get, &["scratch"], &[], b"").1, b"");
    }

    #[test]
    fn a_value_that_is_too_long_is_refused_with_the_limit() {
        let refused = Bench::new().ask(Method::Put, A, &[], &vec![0; MAX_VALUE + 1]);
        assert_eq!(refused, (Status::REQUEST_ENTITY_TOO_LARGE, b"a value has at most 262144 bytes".to_vec()));
    }

    #[test]
    fn conditions_are_kept() {
        let mut bench = Bench::new();
        let any: &[(u16, &[u8])] = &[(number::IF_MATCH, b"")];
        let new: &[(u16, &[u8])] = &[(number::IF_NONE_MATCH, b"")];
        assert_eq!(bench.ask(Method::Put, A, any, b"x").0, Status::PRECONDITION_FAILED);
        assert_eq!(bench.ask(Method::Put, A, new, b"x").0, Status::CREATED);
        assert_eq!(bench.ask(Method::Put, A, new, b"y").0, Status::PRECONDITION_FAILED);
        assert_eq!(bench.ask(Method::Put, A, any, b"y").0, Status::CHANGED);
        bench.ask(Method::Get, A, &[], b"");
        let old = bench.tag.clone();
        bench.ask(Method::Put, A, &[], b"other");
        bench.ask(Method::Get, A, &[], b"");
        let tag = bench.tag.clone();
        let if_old = (number::IF_MATCH, &*old);
        assert_eq!(bench.ask(Method::Put, A, &[if_old], b"z").0, Status::PRECONDITION_FAILED);
        let either = &[if_old, (number::IF_MATCH, &tag)];
        assert_eq!(bench.ask(Method::Put, A, either, b"z").0, Status::CHANGED);
        assert_eq!(bench.ask(Method::Get, A, &[], b"").1, b"z");
    }

    #[test]
    fn a_node_that_starts_again_gives_other_tags() {
        let tags = [b"one", b"two"].map(|value| {
            let mut bench = Bench::new();
            bench.ask(Method::Put, A, &[], value);
            bench.ask(Method::Get, A, &[], b"");
            bench.tag
        });
        assert_ne!(tags[0], tags[1], "a client with the first would be told that it has the second");
    }

    #[test]
    fn there_are_so_many_values_and_bytes_and_no_more() {
        let mut values = Values::default();
        assert_eq!(
            values.put(b"a", &vec![0; MAX_VALUE + 1], None),
            Ok(Some(Status::REQUEST_ENTITY_TOO_LARGE))
        );
        let full = Err(Refusal::Overload("there is no room for another value"));
        for number in 0..MAX_BYTES / MAX_VALUE {
            assert_eq!(values.put(&number.to_be_bytes(), &vec![0; MAX_VALUE], None), Ok(None));
        }
        assert_eq!(values.put(b"a", b"x", None), full, "bytes");
        assert_eq!(
            values.put(&0_usize.to_be_bytes(), b"", None),
            Ok(None),
            "one of the same name takes its room"
        );
        for number in 0..MAX_VALUES - MAX_BYTES / MAX_VALUE {
            assert_eq!(values.put(format!("n{number}").as_bytes(), b"", None), Ok(None));
        }
        assert_eq!(values.put(b"a", b"", None), full, "values");
        values.remove(b"n0");
        assert_eq!(values.put(b"a", b"", None), Ok(None));
    }
}
