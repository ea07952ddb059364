//! The names of uploads. Nothing of them comes from the network but the address of the sender.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::time::SystemTime;

use jiff::Zoned;
use squall::Peer;

/// How uploads are named.
///
/// A text with `{time}` (when it began, as in `20120815-203508`, local time), `{peer}` (the sender's address, colons as
/// hyphens), `{port}` (the sender's) and `{number}` (from 1 on in each run of a node).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Time,
    Peer,
    Port,
    Number,
}

/// Why a text is no pattern for names.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PatternError {
    /// There is no such placeholder.
    #[error("{{{name}}} stands for nothing; there are {{time}}, {{peer}}, {{port}} and {{number}}")]
    Placeholder {
        /// What stands between the braces.
        name: String,
    },
    /// A brace has no other.
    #[error("a brace stands alone; braces are for {{time}}, {{peer}}, {{port}} and {{number}}")]
    Brace,
    /// It cannot be a name in a folder.
    #[error("it is no name for a file: {why}")]
    Name {
        /// Why not.
        why: &'static str,
    },
}

/// What is known of an upload when it begins; it is named by that.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub(super) began: SystemTime,
    pub(super) peer: Peer,
    pub(super) number: u64,
    /// The datagrams that the kernel had dropped by then, of all uploads.
    pub(super) dropped_before: u64,
}

impl Pattern {
    /// The name of an upload, to which a number is added where there is a file of that name.
    pub(super) fn name(&self, facts: &Facts) -> String {
        let mut name = String::new();
        for part in &self.parts {
            match (part, facts.peer) {
                (Part::Text(text), _) => name += text,
                (Part::Time, _) => name += &time(facts.began),
                (Part::Peer, Peer::Ip(peer)) => name += &address(peer.ip(), scope(peer)),
                (Part::Port, Peer::Ip(peer)) => name += &peer.port().to_string(),
                (Part::Peer | Part::Port, Peer::Conn(number)) => name += &number.to_string(),
                (Part::Number, _) => name += &facts.number.to_string(),
            }
        }
        name
    }
}

impl Default for Pattern {
    fn default() -> Self {
        let parts = vec![Part::Time, Part::Text("-".into()), Part::Peer];
        Self { text: "{time}-{peer}".into(), parts }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let wrong = |why| Err(PatternError::Name { why });
        if text.is_empty() {
            return wrong("it is empty");
        }
        if text.contains('/') {
            return wrong("uploads lie in one folder; it has a slash");
        }
        if text.chars().any(char::is_control) {
            return wrong("it has control characters");
        }
        if text.starts_with('.') {
            return wrong("it begins with a dot, as what is not finished does");
        }
        if text.ends_with(INCOMPLETE) {
            return wrong("what is incomplete ends so");
        }
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (name, behind) = after.split_once('}').ok_or(PatternError::Brace)?;
            parts.extend(text_part(before));
            parts.push(match name {
                "time" => Part::Time,
                "peer" => Part::Peer,
                "port" => Part::Port,
                "number" => Part::Number,
                name => return Err(PatternError::Placeholder { name: name.into() }),
            });
            rest = behind;
        }
        parts.extend(text_part(rest));
        if parts.iter().any(|part| matches!(part, Part::Text(text) if text.contains(['{', '}']))) {
            return Err(PatternError::Brace);
        }
        if parts.iter().map(Part::longest).sum::<usize>() > LONGEST {
            return wrong("names could have more than 220 bytes");
        }
        Ok(Self { text: text.into(), parts })
    }
}

fn text_part(text: &str) -> Option<Part> {
    (!text.is_empty()).then(|| Part::Text(text.into()))
}

impl Part {
    /// The most bytes that it becomes.
    fn longest(&self) -> usize {
        match self {
            Part::Text(text) => text.len(),
            Part::Time => 15,
            // An IPv6 address with a zone.
            Part::Peer => 39 + 11,
            Part::Port => 10,
            Part::Number => 20,
        }
    }
}

