//! A room in which some members talk and all of them listen.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::flooder::{HEARTBEAT, TEXTS};
use crate::error::Error;
use crate::fanout::audience::TEXT;
use crate::fanout::udp::UdpCrowd;

/// When talkers say something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// Each has so many messages on their way: a new one follows one that every member has, or that is late.
    InFlight(usize),
    /// So many messages a second, of all talkers together, in turn.
    PerSecond(u32),
}

/// What came of a time of talking.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Heard {
    /// Messages that were said, times the members that were to hear them.
    pub(crate) expected: u64,
    /// Those that a member received within [`LATE`].
    pub(crate) in_time: u64,
    /// Those that a member received later.
    pub(crate) late: u64,
    /// Messages that a member received again, or after a later one of the same talker.
    pub(crate) repeated: u64,
    /// Lines that nobody said.
    pub(crate) foreign: u64,
    /// What the flooder said and a member received.
    pub(crate) flood: u64,
}

/// After how long a message has lost its purpose.
pub(crate) const LATE: Duration = Duration::from_millis(100);

/// The talkers are the first members of the crowd.
pub(crate) struct Talk {
    crowd: UdpCrowd,
    members: usize,
    talkers: Vec<Talker>,
    /// For each member and talker the number after the last one heard.
    next: Vec<u64>,
    heard: Heard,
}

struct Talker {
    said: u64,
    /// What not everybody has and is not forgotten, oldest first, without gaps.
    flying: VecDeque<Flight>,
}

struct Flight {
    number: u64,
    since: Instant,
    /// How many members have it not.
    missing: usize,
}

impl Talk {
    pub(crate) fn new(crowd: UdpCrowd, members: usize, talkers: usize) -> Self {
        let talkers: Vec<_> = (0..talkers).map(|_| Talker { said: 0, flying: VecDeque::new() }).collect();
        let next = vec![0; members * talkers.len()];
        Self { crowd, members, talkers, next, heard: Heard::default() }
    }

    /// Talks for `duration`, and listens on for as long as a message may be late. What is said or received before
    /// the end counts in a closed loop; at a fixed pace, what becomes of all that was said.
    pub(crate) fn run(&mut self, pace: Pace, duration: Duration) -> Result<(Heard, Duration), Error> {
        self.heard = Heard::default();
        let begin = Instant::now();
        let mut at_end = None;
        let mut said = 0;
        loop {
            let now = Instant::now();
            if now - begin >= duration {
                if matches!(pace, Pace::InFlight(_)) {
                    return Ok((self.heard, now - begin));
                }
                let end = *at_end.get_or_insert(now);
                if now - end > LATE {
                    return Ok((self.heard, end - begin));
                }
            } else {
                match pace {
                    Pace::InFlight(count) => self.fill(count, now)?,
                    Pace::PerSecond(rate) => {
                        let due = ((now - begin).as_secs_f64() * f64::from(rate)) as u64;
                        while said < due {
                            self.say(said as usize % self.talkers.len(), 1, now)?;
                            said += 1;
                        }
                    }
                }
            }
            self.forget(now);
            self.listen()?;
        }
    }

    fn fill(&mut self, count: usize, now: Instant) -> Result<(), Error> {
        for talker in 0..self.talkers.len() {
            let flying = self.talkers[talker].flying.iter();
            let waiting = flying.filter(|it| it.missing > 0 && now - it.since <= LATE).count();
            if waiting < count {
                self.say(talker, count - waiting, now)?;
            }
        }
        Ok(())
    }

    fn say(&mut self, talker: usize, count: usize, now: Instant) -> Result<(), Error> {
        let mut texts = Vec::with_capacity(count * TEXT);
        let it = &mut self.talkers[talker];
        for number in it.said..it.said + count as u64 {
            texts.extend_from_slice(&text_of(talker, number));
            it.flying.push_back(Flight { number, since: now, missing: self.members });
        }
        it.said += count as u64;
        self.heard.expected += (count * self.members) as u64;
        self.crowd.say(talker, &texts)
    }

