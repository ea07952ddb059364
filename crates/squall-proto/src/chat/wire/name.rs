//! Names of members and rooms.

use alloc::string::{String, ToString};
use core::fmt;

use unicode_security::{GeneralSecurityProfile, RestrictionLevel, RestrictionLevelDetection, skeleton};

use super::said::decimal;
use crate::text::is_unclean;

/// A member's name that can be had: 1 to [`MAX_NAME`] characters, which are letters and digits of any script in
/// today's use, combining marks and `-`, `_`, `.`, and all of one script or of those that are written
/// together ([UTS #39](https://www.unicode.org/reports/tr39/#Restriction_Level_Detection), highly restrictive); not one that the hub itself could be taken for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Name(String);

/// A room's name: as [`Name`], but any word.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RoomName(String);

/// What two names that look alike have in common, by which names are unique: the skeleton of
/// [UTS #39](https://www.unicode.org/reports/tr39/#Confusable_Detection), without regard to case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(String);

/// The most characters of a name.
pub const MAX_NAME: usize = 32;

/// Why nobody can have a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// It has no characters.
    #[error("a name has at least one character")]
    Empty,
    /// It has more than [`MAX_NAME`] characters.
    #[error("a name has at most {MAX_NAME} characters, not {0}")]
    TooLong(usize),
    /// It has a character that no name has.
    #[error("a name has no {}", shown(*.0))]
    Character(char),
    /// It mixes scripts, as names do that imitate others.
    #[error("a name is written in one script")]
    MixedScript,
    /// It is the hub's own, or looks like it.
    #[error("that name is reserved")]
    Reserved,
}

impl Name {
    /// A name.
    ///
    /// # Errors
    /// [`NameError`], when nobody can have it.
    pub fn new(name: &str) -> Result<Self, NameError> {
        check(name)?;
        let key = Key::of(name);
        if RESERVED.iter().any(|reserved| Key::of(reserved) == key) {
            return Err(NameError::Reserved);
        }
        Ok(Self(name.to_string()))
    }

    /// As it is shown.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What it is unique by.
    pub fn key(&self) -> Key {
        Key::of(&self.0)
    }
}

impl RoomName {
    /// A room's name.
    ///
    /// # Errors
    /// [`NameError`], when no room can have it.
    pub fn new(name: &str) -> Result<Self, NameError> {
        check(name)?;
        Ok(Self(name.to_string()))
    }

    /// As it is shown.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What it is unique by.
    pub fn key(&self) -> Key {
        Key::of(&self.0)
    }
}

impl Key {
    /// The key of any text.
    pub fn of(text: &str) -> Self {
        let mut key = String::with_capacity(text.len());
        if text.is_ascii() {
            key.extend(text.chars().map(|character| character.to_ascii_lowercase()));
        } else {
            let mut alike = String::with_capacity(text.len());
            // By way of the capitals, so that ς and σ, which share theirs, are one.
            let small = text.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase);
            for character in small {
                fold(character, &mut alike);
            }
            // Once more for all of it: marks in their order, and prototypes can be capitals.
            key.extend(skeleton(&alike).flat_map(char::to_lowercase));
        }
        // What the skeleton says of these, small and capital together: I is l, and so is i.
        Self(if key.contains(['1', 'i', '|', '0', 'm']) {
            key.replace(['1', 'i', '|'], "l").replace('0', "o").replace('m', "rn")
        } else {
            key
        })
    }

    /// The key's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for RoomName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether `word` can stand where a hub says who spoke: a name, or `~` and a member's number.
pub fn is_speaker(word: &str) -> bool {
    match word.strip_prefix('~') {
        Some(number) => !number.is_empty() && decimal::<u64>(number).is_some(),
        None => check(word).is_ok(),
    }
}

/// The key of what stands before the first colon of a text and can be read as a name: who the text seems to be
/// said by, if a member has that key. Colons of other scripts count as well, and characters that nobody sees do not.
pub fn speaker_key(text: &str) -> Option<Key> {
    let mut seen = 0;
    let mut buffer = [0; 4];
    let (colon, _) = text
        .char_indices()
        .take_while(|(_, character)| {
            seen += usize::from(!is_blank(*character, &mut buffer));
            seen <= MAX_NAME + 1
        })
        .find(|&(_, character)| is_colon(character))?;
    let name = text[..colon].trim_end_matches(|character| is_blank(character, &mut buffer));
    (!name.is_empty()).then(|| Key::of(name))
}

/// Whether nothing of a character is seen.
fn is_blank(character: char, buffer: &mut [u8; 4]) -> bool {
    // The last but one is the empty pattern of Braille, neither white space nor ignorable.
    if character.is_ascii() {
        return character.is_ascii_whitespace();
    }
    character.is_whitespace()
        || character == '\u{2800}'
        || skeleton(character.encode_utf8(buffer)).next().is_none()
}

fn is_colon(character: char) -> bool {
    if character.is_ascii() {
        return character == ':';
    }
    let mut buffer = [0; 4];
    // A full-width colon is no confusable in the table, as it is one by compatibility.
    character == '\u{ff1a}' || skeleton(character.encode_utf8(&mut buffer)).eq([':'])
}

fn check(name: &str) -> Result<(), NameError> {
    let mut characters = 0;
    for character in name.chars() {
        let allowed = match character {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '_' | '.' => true,
            '\0'..='\x7f' => false,
            // Joiners are seen only by what they do to others.
            '\u{200c}' | '\u{200d}' => false,
            _ => character.identifier_allowed() && !is_unclean(character) && !is_colon(character),
        };
        if !allowed {
            return Err(NameError::Character(character));
        }
        characters += 1;
    }
    match characters {
        0 => Err(NameError::Empty),
        1..=MAX_NAME if name.is_ascii() => Ok(()),
        1..=MAX_NAME if name.check_restriction_level(RestrictionLevel::HighlyRestrictive) => Ok(()),
        1..=MAX_NAME => Err(NameError::MixedScript),
        _ => Err(NameError::TooLong(characters)),
    }
}

/// Adds what `character`, which is small, looks like: as itself or else as its capital, where that is ASCII.
fn fold(character: char, alike: &mut String) {
    let mut buffer = [0; 4];
    let small = character.encode_utf8(&mut buffer);
    if skeleton(small).all(|prototype| prototype.is_ascii()) {
        return alike.extend(skeleton(small));
    }
    let capital: String = character.to_uppercase().collect();
    if skeleton(&capital).all(|prototype| prototype.is_ascii()) {
        return alike.extend(skeleton(&capital).flat_map(char::to_lowercase));
    }
    alike.extend(skeleton(small));
}

fn shown(character: char) -> String {
    match character {
        ' '..='~' => alloc::format!("{character:?}"),
        _ => alloc::format!("U+{:04X}", character as u32),
    }
}

const RESERVED: [&str; 3] = ["operator", "ack", "bye"];
