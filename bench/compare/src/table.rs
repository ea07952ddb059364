//! What is printed.

use std::io::{self, Write};
use std::time::Duration;

use serde::Serialize;
use squall::load::Report;

use crate::scenario::Scenario;

/// One server of a scenario.
pub(crate) struct Row {
    pub(crate) label: &'static str,
    pub(crate) samples: Vec<Sample>,
    pub(crate) last: Option<Report>,
    /// Why there are no more samples.
    pub(crate) failure: Option<String>,
}

/// One round of one server. Times in microseconds.
pub(crate) struct Sample {
    replies_per_second: f64,
    cpu: f64,
    busy: f64,
    lost: f64,
    latency: [f64; PERCENTILES.len()],
    memory: f64,
}

impl Sample {
    /// Of a load, the processor time that the server used for it, and the most memory that it had, in bytes.
    pub(crate) fn new(report: &Report, used: Duration, memory: u64) -> Self {
        Self {
            memory: memory as f64 / f64::from(1 << 20),
            replies_per_second: report.replies_per_second(),
            cpu: used.as_secs_f64() * 1e6 / report.replies.max(1) as f64,
            busy: 100.0 * used.as_secs_f64() / report.elapsed.as_secs_f64(),
            lost: 100.0 * report.lost as f64 / report.sent.max(1) as f64,
            latency: PERCENTILES.map(|percent| report.latency(percent).as_secs_f64() * 1e6),
        }
    }
}

impl Row {
    pub(crate) fn new(label: &'static str) -> Self {
        Self { label, samples: Vec::new(), last: None, failure: None }
    }

    fn median(&self, value: impl Fn(&Sample) -> f64) -> f64 {
        let mut values: Vec<f64> = self.samples.iter().map(value).collect();
        values.sort_by(f64::total_cmp);
        match values.len() {
            0 => f64::NAN,
            count => (values[(count - 1) / 2] + values[count / 2]) / 2.0,
        }
    }

    fn rate(&self) -> f64 {
        self.median(|sample| sample.replies_per_second)
    }

    fn summary(&self, scenario: &Scenario, reference: Option<&Row>) -> Summary<'_> {
        let rates = self.samples.iter().map(|sample| sample.replies_per_second);
        let [p50, p90, p99, p99_9] = std::array::from_fn(|index| self.median(|sample| sample.latency[index]));
        Summary {
            scenario: scenario.name(),
            server: self.label,
            rounds: self.samples.len(),
            replies_per_second: self.rate(),
            lowest: rates.clone().fold(f64::NAN, f64::min),
            highest: rates.fold(f64::NAN, f64::max),
            cpu_us_per_reply: self.median(|sample| sample.cpu),
            cpu_percent: self.median(|sample| sample.busy),
            lost_percent: self.median(|sample| sample.lost),
            p50_us: p50,
            p90_us: p90,
            p99_us: p99,
            p99_9_us: p99_9,
            peak_memory_mib: self.median(|sample| sample.memory),
            squall_ratio: reference.map_or(f64::NAN, Row::rate) / self.rate(),
            failure: self.failure.as_deref(),
        }
    }
}

/// The medians of a row. Numbers that there are not are `null` in JSON.
#[derive(Serialize)]
struct Summary<'a> {
    scenario: String,
    server: &'a str,
    rounds: usize,
    replies_per_second: f64,
    lowest: f64,
    highest: f64,
    cpu_us_per_reply: f64,
    cpu_percent: f64,
    lost_percent: f64,
    p50_us: f64,
    p90_us: f64,
    p99_us: f64,
    p99_9_us: f64,
    peak_memory_mib: f64,
    /// Squall's rate by this server's.
    squall_ratio: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<&'a str>,
}

/// Prints the scenario's table.
pub(crate) fn print(scenario: &Scenario, seconds: Duration, rows: &[Row]) -> io::Result<()> {
    let out = &mut io::stdout().lock();
    let rounds = rows.iter().map(|row| row.samples.len()).max().unwrap_or(0);
    writeln!(out, "{}: {} ({rounds} × {} s)", scenario.name(), scenario.about, seconds.as_secs_f64())?;
    writeln!(
        out,
        "{:<26}{:>12}{:>25}{:>9}{:>7}{:>8}{:>9}{:>9}{:>9}{:>9}{:>8}{:>10}",
        "",
        "replies/s",
        "lowest – highest",
        "CPU µs",
        "CPU %",
        "lost %",
        "p50 µs",
        "p90",
        "p99",
        "p99.9",
        "MiB",
        "Squall ×"
    )?;
    for row in rows {
        let it = row.summary(scenario, rows.first());
        if row.samples.is_empty() {
            writeln!(out, "{:<26}  {}", row.label, it.failure.unwrap_or("not measured"))?;
            continue;
        }
        let ratio = if it.squall_ratio.is_nan() { "–".into() } else { format!("{:.2}", it.squall_ratio) };
        writeln!(
            out,
            "{:<26}{:>12.0}{:>25}{:>9.2}{:>7.0}{:>8.2}{:>9.1}{:>9.1}{:>9.1}{:>9.1}{:>8.0}{:>10}",
            it.server,
            it.replies_per_second,
            format!("{:.0} – {:.0}", it.lowest, it.highest),
            it.cpu_us_per_reply,
            it.cpu_percent,
            it.lost_percent,
            it.p50_us,
            it.p90_us,
            it.p99_us,
            it.p99_9_us,
            it.peak_memory_mib,
            ratio,
        )?;
        if let Some(failure) = it.failure {
            writeln!(out, "{:<26}  then {failure}", "")?;
        }
    }
    writeln!(out)
}

/// Prints an object on a line for each server.
pub(crate) fn print_json(scenario: &Scenario, rows: &[Row]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for row in rows {
        serde_json::to_writer(&mut out, &row.summary(scenario, rows.first()))?;
        writeln!(out)?;
    }
    Ok(())
}

const PERCENTILES: [f64; 4] = [50.0, 90.0, 99.0, 99.9];
