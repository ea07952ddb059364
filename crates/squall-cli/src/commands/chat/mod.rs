//! `squall chat`: a conversation on a hub, on a terminal or in a pipe.

mod find;
mod interactive;
mod lines;
mod link;
mod orders;
mod perform;
mod print;
mod receipts;
pub(crate) mod screen;
mod session;
mod terminal;
mod words;

use std::io::{self, IsTerminal};
use std::iter;
use std::net::IpAddr;

use clap::Args;
use squall::chat::client::ClientConfig;
use squall::chat::wire::{Name, RoomName};
use squall::socket::process;
use squall::{Transport, Uri};

use self::print::Printer;
use self::session::Session;
use crate::address::{Family, parse_port, peer};
use crate::exit::Exit;

/// Talk on a chat hub
///
/// On a terminal it shows the messages, who is there and how the connection is; /help tells the keys. It sends
/// heartbeats, comes back by itself when the hub was gone, and shows what it missed meanwhile.
///
/// Where standard input or output is no terminal, each line of input is said (or done, if it begins with /), and each
/// message is printed as a line, NAME: TEXT. At the end of the input it waits for the receipts of what it said, 3 s at
/// most, and leaves; with --stay it goes on.
#[derive(Debug, Args)]
#[command(after_long_help = AFTER_HELP)]
pub(crate) struct Arguments {
    /// The hub: host, host:port, udp://host:port, tcp://host:port or unix:/path
    ///
    /// Without a transport it is udp, without a port 9999. Without a HOST it is the hub of this machine or, where there
    /// is none, one that is announced on its networks.
    #[arg(value_name = "HOST")]
    hub: Option<String>,

    /// What to be called [default: the user's name]
    #[arg(long, env = "SQUALL_CHAT_NAME", value_name = "NAME")]
    name: Option<String>,

    /// The room to join; without it, where the hub puts newcomers
    #[arg(long, value_name = "ROOM")]
    room: Option<String>,

    /// The port of an address that names none
    #[arg(short, long, value_name = "PORT", default_value = "9999", value_parser = parse_port)]
    port: u16,

    #[command(flatten)]
    family: Family,

    /// Show so many messages that were said before [default: 50 on a terminal, otherwise 0]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(..=10_000))]
    history: Option<u32>,

    /// Print one JSON object a line
    #[arg(long)]
    json: bool,

    /// Print own messages as well, once they have come back
    #[arg(long)]
    echo: bool,

    /// Go on reading when the input has ended
    #[arg(long)]
    stay: bool,

    /// Scroll with the wheel; the terminal then marks text only while Shift is held
    #[arg(long)]
    mouse: bool,
}

const AFTER_HELP: &str = "\
On a terminal an own message is marked … until its own copy is back, ✓ then, ! if it does not come within some \
seconds (it may have been said; it is not sent again) and ✗ if the hub refused it. ↺ marks what was missed and has been \
fetched. Names have colours unless NO_COLOR is set.

Fields of --json by event: message has room, number (its place in the room), time (seconds since 1970), name, text, \
own, and missed (whether it came later than it was said). receipt has text and state: delivered (with seconds, and late \
if it was told to be missing before), missing or refused (with reason). member has change, name and, if it went, reason or, if it was renamed, to. state has state \
(connecting, online, quiet, gone) and reason. named has name and joined has room: one's own. answer has line, of what a \
command prints. refused has reason. lost has messages: how many were missed that nobody keeps. restarted tells that the \
hub was started anew, removed that it had taken this member out, which has joined again.

Examples:
  squall chat                                  the hub of this machine, or one that is announced
  squall chat example.org --name bob           a hub by its name
  squall chat tcp://[2001:db8::7]:9999         over TCP
  echo 'the build is done' | squall chat host --name ci     say one thing
  squall chat host --stay --json < /dev/null | jq -r 'select(.event == \"message\").text'   read all
  echo /who | squall chat host                 who is there

SIGTERM and SIGHUP (but under nohup) leave the hub in good order.

Exit codes: 0 left; 1 the hub refused something that was said or asked, or the system; 2 wrong usage; 69 the hub never \
answered, or not all that was said has a receipt; 130 interrupted.";

