//! Responses: whole, in blocks, or cut down for peers that are not validated.

use alloc::string::String;

use super::Server;
use super::asked::Asked;
use super::counts::Event;
use super::response::{Carrier, Exchange, Representation, Response};
use super::serve::{LINK_FORMAT, Ready};
use crate::coap::block::{Block, BlockSize};
use crate::coap::link_format::links;
use crate::coap::options::number;
use crate::coap::writer::Empty;
use crate::{Method, Outbox, Refusal, Status, Target, Time};

impl Server {
    /// Gives `body`, or the block of it that is asked for.
    pub(super) fn give(
        &mut self,
        now: Time,
        ready: &Ready<'_>,
        what: Representation,
        body: &[u8],
        out: &mut Outbox,
    ) {
        let exchange = &ready.exchange;
        let limit = self.config.block_size;
        let size = ready.block2.map_or(limit, |block| block.size().min(limit));
        let offset = ready.block2.map_or(0, |block| block.offset());
        if offset > 0 && offset >= body.len() {
            return self.fail(now, exchange, Status::BAD_REQUEST, out);
        }
        let in_blocks = offset > 0 || body.len() > size.bytes();
        let options = ready.target.options();
        let etag = what
            .etag
            .or_else(|| (in_blocks || options.contains(number::ETAG)).then(|| self.mac.hash(&[body])));
        let block1 = ready.block1.and_then(|block| Block::new(block.number(), false, block.size()));
        let mut response = Response {
            etag,
            observe: ready.observe,
            format: what.format,
            max_age: what.max_age,
            block1,
            ..Response::new(what.status)
        };
        if what.status == Status::CONTENT
            && let Some(etag) = etag
            && options.all(number::ETAG).any(|known| known == etag.to_be_bytes())
        {
            response = Response {
                etag: Some(etag),
                observe: ready.observe,
                max_age: what.max_age,
                ..Response::new(Status::VALID)
            };
            return self.send(now, exchange, &response, out);
        }
        if !in_blocks && self.try_whole(now, exchange, ready.block2, response, body, out) {
            return;
        }
        // Only to a peer that is not validated is this without blocks so far.
        response.etag = Some(etag.unwrap_or_else(|| self.mac.hash(&[body])));
        let mut size = size;
        loop {
            let more = offset + size.bytes() < body.len();
            let Some(block) = Block::at(offset, more, size) else {
                return self.fail(now, exchange, Status::INTERNAL_SERVER_ERROR, out);
            };
            let first = offset == 0;
            response.block2 = Some(block);
            response.payload = &body[offset..body.len().min(offset + size.bytes())];
            response.size2 = (first && exchange.validated).then_some(body.len() as u32);
            response.echo = (!exchange.validated).then(|| self.echoes.value(now, &exchange.origin));
            if self.fits(exchange, &response) {
                self.counts.add(Event::BlocksGiven);
                if !exchange.validated {
                    self.counts.add(Event::Restrained);
                }
                // For strangers no memory is taken, where what is asked for can be made anew.
                let can_run_again = ready.safe && ready.target.method() == Method::Get;
                if first && more && (exchange.validated || !can_run_again) {
                    let snapshots = &mut self.snapshots[usize::from(!exchange.validated)];
                    let what = Representation { etag: response.etag, ..what };
                    let dropped = snapshots.put(now, ready.body, what, body);
                    (0..dropped).for_each(|_| self.counts.add(Event::SnapshotsDropped));
                }
                return self.send(now, exchange, &response, out);
            }
            if size == BlockSize::MIN {
                break;
            }
            size = BlockSize::at_most(size.bytes() / 2);
        }
        if ready.safe {
            self.ask_for_echo(now, exchange, out);
        } else {
            // A 4.01 would have it run once more: better no body than that.
            self.send(now, exchange, &Response::new(what.status), out);
        }
    }

    /// Gives a block of an answer that is kept; whether that was all there is to do.
    pub(super) fn give_kept(&mut self, now: Time, ready: &Ready<'_>, out: &mut Outbox) -> bool {
        let kept = self.snapshots.iter().find_map(|snapshots| snapshots.get(now, ready.body));
        let Some((what, body)) = kept else {
            if ready.can_run_again() {
                return false;
            }
            self.fail(now, &ready.exchange, Status::REQUEST_ENTITY_INCOMPLETE, out);
            return true;
        };
        self.give(now, &Ready { block1: None, ..*ready }, what, &body, out);
        true
    }

