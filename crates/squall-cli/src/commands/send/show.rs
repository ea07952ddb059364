//! What a sender shows.

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::HumanBytes;
use serde_json::{Value, json};
use squall::congestion::Belief;
use squall::text::sanitize;
use squall_node::files::{SendEvent, Tally, UploadEnd, UploadEvent, Uploaded};
use squall_node::secure::Introduced;

use super::Arguments;
use super::line::Line;
use super::progress::{Begun, Progress};
use super::rate::Rate;
use crate::exit::Exit;
use crate::output::{counted, say, shown, with_path, write_json};

/// Shows what happens: a progress on a terminal, JSON where that is wanted, and failures in any case.
pub(super) struct Display {
    json: bool,
    verbose: bool,
    dry_run: bool,
    host: String,
    line: Option<Line>,
    /// Files of which some has been sent, the one that was begun first in front.
    begun: Mutex<Vec<Begun>>,
    files: AtomicU64,
    bytes: AtomicU64,
    sent: AtomicU64,
    rate: Mutex<Rate>,
    total: Mutex<Option<Tally>>,
    started: Instant,
    last: Mutex<Instant>,
    path: Mutex<Option<Belief>>,
    is_connected: AtomicBool,
    is_over: AtomicBool,
}

impl Display {
    pub(super) fn new(arguments: &Arguments, host: &str) -> Self {
        let is_seen = !arguments.json && !arguments.dry_run && io::stderr().is_terminal();
        let line = is_seen.then(|| Line::new(connecting(host)));
        Self {
            json: arguments.json,
            verbose: arguments.verbose,
            dry_run: arguments.dry_run,
            host: host.into(),
            line,
            begun: Mutex::default(),
            files: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            rate: Mutex::default(),
            total: Mutex::default(),
            started: Instant::now(),
            last: Mutex::new(Instant::now()),
            path: Mutex::default(),
            is_connected: AtomicBool::new(false),
            is_over: AtomicBool::new(false),
        }
    }

    /// Whether anybody would see how much there is in all.
    pub(super) fn wants_total(&self) -> bool {
        self.json || self.line.is_some()
    }

    pub(super) fn total(&self, tally: Tally) {
        *lock(&self.total) = Some(tally);
        self.draw();
    }

