//! A relay that runs: what it is told, and how it ends.

use std::fmt;
use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use squall::Uri;
use squall_weather::Weather;

use super::control::{HELP, Order};
use super::tcp::not_for_streams;
use super::udp::Command;
use super::{RelayCounts, RelayError};
use crate::parse_weather;

/// A running relay. Dropping it leaves it running until the process ends; [`stop`](RelayHandle::stop) and
/// [`wait`](Self::wait) end it.
#[derive(Debug)]
pub struct RunningRelay {
    handle: RelayHandle,
    thread: JoinHandle<Result<RelayCounts, RelayError>>,
    locals: Vec<Uri>,
    to: Uri,
    seed: u64,
}

impl RunningRelay {
    pub(super) fn new(
        handle: RelayHandle,
        thread: JoinHandle<Result<RelayCounts, RelayError>>,
        locals: Vec<Uri>,
        to: Uri,
        seed: u64,
    ) -> Self {
        Self { handle, thread, locals, to, seed }
    }

    /// Where it listens, with the ports that the kernel chose.
    pub fn locals(&self) -> &[Uri] {
        &self.locals
    }

    /// The server's address, its name resolved.
    pub fn to(&self) -> &Uri {
        &self.to
    }

    /// What all decisions follow from.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// What it is told by, from any thread.
    pub fn handle(&self) -> RelayHandle {
        self.handle.clone()
    }

    /// Waits until it has been stopped, and tells what it did.
    ///
    /// # Errors
    /// [`RelayError::Ended`], with what it did, when the system failed it before or the record could not be written;
    /// [`RelayError::Failed`] when it had done nothing yet.
    pub fn wait(self) -> Result<RelayCounts, RelayError> {
        match self.thread.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

/// Tells a running relay what to do. Clones tell the same one.
#[derive(Clone)]
pub struct RelayHandle {
    shared: Arc<Shared>,
}

/// What gives a command to the relay.
pub(super) type Send = Box<dyn Fn(Command) -> bool + std::marker::Send + Sync>;

/// What a relay is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// Of datagrams, in a weather.
    Datagrams,
    /// Of datagrams, as a record says.
    Replay,
    /// Of connections.
    Stream,
}

struct Shared {
    /// False when the relay has ended.
    send: Send,
    mode: Mode,
    state: Mutex<State>,
}

struct State {
    weather: Weather,
    /// When the blackout ends that was asked for last.
    blackout: Option<Instant>,
}

impl State {
    /// For how much longer nothing passes.
    fn blackout_left(&self) -> Option<Duration> {
        self.blackout?.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
    }
}

impl fmt::Debug for RelayHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RelayHandle").finish_non_exhaustive()
    }
}

/// What a relay does to datagrams or connections.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct InForce {
    /// The weather.
    pub weather: Weather,
    /// For how much longer a [`blackout`](RelayHandle::blackout) lets nothing pass before it.
    pub blackout: Option<Duration>,
}

impl fmt::Display for InForce {
    /// The weather, and a blackout that is on: `lte; blackout for 8.3 s more`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.weather.fmt(f)?;
        match self.blackout {
            Some(left) => write!(f, "; blackout for {:.1} s more", left.as_secs_f64()),
            None => Ok(()),
        }
    }
}

/// What a relay answered to a line.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Answer {
    /// It did so; this is in force.
    Weather(Box<InForce>),
    /// This is what it did so far.
    Counts(Box<RelayCounts>),
    /// This is what can be said.
    Help(&'static str),
    /// It ends.
    Ending,
    /// The line was empty.
    Nothing,
}

impl RelayHandle {
    pub(super) fn new(send: Send, weather: Weather, mode: Mode) -> Self {
        let state = Mutex::new(State { weather, blackout: None });
        Self { shared: Arc::new(Shared { send, mode, state }) }
    }

