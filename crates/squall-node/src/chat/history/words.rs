//! What a word is, for `/find`: in the index, in a question, and where neither is an index yet.
//!
//! A word is a run of letters and digits, whatever their case and accents. What is written without spaces between
//! words (Han, kana, Thai and their like), and pictures, is cut into single characters, and a run of them is found as
//! a run. The index ([`super::search`]) only says which messages to look at; [`Question::fits`] decides, so that what
//! is indexed and what is not yet is searched by the same rule.

use unicode_normalization::UnicodeNormalization;

/// The most words of a question that the index is asked for; the others are checked in the messages that it names.
const MOST_INDEXED: usize = 16;
/// The shortest beginning of a word that stands for all words that begin so. Shorter ones would name half of all
/// messages.
const SHORTEST_BEGINNING: usize = 3;
/// The same where letters are not ASCII: in many scripts a letter tells more.
const SHORTEST_BEGINNING_ELSEWHERE: usize = 2;

/// The words of a text, one behind the other with a space between. Clears `into`, and reuses it.
pub(super) fn fold(text: &str, into: &mut String) {
    into.clear();
    if text.is_ascii() {
        for byte in text.bytes() {
            push(char::from(byte.to_ascii_lowercase()), into);
        }
    } else {
        // NFKD takes letters and accents apart (and full-width letters to plain ones); upper case and then lower case
        // makes one of `ß` and `SS`, of `ς` and `σ`.
        let plain = text.nfkd().filter(|character| !is_accent(*character));
        for character in plain.flat_map(char::to_uppercase).flat_map(char::to_lowercase) {
            push(character, into);
        }
    }
    into.truncate(into.trim_end_matches(' ').len());
}

fn push(character: char, into: &mut String) {
    if stands_alone(character) {
        if !into.is_empty() && !into.ends_with(' ') {
            into.push(' ');
        }
        into.push(character);
        into.push(' ');
    } else if character.is_alphanumeric() || is_mark(character) {
        into.push(character);
    } else if !into.is_empty() && !into.ends_with(' ') {
        into.push(' ');
    }
}

/// Accents that people leave out: the blocks of combining diacritical marks. Vowel signs of other scripts are no
/// accents, and stay.
fn is_accent(character: char) -> bool {
    matches!(character, '\u{300}'..='\u{36f}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}'
        | '\u{20d0}'..='\u{20ff}' | '\u{fe00}'..='\u{fe0f}' | '\u{fe20}'..='\u{fe2f}')
}

/// Signs that stand within a word and are no letters: the viramas and vowel signs of Indic scripts, which Unicode does
/// not call alphabetic throughout.
fn is_mark(character: char) -> bool {
    matches!(character, '\u{900}'..='\u{dff}') && unicode_normalization::char::is_combining_mark(character)
}

/// Characters of scripts that put no spaces between words, and pictures.
fn stands_alone(character: char) -> bool {
    matches!(character,
        '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}' // Thai, Lao, Myanmar, Khmer
        | '\u{2190}'..='\u{2bff}' // arrows, signs, dingbats
        | '\u{3005}'..='\u{3007}' | '\u{3040}'..='\u{30ff}' // kana
        | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{20000}'..='\u{3ffff}' // Han
        | '\u{1f000}'..='\u{1faff}' // pictures
    )
}

/// What `/find` was asked for.
#[derive(Debug)]
pub(super) struct Question {
    /// The words that were typed, each folded; more than one in one where it is taken apart.
    words: Vec<String>,
    /// Whether the last one stands for all that begin so.
    open_end: bool,
}

impl Question {
    /// What was typed, as words: nothing in it is an operator. `None` if there is no word in it.
    pub(super) fn new(typed: &str) -> Option<Self> {
        let mut words = Vec::new();
        for word in typed.split_whitespace() {
            let mut folded = String::new();
            fold(word, &mut folded);
            if !folded.is_empty() {
                words.push(folded);
            }
        }
        let last = words.last()?.rsplit(' ').next()?;
        let shortest = if last.is_ascii() { SHORTEST_BEGINNING } else { SHORTEST_BEGINNING_ELSEWHERE };
        let open_end = last.chars().count() >= shortest;
        Some(Self { words, open_end })
    }

