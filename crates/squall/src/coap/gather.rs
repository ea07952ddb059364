//! The answers of a group's members, each of them whole.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use squall_proto::coap::block::Block;
use squall_proto::coap::client::{ClientRequest, Event, RequestId, Response};
use squall_proto::coap::options::number;
use squall_proto::{Effect, Time};

use super::link::Link;
use super::{CoapAnswer, CoapClient, CoapError, Watcher, failed, timed_out};

impl CoapClient {
    /// Asks a multicast group, by every interface that is up and can or by those of
    /// [`interface`](Self::interface), and gives each member's answer to `take` as it comes, for `time`. Returns how
    /// many there were. Members wait up to DEFAULT_LEISURE (5 s) before they answer.
    ///
    /// A member whose answer is the first of several blocks is asked for the whole by unicast
    /// ([RFC 7959 §2.8](https://www.rfc-editor.org/rfc/rfc7959#section-2.8)), 64 of them at a time. Where that is not
    /// to be had before `time` is over, or the request may not be run twice, its beginning is given as
    /// [`truncated`](CoapAnswer::truncated). 1024 members are heard.
    ///
    /// # Errors
    /// As [`get`](Self::get), and [`CoapError::Group`] and [`CoapError::System`] at once where the request leaves by
    /// no interface.
    pub fn gather(
        &mut self,
        request: ClientRequest,
        time: Duration,
        take: impl FnMut(CoapAnswer),
    ) -> Result<u32, CoapError> {
        let request = self.named(request)?;
        let link = self.config.open(&mut self.link)?;
        let (servers, started) = (link.servers(), link.now());
        let to_all = request.clone().gather(time);
        let id =
            link.act(&mut self.watcher, |machine, now, out| machine.request(now, &servers, to_all, out))?;
        if let Some(error) = link.unasked.take() {
            link.act(&mut self.watcher, |machine, now, out| machine.cancel(now, id, out));
            return Err(error);
        }
        let watcher = &mut self.watcher;
        let (fetches, waiting) = (BTreeMap::new(), VecDeque::new());
        let mut gathering = Gathering { link, watcher, request, started, fetches, waiting, take };
        while let Some(event) = gathering.link.next_event(gathering.watcher, None)? {
            match event {
                Event::Gathered { id: gathered, members } if gathered == id => {
                    gathering.end();
                    return Ok(members);
                }
                Event::Failed { id: failing, failure } if failing == id => {
                    return Err(failed(gathering.link, failure, started));
                }
                Event::Member { id: asked, from, response } if asked == id => {
                    let elapsed = gathering.link.now().since(started);
                    let truncated = is_part(&response);
                    gathering.hear(CoapAnswer { response, server: from, messages: 1, elapsed, truncated });
                }
                event => gathering.fetched(event),
            }
        }
        Err(failed(gathering.link, timed_out(), started))
    }
}

struct Gathering<'a, F> {
    link: &'a mut Link,
    watcher: &'a mut Option<Watcher>,
    /// What one member is asked.
    request: ClientRequest,
    started: Time,
    /// The beginnings of answers whose wholes are being fetched.
    fetches: BTreeMap<RequestId, CoapAnswer>,
    /// Those whose turn has not come.
    waiting: VecDeque<CoapAnswer>,
    take: F,
}

impl<F: FnMut(CoapAnswer)> Gathering<'_, F> {
    fn hear(&mut self, answer: CoapAnswer) {
        if answer.truncated && self.request.effect() == Effect::Safe {
            self.waiting.push_back(answer);
            self.fetch();
        } else {
            (self.take)(answer);
        }
    }

    fn fetch(&mut self) {
        while self.fetches.len() < FETCHES
            && let Some(first) = self.waiting.pop_front()
        {
            let request = self.request.clone().echo_of(&first.response);
            let asked = self
                .link
                .act(self.watcher, |machine, now, out| machine.request(now, &[first.server], request, out));
            match asked {
                Ok(id) => drop(self.fetches.insert(id, first)),
                Err(_) => (self.take)(first),
            }
        }
    }

    /// Takes what became of a member's whole answer.
    fn fetched(&mut self, event: Event) {
        let Some(first) = self.fetches.remove(&event.id()) else { return };
        (self.take)(match event {
            Event::Answered { response, messages, .. } if response.status() == first.status() => {
                let elapsed = self.link.now().since(self.started);
                CoapAnswer { response, messages: messages + 1, elapsed, truncated: false, ..first }
            }
            _ => first,
        });
        self.fetch();
    }

    /// Gives what there is, now that the time is over.
    fn end(&mut self) {
        for (id, first) in std::mem::take(&mut self.fetches) {
            self.link.act(self.watcher, |machine, now, out| machine.cancel(now, id, out));
            (self.take)(first);
        }
        std::mem::take(&mut self.waiting).into_iter().for_each(&mut self.take);
    }
}

/// Whether `answer` is one of several blocks.
fn is_part(answer: &Response) -> bool {
    let block = Block::of(answer.options(), number::BLOCK2);
    matches!(block, Ok(Some(block)) if block.more() || block.number() > 0)
}

/// How many answers are put together at a time.
const FETCHES: usize = 64;
