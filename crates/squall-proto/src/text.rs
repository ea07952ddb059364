//! What a peer sent, made safe for a terminal.

use alloc::borrow::Cow;
use alloc::string::String;
use core::fmt::{self, Write as _};

/// `bytes` as text that can be shown on a terminal, whoever sent them.
///
/// Valid UTF-8 is kept. Escaped as `\x1b` or `\u{202e}` are bytes that are no UTF-8, control characters
/// (line ends and tabs too: the text stays on its line), the marks that turn the direction of text round
/// ([UAX #9](https://www.unicode.org/reports/tr9/), CVE-2021-42574), the separators of lines and
/// paragraphs, and the byte order mark. A backslash is kept as it is, so this cannot be read back.
///
/// ```
/// use squall_proto::text::sanitize;
///
/// assert_eq!(sanitize("Grüße\x1b[31m\n".as_bytes()).to_string(), r"Grüße\x1b[31m\x0a");
/// assert_eq!(sanitize(b"a long text").max_len(6).to_string(), "a long…");
/// ```
pub fn sanitize(bytes: &[u8]) -> Sanitized<'_> {
    Sanitized { bytes, max_len: usize::MAX, quoted: false }
}

/// See [`sanitize`].
#[derive(Clone, Copy, Debug)]
pub struct Sanitized<'a> {
    bytes: &'a [u8],
    max_len: usize,
    quoted: bool,
}

impl Sanitized<'_> {
    /// Escapes `"` and `\` as well, so that what stands between quotes ends where it seems to and no
    /// escape can be forged.
    pub fn quoted(mut self) -> Self {
        self.quoted = true;
        self
    }

    /// Shows at most `characters`, those of escapes counted, and an ellipsis after them if that is not all.
    /// Without this, all is shown: up to eight characters for each of the bytes.
    pub fn max_len(mut self, characters: usize) -> Self {
        self.max_len = characters;
        self
    }
}

impl fmt::Display for Sanitized<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut room = self.max_len;
        for piece in pieces(self.bytes) {
            let piece = match piece {
                Piece::Character(character @ ('"' | '\\')) if self.quoted => Piece::Escaped(character),
                piece => piece,
            };
            let Some(left) = room.checked_sub(piece.len()) else { return f.write_char('…') };
            room = left;
            match piece {
                Piece::Character(character) => f.write_char(character)?,
                Piece::Escaped(character) => write!(f, "\\{character}")?,
                Piece::Byte(byte) => write!(f, "\\x{byte:02x}")?,
                Piece::Hidden(character) => write!(f, "{}", character.escape_unicode())?,
            }
        }
        Ok(())
    }
}

/// What is shown in one piece.
enum Piece {
    /// A character, as it is.
    Character(char),
    /// A character behind a backslash.
    Escaped(char),
    /// A byte that is no UTF-8, or an ASCII control character, as `\x1b`.
    Byte(u8),
    /// Another character that must not reach a terminal, as `\u{202e}`.
    Hidden(char),
}

impl Piece {
    /// The number of characters shown.
    fn len(&self) -> usize {
        match self {
            Piece::Character(_) => 1,
            Piece::Escaped(_) => 2,
            Piece::Byte(_) => 4,
            Piece::Hidden(character) => character.escape_unicode().len(),
        }
    }
}

fn pieces(bytes: &[u8]) -> impl Iterator<Item = Piece> + '_ {
    bytes.utf8_chunks().flat_map(|chunk| {
        let valid = chunk.valid().chars().map(|character| match character {
            '\0'..='\x1f' | '\x7f' => Piece::Byte(character as u8),
            _ if is_hidden(character) => Piece::Hidden(character),
            _ => Piece::Character(character),
        });
        valid.chain(chunk.invalid().iter().map(|&byte| Piece::Byte(byte)))
    })
}

/// `bytes` as one line that can be passed on to others, whoever sent them: bytes that are no UTF-8 become
/// U+FFFD, a tab becomes a space, and what [`sanitize`] escapes is taken out, as is white space at the
/// ends. What is clean already is lent and not copied; a line of printable ASCII costs one look at each of its bytes.
///
/// ```
/// use squall_proto::text::clean;
///
/// assert_eq!(clean(b" hi\xff\tyou\x1b[2J\r\n"), "hi\u{fffd} you[2J");
/// ```
pub fn clean(bytes: &[u8]) -> Cow<'_, str> {
    let valid = core::str::from_utf8(bytes);
    if let Ok(text) = valid
        && (is_printable_ascii(bytes) || !text.chars().any(is_unclean))
    {
        return Cow::Borrowed(text.trim());
    }
    // The ends go first, so that a line end that is nearly always there costs no copy.
    if let Ok(text) = valid
        && let text = text.trim_matches(|end: char| end.is_whitespace() || is_unclean(end))
        && !text.chars().any(is_unclean)
    {
        return Cow::Borrowed(text);
    }
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.extend(chunk.valid().chars().filter_map(|character| match character {
            '\t' => Some(' '),
            character => (!is_unclean(character)).then_some(character),
        }));
        if !chunk.invalid().is_empty() {
            text.push(char::REPLACEMENT_CHARACTER);
        }
    }
    let kept = text.trim_end().len();
    text.truncate(kept);
    let from = text.len() - text.trim_start().len();
    text.drain(..from);
    Cow::Owned(text)
}

