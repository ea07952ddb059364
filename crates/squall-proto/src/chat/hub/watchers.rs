//! Telling those that watch a room who comes and goes.

use super::Hub;
use super::packing::Packed;
use super::rooms::Row;
use crate::Outbox;
use crate::chat::wire::Line;

/// Comings and goings in a room.
#[derive(Debug, Default)]
pub(super) struct Presence {
    /// Those since the ones that are being told.
    fresh: Packed,
    /// Those that are being told, and the same with line feeds at the ends of datagrams.
    told: Packed,
    told_lines: Packed,
    /// Watchers below this one were told.
    next: u32,
}

impl Presence {
    pub(super) fn is_empty(&self) -> bool {
        self.fresh.is_empty() && self.told.is_empty()
    }

    /// Whether there is something to tell; what is fresh is, once everybody was told what came before.
    fn begin(&mut self) -> bool {
        if self.told.is_empty() && !self.fresh.is_empty() {
            core::mem::swap(&mut self.fresh, &mut self.told);
            self.told.seal();
            self.told_lines.end_lines_of(&self.told);
            self.next = 0;
        }
        !self.told.is_empty()
    }
}

impl Hub {
    /// Tells a room's watchers, soon.
    pub(super) fn tell(&mut self, index: u16, line: &Line<'_>) {
        let Some(room) = self.rooms.get_mut(index) else { return };
        if room.watchers.is_empty() {
            return;
        }
        if room.presence.fresh.datagrams() >= MAX_PRESENCE {
            self.stats.presence_dropped += 1;
            return;
        }
        room.presence.fresh.write(line);
        self.relay.wake(&mut self.rooms, index);
    }

    /// Tells a room's watchers who came and went, with half of what this call may write at the most: the rest is for
    /// what is said. False if the outbox has no room for any of them.
    pub(super) fn tell_watchers(&mut self, index: u16, out: &mut Outbox) -> bool {
        let Some(room) = self.rooms.get_mut(index) else { return true };
        if !room.presence.begin() {
            return true;
        }
        let Presence { told, told_lines, next, .. } = &mut room.presence;
        let frames = told_lines.ends().len();
        let fit = (out.frames_left() / frames).min(self.relay.round.div_ceil(2 * frames));
        if fit == 0 && !out.is_empty() {
            return false;
        }
        let end = room.watchers.range(*next..).nth(fit).copied();
        let (members, rows) = (&self.members, &room.rows);
        let now_told = || room.watchers.range(*next..end.unwrap_or(u32::MAX));
        let origins = |with_line_ends: bool| {
            now_told().filter_map(move |index| {
                let member = members.get(*index)?;
                let live = !matches!(member.row, Row::Behind | Row::Gone);
                (live && member.row.has_line_ends() == with_line_ends)
                    .then(|| rows[member.row as usize].origins[member.place as usize])
            })
        };
        let mark = out.mark();
        let sent = out
            .to_all_rows(&mut origins(false), told.body(), told.ends())
            .and_then(|_| out.to_all_rows(&mut origins(true), told_lines.body(), told_lines.ends()));
        let count = now_told().count();
        if sent.is_err() {
            out.rewind(mark);
            if !out.is_empty() {
                return false;
            }
        }
        match end.filter(|_| sent.is_ok() && fit > 0) {
            Some(end) => *next = end,
            None => told.clear(),
        }
        // What does not fit an empty outbox never will.
        self.stats.presence_dropped += u64::from(sent.is_err() || fit == 0);
        self.relay.told(count * frames);
        true
    }
}

/// Datagrams that wait to be told in a room.
const MAX_PRESENCE: usize = 64;