    /// `/.well-known/core`, or the links that the query wants.
    pub(super) fn give_directory(
        &mut self,
        now: Time,
        exchange: &Exchange,
        asked: &Asked<'_>,
        target: Target<'_>,
        out: &mut Outbox,
    ) {
        let ready = Ready {
            exchange: *exchange,
            resource: 0,
            target,
            datagram: &[],
            payload: &[],
            block1: None,
            block2: asked.block2,
            safe: true,
            key: None,
            body: self.body_key(&exchange.origin, target),
            observe: None,
        };
        let what =
            Representation { status: Status::CONTENT, format: Some(LINK_FORMAT), max_age: None, etag: None };
        let mut body = String::new();
        for link in links(&self.directory).flatten() {
            let wanted =
                |filter: &[u8]| core::str::from_utf8(filter).is_ok_and(|filter| link.matches(filter));
            if target.query().all(wanted) {
                if !body.is_empty() {
                    body.push(',');
                }
                body.push_str(link.as_str());
            }
        }
        if exchange.group && body.is_empty() {
            // RFC 6690 §4.1: who has nothing to say keeps silent.
            return;
        }
        self.give(now, &ready, what, body.as_bytes(), out);
    }

    /// Says `status` and nothing else.
    pub(super) fn fail(&mut self, now: Time, exchange: &Exchange, status: Status, out: &mut Outbox) {
        match status {
            Status::UNAUTHORIZED => self.ask_for_echo(now, exchange, out),
            Status::SERVICE_UNAVAILABLE => {
                let max_age = Some(self.retry_after());
                self.send(now, exchange, &Response { max_age, ..Response::new(status) }, out);
            }
            _ => self.send(now, exchange, &Response::new(status), out),
        }
    }

    /// Asks the peer to send the request again with an Echo option
    /// ([RFC 9175 §2.4](https://www.rfc-editor.org/rfc/rfc9175#section-2.4)).
    pub(super) fn ask_for_echo(&mut self, now: Time, exchange: &Exchange, out: &mut Outbox) {
        let echo = Some(self.echoes.value(now, &exchange.origin));
        self.send(now, exchange, &Response { echo, ..Response::new(Status::UNAUTHORIZED) }, out);
    }

    /// Says what a handler's refusal is, or nothing.
    pub(super) fn refused(&mut self, now: Time, exchange: &Exchange, refusal: Refusal, out: &mut Outbox) {
        let status = match refusal {
            Refusal::Dropped | Refusal::Loop(_) => return out.refuse(refusal),
            Refusal::Malformed(_) => Status::BAD_REQUEST,
            Refusal::Overload(_) | Refusal::Full | Refusal::Amplification => Status::SERVICE_UNAVAILABLE,
            Refusal::TooLong { .. } | Refusal::Failed(_) => Status::INTERNAL_SERVER_ERROR,
        };
        self.fail(now, exchange, status, out);
    }

    /// What a 5.03 says of when to ask again, in seconds.
    pub(super) fn retry_after(&self) -> u32 {
        u32::try_from(self.config.retry_after.as_secs()).unwrap_or(u32::MAX).max(1)
    }

    /// Sends a response, if the request wants one.
    pub(super) fn send(&mut self, now: Time, exchange: &Exchange, response: &Response<'_>, out: &mut Outbox) {
        if exchange.does_not_want(response.status) {
            self.counts.add(Event::NotWanted);
            if let Carrier::Acknowledgement(id) = exchange.carrier {
                self.empty(&exchange.origin, Empty::Acknowledgement(id), out);
            }
            return;
        }
        if exchange.group && !response.status.is_success() {
            return out.refuse(Refusal::Failed("an error is no answer to a group's request"));
        }
        let mut datagram = core::mem::take(&mut self.scratch);
        response.encode(exchange.header(response.status), &mut datagram);
        if datagram.len() > exchange.budget() {
            out.refuse(Refusal::Amplification);
        } else if exchange.group {
            let leisure = self.config.transmission.default_leisure().mul_f64(self.random.unit());
            let kept = self.delayed.push(now + leisure, exchange.origin, &datagram);
            self.counts.add(if kept { Event::GroupAnswers } else { Event::GroupDropped });
        } else {
            if !response.status.is_success() {
                self.counts.add(Event::Errors);
            }
            self.put(&exchange.origin, &datagram, out);
        }
        self.scratch = datagram;
    }

    fn try_whole(
        &mut self,
        now: Time,
        exchange: &Exchange,
        asked: Option<Block>,
        response: Response<'_>,
        body: &[u8],
        out: &mut Outbox,
    ) -> bool {
        let block2 = asked.map(|block| Block::first(block.size().min(self.config.block_size)));
        let response = Response { payload: body, block2, ..response };
        let fits = self.fits(exchange, &response);
        if fits {
            self.send(now, exchange, &response, out);
        }
        fits
    }

    /// Whether the response is not too long for its peer.
    fn fits(&mut self, exchange: &Exchange, response: &Response<'_>) -> bool {
        if exchange.validated {
            return true;
        }
        response.encode(exchange.header(response.status), &mut self.scratch);
        self.scratch.len() <= exchange.budget()
    }
}
