//! What a room's members must receive, and whether they did: every byte, in order, once.

/// The length of a message, in bytes.
pub(crate) const TEXT: usize = 64;

/// What is said about a member's message on its way: bytes in front of the text and behind it.
#[derive(Clone, Copy)]
pub(crate) struct Frame {
    pub(crate) before: &'static [u8],
    pub(crate) after: &'static [u8],
}

impl Frame {
    fn len(self) -> usize {
        self.before.len() + TEXT + self.after.len()
    }
}

/// What was not as it should be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Faults {
    /// Messages that a member never got.
    pub(crate) lost: u64,
    /// Messages that a member got again, or after a later one.
    pub(crate) repeated: u64,
    /// Lines that nobody said.
    pub(crate) foreign: u64,
}

/// Members that hear one publisher. All of them are to receive the same bytes, so that a whole datagram is checked by
/// one comparison.
pub(crate) struct Audience {
    frame: Frame,
    /// Messages that the rings have room for: a power of two above the number in flight.
    slots: u64,
    /// A ring of framed messages, written twice in a row so that any stretch of it lies in one piece.
    framed: Box<[u8]>,
    /// The same without frames, as they are published.
    texts: Box<[u8]>,
    published: u64,
    /// Messages that every member has.
    done: u64,
    /// How many bytes of the framed messages each member has.
    positions: Box<[u64]>,
    /// How many members wait for each message, by its number modulo `slots`.
    waiting: Box<[u32]>,
    /// Messages that members received.
    pub(crate) delivered: u64,
    pub(crate) faults: Faults,
}

impl Audience {
    pub(crate) fn new(frame: Frame, members: usize, in_flight: usize) -> Self {
        let slots = (in_flight + 1).next_power_of_two();
        let mut waiting = vec![0; slots];
        waiting[0] = u32::try_from(members).unwrap_or(u32::MAX);
        Self {
            frame,
            slots: slots as u64,
            framed: vec![0; 2 * slots * frame.len()].into(),
            texts: vec![0; 2 * slots * TEXT].into(),
            published: 0,
            done: 0,
            positions: vec![0; members].into(),
            waiting: waiting.into(),
            delivered: 0,
            faults: Faults::default(),
        }
    }

    /// Messages that not every member has yet.
    pub(crate) fn in_flight(&self) -> usize {
        (self.published - self.done) as usize
    }

    /// The next `count` messages, one behind the other; they count as published.
    pub(crate) fn publish(&mut self, count: usize) -> &[u8] {
        let first = self.published;
        for number in first..first + count as u64 {
            let text = text_of(number);
            let slot = (number % self.slots) as usize;
            let len = self.frame.len();
            for slot in [slot, slot + self.slots as usize] {
                self.texts[slot * TEXT..][..TEXT].copy_from_slice(&text);
                let framed = &mut self.framed[slot * len..][..len];
                let (before, rest) = framed.split_at_mut(self.frame.before.len());
                before.copy_from_slice(self.frame.before);
                rest[..TEXT].copy_from_slice(&text);
                rest[TEXT..].copy_from_slice(self.frame.after);
            }
        }
        self.published += count as u64;
        &self.texts[(first % self.slots) as usize * TEXT..][..count * TEXT]
    }

    /// Takes a datagram that `member` received: lines, of which the last has no end.
    pub(crate) fn datagram(&mut self, member: usize, datagram: &[u8]) {
        let len = datagram.len() + self.frame.after.len();
        if self.expects(member, datagram) && len.is_multiple_of(self.frame.len()) {
            self.advance(member, len as u64);
            return;
        }
        for line in datagram.split(|byte| *byte == b'\n') {
            self.line(member, line);
        }
    }

    /// Takes bytes that `member` received of a stream, and returns how many of them it was to receive now; where that
    /// is not all, something else begins there.
    pub(crate) fn stream(&mut self, member: usize, bytes: &[u8]) -> usize {
        let whole = if self.expects(member, bytes) {
            bytes.len()
        } else {
            // Something stands in between, at the end of a message.
            let len = self.frame.len() as u64;
            let to_end = (len - self.positions[member] % len) % len;
            let mut good = 0;
            let mut end = to_end as usize;
            while end <= bytes.len() && self.expects(member, &bytes[..end]) {
                good = end;
                end += len as usize;
            }
            good
        };
        self.advance(member, whole as u64);
        whole
    }

    /// Forgets what is in flight: whoever does not have it has lost it.
    pub(crate) fn give_up(&mut self) {
        let len = self.frame.len() as u64;
        for member in 0..self.positions.len() {
            let missing = self.published - self.positions[member] / len;
            self.faults.lost += missing;
            self.positions[member] = self.published * len;
        }
        self.waiting.fill(0);
        self.waiting[(self.published % self.slots) as usize] =
            u32::try_from(self.positions.len()).unwrap_or(u32::MAX);
        self.done = self.published;
    }

