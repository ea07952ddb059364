//! What a relay does, for people and for programs.

use std::io::{self, IsTerminal, Write};
use std::path::Path;

use serde_json::{Value, json};
use squall_node::relay::{Answer, DirectionCounts, RelayCounts, RunningRelay};
use squall_weather::Counts;

use crate::exit::Exit;
use crate::output::{say, write_json};

/// Shows what a relay does.
pub(super) struct Show {
    json: bool,
    /// Whether a line with the present state is redrawn.
    live: bool,
    /// Whether orders are typed, below that line.
    typed: bool,
    last: RelayCounts,
}

impl Show {
    pub(super) fn new(json: bool, typed: bool) -> Self {
        let live = !json && io::stderr().is_terminal();
        Self { json, live, typed: typed && live, last: RelayCounts::default() }
    }

    /// Tells where it listens, and in what weather.
    pub(super) fn start(&mut self, running: &RunningRelay, replay: Option<&Path>) -> Result<(), Exit> {
        let weather = match replay {
            Some(path) => format!("as {} recorded it", path.display()),
            None => format!("{}; seed {}", running.handle().weather(), running.seed()),
        };
        if self.json {
            let locals: Vec<String> = running.locals().iter().map(ToString::to_string).collect();
            return self.object(&json!({
                "listening": locals,
                "to": running.to().to_string(),
                "weather": replay.is_none().then(|| running.handle().weather().to_string()),
                "seed": replay.is_none().then(|| running.seed()),
                "replay": replay.map(|path| path.display().to_string()),
            }));
        }
        let mut table = String::new();
        for local in running.locals() {
            table += &format!("{local} → {}\n", running.to());
        }
        // In one piece, so that a program that reads it knows where it ends.
        let mut out = io::stdout().lock();
        match out.write_all(table.as_bytes()).and_then(|()| out.flush()) {
            // Nobody reads it; the relay works all the same.
            Err(problem) if problem.kind() == io::ErrorKind::BrokenPipe => {}
            result => result?,
        }
        say(format_args!("weather: {weather}"));
        if self.typed {
            say("orders: help tells what there is");
            eprint(&format!("\n{PROMPT}"));
        }
        Ok(())
    }

    /// What it did by now.
    pub(super) fn tick(&mut self, counts: &RelayCounts) -> Result<(), Exit> {
        if self.json {
            self.object(&json(counts))?;
        } else if self.typed {
            // In the line above the one in which orders are typed, and back.
            eprint(&format!("\x1b7\x1b[A\r\x1b[K{}\x1b8", status(&self.last, counts)));
        } else if self.live {
            eprint(&format!("\r\x1b[K{}", status(&self.last, counts)));
        }
        self.last = *counts;
        Ok(())
    }

    /// What became of an order.
    pub(super) fn answer(&mut self, line: &str, answer: &Result<Answer, String>) -> Result<(), Exit> {
        if self.json {
            let mut object = match answer {
                Ok(Answer::Nothing) => return Ok(()),
                Ok(Answer::Weather(weather)) => json!({
                    "weather": weather.weather.to_string(),
                    "blackout": weather.blackout.map(|left| left.as_secs_f64()),
                }),
                Ok(Answer::Counts(counts)) => json!({ "counts": json(counts) }),
                Ok(Answer::Help(help)) => json!({ "help": help }),
                Ok(_) => json!({}),
                Err(reason) => json!({ "error": reason }),
            };
            object["order"] = line.trim().into();
            return self.object(&object);
        }
        let said = match answer {
            Ok(Answer::Nothing | Answer::Ending) => String::new(),
            Ok(Answer::Weather(weather)) => format!("weather: {weather}"),
            Ok(Answer::Counts(counts)) => summary(counts),
            Ok(Answer::Help(help)) => (*help).to_owned(),
            Ok(_) => "ok".to_owned(),
            Err(reason) => format!("error: {reason}"),
        };
        if self.live && !self.typed {
            eprint("\r\x1b[K");
        }
        if !said.is_empty() {
            say(said);
        }
        if self.typed && *answer != Ok(Answer::Ending) {
            eprint(&format!("{}\n{PROMPT}", status(&self.last, &self.last)));
        }
        Ok(())
    }

