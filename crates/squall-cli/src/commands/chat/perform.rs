//! Doing what was typed.

use std::io;

use squall::chat::wire::{Name, RoomName};

use super::orders::{Order, help};
use super::screen::percent;
use super::session::Session;
use super::words;

/// What comes of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// This, at once.
    Lines(Vec<String>),
    /// It cannot be done.
    Refused(String),
    /// An event tells.
    Later,
}

/// Does it.
///
/// # Errors
/// Those of [`Session::call`].
pub(super) fn perform(session: &mut Session, order: Order) -> io::Result<Answer> {
    Ok(match order {
        Order::Say(text) => match session.call(|client, now, out| client.say(now, &text, out))? {
            Ok(_) => Answer::Later,
            Err(error) => Answer::Refused(error.to_string()),
        },
        Order::Join(room) => match RoomName::new(&room) {
            Ok(room) => {
                session.call(|client, now, _| client.join(now, room))?;
                Answer::Later
            }
            Err(error) => Answer::Refused(format!("/join {room}: {error}")),
        },
        Order::Name(name) => match Name::new(&name) {
            Ok(name) => {
                session.rename(name);
                Answer::Later
            }
            Err(error) => Answer::Refused(format!("/name {name}: {error}")),
        },
        Order::Find(text) => match session.call(|client, now, _| client.find(now, &text))? {
            true => Answer::Later,
            false => Answer::Refused("/find: four searches wait already".to_owned()),
        },
        Order::Last(count) => {
            session.call(|client, now, _| client.want_older(now, count))?;
            Answer::Later
        }
        Order::Who(None) => Answer::Lines(who(session)),
        Order::Who(Some(room)) => {
            // Who is in another room is nothing that the machine keeps: the hub's lines are shown.
            let line = format!("/who {room}");
            match session.call(|client, now, out| client.type_line(now, &line, out))? {
                Ok(_) => Answer::Later,
                Err(error) => Answer::Refused(error.to_string()),
            }
        }
        Order::Rooms => Answer::Lines(rooms(session)),
        Order::Me => Answer::Lines(vec![me(session)]),
        Order::Help => Answer::Lines(help(false)),
        Order::Leave => Answer::Later,
    })
}

fn who(session: &Session) -> Vec<String> {
    let (client, now) = (&session.client, session.now());
    let mut lines = vec![format!("{} here", client.member_count())];
    lines.extend(client.members().map(|neighbour| words::neighbour(neighbour, now)));
    let more = client.member_count().saturating_sub(lines.len() as u64 - 1);
    if more > 0 {
        lines.push(format!("and {more} more"));
    }
    lines
}

fn rooms(session: &Session) -> Vec<String> {
    let line = |room: &squall::chat::client::Room| {
        format!("#{}  {} there, {} said", room.name, room.members, room.number)
    };
    session.client.rooms().map(line).collect()
}

fn me(session: &Session) -> String {
    let client = &session.client;
    let mut line = format!(
        "{} in #{} on {}",
        client.name().unwrap_or("nobody"),
        client.room().unwrap_or(""),
        session.uri()
    );
    if let Some(round_trip) = client.round_trip() {
        line += &format!(", {:.1} ms there and back", round_trip.as_secs_f64() * 1e3);
    }
    if let Some(loss) = client.loss() {
        line += &format!(", {} lost", percent(loss));
    }
    line
}
