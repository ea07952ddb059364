//! What was found, as lines and as JSON.

use std::net::SocketAddr;

use serde::Serialize;
use squall::socket::interface_name;

use super::{LookupError, Question, reason};

#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Answer {
    Host {
        #[serde(skip_serializing_if = "Option::is_none")]
        canonical: Option<String>,
        addresses: Vec<String>,
    },
    Address {
        names: Vec<String>,
    },
    Service {
        name: String,
        port: u16,
        transport: &'static str,
        #[serde(skip)]
        line: String,
    },
    Protocol {
        name: String,
        number: i32,
        #[serde(skip)]
        line: String,
    },
    Interface {
        name: String,
        index: u32,
        #[serde(skip_serializing_if = "Option::is_none")]
        mtu: Option<u32>,
        flags: Vec<&'static str>,
        addresses: Vec<InterfaceAddress>,
    },
    Machine {
        name: String,
        full_name: String,
    },
}

#[derive(Debug, Serialize)]
pub(super) struct InterfaceAddress {
    pub(super) address: String,
    pub(super) prefix: u8,
    pub(super) netmask: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) broadcast: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) zone: Option<String>,
}

impl Answer {
    pub(super) fn lines(&self) -> Vec<String> {
        match self {
            Answer::Host { addresses, .. } => addresses.clone(),
            Answer::Address { names } => names.clone(),
            Answer::Service { line, .. } | Answer::Protocol { line, .. } => vec![line.clone()],
            Answer::Interface { name, index, mtu, flags, addresses } => {
                let mtu = mtu.map_or(String::new(), |mtu| format!(", MTU {mtu}"));
                let flags: String = flags.iter().map(|flag| format!(", {flag}")).collect();
                let mut lines = vec![format!("{name}: number {index}{mtu}{flags}")];
                lines.extend(addresses.iter().map(InterfaceAddress::line));
                lines
            }
            Answer::Machine { name, full_name } if name == full_name => vec![name.clone()],
            Answer::Machine { name, full_name } => vec![name.clone(), full_name.clone()],
        }
    }
}

impl InterfaceAddress {
    fn line(&self) -> String {
        let zone = self.zone.as_ref().map_or(String::new(), |zone| format!("%{zone}"));
        let broadcast = self.broadcast.as_ref().map_or(String::new(), |to| format!(", broadcast {to}"));
        format!("  {}{zone}/{}{broadcast}", self.address, self.prefix)
    }
}

/// One line of `--json`.
#[derive(Serialize)]
pub(super) struct Record<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    query: &'a str,
    kind: &'static str,
    #[serde(flatten)]
    answer: Option<&'a Answer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temporary: Option<bool>,
}

impl<'a> Record<'a> {
    pub(super) fn found(question: &'a Question, answer: &'a Answer) -> Self {
        let (query, kind) = (question.text(), question.kind());
        Self { query, kind, answer: Some(answer), error: None, temporary: None }
    }

    pub(super) fn missing(question: &'a Question, error: &LookupError) -> Self {
        let temporary = Some(error.is_temporary());
        let (query, kind) = (question.text(), question.kind());
        Self { query, kind, answer: None, error: Some(reason(error)), temporary }
    }
}

/// An address without its port, with its zone.
pub(super) fn zoned(address: &SocketAddr) -> String {
    match address {
        SocketAddr::V6(v6) if v6.scope_id() != 0 => {
            let zone = interface_name(v6.scope_id()).unwrap_or_else(|_| v6.scope_id().to_string());
            format!("{}%{zone}", v6.ip())
        }
        address => address.ip().to_string(),
    }
}