/// Whether all of `bytes` are from space to tilde. Looks at whole blocks, so that the compiler can use vectors.
fn is_printable_ascii(bytes: &[u8]) -> bool {
    let unprintable = |byte: &u8| u8::from(!(b' '..=b'~').contains(byte));
    let mut blocks = bytes.chunks_exact(32);
    blocks.all(|block| block.iter().map(unprintable).fold(0, |any, one| any | one) == 0)
        && blocks.remainder().iter().map(unprintable).fold(0, |any, one| any | one) == 0
}

/// Whether [`clean`] takes `character` out or replaces it.
pub(crate) fn is_unclean(character: char) -> bool {
    character.is_control() || is_hidden(character)
}

/// Whether `character` acts on what is around it instead of being seen.
fn is_hidden(character: char) -> bool {
    matches!(
        character,
        '\u{80}'..='\u{9f}' // the second set of control characters; U+009B begins a sequence as ESC [ does
        | '\u{61c}'
        | '\u{200e}' | '\u{200f}'
        | '\u{2028}' | '\u{2029}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2066}'..='\u{2069}'
        | '\u{feff}'
    )
}

#[cfg(test)]
mod tests {
    use alloc::string::{String, ToString};
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    fn shown(bytes: &[u8]) -> String {
        sanitize(bytes).to_string()
    }

    #[test]
    fn what_stands_between_quotes_cannot_end_them() {
        let quoted = |text: &str| sanitize(text.as_bytes()).quoted().to_string();
        assert_eq!(quoted(r#"x": answered \x0a"#), r#"x\": answered \\x0a"#);
        assert_eq!(quoted("x\n"), r"x\x0a");
        assert_eq!(sanitize(b"a\"b").quoted().max_len(2).to_string(), "a…");
    }

    #[test]
    fn text_of_any_script_is_kept() {
        for text in ["", "hello \\ world", "Grüße, 你好, שלום, 🌩️", "a\u{a0}b"] {
            assert_eq!(shown(text.as_bytes()), text);
        }
    }

    #[test]
    fn what_acts_on_a_terminal_is_escaped() {
        assert_eq!(shown(b"\x00\t\r\n\x1b]0;title\x07\x7f"), r"\x00\x09\x0d\x0a\x1b]0;title\x07\x7f");
        assert_eq!(shown("\u{80}\u{85}\u{9b}31m".as_bytes()), r"\u{80}\u{85}\u{9b}31m");
        let marks = "\u{61c}\u{200e}\u{200f}\u{2028}\u{2029}\u{202a}\u{202e}\u{2066}\u{2069}\u{feff}";
        let escaped = r"\u{61c}\u{200e}\u{200f}\u{2028}\u{2029}\u{202a}\u{202e}\u{2066}\u{2069}\u{feff}";
        assert_eq!(shown(marks.as_bytes()), escaped);
    }

    #[test]
    fn bytes_that_are_no_utf_8_are_escaped_one_by_one() {
        assert_eq!(shown(b"a\xff\xc3(\xe4\xbd"), r"a\xff\xc3(\xe4\xbd");
        assert_eq!(shown(b"\x9b31m"), r"\x9b31m");
    }

    #[test]
    fn a_long_text_ends_with_an_ellipsis_and_never_within_an_escape() {
        let text = sanitize("ab\x1b你".as_bytes());
        for (len, expected) in [
            (0, "…"),
            (1, "a…"),
            (2, "ab…"),
            (5, "ab…"),
            (6, r"ab\x1b…"),
            (7, r"ab\x1b你"),
            (99, r"ab\x1b你"),
        ] {
            assert_eq!(text.max_len(len).to_string(), expected, "{len}");
        }
        assert_eq!(sanitize(b"").max_len(0).to_string(), "");
    }

    #[test]
    fn what_is_passed_on_is_one_clean_line() {
        for (sent, passed) in [
            (&b""[..], ""),
            (b" \x00\r\n", ""),
            (b"hello", "hello"),
            (b"\t hello  world \r", "hello  world"),
            (b"a\tb\nc", "a bc"),
            (b"\x1b[31mred", "[31mred"),
            (b"a\xff\xe4\xbd", "a\u{fffd}\u{fffd}"),
            ("\u{feff}Grüße\u{202e}, 你好 ".as_bytes(), "Grüße, 你好"),
            ("\u{202e} \u{2066} a".as_bytes(), "a"),
            ("\u{ff}\u{202e} x\u{0} ".as_bytes(), "\u{ff} x"),
        ] {
            assert_eq!(clean(sent), passed, "{sent:?}");
        }
    }

    #[test]
    fn a_clean_line_is_not_copied() {
        for sent in ["hello", " a long line of text, with more than 32 bytes in it\r\n", "Grüße, 你好\n", ""]
        {
            assert!(matches!(clean(sent.as_bytes()), Cow::Borrowed(_)), "{sent:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_passed_on_is_clean_and_stays_as_it_is(
            bytes in prop::collection::vec(any::<u8>(), 0..60),
            text: String,
        ) {
            for input in [bytes, Vec::from(text)] {
                let once = clean(&input);
                prop_assert!(!once.chars().any(is_unclean));
                prop_assert_eq!(once.trim(), &once);
                prop_assert_eq!(&clean(once.as_bytes()), &once);
            }
        }

        #[test]
        fn nothing_that_is_shown_acts_on_a_terminal(
            bytes in prop::collection::vec(any::<u8>(), 0..60),
            text: String,
            max_len in 0usize..80,
        ) {
            for input in [bytes, Vec::from(text)] {
                let shown = sanitize(&input).max_len(max_len).to_string();
                prop_assert!(!shown.chars().any(|character| character.is_control() || is_hidden(character)));
                prop_assert!(shown.chars().count() <= max_len + 1);
            }
        }
    }
}