    /// What it did all in all.
    pub(super) fn end(&mut self, counts: &RelayCounts) -> Result<(), Exit> {
        if self.json {
            let mut object = json(counts);
            object["final"] = true.into();
            return self.object(&object);
        }
        if self.live {
            eprint("\r\x1b[K");
        }
        say(summary(counts));
        Ok(())
    }

    fn object(&self, object: &Value) -> Result<(), Exit> {
        let mut out = io::stdout().lock();
        Ok(write_json(&mut out, object).and_then(|()| out.flush())?)
    }
}

fn eprint(text: &str) {
    // Nobody is left to tell when standard error is closed.
    let _ = io::stderr().write_all(text.as_bytes());
}

/// One line of at most 79 columns.
fn status(last: &RelayCounts, counts: &RelayCounts) -> String {
    let seconds = (counts.elapsed - last.elapsed.min(counts.elapsed)).as_secs_f64();
    let rate = |now: u64, before: u64| match seconds {
        0.0 => 0,
        seconds => ((now - before) as f64 / seconds).round() as u64,
    };
    format!(
        "flows {}  up {} ({}/s)  down {} ({}/s)  dropped {}  under way {}",
        short(counts.flows),
        short(counts.up.received),
        short(rate(counts.up.received, last.up.received)),
        short(counts.down.received),
        short(rate(counts.down.received, last.down.received)),
        short(counts.up.dropped() + counts.down.dropped()),
        short(counts.up.under_way + counts.down.under_way),
    )
}

/// A number in five columns.
fn short(number: u64) -> String {
    let (scaled, unit) = match number {
        0..100_000 => return number.to_string(),
        100_000..100_000_000 => (number as f64 / 1e3, "k"),
        100_000_000..100_000_000_000 => (number as f64 / 1e6, "M"),
        _ => (number as f64 / 1e9, "G"),
    };
    if scaled < 1000.0 { format!("{scaled:.0}{unit}") } else { format!("{:.1}{}", scaled / 1e3, next(unit)) }
}

fn next(unit: &str) -> &'static str {
    match unit {
        "k" => "M",
        "M" => "G",
        _ => "T",
    }
}

/// What was done, in a few lines.
pub(super) fn summary(counts: &RelayCounts) -> String {
    let mut text = direction("up", &counts.up);
    text += &direction("down", &counts.down);
    let seconds = counts.elapsed.as_secs_f64();
    text += &format!("{} in {seconds:.1} s, {} open", counted(counts.flows_opened, "flow{s}"), counts.flows);
    text += &named(&[
        ("ended idle", counts.flows_idle),
        ("displaced", counts.flows_displaced),
        ("datagram{s} refused", counts.flows_refused),
        ("datagram{s} without a socket to be had", counts.flows_failed),
        ("datagram{s} that nobody can answer", counts.unanswerable),
        ("decision{s} beyond the record's limit", counts.unrecorded),
    ]);
    if let Some(left) = counts.blackout {
        text += &format!("; blackout for {:.1} s more", left.as_secs_f64());
    }
    text
}