    pub(super) fn over(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    pub(super) fn show(&self, event: &UploadEvent<'_>) {
        match event {
            UploadEvent::Connected { peer, introduced, buffers } => {
                let (key, fingerprint) = match introduced {
                    Introduced::FirstTime { fingerprint, forgotten } => {
                        let host = &self.host;
                        if !self.json {
                            self.note(&format!(
                                "squall: {host} is new here; its key is {fingerprint}, as it shows itself"
                            ));
                            if let Some(problem) = forgotten {
                                self.note(&format!("squall: it is not remembered: {problem}"));
                            }
                        }
                        ("new", Some(fingerprint.to_string()))
                    }
                    Introduced::Known => ("known", None),
                    _ => ("pinned", None),
                };
                if self.verbose
                    && let Some(note) = buffers.note()
                {
                    self.note(&format!("squall: {note}"));
                }
                self.is_connected.store(true, Ordering::Relaxed);
                self.draw();
                self.tell(|| json!({"event": "connected", "peer": peer.to_string(), "key": key, "fingerprint": fingerprint}));
            }
            UploadEvent::Lost { why } => {
                if !self.json {
                    self.note(&format!("squall: {why}; trying again"));
                }
                self.tell(|| json!({"event": "lost", "text": why}));
                // The next connection tells of everything again, and of what is there as unchanged.
                lock(&self.begun).clear();
                self.files.store(0, Ordering::Relaxed);
                self.bytes.store(0, Ordering::Relaxed);
                self.is_connected.store(false, Ordering::Relaxed);
                self.draw();
            }
            UploadEvent::Files(event) => self.file(event),
            _ => {}
        }
    }

    fn file(&self, event: &SendEvent) {
        match event {
            SendEvent::Path(belief) => *lock(&self.path) = Some(*belief),
            SendEvent::Begun { path, size } => {
                lock(&self.begun).push(Begun { path: Arc::clone(path), size: *size, done: 0 });
            }
            SendEvent::Progress { path, bytes, sent } => {
                self.bytes.fetch_add(*bytes, Ordering::Relaxed);
                let sent = self.sent.fetch_add(*sent, Ordering::Relaxed) + sent;
                lock(&self.rate).mark(Instant::now(), sent);
                for begun in lock(&self.begun).iter_mut() {
                    if Arc::ptr_eq(&begun.path, path) {
                        begun.done += bytes;
                    }
                }
            }
            SendEvent::Stored { path, size } => {
                self.files.fetch_add(1, Ordering::Relaxed);
                self.ended(path);
                self.list(path);
                self.tell(|| with_path(json!({"event": "stored", "size": size}), path));
            }
            SendEvent::Unchanged { path, size, is_file } => {
                if *is_file && !self.ended(path) {
                    // Nothing of it was sent, so all of it was there.
                    self.bytes.fetch_add(*size, Ordering::Relaxed);
                }
                if *is_file && !self.dry_run {
                    self.files.fetch_add(1, Ordering::Relaxed);
                    self.tell(|| with_path(json!({"event": "unchanged", "size": size}), path));
                }
            }
            SendEvent::Differs { path, size } => {
                if !self.json {
                    let _ = writeln!(io::stdout(), "{}", shown(path));
                }
                self.tell(|| with_path(json!({"event": "differs", "size": size}), path));
            }
            SendEvent::Failed { path, reason, text } => {
                self.ended(path);
                if !self.json {
                    self.note(&format!("squall: {}: {text}", shown(path)));
                }
                self.tell(|| {
                    with_path(json!({"event": "failed", "reason": reason.name(), "text": text}), path)
                });
            }
            _ => {}
        }
        self.progress();
    }

    /// Takes a file from those that are being sent.
    fn ended(&self, path: &Arc<PathBuf>) -> bool {
        let mut begun = lock(&self.begun);
        let place = begun.iter().position(|other| Arc::ptr_eq(&other.path, path));
        place.map(|place| begun.remove(place)).is_some()
    }

    /// Shows how far it is.
    fn draw(&self) {
        let Some(line) = &self.line else { return };
        if !self.is_connected.load(Ordering::Relaxed) {
            return line.show(0, None, connecting(&self.host));
        }
        let (bytes, files) = (self.bytes.load(Ordering::Relaxed), self.files.load(Ordering::Relaxed));
        let (total, rate) = (*lock(&self.total), lock(&self.rate).get());
        let text = Progress { bytes, files, total, rate, begun: &lock(&self.begun) }.text();
        line.show(bytes, total.map(|total| total.bytes), text);
    }

    fn progress(&self) {
        self.draw();
        if self.json {
            let mut last = lock(&self.last);
            if last.elapsed() >= Duration::from_secs(1) {
                *last = Instant::now();
                drop(last);
                let total = *lock(&self.total);
                let path = *lock(&self.path);
                let milliseconds = |time: Duration| time.as_secs_f64() * 1000.0;
                self.tell(|| {
                    json!({
                        "bandwidth": path.map(|path| path.bandwidth * 8),
                        "round_trip_ms": path.and_then(|path| path.round_trip).map(milliseconds),
                        "queue_ms": path.map(|path| milliseconds(path.queue)),
                        "loss": path.map(|path| path.loss),
                        "event": "progress",
                        "files": self.files.load(Ordering::Relaxed),
                        "bytes": self.bytes.load(Ordering::Relaxed),
                        "sent": self.sent.load(Ordering::Relaxed),
                        "seconds": self.started.elapsed().as_secs_f64(),
                        "total_files": total.map(|total| total.files),
                        "total_bytes": total.map(|total| total.bytes),
                    })
                });
            }
        }
    }

    /// How it ended.
    pub(super) fn end(&self, uploaded: &Uploaded) -> Result<(), Exit> {
        if let Some(line) = &self.line {
            line.end();
        }
        let counts = &uploaded.counts;
        let (result, text) = match &uploaded.end {
            UploadEnd::Complete => ("complete", None),
            UploadEnd::HalfWay(why) => ("half-way", Some(why.clone())),
            UploadEnd::Broken(why) => ("broken", Some(why.clone())),
            UploadEnd::Stopped => ("stopped", None),
            UploadEnd::NotBegun(error) => ("not-begun", Some(error.to_string())),
            _ => ("unknown", None),
        };
        let mut out = io::stdout().lock();
        if self.json {
            let end = json!({
                "event": "end", "result": result, "text": text, "stored": counts.stored,
                "unchanged": counts.unchanged, "failed": counts.failed, "differing": counts.differing,
                "sent": counts.sent, "kept": counts.kept, "seconds": uploaded.elapsed.as_secs_f64(),
            });
            write_json(&mut out, &end)?;
        } else if matches!(uploaded.end, UploadEnd::Complete) && !self.dry_run {
            writeln!(out, "{}", summary(uploaded))?;
        }
        Ok(out.flush()?)
    }

    /// Lists a file that is stored.
    fn list(&self, path: &Path) {
        if self.verbose && !self.json {
            self.beside(|| {
                let _ = writeln!(io::stdout(), "{}", shown(path));
            });
        }
    }

    /// Says something beside the results.
    fn note(&self, text: &str) {
        self.beside(|| say(text));
    }

    fn beside(&self, write: impl FnOnce()) {
        match &self.line {
            Some(line) => line.beside(write),
            None => write(),
        }
    }

    fn tell(&self, event: impl FnOnce() -> Value) {
        if self.json {
            // A reader that has gone has what it wanted.
            let _ = write_json(&mut io::stdout().lock(), &event());
        }
    }
}

fn summary(uploaded: &Uploaded) -> String {
    let counts = &uploaded.counts;
    let mut parts = vec![format!("{} stored", counted(counts.stored, "file"))];
    if counts.unchanged > 0 {
        parts.push(format!("{} unchanged", counts.unchanged));
    }
    if counts.failed > 0 {
        parts.push(format!("{} failed", counts.failed));
    }
    let seconds = uploaded.elapsed.as_secs_f64().max(0.001);
    let rate = HumanBytes((counts.sent as f64 / seconds) as u64);
    format!("{}; {} sent in {seconds:.1} s ({rate}/s)", parts.join(", "), HumanBytes(counts.sent))
}

fn connecting(host: &str) -> String {
    format!("connecting to {} …", sanitize(host.as_bytes()))
}

fn lock<T>(value: &Mutex<T>) -> MutexGuard<'_, T> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
}
