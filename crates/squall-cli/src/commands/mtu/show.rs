//! What is printed of a search, and of a single datagram.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use serde::Serialize;
use squall::path_mtu::{
    Complaint, Evidence, Fate, Limit, Outcome, PathMtuError, ProbeRecord, ProbeResult, Report, Single,
    Unfinished,
};
use squall::socket::display_address;

pub(super) fn report(report: &Report, verbose: bool) -> Vec<String> {
    let target = display_address(&report.target);
    let mut lines = Vec::new();
    let first = match report.outcome {
        Outcome::Found { mtu, certain, .. } => {
            let perhaps = if certain { "" } else { ", not for certain" };
            format!("path MTU {mtu}{perhaps}, UDP payload up to {} bytes", report.payload_of(mtu))
        }
        Outcome::Unfinished { passes, fails, why } => {
            let fails = fails.map_or(String::new(), |fails| format!(" and {fails} do not"));
            format!("path MTU not found, {}; packets of {passes} bytes pass{fails}", unfinished(why))
        }
        _ => "no answer".to_owned(),
    };
    lines.push(format!("{target}: {first}"));
    let mut line = |name: &str, text: String| lines.push(format!("  {name:<10} {text}"));
    if let Some(first_hop) = report.first_hop {
        let interface = report.interface.as_ref().map_or(String::new(), |name| format!(" ({name})"));
        line("first hop", format!("{first_hop}{interface}"));
    }
    let (before, after) = (report.kernel_before, report.kernel_after);
    let kernel = if before == after { format!("{before}") } else { format!("{before} before, {after} now") };
    let too_much = match report.mtu() {
        Some(mtu) if mtu < after && report.first_hop.is_some_and(|first_hop| mtu < first_hop) => {
            ", which is too much"
        }
        _ => "",
    };
    line("kernel", format!("believes {kernel}{too_much}"));
    if let Outcome::Found { limit, certain, .. } = report.outcome {
        line("limit", limit_words(report, limit, certain));
    }
    for (router, mtu) in report.routers() {
        let router = router.map_or("a router".to_owned(), |router| router.to_string());
        let named = if mtu == 0 { "no MTU".to_owned() } else { format!("MTU {mtu}") };
        line("reported", format!("{named}, by {router}"));
    }
    for complaint in &report.complaints {
        let from = complaint.from.map_or("this machine".to_owned(), |from| from.to_string());
        line("said", format!("{}, by {from}", complaint.words));
    }
    let answers: Vec<_> = report.evidence().iter().map(|how| evidence_words(*how)).collect();
    if !answers.is_empty() {
        line("answers", answers.join(", "));
    }
    let (count, lost) = (report.probes.len(), report.lost());
    line("probes", format!("{count} in {}, {lost} without an answer", seconds(report.elapsed)));
    if verbose {
        lines.push(format!("  {:>5} {:>6} {:>8} {:>10}  outcome", "probe", "size", "payload", "sent at"));
        let start = report.probes.first().map(|probe| probe.sent);
        for probe in &report.probes {
            let at = start.map_or(Duration::ZERO, |start| probe.sent.since(start));
            let payload = report.payload_of(probe.size);
            let (number, size, outcome) = (probe.id + 1, probe.size, outcome_words(probe, report));
            lines.push(format!("  {number:>5} {size:>6} {payload:>8} {:>10}  {outcome}", seconds(at)));
        }
    }
    lines
}

/// Why there is nothing to report.
pub(super) fn silence(report: &Report) -> String {
    let said: Vec<String> = report
        .complaints
        .iter()
        .map(|complaint| match complaint.from {
            Some(from) => format!("; {from} says: {}", complaint.words),
            None => format!("; this machine says: {}", complaint.words),
        })
        .collect();
    let (target, probes) = (display_address(&report.target), report.probes.len());
    let word = if probes == 1 { "probe" } else { "probes" };
    let said = if said.is_empty() { "; try another port with -p".to_owned() } else { said.concat() };
    format!("no answer from {target} to {probes} {word} in {}{said}", seconds(report.elapsed))
}

fn limit_words(report: &Report, limit: Limit, certain: bool) -> String {
    let mtu = report.mtu().unwrap_or(0);
    match limit {
        Limit::FirstHop if report.first_hop.is_some_and(|first_hop| first_hop > mtu) => {
            "no UDP datagram is longer".to_owned()
        }
        Limit::TooBig => "a router reports longer packets as too big".to_owned(),
        Limit::Silence if certain => "a black hole: longer packets vanish and nobody reports it".to_owned(),
        Limit::Silence => "longer packets vanish, or were lost by chance: the path loses much".to_owned(),
        _ => "the first link carries no more".to_owned(),
    }
}

