//! Schedules as text: `lte@10s:storm@20s:clear@60s:repeat`.

use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use super::{TextError, cut, section, write_section};
use crate::units::{Span, parse_span};
use crate::weather::{Direction, Weather};

/// Puts a schedule together, section by section.
pub(super) struct Scheduler {
    weather: Weather,
    last: u64,
    stages: usize,
    /// What may be followed by nothing more.
    repeats: bool,
}

impl Scheduler {
    pub(super) fn new(weather: Weather) -> Self {
        Self { weather, last: 0, stages: 0, repeats: false }
    }

    /// Adds `TIME:WEATHER`, or `TIME:repeat`, or that for one direction.
    pub(super) fn add(&mut self, text: &str) -> Result<(), TextError> {
        let wrong = |reason| TextError::Schedule { text: cut(text.trim()), reason };
        let (time, rest) =
            text.split_once(':').ok_or_else(|| wrong("write @TIME:WEATHER or @TIME:repeat"))?;
        let (time, rest) = (time.trim(), rest.trim());
        let (direction, time) = match time.split_once('.') {
            Some(("up", time)) => (Some(Direction::Up), time),
            Some(("down", time)) => (Some(Direction::Down), time),
            _ => (None, time),
        };
        let time = parse_span(time).filter(|time| *time > 0);
        let time = time.ok_or_else(|| wrong("the time must be over 0 and have its unit, like 10s"))?;
        if time <= self.last {
            return Err(wrong("the times must rise"));
        }
        if rest == "repeat" {
            self.repeats = true;
            return self.repeat(direction, time).map_err(wrong);
        }
        if direction.is_some() {
            return Err(wrong("only repeat is for one direction; write up. and down. before the keys"));
        }
        if self.repeats {
            return Err(wrong("repeat comes last"));
        }
        if self.stages == MAX_STAGES {
            return Err(TextError::TooMany { most: MAX_STAGES, what: "changes of weather" });
        }
        let next = section(&Weather::clear(), rest)?;
        self.last = time;
        self.stages += 1;
        let Weather { up, down } = &mut self.weather;
        *up = core::mem::take(up).then(Duration::from_nanos(time), next.up);
        *down = core::mem::take(down).then(Duration::from_nanos(time), next.down);
        Ok(())
    }

    pub(super) fn finish(self) -> Weather {
        self.weather
    }

    fn repeat(&mut self, direction: Option<Direction>, time: u64) -> Result<(), &'static str> {
        for one in Direction::ALL {
            if direction.is_some_and(|direction| direction != one) {
                continue;
            }
            let conditions = match one {
                Direction::Up => &mut self.weather.up,
                Direction::Down => &mut self.weather.down,
            };
            if conditions.schedule.repeat.replace(time).is_some() {
                return Err("there is one repeat for each direction");
            }
        }
        Ok(())
    }
}

/// What follows the first section.
pub(super) fn write(f: &mut fmt::Formatter<'_>, weather: &Weather) -> fmt::Result {
    let (up, down) = (&weather.up.schedule, &weather.down.schedule);
    let mut times: Vec<u64> = up.later.iter().chain(&down.later).map(|(time, _)| *time).collect();
    times.sort_unstable();
    times.dedup();
    for time in times {
        write!(f, "@{}:", Span(time))?;
        write_section(f, weather.up.at_stage(up.stage(time)), weather.down.at_stage(down.stage(time)))?;
    }
    match (up.repeat, down.repeat) {
        (Some(up), Some(down)) if up == down => write!(f, "@{}:repeat", Span(up)),
        (up, down) => {
            [("up", up), ("down", down)].into_iter().try_for_each(|(direction, repeat)| match repeat {
                Some(time) => write!(f, "@{direction}.{}:repeat", Span(time)),
                None => Ok(()),
            })
        }
    }
}

/// The most changes in one schedule.
const MAX_STAGES: usize = 1000;