    /// The question to the index, in FTS5's language: messages that have all of these words. Each is a string in
    /// quotes, which has no operators. <https://sqlite.org/fts5.html#full_text_query_syntax>
    pub(super) fn for_index(&self) -> String {
        let mut asked = String::new();
        let words: Vec<&str> = self.words.iter().flat_map(|word| word.split(' ')).collect();
        let first = words.len().saturating_sub(MOST_INDEXED);
        for word in &words[first..] {
            if !asked.is_empty() {
                asked.push_str(" AND ");
            }
            asked.push('"');
            asked.push_str(&word.replace('"', "\"\""));
            asked.push('"');
        }
        if self.open_end {
            asked.push('*');
        }
        asked
    }

    /// Whether a text has all the words. `folded` is room to work in.
    pub(super) fn fits(&self, text: &str, folded: &mut String) -> bool {
        fold(text, folded);
        let (last, others) = self.words.split_last().expect("a question has a word");
        others.iter().all(|word| has(folded, word, false)) && has(folded, last, self.open_end)
    }
}

/// Whether `word`, one or several words in a row, stands in `folded` from the beginning of a word to the end of one; to
/// somewhere in one with an open end.
fn has(folded: &str, word: &str, open_end: bool) -> bool {
    let mut rest = folded;
    let mut before = ' ';
    while let Some(at) = rest.find(word) {
        let begins = rest[..at].chars().next_back().unwrap_or(before) == ' ';
        let ends = open_end || matches!(rest[at + word.len()..].chars().next(), None | Some(' '));
        if begins && ends {
            return true;
        }
        let step = at + word.chars().next().map_or(1, char::len_utf8);
        before = rest[..step].chars().next_back().unwrap_or(' ');
        rest = &rest[step..];
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folded(text: &str) -> String {
        let mut into = "what was there before".to_owned();
        fold(text, &mut into);
        into
    }

    fn finds(typed: &str, text: &str) -> bool {
        Question::new(typed).is_some_and(|question| question.fits(text, &mut String::new()))
    }

    #[test]
    fn words_are_folded_in_case_accents_and_width() {
        assert_eq!(folded("  Hello, WORLD! it's 3.5%"), "hello world it s 3 5");
        assert_eq!(folded("Grüße aus Åre, ΟΔΟΣ οδος, ＡＢＣ, ﬁsh"), "grusse aus are οδοσ οδοσ abc fish");
        assert_eq!(folded("..."), "");
        assert_eq!(folded("नमस्ते दुनिया"), "नमस्ते दुनिया");
    }

    #[test]
    fn scripts_without_spaces_and_pictures_are_cut_into_characters() {
        assert_eq!(folded("x你好，世界y🎉"), "x 你 好 世 界 y 🎉");
        assert!(finds("好世", "x你好，世界"));
        assert!(!finds("世好", "x你好，世界"));
        assert!(finds("🎉", "done🎉"));
    }

    #[test]
    fn all_words_must_be_there_whole_and_the_last_may_go_on() {
        assert!(finds("storm north", "North: a storm"));
        assert!(!finds("storm south", "North: a storm"));
        assert!(finds("north sto", "North: a storm"));
        assert!(!finds("sto north", "North: a storm"));
        assert!(!finds("north st", "North: a storm"), "too short to stand for others");
        assert!(finds("hel", "hello") && !finds("69", "690") && finds("69", "690 69"));
        assert!(finds("foo-bar", "a foo bar") && !finds("foo-bar", "bar foo"));
        assert!(!finds("torm", "a storm") && finds("storm", "brainstorm storm"));
        assert!(finds("aab", "aaab aab"));
    }

    #[test]
    fn nothing_that_is_typed_is_an_operator() {
        let typed = r#"a" OR "b* NEAR(c) {text}: ^d - NOT"#;
        let question = Question::new(typed).unwrap();
        assert_eq!(
            question.for_index(),
            r#""a" AND "or" AND "b" AND "near" AND "c" AND "text" AND "d" AND "not"*"#
        );
        assert!(Question::new("\"*()^-").is_none());
        let long = "w ".repeat(500);
        assert_eq!(Question::new(&long).unwrap().for_index().matches("AND").count(), MOST_INDEXED - 1);
    }
}