    /// Lets go of what everybody has, and of what is so late that nothing more is to be learned of it.
    fn forget(&mut self, now: Instant) {
        for talker in &mut self.talkers {
            while talker.flying.front().is_some_and(|it| it.missing == 0 || now - it.since > 10 * LATE) {
                talker.flying.pop_front();
            }
        }
    }

    fn listen(&mut self) -> Result<(), Error> {
        let Self { crowd, talkers, next, heard, .. } = self;
        crowd.receive_each(&mut |member, datagram| {
            let now = Instant::now();
            for line in datagram.split(|byte| *byte == b'\n') {
                hear(member, line, now, talkers, next, heard);
            }
        })
    }
}

fn hear(
    member: usize,
    line: &[u8],
    now: Instant,
    talkers: &mut [Talker],
    next: &mut [u64],
    heard: &mut Heard,
) {
    let Some(text) = line.strip_prefix(b"ack ") else {
        heard.foreign += 1;
        return;
    };
    if text == TEXTS || text == HEARTBEAT {
        heard.flood += 1;
        return;
    }
    let said =
        said_by(text).filter(|(talker, number)| talkers.get(*talker).is_some_and(|it| *number < it.said));
    let Some((talker, number)) = said else {
        heard.foreign += 1;
        return;
    };
    let expected = &mut next[member * talkers.len() + talker];
    if number < *expected {
        heard.repeated += 1;
        return;
    }
    *expected = number + 1;
    let flying = &mut talkers[talker].flying;
    let first = flying.front().map_or(number, |it| it.number);
    let flight = number.checked_sub(first).and_then(|index| flying.get_mut(index as usize));
    match flight {
        Some(flight) => {
            flight.missing -= 1;
            if now - flight.since <= LATE { heard.in_time += 1 } else { heard.late += 1 }
        }
        None => heard.late += 1,
    }
}

const TALKER: std::ops::Range<usize> = 7..10;
const NUMBER: std::ops::Range<usize> = 15..31;

fn text_of(talker: usize, number: u64) -> [u8; TEXT] {
    let mut text = *b"talker 000 says 0000000000000000 with some words to fill a line.";
    write_digits(&mut text[TALKER], talker as u64);
    write_digits(&mut text[NUMBER], number);
    text
}

fn said_by(text: &[u8]) -> Option<(usize, u64)> {
    let digits = |range| std::str::from_utf8(text.get(range)?).ok()?.parse::<u64>().ok();
    let (talker, number) = (digits(TALKER)? as usize, digits(NUMBER)?);
    (text_of(talker, number) == text).then_some((talker, number))
}

fn write_digits(into: &mut [u8], mut number: u64) {
    for digit in into.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_who_said_it_and_an_altered_one_is_nobodys() {
        let text = text_of(9, 123_456);
        assert_eq!(said_by(&text), Some((9, 123_456)));
        for at in 0..TEXT {
            let mut altered = text;
            altered[at] ^= 0x80;
            assert_eq!(said_by(&altered), None, "byte {at}");
        }
        assert_eq!(said_by(&text[..TEXT - 1]), None);
        assert_eq!(said_by(TEXTS), None);
    }

    #[test]
    fn late_repeated_and_foreign_lines_are_told_apart_from_those_in_time() {
        let begin = Instant::now();
        let flight = |number| Flight { number, since: begin, missing: 2 };
        let mut talkers = [Talker { said: 3, flying: [flight(0), flight(1), flight(2)].into() }];
        let (mut next, mut heard) = ([0; 2], Heard::default());
        let mut say = |line: &[u8], now| hear(1, line, now, &mut talkers, &mut next, &mut heard);
        let line = |number| [b"ack ", text_of(0, number).as_slice()].concat();
        say(&line(1), begin + LATE);
        say(&line(2), begin + LATE * 2);
        say(&line(0), begin);
        say(&line(3), begin);
        say(&[b"ack ", TEXTS.as_slice()].concat(), begin);
        say(&[b"ack ", HEARTBEAT].concat(), begin);
        say(b"bye bye", begin);
        let it = heard;
        assert_eq!((it.in_time, it.late, it.repeated, it.foreign, it.flood), (1, 1, 1, 2, 2));
    }
}
