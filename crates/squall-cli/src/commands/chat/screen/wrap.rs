//! Text in columns: what fits a row, counted as a terminal shows it.

use squall::text::sanitize;
use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

/// Columns that `text` takes.
pub(crate) fn width(text: &str) -> usize {
    text.width()
}

/// What a peer said as it can be shown: nothing that acts on the terminal, and no mountain of marks on one letter.
pub(crate) fn tame(text: &str) -> String {
    let mut tamed = String::with_capacity(text.len());
    for grapheme in sanitize(text.as_bytes()).to_string().graphemes(true) {
        match grapheme.char_indices().nth(MARKS) {
            Some((end, _)) => tamed.push_str(&grapheme[..end]),
            None => tamed.push_str(grapheme),
        }
    }
    tamed
}

/// Cuts `text` into rows of at most `columns` (at least 1) columns, between words where it can. White space at a cut is
/// left out. There is always one row.
pub(crate) fn wrap(text: &str, columns: usize) -> Vec<&str> {
    let columns = columns.max(1);
    let mut rows = Vec::new();
    let (mut start, mut used) = (0, 0);
    // Where the row can be cut: the end of what stays, and where the next row begins.
    let mut cut = None;
    for (at, grapheme) in text.grapheme_indices(true) {
        let wide = width(grapheme);
        let is_blank = grapheme.chars().all(char::is_whitespace);
        if is_blank {
            // A blank that does not fit hangs over the edge, where it is not seen.
            if let Some((_, next)) = cut.as_mut().filter(|(_, next)| *next == at && at > start) {
                *next = at + grapheme.len();
            } else {
                cut = Some((at, at + grapheme.len()));
            }
            used += wide;
            continue;
        }
        // What is behind a blank may still be too wide, if all before it takes no column.
        while used + wide > columns && at > start {
            let (end, next) = cut.take().filter(|(end, _)| *end > start).unwrap_or((at, at));
            rows.push(&text[start..end]);
            start = next;
            used = width(&text[start..at]);
        }
        used += wide;
        if wide > 1 {
            // Between ideographs there is no need for a blank.
            let end = at + grapheme.len();
            cut = Some((end, end));
        }
    }
    let rest = &text[start..];
    rows.push(if width(rest) > columns { rest.trim_end() } else { rest });
    rows
}

/// `text` in at most `columns` columns, with an ellipsis where something is left out.
pub(crate) fn clip(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut clipped = String::new();
    let mut used = 1;
    for grapheme in text.graphemes(true) {
        used += width(grapheme);
        if used > columns {
            break;
        }
        clipped.push_str(grapheme);
    }
    if columns > 0 {
        clipped.push('…');
    }
    clipped
}

/// Characters of one grapheme that are shown: more than any emoji or script needs.
const MARKS: usize = 16;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn text_is_cut_between_words_and_long_words_where_the_row_ends() {
        assert_eq!(wrap("one two three", 8), ["one two", "three"]);
        assert_eq!(wrap("one two", 7), ["one two"]);
        assert_eq!(wrap("one   two", 4), ["one", "two"]);
        assert_eq!(wrap("abcdefgh ij", 3), ["abc", "def", "gh", "ij"]);
        assert_eq!(wrap("a abcdef", 4), ["a", "abcd", "ef"]);
        assert_eq!(wrap("", 4), [""]);
        assert_eq!(wrap("  indented text", 10), ["  indented", "text"]);
    }

    #[test]
    fn wide_characters_take_two_columns_and_can_be_parted() {
        assert_eq!(wrap("你好世界", 5), ["你好", "世界"]);
        assert_eq!(wrap("ab你好", 4), ["ab你", "好"]);
        assert_eq!(wrap("👨‍👩‍👧👨‍👩‍👧", 3), ["👨‍👩‍👧", "👨‍👩‍👧"]);
        assert_eq!(wrap("你好", 1), ["你", "好"]);
        assert_eq!(wrap("\u{301} a你", 2), ["\u{301}", "a", "你"]);
        assert_eq!(clip("你好世界", 5), "你好…");
        assert_eq!(clip("abc", 3), "abc");
        assert_eq!(clip("abcd", 3), "ab…");
        assert_eq!(clip("abcd", 0), "");
    }

    #[test]
    fn what_a_peer_says_stays_on_its_line_and_at_its_height() {
        assert_eq!(tame("a\x1b[2J\n\u{202e}b"), r"a\x1b[2J\x0a\u{202e}b");
        let zalgo = format!("a{}b", "\u{301}".repeat(400));
        assert_eq!(tame(&zalgo).chars().count(), MARKS + 1);
    }

    proptest! {
        #[test]
        fn rows_fit_and_hold_all_but_blanks(text in "[a-c 你é\u{301}👩]{0,60}", columns in 2..20_usize) {
            let rows = wrap(&text, columns);
            for row in &rows {
                prop_assert!(width(row.trim_end()) <= columns, "{row:?}");
            }
            let solid = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
            prop_assert_eq!(solid(&rows.concat()), solid(&text));
        }
    }
}
