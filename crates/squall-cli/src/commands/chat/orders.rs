//! What is typed: something to say, or something to do.

/// A line that was typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// To say this.
    Say(String),
    Help,
    Leave,
    Join(String),
    /// To be called so.
    Name(String),
    /// Who is here, or in another room.
    Who(Option<String>),
    Rooms,
    /// How it stands with oneself.
    Me,
    /// So many messages from before those that are there.
    Last(u32),
    Find(String),
}

/// The commands that Tab completes, and what `/help` tells of them.
pub(super) const COMMANDS: [(&str, &str, &str); 9] = [
    ("/join", "ROOM", "go to another room"),
    ("/name", "NAME", "be called so"),
    ("/who", "[ROOM]", "who is there, and how they are connected"),
    ("/rooms", "", "which rooms there are"),
    ("/last", "[N]", "N messages from before, 20 by default"),
    ("/find", "WORDS", "messages of this room that have the words"),
    ("/me", "", "how it stands with you"),
    ("/help", "", "this"),
    ("/quit", "", "leave"),
];

impl Order {
    /// Reads one line; `None` if there is nothing in it.
    ///
    /// # Errors
    /// What is wrong with a command.
    pub(super) fn parse(line: &str) -> Result<Option<Self>, String> {
        let line = line.trim();
        if line.is_empty() {
            return Ok(None);
        }
        let Some(command) = line.strip_prefix('/') else { return Ok(Some(Order::Say(line.to_owned()))) };
        if let Some(text) = command.strip_prefix('/') {
            // What would be a command to the hub as well.
            return Ok(Some(Order::Say(format!("/{text}"))));
        }
        let (word, rest) = command.split_once(char::is_whitespace).unwrap_or((command, ""));
        let rest = rest.trim();
        let needs = |what: &str| {
            if rest.is_empty() { Err(format!("/{word} {what}: which?")) } else { Ok(rest.to_owned()) }
        };
        let order = match word {
            "join" => Order::Join(needs("ROOM")?),
            "name" | "nick" => Order::Name(needs("NAME")?),
            "find" => Order::Find(needs("WORDS")?),
            "who" => Order::Who(Some(rest.to_owned()).filter(|room| !room.is_empty())),
            "last" if rest.is_empty() => Order::Last(20),
            "last" => match rest.parse() {
                Ok(count @ 1..) => Order::Last(count),
                _ => return Err(format!("/last {rest}: a number from 1 on")),
            },
            "rooms" => Order::Rooms,
            "me" => Order::Me,
            "help" => Order::Help,
            "quit" | "exit" => Order::Leave,
            "numbers" | "lines" | "watch" => return Err(format!("/{word}: this client does that by itself")),
            _ => {
                return Err(format!(
                    "/{word}: no such command; /help tells which there are, // sends a slash"
                ));
            }
        };
        Ok(Some(order))
    }
}

/// What `/help` tells.
pub(super) fn help(on_terminal: bool) -> Vec<String> {
    let mut lines: Vec<String> = COMMANDS
        .iter()
        .map(|(name, argument, does)| format!("{:14} {does}", format!("{name} {argument}").trim_end()))
        .collect();
    lines.push(format!("{:14} the text /…", "//…"));
    if on_terminal {
        lines.push("Enter sends, Alt-Enter or Ctrl-J begins a new line; each line is a message".to_owned());
        lines.push("While the hub is gone, sending something has it tried again at once".to_owned());
        lines
            .push("Up and Down bring back what was sent; Tab completes commands, names and rooms".to_owned());
        lines.push("PgUp, PgDn and Shift-Up, Shift-Down scroll; Esc goes to the end".to_owned());
        lines.push(
            "Ctrl-W, Ctrl-U, Ctrl-K cut out, Ctrl-Y puts back; Ctrl-L draws anew, Ctrl-C leaves".to_owned(),
        );
        lines.push(
            "… on its way  ✓ everybody was sent it  ! no receipt  ✗ refused  ↺ missed, and fetched"
                .to_owned(),
        );
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_something_to_say_or_to_do() {
        let say = |text: &str| Ok(Some(Order::Say(text.to_owned())));
        assert_eq!(Order::parse("  hello there "), say("hello there"));
        assert_eq!(Order::parse("//slash"), say("/slash"));
        assert_eq!(Order::parse("   "), Ok(None));
        assert_eq!(Order::parse("/join  dev"), Ok(Some(Order::Join("dev".into()))));
        assert_eq!(Order::parse("/find two words"), Ok(Some(Order::Find("two words".into()))));
        assert_eq!(Order::parse("/last"), Ok(Some(Order::Last(20))));
        assert_eq!(Order::parse("/who"), Ok(Some(Order::Who(None))));
        assert_eq!(Order::parse("/quit"), Ok(Some(Order::Leave)));
    }

    #[test]
    fn a_command_that_cannot_be_says_why() {
        assert_eq!(Order::parse("/join"), Err("/join ROOM: which?".into()));
        assert_eq!(Order::parse("/last 0"), Err("/last 0: a number from 1 on".into()));
        assert_eq!(Order::parse("/watch off"), Err("/watch: this client does that by itself".into()));
        assert!(Order::parse("/foo").unwrap_err().starts_with("/foo: no such command"));
        assert!(Order::parse("/").unwrap_err().starts_with("/: no such command"));
    }

    #[test]
    fn every_command_of_the_help_is_one() {
        for (name, argument, _) in COMMANDS {
            let line = format!("{name} {}", argument.trim_matches(['[', ']']).replace('N', "3"));
            let line = if argument == "[N]" { line } else { format!("{name} x") };
            assert!(Order::parse(&line).unwrap().is_some(), "{line}");
        }
    }
}