fn unfinished(why: Unfinished) -> &'static str {
    match why {
        Unfinished::Time => "the time is over",
        Unfinished::Probes => "500 probes were not enough",
        _ => "what had passed is answered no more",
    }
}

fn evidence_words(how: Evidence) -> &'static str {
    match how {
        Evidence::Echo => "echo (both ways carry it)",
        Evidence::Length => "the length service's",
        Evidence::Unreachable => "ICMP port unreachable",
        _ => "a UDP service's",
    }
}

fn outcome_words(probe: &ProbeRecord, report: &Report) -> String {
    match probe.result {
        ProbeResult::Answered { how, after } => {
            let how = match how {
                Evidence::Echo => "came back",
                Evidence::Length => "its length came back",
                Evidence::Unreachable => "port unreachable",
                _ => "answered",
            };
            format!("{how} after {}", seconds(after))
        }
        ProbeResult::TooBig { mtu, router, after } => {
            let router = router.map_or("a router".to_owned(), |router| router.to_string());
            format!("too big, says {router} (MTU {mtu}) after {}", seconds(after))
        }
        ProbeResult::Unsendable => {
            let first_hop = report.first_hop.map_or(String::new(), |mtu| format!(" of {mtu}"));
            format!("not sent: over the first link's MTU{first_hop}")
        }
        ProbeResult::Lost => "no answer".to_owned(),
        _ => "the search ended before an answer".to_owned(),
    }
}

fn seconds(duration: Duration) -> String {
    match duration.as_secs_f64() {
        seconds if seconds >= 1.0 => format!("{seconds:.2} s"),
        seconds => format!("{:.2} ms", seconds * 1000.0),
    }
}

/// The one line about a single datagram.
pub(super) fn single(single: &Single) -> String {
    match single.fate {
        Fate::TooBig { mtu, .. } => format!("it did not make it; the MTU is {mtu}"),
        _ => "the big datagram was sent".to_owned(),
    }
}

/// What speaks against the arrival of a single datagram that was sent, if anything does.
pub(super) fn doubt(single: &Single) -> Option<String> {
    match (single.fate, &single.complaint) {
        (Fate::Sent, Some(Complaint { from: Some(from), words, .. })) => {
            Some(format!("{from} says: {words}"))
        }
        (Fate::Sent, _) => Some("nothing came back: it may have been lost on the way".to_owned()),
        _ => None,
    }
}

/// What became of a single datagram, in one more line.
pub(super) fn fate(single: &Single) -> String {
    let (payload, after) = (single.payload, seconds(single.elapsed));
    let target = display_address(&single.target);
    let became = match single.fate {
        Fate::Arrived { how: Evidence::Unreachable } => {
            format!("arrived after {after}: the host says that nobody listens there")
        }
        Fate::Arrived { .. } => format!("arrived and was answered after {after}"),
        Fate::TooBig { router: Some(router), .. } => format!("{router} reported it as too big after {after}"),
        Fate::TooBig { router: None, .. } => "the kernel did not send it".to_owned(),
        _ => match doubt(single) {
            Some(doubt) => format!("left this machine; after {after}, {doubt}"),
            None => "left this machine".to_owned(),
        },
    };
    format!("{payload} bytes to {target}: {became}")
}

#[derive(Serialize)]
pub(super) struct SearchRecord<'a> {
    host: &'a str,
    paths: Vec<PathRecord>,
}

#[derive(Default, Serialize)]
struct PathRecord {
    family: u8,
    address: String,
    port: u16,
    mtu: Option<u32>,
    payload: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    certain: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    passes: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fails: Option<u32>,
    #[serde(flatten)]
    found: Option<Found>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Serialize)]
struct Found {
    first_hop: Option<u32>,
    interface: Option<String>,
    kernel_before: u32,
    kernel_after: u32,
    answers: Vec<&'static str>,
    routers: Vec<RouterRecord>,
    said: Vec<Said>,
    sent: usize,
    lost: usize,
    seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    probes: Option<Vec<Row>>,
}

#[derive(Serialize)]
struct RouterRecord {
    address: Option<IpAddr>,
    mtu: u32,
}

#[derive(Serialize)]
struct Said {
    address: Option<IpAddr>,
    words: String,
}

#[derive(Serialize)]
struct Row {
    size: u32,
    at: f64,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    router: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mtu: Option<u32>,
}

