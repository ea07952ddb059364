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

/// What a rule must be; what is wrong with one says [`Fault`].
pub(super) const ALLOWED: &str = "a rule like \"size:1000-1500 every:3 drop\"";

/// The part of a rule that cannot be, and why.
pub(super) struct Fault<'a> {
    pub(super) part: &'a str,
    pub(super) reason: &'static str,
}

pub(super) fn parse(text: &str) -> Result<Rule, Fault<'_>> {
    let mut rule = Rule::new();
    let mut seen: Vec<&str> = Vec::new();
    for word in text.split_whitespace() {
        let fault = |reason| Fault { part: word, reason };
        let (name, value) = word.split_once(':').unwrap_or((word, ""));
        if seen.contains(&name) {
            return Err(fault("this is there twice"));
        }
        seen.push(name);
        let (read, allowed) = match name {
            "size" => (size(&mut rule, value), "it must be bytes, MIN-MAX, like size:1000-1500"),
            "every" => (every(&mut rule, value), "it must be a whole number from 1 on, like every:3"),
            "peer" => (
                peer(&mut rule, value),
                "it must be ADDRESS, ADDRESS/BITS or ADDRESS:PORT, like peer:10.0.0.0/8",
            ),
            "prefix" => {
                (prefix(&mut rule, value), "it must be text, or whole bytes in hex, like prefix:0x00ff")
            }
            "drop" if word == name => {
                rule.drop = true;
                (Some(()), "")
            }
            "drop" => (None, "drop has no value"),
            "loss" => (set(&mut rule.loss, value), LIKELY),
            "duplicate" => (set(&mut rule.duplicate, value), LIKELY),
            "reorder" => (set(&mut rule.reorder, value), LIKELY),
            "corrupt" => (set(&mut rule.corrupt, value), LIKELY),
            "delay" => (span(rule.delay.insert(0), value), LONG),
            "jitter" => (span(rule.jitter.insert(0), value), LONG),
            _ => (
                None,
                "there are size, every, peer, prefix, drop, loss, delay, jitter, duplicate, reorder, corrupt",
            ),
        };
        read.ok_or_else(|| fault(allowed))?;
    }
    let other = Rule { drop: false, ..rule.clone() }.acts();
    let whole = |reason| Err(Fault { part: text.trim(), reason });
    match (rule.drop, other) {
        (true, true) => whole("a rule that drops does nothing else"),
        (false, false) => whole("it does nothing; add drop, loss:P, delay:T, jitter:T or such"),
        _ => Ok(rule),
    }
}

const LIKELY: &str = "it must be a probability from 0% to 100%, like loss:1.5%";
const LONG: &str = "it must be a time up to 1h with its unit, like delay:25ms";

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

fn size(rule: &mut Rule, text: &str) -> Option<()> {
    let bytes = |text: &str| usize::try_from(parse_bytes(text)?).ok();
    let (least, most) = text.split_once('-').unwrap_or((text, text));
    let sizes = (bytes(least)?, if most.is_empty() { usize::MAX } else { bytes(most)? });
    rule.size = Some(sizes).filter(|(least, most)| least <= most);
    rule.size.and(Some(()))
}

fn every(rule: &mut Rule, text: &str) -> Option<()> {
    rule.every = text.parse().ok().filter(|n| *n > 0);
    rule.every.and(Some(()))
}

fn peer(rule: &mut Rule, text: &str) -> Option<()> {
    if let Ok(peer) = text.parse::<SocketAddr>() {
        rule.peer = Rule::new().peer(peer).peer;
        return Some(());
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
    rule.peer = Rule::new().network(address, bits).peer;
    Some(())
}

fn most_bits(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn prefix(rule: &mut Rule, text: &str) -> Option<()> {
    let Some(hex) = text.strip_prefix("0x") else {
        rule.prefix = text.as_bytes().to_vec();
        return (!text.is_empty()).then_some(());
    };
    if hex.is_empty() || !hex.len().is_multiple_of(2) || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let pairs = (0..hex.len()).step_by(2).map(|at| hex.get(at..at + 2));
    rule.prefix = pairs.map(|pair| u8::from_str_radix(pair?, 16).ok()).collect::<Option<_>>()?;
    Some(())
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
