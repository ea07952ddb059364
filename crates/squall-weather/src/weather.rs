//! Both directions together.

use core::fmt;

use squall_time::random::mix;

use crate::conditions::Conditions;
use crate::link::Link;
use crate::presets::PRESETS;

/// What a network does to datagrams, in each direction. Read from text and shown as text, in
/// [the text form](crate#the-text-form).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Weather {
    /// From the client to the server.
    pub up: Conditions,
    /// From the server to the client.
    pub down: Conditions,
}

/// A direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the client to the server.
    Up,
    /// From the server to the client.
    Down,
}

impl Weather {
    /// Nothing is done to any datagram.
    pub fn clear() -> Self {
        Self::default()
    }

    /// The same in both directions.
    pub fn both(conditions: Conditions) -> Self {
        Self { up: conditions.clone(), down: conditions }
    }

    /// The preset `name`, one of [`PRESETS`]; `None` when there is none.
    pub fn preset(name: &str) -> Option<Self> {
        PRESETS.iter().find(|preset| preset.name == name)?.text.parse().ok()
    }

    /// One direction's conditions.
    pub fn conditions(&self, direction: Direction) -> &Conditions {
        match direction {
            Direction::Up => &self.up,
            Direction::Down => &self.down,
        }
    }

    /// Whether nothing is done to any datagram.
    pub fn is_clear(&self) -> bool {
        self.up.is_clear() && self.down.is_clear()
    }

    /// A link for each direction, up and down; all they decide follows from `seed`.
    pub fn links(&self, seed: u64) -> (Link, Link) {
        (self.link(Direction::Up, seed), self.link(Direction::Down, seed))
    }

    /// One of the two links that [`links`](Self::links) gives for `seed`.
    pub fn link(&self, direction: Direction, seed: u64) -> Link {
        Link::new(self.conditions(direction), direction.seed(seed))
    }
}

impl Direction {
    /// Up and down.
    pub const ALL: [Direction; 2] = [Direction::Up, Direction::Down];

    /// The seed of one direction's link in a run with `seed`.
    const fn seed(self, seed: u64) -> u64 {
        match self {
            Direction::Up => mix(seed ^ 0x7570),
            Direction::Down => mix(seed ^ 0x64_6f77_6e00_0000),
        }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Direction::Up => "up",
            Direction::Down => "down",
        })
    }
}
