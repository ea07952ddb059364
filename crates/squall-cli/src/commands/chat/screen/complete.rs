//! What Tab completes: commands, names, rooms.

use super::editor::Editor;

/// What can be completed to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Known<'a> {
    pub(crate) commands: &'a [&'a str],
    pub(crate) members: &'a [String],
    pub(crate) rooms: &'a [String],
}

/// A completion under way: pressing Tab again gives the next candidate.
#[derive(Debug, Default)]
pub(crate) struct Completion {
    active: Option<Active>,
}

#[derive(Debug)]
struct Active {
    /// Where the completed word begins, and the text and the cursor as the last Tab left them.
    start: usize,
    left: (String, usize),
    candidates: Vec<String>,
    place: usize,
}

impl Completion {
    /// Completes the word before the cursor. With `back` it goes to the candidate before.
    pub(crate) fn step(&mut self, editor: &mut Editor, known: &Known<'_>, back: bool) {
        let continued = |active: &Active| active.left.0 == editor.text() && active.left.1 == editor.cursor();
        let mut active = match self.active.take().filter(continued) {
            Some(mut active) => {
                let count = active.candidates.len();
                active.place = (active.place + if back { count - 1 } else { 1 }) % count;
                active
            }
            None => {
                let (start, candidates) = candidates(editor, known);
                if candidates.is_empty() {
                    return;
                }
                Active { start, left: (String::new(), 0), candidates, place: 0 }
            }
        };
        editor.replace_before(active.start, &active.candidates[active.place]);
        active.left = (editor.text().to_owned(), editor.cursor());
        self.active = Some(active);
    }

    /// The candidates while one of several is shown, and which one that is.
    pub(crate) fn candidates(&self, editor: &Editor) -> Option<(&[String], usize)> {
        let active = self.active.as_ref()?;
        let shown = active.left.0 == editor.text() && active.left.1 == editor.cursor();
        (shown && active.candidates.len() > 1).then_some((&active.candidates, active.place))
    }
}

fn candidates(editor: &Editor, known: &Known<'_>) -> (usize, Vec<String>) {
    let start = editor.word_start();
    let word = &editor.text()[start..editor.cursor()];
    let line = &editor.text()[..start];
    let line = line.rsplit('\n').next().unwrap_or(line);
    let is_command = line.starts_with('/') && !line.starts_with("//");
    let of = |from: &mut dyn Iterator<Item = &str>, behind: &str| -> Vec<String> {
        let folded = word.to_lowercase();
        let fitting = from.filter(|known| known.to_lowercase().starts_with(&folded));
        fitting.map(|known| format!("{known}{behind}")).collect()
    };
    let found = if line.is_empty() && word.starts_with('/') {
        of(&mut known.commands.iter().copied(), " ")
    } else if is_command && matches!(line.trim_end(), "/join" | "/who") {
        of(&mut known.rooms.iter().map(String::as_str), "")
    } else if word.is_empty() {
        Vec::new()
    } else {
        // To speak to somebody begins with the name.
        of(&mut known.members.iter().map(String::as_str), if line.is_empty() { ", " } else { " " })
    };
    (start, found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn tabs(text: &str, tabs: &[bool], expected: &[&str]) {
        let members = ["alice", "Albert", "bob"].map(String::from);
        let rooms = ["lobby", "lounge"].map(String::from);
        let known = Known { commands: &["/join", "/name"], members: &members, rooms: &rooms };
        let mut editor = Editor::default();
        editor.set(text);
        let mut completion = Completion::default();
        let mut seen = Vec::new();
        for back in tabs {
            completion.step(&mut editor, &known, *back);
            seen.push(editor.text().to_owned());
        }
        assert_eq!(seen, expected);
    }

    #[test]
    fn names_commands_and_rooms_are_completed_where_they_stand() {
        tabs("b", &[false], &["bob, "]);
        tabs("hello b", &[false], &["hello bob "]);
        tabs("/j", &[false], &["/join "]);
        tabs("/join lou", &[false], &["/join lounge"]);
        tabs("/watch o", &[false], &["/watch o"]);
        tabs("one\nb", &[false], &["one\nbob, "]);
        tabs("x", &[false], &["x"]);
        tabs("hello ", &[false], &["hello "]);
    }

    #[test]
    fn tab_again_gives_the_next_candidate_in_turn() {
        tabs("AL", &[false, false, false, true], &["alice, ", "Albert, ", "alice, ", "Albert, "]);
        tabs("/join ", &[false, true], &["/join lobby", "/join lounge"]);
    }
}