    /// Whether these are the next bytes for `member`.
    fn expects(&self, member: usize, bytes: &[u8]) -> bool {
        let position = self.positions[member];
        let end = position + bytes.len() as u64;
        let begin = (position % (self.slots * self.frame.len() as u64)) as usize;
        end <= self.published * self.frame.len() as u64
            && self.framed.get(begin..begin + bytes.len()) == Some(bytes)
    }

    /// A line by itself, where a datagram is not what was expected.
    fn line(&mut self, member: usize, line: &[u8]) {
        let len = self.frame.len() as u64;
        let next = self.positions[member] / len;
        let text = line.strip_prefix(self.frame.before);
        match text.and_then(number_of) {
            Some(number) if number >= self.published => self.faults.foreign += 1,
            Some(number) if number < next => self.faults.repeated += 1,
            Some(number) => {
                let missing = number - next;
                self.faults.lost += missing;
                self.advance(member, (missing + 1) * len);
                self.delivered -= missing;
            }
            None => self.faults.foreign += 1,
        }
    }

    fn advance(&mut self, member: usize, bytes: u64) {
        let len = self.frame.len() as u64;
        let old = self.positions[member] / len;
        self.positions[member] += bytes;
        let new = self.positions[member] / len;
        self.delivered += new - old;
        self.waiting[(old % self.slots) as usize] -= 1;
        self.waiting[(new % self.slots) as usize] += 1;
        while self.done < self.published && self.waiting[(self.done % self.slots) as usize] == 0 {
            self.done += 1;
        }
    }
}

const NAME: &[u8] = b"message ";
const DIGITS: usize = 20;

/// The text of a message: no two are alike.
fn text_of(mut number: u64) -> [u8; TEXT] {
    let mut text = *b"message 00000000000000000000 of those that everybody here hears.";
    for digit in text[NAME.len()..NAME.len() + DIGITS].iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
    text
}

/// The number of a message with this text.
fn number_of(text: &[u8]) -> Option<u64> {
    let digits = text.strip_prefix(NAME)?.get(..DIGITS)?;
    let number = std::str::from_utf8(digits).ok()?.parse().ok()?;
    (text_of(number) == text).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHAT: Frame = Frame { before: b"ack ", after: b"\n" };

    /// What the hub makes of `texts`, in one datagram.
    fn acks(texts: &[u8]) -> Vec<u8> {
        texts.chunks(TEXT).map(|text| [b"ack ", text].concat()).collect::<Vec<_>>().join(&b'\n')
    }

    #[test]
    fn a_message_is_done_when_every_member_has_it() {
        let mut audience = Audience::new(CHAT, 2, 3);
        for _ in 0..10 {
            let texts = audience.publish(3).to_vec();
            audience.datagram(0, &acks(&texts));
            assert_eq!(audience.in_flight(), 3);
            audience.datagram(1, &acks(&texts[..TEXT]));
            assert_eq!(audience.in_flight(), 2);
            audience.datagram(1, &acks(&texts[TEXT..]));
            assert_eq!(audience.in_flight(), 0);
        }
        assert_eq!((audience.delivered, audience.faults), (60, Faults::default()));
    }

    #[test]
    fn what_is_missing_altered_or_comes_again_is_seen() {
        let mut audience = Audience::new(CHAT, 1, 4);
        let texts = audience.publish(4).to_vec();
        audience.datagram(0, &acks(&texts[TEXT..2 * TEXT]));
        assert_eq!((audience.delivered, audience.faults), (1, Faults { lost: 1, ..Faults::default() }));
        audience.datagram(0, &acks(&texts[..3 * TEXT]));
        assert_eq!((audience.delivered, audience.faults.repeated), (2, 2), "two of three again");
        let mut altered = acks(&texts[3 * TEXT..]);
        *altered.last_mut().unwrap() ^= 1;
        audience.datagram(0, &altered);
        audience.datagram(0, &acks(&text_of(4)));
        audience.datagram(0, b"");
        assert_eq!((audience.delivered, audience.faults.foreign, audience.in_flight()), (2, 3, 1));
        audience.give_up();
        assert_eq!((audience.faults.lost, audience.in_flight()), (2, 0));
        let texts = audience.publish(2).to_vec();
        audience.datagram(0, &acks(&texts));
        assert_eq!((audience.delivered, audience.in_flight()), (4, 0));
    }

    #[test]
    fn a_stream_may_be_cut_anywhere_and_may_say_something_between_two_messages() {
        let frame = Frame { before: b"MSG ", after: b"\r\n" };
        let mut audience = Audience::new(frame, 1, 2);
        let texts = audience.publish(2).to_vec();
        let bytes: Vec<u8> = texts.chunks(TEXT).flat_map(|text| [b"MSG ", text, b"\r\n"].concat()).collect();
        for byte in &bytes[..100] {
            assert_eq!(audience.stream(0, &[*byte]), 1);
        }
        assert_eq!((audience.delivered, audience.in_flight()), (1, 1));
        let rest = [&bytes[100..], b"PING\r\n"].concat();
        assert_eq!(audience.stream(0, &rest), bytes.len() - 100);
        assert_eq!((audience.delivered, audience.in_flight()), (2, 0));
        assert_eq!(audience.stream(0, b"PING\r\n"), 0);
    }
}
