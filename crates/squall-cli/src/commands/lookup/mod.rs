//! `squall lookup`: what this machine knows of names, services, protocols and interfaces.

mod answer;
mod interfaces;

use std::error::Error;
use std::io::{self, Write};
use std::net::IpAddr;

use clap::Args;
use squall::socket::names::{self, Lookup, NameError};
use squall::socket::{Family as SocketFamily, Kind};
use squall::{IpFamily, socket};

use self::answer::{Answer, Record};
use crate::address::Family;
use crate::exit::Exit;
use crate::output::write_json;

/// Look up hosts, addresses, services, protocols and interfaces
///
/// Without arguments it tells this machine's name, short and in full. Every answer is a line of its own;
/// where more than one thing is asked for, each line begins with what was asked and a tab.
#[derive(Debug, Args)]
#[command(after_long_help = AFTER_HELP)]
pub(crate) struct Arguments {
    /// A host's name, for its addresses, or an IP address, for its names
    #[arg(value_name = "HOST")]
    hosts: Vec<String>,

    /// A service's port, or a port's service; /udp or /tcp behind it leaves out the other
    #[arg(short, long = "service", value_name = "NAME|PORT")]
    services: Vec<String>,

    /// A protocol's number, or a number's protocol
    #[arg(long = "protocol", value_name = "NAME|NUMBER")]
    protocols: Vec<String>,

    /// The network interfaces of this machine, with their addresses
    #[arg(short, long)]
    interfaces: bool,

    #[command(flatten)]
    family: Family,

    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
}

const AFTER_HELP: &str = "\
-4 and -6 choose among the addresses of names and of interfaces.

Fields of --json: query and kind (host, address, service, protocol, interface, machine), and by kind: \
addresses and canonical; names; name, port and transport; name and number; name, index, mtu, flags and \
addresses (each with address, prefix, netmask, and broadcast or zone if it has one); name and full_name. \
What could not be looked up has error, and temporary: whether asking again later may help.

Examples:
  squall lookup                            this machine's name
  squall lookup -4 localhost               127.0.0.1
  squall lookup 127.0.0.1 ::1              the names of two addresses
  squall lookup --service domain/udp       53
  squall lookup --protocol udp             17
  squall lookup --interfaces               what a broadcast goes to, and what a zone may be

Exit codes: 0 all found; 1 there is no such thing, or the system refused; 2 wrong usage; 69 the name servers \
did not answer, so that asking again later may help.";

pub(crate) fn run(arguments: &Arguments) -> Result<Exit, Exit> {
    let mut out = io::stdout().lock();
    let questions = arguments.questions();
    let several = questions.len() > 1;
    let mut exit = Exit::Done;
    for question in &questions {
        match question.answer(arguments.family.get()) {
            Ok(answers) => {
                for answer in answers {
                    if arguments.json {
                        write_json(&mut out, &Record::found(question, &answer))?;
                        continue;
                    }
                    for line in answer.lines() {
                        match question {
                            Question::Interfaces | Question::Machine => writeln!(out, "{line}")?,
                            _ if several => writeln!(out, "{}\t{line}", question.text())?,
                            _ => writeln!(out, "{line}")?,
                        }
                    }
                }
            }
            Err(error) => {
                if arguments.json {
                    write_json(&mut out, &Record::missing(question, &error))?;
                    exit = exit.or(exit_of(&error));
                } else {
                    exit = exit.or(exit_of(&error).with(reason(&error)));
                }
            }
        }
        out.flush()?;
    }
    Ok(exit)
}

impl Arguments {
    fn questions(&self) -> Vec<Question> {
        let hosts = self.hosts.iter().map(|text| {
            let address = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
            // The names of an address do not depend on the interface that leads to it.
            match address.split('%').next().unwrap_or(address).parse() {
                Ok(address) => Question::Address(text.clone(), address),
                Err(_) => Question::Host(text.clone()),
            }
        });
        let services = self.services.iter().cloned().map(Question::Service);
        let protocols = self.protocols.iter().cloned().map(Question::Protocol);
        let mut all: Vec<_> = hosts.chain(services).chain(protocols).collect();
        if self.interfaces {
            all.push(Question::Interfaces);
        }
        if all.is_empty() {
            all.push(Question::Machine);
        }
        all
    }
}

/// One thing to look up.
#[derive(Debug)]
enum Question {
    Host(String),
    Address(String, IpAddr),
    Service(String),
    Protocol(String),
    Interfaces,
    Machine,
}

