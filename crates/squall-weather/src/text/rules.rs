//! Rules as text: `size:1000-1500 every:3 prefix:GET drop`.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::Write as _;
use core::net::{IpAddr, SocketAddr};

use super::keys::{probability, span};
use crate::Probability;
use crate::rule::{PeerMatch, Rule};
use crate::units::{Span, parse_bytes};

pub(super) const ALLOWED: &str = "what it picks (size:MIN-MAX, every:N, peer:ADDRESS, peer:ADDRESS/BITS, \
    peer:ADDRESS:PORT, prefix:TEXT or prefix:0xHEX) and what it does (drop, or loss:P, delay:T, jitter:T, \
    duplicate:P, reorder:P, corrupt:P), each at most once, like \"size:1000-1500 every:3 drop\"";

pub(super) fn parse(text: &str) -> Option<Rule> {
    let mut rule = Rule::new();
    let mut seen: Vec<&str> = Vec::new();
    for word in text.split_whitespace() {
        let (name, value) = word.split_once(':').unwrap_or((word, ""));
        if seen.contains(&name) {
            return None;
        }
        seen.push(name);
        match name {
            "size" => {
                let (least, most) = value.split_once('-').unwrap_or((value, value));
                let least = usize::try_from(parse_bytes(least)?).ok()?;
                let most =
                    if most.is_empty() { usize::MAX } else { usize::try_from(parse_bytes(most)?).ok()? };
                rule.size = Some((least, most)).filter(|(least, most)| least <= most);
                rule.size?;
            }
            "every" => rule.every = Some(value.parse().ok().filter(|n| *n > 0)?),
            "peer" => rule.peer = Some(peer(value)?.peer?),
            "prefix" => rule.prefix = prefix(value)?,
            "drop" if word == name => rule.drop = true,
            "loss" => set(&mut rule.loss, value)?,
            "delay" => span(rule.delay.insert(0), value)?,
            "jitter" => span(rule.jitter.insert(0), value)?,
            "duplicate" => set(&mut rule.duplicate, value)?,
            "reorder" => set(&mut rule.reorder, value)?,
            "corrupt" => set(&mut rule.corrupt, value)?,
            _ => return None,
        }
    }
    // A rule that drops does nothing else.
    let other = Rule { drop: false, ..rule.clone() }.acts();
    (rule.drop != other).then_some(rule)
}

pub(super) fn show(rule: &Rule) -> String {
    let mut words: Vec<String> = Vec::new();
    if let Some((least, most)) = rule.size {
        words.push(match most {
            usize::MAX => format!("size:{least}-"),
            _ if most == least => format!("size:{least}"),
            _ => format!("size:{least}-{most}"),
        });
    }
    words.extend(rule.every.map(|every| format!("every:{every}")));
    words.extend(rule.peer.map(|peer| match peer {
        PeerMatch::One(peer) => format!("peer:{peer}"),
        PeerMatch::Network(address, bits) if bits == most_bits(address) => format!("peer:{address}"),
        PeerMatch::Network(address, bits) => format!("peer:{address}/{bits}"),
    }));
    if !rule.prefix.is_empty() {
        words.push(shown_prefix(&rule.prefix));
    }
    if rule.drop {
        words.push("drop".to_string());
    } else {
        let probability = |name: &str, value: Option<Probability>| value.map(|p| format!("{name}:{p}"));
        let span = |name: &str, value: Option<u64>| value.map(|nanos| format!("{name}:{}", Span(nanos)));
        words.extend(probability("loss", rule.loss));
        words.extend(span("delay", rule.delay));
        words.extend(span("jitter", rule.jitter));
        words.extend(probability("duplicate", rule.duplicate));
        words.extend(probability("reorder", rule.reorder));
        words.extend(probability("corrupt", rule.corrupt));
    }
    words.join(" ")
}

fn set(field: &mut Option<Probability>, text: &str) -> Option<()> {
    probability(field.insert(Probability::ZERO), text)
}

fn peer(text: &str) -> Option<Rule> {
    if let Ok(peer) = text.parse::<SocketAddr>() {
        return Some(Rule::new().peer(peer));
    }
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, Some(bits)),
        None => (text, None),
    };
    let address: IpAddr = address.trim_start_matches('[').trim_end_matches(']').parse().ok()?;
    let most = most_bits(address);
    let bits = match bits {
        Some(bits) => bits.parse().ok().filter(|bits| *bits <= most)?,
        None => most,
    };
    Some(Rule::new().network(address, bits))
}

fn most_bits(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn prefix(text: &str) -> Option<Vec<u8>> {
    let Some(hex) = text.strip_prefix("0x") else {
        return (!text.is_empty()).then(|| text.as_bytes().to_vec());
    };
    if hex.is_empty() || !hex.len().is_multiple_of(2) || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let pairs = (0..hex.len()).step_by(2).map(|at| hex.get(at..at + 2));
    pairs.map(|pair| u8::from_str_radix(pair?, 16).ok()).collect()
}

/// As text where that reads back as the same, else in hex.
fn shown_prefix(prefix: &[u8]) -> String {
    let plain = prefix.iter().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b',' | b'@'));
    match core::str::from_utf8(prefix) {
        Ok(text) if plain && !text.starts_with("0x") => format!("prefix:{text}"),
        _ => prefix.iter().fold(String::from("prefix:0x"), |mut hex, byte| {
            // Writing to a string cannot fail.
            let _ = write!(hex, "{byte:02x}");
            hex
        }),
    }
}