fn direction(name: &str, counts: &DirectionCounts) -> String {
    let mut text = format!(
        "{name}: {} received ({}), {} sent on ({})",
        counts.received,
        counted(counts.received_bytes, "byte{s}"),
        counts.sent,
        counted(counts.sent_bytes, "byte{s}")
    );
    let Counts { loss, burst, queue, too_big, blackout, rule, .. } = counts.weather;
    let causes = named(&[
        ("lost", loss),
        ("lost in bursts", burst),
        ("beyond the queue", queue),
        ("too big", too_big),
        ("in a blackout", blackout),
        ("by a rule", rule),
        ("beyond the memory", counts.overflow),
        ("of flows that had ended", counts.ended),
        ("for a full send buffer", counts.send_buffer_full),
        ("refused by the kernel", counts.send_failed),
    ]);
    text += &format!(", {} dropped", counts.dropped());
    if !causes.is_empty() {
        text += &format!(" ({})", causes.trim_start_matches(", "));
    }
    text += &named(&[
        ("duplicated", counts.weather.duplicated),
        ("reordered", counts.weather.reordered),
        ("corrupted", counts.weather.corrupted),
        ("under way", counts.under_way),
        ("dropped by the kernel on arrival", counts.kernel_drops),
        ("ICMP error{s}", counts.icmp_errors),
        ("failed receive{s}", counts.receive_errors),
        ("after the record's end", counts.replay_beyond),
        ("of another size than recorded", counts.replay_different),
        ("recorded that did not come", counts.replay_remaining),
    ]);
    text.push('\n');
    text
}

/// The numbers that are not zero.
fn named(numbers: &[(&str, u64)]) -> String {
    let told = numbers.iter().filter(|(_, number)| *number > 0);
    told.map(|(name, number)| format!(", {}", counted(*number, name))).collect()
}

/// A number of something, whose `{s}` is there for more than one.
fn counted(number: u64, name: &str) -> String {
    format!("{number} {}", name.replace("{s}", if number == 1 { "" } else { "s" }))
}

/// All of it as JSON.
pub(super) fn json(counts: &RelayCounts) -> Value {
    json!({
        "elapsed": counts.elapsed.as_secs_f64(),
        "blackout": counts.blackout.map(|left| left.as_secs_f64()),
        "flows": counts.flows,
        "flows_opened": counts.flows_opened,
        "flows_idle": counts.flows_idle,
        "flows_displaced": counts.flows_displaced,
        "flows_refused": counts.flows_refused,
        "flows_failed": counts.flows_failed,
        "unanswerable": counts.unanswerable,
        "unrecorded": counts.unrecorded,
        "up": direction_json(&counts.up),
        "down": direction_json(&counts.down),
    })
}

fn direction_json(counts: &DirectionCounts) -> Value {
    let weather = &counts.weather;
    json!({
        "received": counts.received,
        "received_bytes": counts.received_bytes,
        "sent": counts.sent,
        "sent_bytes": counts.sent_bytes,
        "under_way": counts.under_way,
        "dropped": {
            "loss": weather.loss,
            "burst": weather.burst,
            "queue": weather.queue,
            "too_big": weather.too_big,
            "blackout": weather.blackout,
            "rule": weather.rule,
            "overflow": counts.overflow,
            "ended": counts.ended,
            "send_buffer_full": counts.send_buffer_full,
            "send_failed": counts.send_failed,
        },
        "duplicated": weather.duplicated,
        "reordered": weather.reordered,
        "overtaking": weather.overtaking,
        "corrupted": weather.corrupted,
        "kernel_drops": counts.kernel_drops,
        "icmp_errors": counts.icmp_errors,
        "receive_errors": counts.receive_errors,
        "replay_beyond": counts.replay_beyond,
        "replay_different": counts.replay_different,
        "replay_remaining": counts.replay_remaining,
        "receive_calls": counts.receive_calls,
        "send_calls": counts.send_calls,
    })
}

const PROMPT: &str = "> ";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_told_otherwise_than_two() {
        assert_eq!(counted(1, "flow{s}"), "1 flow");
        assert_eq!(counted(0, "flow{s}"), "0 flows");
        assert_eq!(named(&[("ICMP error{s}", 1), ("lost", 1)]), ", 1 ICMP error, 1 lost");
        assert_eq!(named(&[("datagram{s} refused", 2), ("lost", 0)]), ", 2 datagrams refused");
    }
}