impl Question {
    /// As the user wrote it.
    fn text(&self) -> &str {
        match self {
            Question::Host(text)
            | Question::Address(text, _)
            | Question::Service(text)
            | Question::Protocol(text) => text,
            Question::Interfaces | Question::Machine => "",
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Question::Host(_) => "host",
            Question::Address(..) => "address",
            Question::Service(_) => "service",
            Question::Protocol(_) => "protocol",
            Question::Interfaces => "interface",
            Question::Machine => "machine",
        }
    }

    fn answer(&self, family: IpFamily) -> Result<Vec<Answer>, LookupError> {
        match self {
            Question::Host(name) => Ok(vec![host(name, family)?]),
            Question::Address(_, address) => {
                let host = names::host_by_address(*address)?;
                let names = std::iter::once(host.name).chain(host.aliases).collect();
                Ok(vec![Answer::Address { names }])
            }
            Question::Service(text) => service(text),
            Question::Protocol(text) => Ok(vec![protocol(text)?]),
            Question::Interfaces => interfaces::all(family),
            Question::Machine => {
                Ok(vec![Answer::Machine { name: names::host_name()?, full_name: names::fqdn("")? }])
            }
        }
    }
}

fn host(name: &str, family: IpFamily) -> Result<Answer, LookupError> {
    // One kind of socket, or every address would come once for each kind.
    let mut lookup = Lookup::new().host(name).kind(Kind::Datagram).canonical_name();
    match family {
        IpFamily::Any => {}
        IpFamily::V4 => lookup = lookup.family(SocketFamily::V4),
        IpFamily::V6 => lookup = lookup.family(SocketFamily::V6),
    }
    let entries = lookup.resolve()?;
    let canonical = entries.iter().find_map(|entry| entry.canonical_name.clone());
    let addresses = entries.iter().map(|entry| answer::zoned(&entry.address)).collect();
    Ok(Answer::Host { canonical, addresses })
}

fn service(text: &str) -> Result<Vec<Answer>, LookupError> {
    let kinds: &[_] = match text.rsplit_once('/') {
        Some((_, "udp")) => &[("udp", Kind::Datagram)],
        Some((_, "tcp")) => &[("tcp", Kind::Stream)],
        Some((_, other)) => return Err(LookupError::Transport(text.to_owned(), other.to_owned())),
        None => &[("udp", Kind::Datagram), ("tcp", Kind::Stream)],
    };
    let asked = text.split('/').next().unwrap_or(text);
    let one = |(transport, kind): &(&'static str, Kind)| -> Result<Answer, NameError> {
        let (name, port, answer) = match asked.parse() {
            Ok(port) => {
                let name = names::service_name(port, *kind)?;
                (name.clone(), port, name)
            }
            Err(_) => {
                let port = names::service_port(asked, *kind)?;
                (asked.to_owned(), port, port.to_string())
            }
        };
        // Whoever asked for one transport knows which.
        let line = if kinds.len() == 1 { answer } else { format!("{answer}/{transport}") };
        Ok(Answer::Service { name, port, transport, line })
    };
    let (mut found, mut missing) = (Vec::new(), None);
    for kind in kinds {
        match one(kind) {
            Ok(answer) => found.push(answer),
            Err(error) => missing = Some(error),
        }
    }
    match missing {
        Some(_) if found.is_empty() && kinds.len() > 1 => Err(LookupError::Service(asked.to_owned())),
        Some(error) if found.is_empty() => Err(error.into()),
        _ => Ok(found),
    }
}

fn protocol(text: &str) -> Result<Answer, LookupError> {
    Ok(match text.parse() {
        Ok(number) => {
            let name = names::protocol_name(number)?;
            Answer::Protocol { line: name.clone(), name, number }
        }
        Err(_) => {
            let number = names::protocol_number(text)?;
            Answer::Protocol { line: number.to_string(), name: text.to_owned(), number }
        }
    })
}

/// Why something could not be looked up.
#[derive(Debug, thiserror::Error)]
enum LookupError {
    #[error(transparent)]
    Name(#[from] NameError),
    #[error("no such service: {0:?} over udp or tcp")]
    Service(String),
    #[error("{0:?}: a service is one of /udp or /tcp, not of /{1}")]
    Transport(String, String),
    #[error(transparent)]
    Interface(#[from] socket::InterfaceError),
}

impl LookupError {
    /// Whether asking again later may help.
    fn is_temporary(&self) -> bool {
        matches!(self, LookupError::Name(NameError::TryAgain { .. }))
    }
}

fn exit_of(error: &LookupError) -> Exit {
    match error {
        LookupError::Transport(..) | LookupError::Name(NameError::Invalid { .. }) => Exit::Usage,
        error if error.is_temporary() => Exit::NoAnswer,
        _ => Exit::Failed,
    }
}

/// The error with its cause.
fn reason(error: &LookupError) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}