/// The name of an upload while it is under way: whose it is can be read from it. `run` tells runs of nodes apart.
pub(super) fn temporary(run: u64, facts: &Facts) -> String {
    let whose = match facts.peer {
        Peer::Ip(peer) => format!("{}_{}", address(peer.ip(), scope(peer)), peer.port()),
        Peer::Conn(number) => number.to_string(),
    };
    format!("{TEMPORARY}{run}_{}_{whose}", facts.number)
}

/// The number and the sender of an upload that an earlier run has left under this name.
pub(super) fn parse_temporary(name: &str) -> Option<(u64, SocketAddr)> {
    let mut parts = name.strip_prefix(TEMPORARY)?.split('_');
    let (_run, number, address, port) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let text = if address.contains('-') {
        format!("[{}]:{port}", address.replace('-', ":").replace('s', "%"))
    } else {
        format!("{address}:{port}")
    };
    Some((number.parse().ok()?, text.parse().ok()?))
}

/// Without what some systems and programs do not take in names: as in names of `ipv6-literal.net`, colons are hyphens,
/// and a zone stands behind an `s`.
fn address(ip: IpAddr, scope: u32) -> String {
    let text = ip.to_string().replace(':', "-");
    if scope == 0 { text } else { format!("{text}s{scope}") }
}

fn scope(peer: SocketAddr) -> u32 {
    match peer {
        SocketAddr::V6(v6) => v6.scope_id(),
        SocketAddr::V4(_) => 0,
    }
}

fn time(at: SystemTime) -> String {
    match Zoned::try_from(at) {
        Ok(zoned) => zoned.strftime("%Y%m%d-%H%M%S").to_string(),
        Err(_) => "unknown-time".into(),
    }
}

/// What incomplete uploads end with.
pub(super) const INCOMPLETE: &str = ".incomplete";
/// What uploads that are under way begin with.
pub(super) const TEMPORARY: &str = ".squall-upload_";
/// Most systems have 255 bytes for a name; a number and [`INCOMPLETE`] may stand behind it.
const LONGEST: usize = 220;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn facts(peer: &str) -> Facts {
        let began = SystemTime::UNIX_EPOCH + Duration::from_secs(1_345_062_908);
        Facts { began, peer: Peer::Ip(peer.parse().unwrap()), number: 17, dropped_before: 0 }
    }

    #[test]
    fn a_name_says_when_and_who_and_nothing_that_was_sent() {
        let facts = facts("192.0.2.7:4000");
        let time = time(facts.began);
        assert_eq!(Pattern::default().name(&facts), format!("{time}-192.0.2.7"));
        assert_eq!((time.len(), &time[..4]), (15, "2012"));
        let pattern: Pattern = "log {number} of {peer}+{port}.txt".parse().unwrap();
        assert_eq!(pattern.name(&facts), "log 17 of 192.0.2.7+4000.txt");
        assert_eq!(pattern.name(&super::tests::facts("[fe80::1%3]:5")), "log 17 of fe80--1s3+5.txt");
        assert_eq!(Ok(Pattern::default()), Pattern::default().to_string().parse());
    }

    #[test]
    fn what_is_no_name_is_no_pattern() {
        for text in [
            "",
            "../{time}",
            "a/b",
            "/etc/passwd",
            ".{time}",
            "a\0b",
            "a\nb",
            "{name}",
            "{",
            "a}",
            "{{time}}",
            "{time}.incomplete",
            &"x".repeat(221),
            &"{peer}".repeat(5),
        ] {
            assert!(text.parse::<Pattern>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn the_sender_can_be_read_from_a_temporary_name() {
        for peer in ["192.0.2.7:4000", "[2001:db8::1]:5", "[fe80::1%3]:65535", "[::1]:1"] {
            let name = temporary(1234, &facts(peer));
            assert_eq!(parse_temporary(&name), Some((17, peer.parse().unwrap())), "{name}");
            assert!(name.starts_with('.') && !name.contains('/'));
        }
        for name in [
            "",
            "x",
            ".squall-upload_",
            ".squall-upload_1_2_3",
            ".squall-upload_1_x_127.0.0.1_4",
            ".squall-upload_1_2_../x_4",
        ] {
            assert_eq!(parse_temporary(name), None, "{name}");
        }
    }
}