impl<'a> SearchRecord<'a> {
    pub(super) fn new(
        host: &'a str,
        results: &[(SocketAddr, Result<Report, PathMtuError>)],
        verbose: bool,
    ) -> Self {
        let path = |(address, result): &(SocketAddr, Result<Report, PathMtuError>)| {
            let base = PathRecord {
                family: if address.is_ipv4() { 4 } else { 6 },
                address: address.ip().to_string(),
                port: address.port(),
                ..PathRecord::default()
            };
            match result {
                Ok(report) => base.with(report, verbose),
                Err(error) => PathRecord { error: Some(error.to_string()), ..base },
            }
        };
        Self { host, paths: results.iter().map(path).collect() }
    }
}

impl PathRecord {
    fn with(mut self, report: &Report, verbose: bool) -> Self {
        match report.outcome {
            Outcome::Found { mtu, limit, certain } => {
                self.mtu = Some(mtu);
                self.payload = Some(report.payload_of(mtu));
                self.certain = Some(certain);
                self.limit = Some(match limit {
                    Limit::TooBig => "too_big",
                    Limit::Silence => "black_hole",
                    _ => "first_hop",
                });
            }
            Outcome::Unfinished { passes, fails, why } => {
                (self.passes, self.fails) = (Some(passes), fails);
                self.error = Some(unfinished(why).to_owned());
            }
            _ => self.error = Some("no answer".to_owned()),
        }
        let start = report.probes.first().map(|probe| probe.sent);
        let rows = || {
            report
                .probes
                .iter()
                .map(|probe| Row::new(probe, start.map_or(Duration::ZERO, |start| probe.sent.since(start))))
                .collect()
        };
        self.found = Some(Found {
            first_hop: report.first_hop,
            interface: report.interface.clone(),
            kernel_before: report.kernel_before,
            kernel_after: report.kernel_after,
            answers: report.evidence().into_iter().map(evidence_name).collect(),
            routers: report
                .routers()
                .into_iter()
                .map(|(address, mtu)| RouterRecord { address, mtu })
                .collect(),
            said: report
                .complaints
                .iter()
                .map(|complaint| Said { address: complaint.from, words: complaint.words.clone() })
                .collect(),
            sent: report.probes.len(),
            lost: report.lost(),
            seconds: report.elapsed.as_secs_f64(),
            probes: verbose.then(rows),
        });
        self
    }
}

impl Row {
    fn new(probe: &ProbeRecord, at: Duration) -> Self {
        let (outcome, after, router, mtu) = match probe.result {
            ProbeResult::Answered { how, after } => (evidence_name(how), Some(after), None, None),
            ProbeResult::TooBig { mtu, router, after } => ("too_big", Some(after), router, Some(mtu)),
            ProbeResult::Unsendable => ("not_sent", None, None, None),
            ProbeResult::Lost => ("no_answer", None, None, None),
            _ => ("unknown", None, None, None),
        };
        let seconds = after.map(|after| after.as_secs_f64());
        Self { size: probe.size, at: at.as_secs_f64(), outcome, seconds, router, mtu }
    }
}

fn evidence_name(how: Evidence) -> &'static str {
    match how {
        Evidence::Echo => "echo",
        Evidence::Length => "length",
        Evidence::Unreachable => "port_unreachable",
        _ => "datagram",
    }
}

#[derive(Serialize)]
pub(super) struct SingleRecord<'a> {
    host: &'a str,
    address: String,
    port: u16,
    payload: usize,
    sent: bool,
    arrived: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mtu: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    router: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    said: Option<Said>,
    kernel_before: u32,
    kernel_after: u32,
    seconds: f64,
}

impl<'a> SingleRecord<'a> {
    pub(super) fn new(host: &'a str, single: &Single) -> Self {
        let (sent, arrived, mtu, router) = match single.fate {
            Fate::Arrived { .. } => (true, Some(true), None, None),
            Fate::TooBig { mtu, router } => (router.is_some(), Some(false), Some(mtu), router),
            _ => (true, None, None, None),
        };
        Self {
            host,
            address: single.target.ip().to_string(),
            port: single.target.port(),
            payload: single.payload,
            sent,
            arrived,
            mtu,
            router,
            said: single
                .complaint
                .as_ref()
                .map(|complaint| Said { address: complaint.from, words: complaint.words.clone() }),
            kernel_before: single.kernel_before,
            kernel_after: single.kernel_after,
            seconds: single.elapsed.as_secs_f64(),
        }
    }
}