pub(crate) fn run(arguments: &Arguments) -> Result<Exit, Exit> {
    let on_terminal = io::stdin().is_terminal() && io::stdout().is_terminal() && !arguments.json;
    let name = arguments.name()?;
    let mut config = ClientConfig::default().name(name.clone()).room(arguments.room()?);
    config = config.history(arguments.history.unwrap_or(if on_terminal { HISTORY } else { 0 }));
    let uri = arguments.uri(on_terminal)?;
    if is_loopback(&uri) {
        // There a hub takes what comes, one sender in turn with the others.
        config = config.rate(0, 1);
    }
    let session = Session::new(config, uri, arguments.family.get());
    let mut session = session.map_err(|error| Exit::Failed.with(error))?;
    if let Some(name) = name.filter(|_| arguments.name.is_none()) {
        session.name_may_vary(&name);
    }
    if on_terminal {
        interactive::run(session, arguments.mouse)
    } else {
        lines::run(session, Printer::new(arguments.json, arguments.echo), arguments.stay)
    }
}

/// Whether nobody but this machine is asked.
fn is_loopback(uri: &Uri) -> bool {
    let text = uri.to_string();
    let place = text.split_once("://").and_then(|(_, place)| place.rsplit_once(':'));
    let host = place.map_or("", |(host, _)| host.trim_matches(['[', ']']));
    let is_local = |ip: IpAddr| ip.to_canonical().is_loopback();
    uri.unix().is_some() || host == "localhost" || host.parse().is_ok_and(is_local)
}

impl Arguments {
    /// What was asked for, or what the user is called on this machine as far as a hub takes it.
    fn name(&self) -> Result<Option<Name>, Exit> {
        if let Some(name) = self.name.as_deref().filter(|name| !name.is_empty()) {
            let refuse = |error| Exit::Usage.with(format_args!("--name {name:?}: {error}"));
            return Name::new(name).map(Some).map_err(refuse);
        }
        let of_environment =
            ["LOGNAME", "USER"].into_iter().filter_map(|variable| std::env::var(variable).ok());
        let of_system = iter::once_with(user_of_system).flatten();
        Ok(of_environment.chain(of_system).find_map(|user| Name::new(&user).ok()))
    }

    fn room(&self) -> Result<Option<RoomName>, Exit> {
        let Some(room) = &self.room else { return Ok(None) };
        let refuse = |error| Exit::Usage.with(format_args!("--room {room:?}: {error}"));
        RoomName::new(room).map(Some).map_err(refuse)
    }

    fn uri(&self, on_terminal: bool) -> Result<Uri, Exit> {
        let Some(hub) = &self.hub else {
            return find::hub(self.port, self.family.get(), on_terminal);
        };
        let uri = peer(hub, Transport::Udp, self.port)?;
        if !link::is_usable(&uri) {
            let error = format_args!("{uri}: a hub is reached by udp://, tcp:// or unix:");
            return Err(Exit::Usage.with(error));
        }
        Ok(uri)
    }
}

/// What the file of users calls whoever runs this program, where nothing in the environment does: in containers, and for
/// what is run by the hour.
fn user_of_system() -> Option<String> {
    name_of_user(&std::fs::read_to_string("/etc/passwd").ok()?, process::user())
}

/// The name of a user by number ([passwd(5)](https://man7.org/linux/man-pages/man5/passwd.5.html)).
fn name_of_user(passwd: &str, user: u32) -> Option<String> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(user)).then(|| name.to_owned())
    })
}

/// Messages from before that are shown on a terminal.
const HISTORY: u32 = 50;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_known_by_its_addresses_and_not_by_what_begins_like_one() {
        for (hub, is_local) in [
            ("127.0.0.1", true),
            ("tcp://127.8.9.10:1", true),
            ("[::1]", true),
            ("[::ffff:127.0.0.1]", true),
            ("localhost", true),
            ("unix:/run/chat.sock", true),
            ("127.example.org", false),
            ("localhost.example.org", false),
            ("192.0.2.1", false),
            ("[2001:db8::1]", false),
        ] {
            let uri = Uri::parse(hub, Transport::Udp, Some(9999)).unwrap();
            assert_eq!(is_loopback(&uri), is_local, "{hub}");
        }
    }

    #[test]
    fn the_name_of_a_user_is_found_by_number() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\n# a comment\n\nann:x:1000:100:Ann:/home/ann:/bin/sh\nbob:x:100:1000::/:\n";
        assert_eq!(name_of_user(passwd, 1000).as_deref(), Some("ann"));
        assert_eq!(name_of_user(passwd, 0).as_deref(), Some("root"));
        assert_eq!(name_of_user(passwd, 7), None);
    }
}
