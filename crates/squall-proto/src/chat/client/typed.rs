//! What a user types.

use alloc::string::{String, ToString};

use super::{Client, Kind, SayError};
use crate::chat::wire::{Command, Last, RoomName, Said, lines};
use crate::{Outbox, Protocol, Time};

impl Client {
    /// Does what was typed: `/name`, `/join`, `/last` and `/find` as the methods of those names, other commands
    /// as they are, with their answers as [notes](super::How::Note); `quit` leaves; anything else, and what begins with
    /// `//`, is said. `Ok(None)` for what is no message.
    ///
    /// # Errors
    /// As [`say`](Self::say); a wrong command is told as [`TypeError::Command`].
    pub fn type_line(&mut self, now: Time, line: &str, out: &mut Outbox) -> Result<Option<u64>, TypeError> {
        let command = match lines(line.as_bytes()).next() {
            Some(Said::Command(command)) => command,
            Some(Said::Wrong(error)) => return Err(TypeError::Command(error.to_string())),
            Some(Said::Quit) => {
                self.leave(now, out);
                return Ok(None);
            }
            Some(Said::Text { text, .. }) => return Ok(Some(self.say(now, &text, out)?)),
            _ => return Ok(Some(self.say(now, line, out)?)),
        };
        match command {
            Command::Name(Some(name)) => self.rename(now, name),
            Command::Join(room) => self.join(now, room),
            Command::Last(last) => {
                self.ask_about(Kind::Last, now);
                let count = match last {
                    Last::Count(count) => count,
                    Last::After(number) => {
                        u32::try_from(self.log.lowest().saturating_sub(number.saturating_add(1)))
                            .unwrap_or(u32::MAX)
                    }
                };
                if self.keeps_nothing {
                    self.notice(now, NOTHING_KEPT.to_string());
                } else if self.joined && self.log.lowest() <= 1 {
                    self.notice(now, "there are no older messages".to_string());
                } else {
                    self.want_older(now, count);
                }
            }
            Command::Find(words) => {
                if !self.find(now, &words) {
                    return Err(TypeError::Busy);
                }
            }
            Command::Numbers(_) | Command::Lines(_) | Command::Watch(_) => {
                return Err(TypeError::Command("the client sees to that by itself".to_string()));
            }
            command => {
                let kind = match command {
                    Command::Who { .. } => Kind::Who,
                    Command::Rooms(_) => Kind::Rooms,
                    Command::Name(_) => Kind::Name,
                    _ => Kind::Me,
                };
                self.ask_about(kind, now);
                if kind == Kind::Who || kind == Kind::Rooms {
                    self.roster.ask();
                }
                if let Command::Who { room, .. } = &command {
                    self.roster.wanted = room.as_ref().map(RoomName::key);
                }
                self.send(&command.to_string(), out);
            }
        }
        self.handle_timeout(now, out);
        Ok(None)
    }
}

/// Why what was typed does nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TypeError {
    /// It cannot be said.
    #[error(transparent)]
    Say(#[from] SayError),
    /// It is a command that means nothing; why.
    #[error("{0}")]
    Command(String),
    /// Too many searches wait.
    #[error("find: four searches wait already")]
    Busy,
}

/// What is told to a user who asks for older messages in vain.
pub(super) const NOTHING_KEPT: &str = "this hub keeps no messages";
