//! What is typed, as keys.

use std::mem;

/// A key, by what it does to a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Character(char),
    Enter,
    Tab,
    Left,
    Right,
    WordLeft,
    WordRight,
    Home,
    End,
    Up,
    Down,
    DeleteLeft,
    DeleteRight,
    CutWordLeft,
    CutWordRight,
    CutToStart,
    CutToEnd,
    PasteCut,
    /// Ctrl-C, where the terminal makes no signal of it.
    Interrupt,
    /// Ctrl-D: deletes what is at the cursor, and ends the input where nothing is typed.
    EndOfInput,
    Redraw,
}

/// Makes keys of the bytes that a terminal sends
/// ([control sequences](https://invisible-island.net/xterm/ctlseqs/ctlseqs.html)). What is no key of a line is passed
/// over, to its end.
#[derive(Debug, Default)]
pub(super) struct Keys {
    state: State,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Ground,
    /// Within a character: what came of it, and how long it is.
    Character(Vec<u8>, usize),
    Escape,
    /// Behind `ESC O`, which some terminals send for `ESC [`.
    Single,
    Sequence(Vec<u8>),
}

impl Keys {
    /// Takes a byte, and gives the key that ends with it.
    pub(super) fn push(&mut self, byte: u8) -> Option<Key> {
        match (mem::take(&mut self.state), byte) {
            // It begins anew wherever it comes.
            (_, 0x1b) => {
                self.state = State::Escape;
                None
            }
            (State::Ground, _) => self.ground(byte),
            (State::Character(mut bytes, len), 0x80..=0xbf) => {
                bytes.push(byte);
                if bytes.len() < len {
                    self.state = State::Character(bytes, len);
                    return None;
                }
                str::from_utf8(&bytes).ok()?.chars().next().filter(|c| !c.is_control()).map(Key::Character)
            }
            // A character that was cut short is none.
            (State::Character(..), _) => self.ground(byte),
            (State::Escape, b'[') => {
                self.state = State::Sequence(Vec::new());
                None
            }
            (State::Escape, b'O') => {
                self.state = State::Single;
                None
            }
            (State::Escape, _) => match byte {
                b'b' => Some(Key::WordLeft),
                b'f' => Some(Key::WordRight),
                b'd' => Some(Key::CutWordRight),
                0x08 | 0x7f => Some(Key::CutWordLeft),
                _ => None,
            },
            (State::Single, _) => sequence(b"", byte),
            // The Linux console's function keys have a second bracket.
            (State::Sequence(parameters), 0x40..=0x7e) if byte != b'[' || !parameters.is_empty() => {
                sequence(&parameters, byte)
            }
            (State::Sequence(mut parameters), _) => {
                if parameters.len() < LONGEST {
                    parameters.push(byte);
                }
                self.state = State::Sequence(parameters);
                None
            }
        }
    }

    fn ground(&mut self, byte: u8) -> Option<Key> {
        let len = match byte {
            0xc2..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf4 => 4,
            _ => return plain(byte),
        };
        self.state = State::Character(vec![byte], len);
        None
    }
}

/// The key of one byte.
fn plain(byte: u8) -> Option<Key> {
    Some(match byte {
        b' '..=b'~' => Key::Character(char::from(byte)),
        b'\r' | b'\n' => Key::Enter,
        b'\t' => Key::Tab,
        0x01 => Key::Home,
        0x02 => Key::Left,
        0x03 => Key::Interrupt,
        0x04 => Key::EndOfInput,
        0x05 => Key::End,
        0x06 => Key::Right,
        0x08 | 0x7f => Key::DeleteLeft,
        0x0b => Key::CutToEnd,
        0x0c => Key::Redraw,
        0x0e => Key::Down,
        0x10 => Key::Up,
        0x15 => Key::CutToStart,
        0x17 => Key::CutWordLeft,
        0x19 => Key::PasteCut,
        _ => return None,
    })
}

/// The key of a sequence that ends with `last`. A modifier, Ctrl or Alt, stands behind a semicolon.
fn sequence(parameters: &[u8], last: u8) -> Option<Key> {
    if parameters.starts_with(b"[") {
        return None;
    }
    let is_modified = parameters.contains(&b';');
    Some(match (last, parameters) {
        (b'A', _) => Key::Up,
        (b'B', _) => Key::Down,
        (b'C', _) if is_modified => Key::WordRight,
        (b'D', _) if is_modified => Key::WordLeft,
        (b'C', b"") => Key::Right,
        (b'D', b"") => Key::Left,
        (b'H', _) | (b'~', b"1" | b"7") => Key::Home,
        (b'F', _) | (b'~', b"4" | b"8") => Key::End,
        (b'~', b"3") => Key::DeleteRight,
        _ => return None,
    })
}

/// Bytes of a sequence that are kept.
const LONGEST: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(bytes: &[u8]) -> Vec<Key> {
        let mut keys = Keys::default();
        bytes.iter().filter_map(|byte| keys.push(*byte)).collect()
    }

    #[test]
    fn cursor_keys_are_known_in_the_ways_in_which_terminals_send_them() {
        use Key::{DeleteRight, Down, End, Home, Left, Right, Up, WordLeft, WordRight};
        assert_eq!(keys(b"\x1b[A\x1b[B\x1b[C\x1b[D\x1bOA\x1bOD"), [Up, Down, Right, Left, Up, Left]);
        assert_eq!(
            keys(b"\x1b[H\x1b[F\x1b[1~\x1b[4~\x1bOH\x1b[3~"),
            [Home, End, Home, End, Home, DeleteRight]
        );
        assert_eq!(keys(b"\x1b[1;5C\x1b[1;3D\x1bb\x1bf"), [WordRight, WordLeft, WordLeft, WordRight]);
    }

    #[test]
    fn characters_are_whole_and_what_is_no_key_leaves_nothing_behind() {
        let characters = |text: &str| text.chars().map(Key::Character).collect::<Vec<_>>();
        assert_eq!(keys("aé你🎉".as_bytes()), characters("aé你🎉"));
        assert_eq!(keys(b"\xffa\xc3b\xe4\xbdc\x1f"), characters("abc"));
        // Function keys, a mouse, what answers a question that nobody asked, Alt with a letter; and one broken off.
        assert_eq!(
            keys(b"\x1b[15~\x1b[[A\x1b[<0;1;1M\x1b[?1;2c\x1bxa\x1b[1\x1b[D"),
            [characters("a"), vec![Key::Left]].concat()
        );
    }

    #[test]
    fn ctrl_space_ends_nothing() {
        assert_eq!(keys(b"\0"), []);
        assert_eq!(keys(b"\x04"), [Key::EndOfInput]);
    }

    #[test]
    fn no_bytes_stop_the_keys() {
        let mut keys = Keys::default();
        for first in 0..=255 {
            for second in 0..=255 {
                keys.push(0x1b);
                keys.push(first);
                keys.push(second);
            }
        }
        (0..100_000).for_each(|_| _ = keys.push(b';'));
        assert!([b'q', 0x1b, b'[', b'D'].map(|byte| keys.push(byte)).contains(&Some(Key::Left)));
    }
}
