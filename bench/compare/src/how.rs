//! What every mode that compares servers is told.

use std::path::PathBuf;
use std::time::Duration;

use crate::error::Error;

// No doc comment: it would stand in place of each mode's own description.
#[derive(clap::Args)]
pub(crate) struct How {
    /// Only servers whose name contains this; may be given several times
    #[arg(long, value_name = "TEXT")]
    server: Vec<String>,
    /// One short round of half a second: to see that it works, not to measure
    #[arg(long)]
    quick: bool,
    /// Seconds of a measurement
    #[arg(long, value_parser = seconds)]
    seconds: Option<Duration>,
    /// Rounds, in each of which every server has its turn
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: Option<u32>,
    /// The squall program; otherwise it is built
    #[arg(long, value_name = "PATH")]
    pub(crate) squall: Option<PathBuf>,
    /// One JSON object a line for each row of the tables
    #[arg(long)]
    pub(crate) json: bool,
}

impl How {
    /// How long a measurement is and how many rounds there are, with a mode's own defaults.
    pub(crate) fn times(&self, millis: u64, rounds: u32) -> (Duration, u32) {
        let (millis, rounds) = if self.quick { (QUICK, 1) } else { (millis, rounds) };
        (self.seconds.unwrap_or(Duration::from_millis(millis)), self.rounds.unwrap_or(rounds))
    }

    /// Whether the server with this label was asked for; where none was named, all were.
    pub(crate) fn wants(&self, label: &str) -> bool {
        self.server.is_empty() || self.server.iter().any(|text| has(label, text))
    }

    /// Those of `all` that were asked for.
    pub(crate) fn choose<T: Copy>(&self, all: &[T], label: fn(T) -> &'static str) -> Result<Vec<T>, Error> {
        let labels: Vec<_> = all.iter().copied().map(label).collect();
        if let Some(text) = self.server.iter().find(|text| !labels.iter().any(|label| has(label, text))) {
            return Err(Error::NoServer(text.clone(), labels.join("; ")));
        }
        Ok(all.iter().copied().filter(|it| self.wants(label(*it))).collect())
    }
}

fn has(label: &str, text: &str) -> bool {
    label.to_lowercase().contains(&text.to_lowercase())
}

pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.05..=600.0).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err("a number from 0.05 to 600 is needed".into()),
    }
}

/// Milliseconds of a measurement that is to show that it works.
const QUICK: u64 = 500;