    /// Does what a line says: `loss=5%` changes the weather, `blackout 10s` lets nothing pass for so long,
    /// `help` tells the rest.
    ///
    /// # Errors
    /// What is wrong with the line, or that the relay has ended.
    pub fn obey(&self, line: &str) -> Result<Answer, String> {
        let weather =
            |weather| Answer::Weather(Box::new(InForce { weather, blackout: self.state().blackout_left() }));
        match Order::parse(line)? {
            None => Ok(Answer::Nothing),
            Some(Order::Help) => Ok(Answer::Help(HELP)),
            Some(Order::Tell) => Ok(weather(self.weather())),
            Some(Order::Weather(text)) => self.change(&text).map(weather),
            Some(Order::Blackout(length)) => self.blackout(length).map(weather),
            Some(Order::Counts) => match self.counts() {
                Some(counts) => Ok(Answer::Counts(Box::new(counts))),
                None => Err(ENDED.into()),
            },
            Some(Order::Quit) => {
                self.stop();
                Ok(Answer::Ending)
            }
        }
    }

    /// The weather in force, without a [`blackout`](Self::blackout) that was asked for.
    pub fn weather(&self) -> Weather {
        self.state().weather.clone()
    }

    /// Changes the weather by `text`, as [`Weather::changed`] does, or a TOML file's replaces it, and returns the weather that is then in force. What is
    /// under way keeps its times, and what comes arrives behind it unless the weather says `order=free`; times in the
    /// weather begin anew.
    ///
    /// # Errors
    /// What is wrong with the text, or that the relay has ended.
    pub fn change(&self, text: &str) -> Result<Weather, String> {
        let mut state = self.state();
        let weather = if text.ends_with(".toml") {
            parse_weather(text).map_err(|error| error.to_string())?
        } else {
            state.weather.changed(text).map_err(|error| error.to_string())?
        };
        self.send_weather(&weather, state.blackout)?;
        state.weather = weather.clone();
        Ok(weather)
    }

    /// Lets nothing pass for `length` from now on, and then again what the weather does. It replaces one
    /// that is not over.
    ///
    /// # Errors
    /// What is wrong with the length, or that the relay has ended.
    pub fn blackout(&self, length: Duration) -> Result<Weather, String> {
        let mut state = self.state();
        let until = Some(Instant::now() + length);
        self.send_weather(&state.weather, until)?;
        state.blackout = until;
        Ok(state.weather.clone())
    }

    /// What the relay did so far; `None` when it has ended.
    pub fn counts(&self) -> Option<RelayCounts> {
        let (give, take) = mpsc::sync_channel(1);
        if !(self.shared.send)(Command::Counts(give)) {
            return None;
        }
        let mut counts = take.recv().ok()?;
        counts.blackout = self.state().blackout_left();
        Some(counts)
    }

    /// Ends the relay; what is under way is lost.
    pub fn stop(&self) {
        // If it has ended already, there is nothing to do.
        let _ = (self.shared.send)(Command::Stop);
    }

    fn send_weather(&self, weather: &Weather, blackout: Option<Instant>) -> Result<(), String> {
        match self.shared.mode {
            Mode::Replay => return Err("a record is played, which has its weather in it".into()),
            Mode::Stream => {
                if let Some(key) = not_for_streams(weather) {
                    return Err(RelayError::Stream { key }.to_string());
                }
            }
            Mode::Datagrams => {}
        }
        let rest = blackout.map(|until| until.saturating_duration_since(Instant::now()));
        let weather = match rest.filter(|rest| !rest.is_zero()) {
            Some(rest) => {
                let text = format!("blackout=0s+{}ns", rest.as_nanos());
                weather.changed(&text).map_err(|error| error.to_string())?
            }
            None => weather.clone(),
        };
        // Waited for, so that what is sent from now on meets it.
        let (give, take) = mpsc::sync_channel(1);
        let sent = (self.shared.send)(Command::Change(Box::new(weather), give));
        if sent && take.recv().is_ok() { Ok(()) } else { Err(ENDED.into()) }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        // Nothing is left half done by a thread that panics here.
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const ENDED: &str = "the relay has ended";
