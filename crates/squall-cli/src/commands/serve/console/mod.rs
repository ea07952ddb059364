//! The terminal of a node with a chat: the log, below it a line that shows members and rates, and below that the one in
//! which orders are typed.
//!
//! A terminal that becomes narrower breaks lines anew, or cuts them, or does nothing, and tells nobody which. So the
//! cursor rests at the beginning of the first line that is redrawn, hidden, and where one types is drawn: whatever became
//! of the lines, they are what stands behind the cursor.

mod entry;
mod keys;
mod modes;

use std::io::{self, IsTerminal, Read, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::termios::tcgetwinsize;
use signal_hook::consts::{SIGCONT, SIGTSTP, SIGTTOU, SIGWINCH};
use signal_hook::iterator::Signals;
use signal_hook::low_level::raise;
use squall::socket::process;
use squall_node::chat::Operator;
use squall_node::chat::control::{Answer, HELP, Order, StatsView, Typed};

use self::entry::{Asked, Entry, fitting};
use self::keys::Keys;
use self::modes::Modes;
use crate::commands::ctl::show;
use crate::exit::Exit;
use crate::input::line;

/// What standard error shows besides the log; nothing where it is no terminal.
pub(super) struct Console {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Who is asked, once the node runs.
    operator: Option<Arc<Operator>>,
    /// Whether a line is redrawn.
    live: bool,
    /// Whether orders are typed below it.
    typed: bool,
    status: String,
    entry: Entry,
    /// Whether the terminal was taken over.
    taken: bool,
    /// Its modes before that, if they could be set.
    modes: Option<Modes>,
    /// Whether the lines are on the screen.
    drawn: bool,
    last: StatsView,
}

impl Console {
    /// A console that shows nothing but the log.
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { state: Mutex::default() })
    }

    /// Shows what the node does, and takes orders from standard input.
    pub(super) fn start(self: &Arc<Self>, operator: Arc<Operator>) -> Result<(), Exit> {
        let failed = |problem| Exit::Failed.with(format_args!("cannot read orders: {problem}"));
        let asks = io::stdin().is_terminal();
        // A node in the background must not be stopped for wanting to read.
        let _ = process::ignore_background_reads();
        let (live, typed, early) = {
            let mut state = self.lock();
            let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
            state.live = io::stderr().is_terminal() && !dumb;
            state.typed = asks && state.live;
            state.operator = Some(Arc::clone(&operator));
            state.take();
            (state.live, state.typed, modes::waiting())
        };
        if live {
            self.heed_signals().map_err(failed)?;
        }
        self.tick();
        if typed {
            self.print("help tells what can be typed here; quit ends the node");
        }
        let console = Arc::clone(self);
        let read = move || {
            if typed {
                read_keys(&console, &operator, early);
            } else {
                read_lines(&console, &operator, asks);
            }
        };
        thread::Builder::new().name("squall-console".into()).spawn(read).map_err(failed)?;
        Ok(())
    }

    /// Whether it has a line that wants to be redrawn.
    pub(super) fn is_live(&self) -> bool {
        self.lock().live
    }

    /// Shows what the node does now.
    pub(super) fn tick(&self) {
        let operator = {
            let state = self.lock();
            state.operator.clone().filter(|_| state.live)
        };
        let Some(operator) = operator else { return };
        // Asked without the lock: the log must not wait for the hub.
        let Some(now) = operator.stats() else { return };
        let mut state = self.lock();
        state.status = status(&state.last, &now);
        state.last = now;
        // It may have come to the foreground.
        state.take();
        state.show("");
    }

    /// Gives the terminal back and shows the log only, from now on.
    pub(super) fn end(&self) {
        let mut state = self.lock();
        state.give_back();
        state.live = false;
        state.operator = None;
    }

    /// Ends it when it is dropped, however that comes.
    pub(super) fn end_in_any_case(self: &Arc<Self>) -> End {
        End(Arc::clone(self))
    }

    /// Where a line of the log is written.
    pub(super) fn log(self: &Arc<Self>) -> Log {
        Log(Arc::clone(self))
    }

    /// Says something, a line or several.
    fn print(&self, text: &str) {
        self.lock().show(&format!("{}\n", text.trim_end()));
    }

    /// Lets Ctrl-Z stop a node whose terminal is in order, and draws anew what has another size or was not there.
    fn heed_signals(self: &Arc<Self>) -> io::Result<()> {
        let mut signals = Signals::new([SIGCONT, SIGWINCH])?;
        if !process::ignores(SIGTSTP)? {
            signals.add_signal(SIGTSTP)?;
        }
        let console = Arc::clone(self);
        let wait = move || {
            for signal in signals.forever() {
                match signal {
                    SIGTSTP => console.lock().stop(),
                    SIGCONT => console.lock().go_on(),
                    _ => console.lock().show(""),
                }
            }
        };
        thread::Builder::new().name("squall-terminal".into()).spawn(wait)?;
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Writes `text`, whole lines, above what is redrawn. In the background, nothing else is written.
    fn show(&mut self, text: &str) {
        let _ = self.write(text.as_bytes());
    }

    /// In one piece, so that nothing flickers.
    fn write(&mut self, text: &[u8]) -> io::Result<()> {
        let is_ours = is_ours();
        let mut all = Vec::with_capacity(text.len());
        if std::mem::take(&mut self.drawn) && is_ours {
            all.extend_from_slice(ERASE);
        }
        all.extend_from_slice(text);
        if self.live && is_ours {
            all.extend_from_slice(self.lines(size()).as_bytes());
            self.drawn = true;
        }
        io::stderr().write_all(&all)
    }

    /// What is redrawn, on a terminal of so many columns and rows.
    fn lines(&self, (columns, rows): (usize, usize)) -> String {
        // One column stays free: some terminals begin a new line with the last one.
        let columns = columns.saturating_sub(1).max(NARROWEST);
        let status = match fitting(&self.status, columns) {
            all if all.len() == self.status.len() => all.to_owned(),
            _ => format!("{}…", fitting(&self.status, columns - 1)),
        };
        if !self.typed {
            return format!("{NO_WRAP}{status}{WRAP}\r");
        }
        let (before, at, behind) = self.entry.seen(columns - PROMPT.len());
        let at = if at.is_empty() { " " } else { at };
        let typed = format!("{PROMPT}{before}\x1b[7m{at}\x1b[27m{behind}");
        if rows < LEAST_ROWS {
            return format!("{NO_WRAP}{typed}{WRAP}\r");
        }
        format!("{NO_WRAP}{status}\r\n{typed}{WRAP}\x1b[A\r")
    }

    /// Takes the terminal over, if orders are typed and it is this program's.
    fn take(&mut self) {
        if self.live && self.typed && !self.taken && is_ours() {
            self.taken = true;
            // One whose modes cannot be set shows what is typed twice.
            self.modes = Modes::take().ok();
            write(HIDE_CURSOR);
        }
    }

    /// Takes the lines off the screen, and leaves the terminal as it was found.
    fn give_back(&mut self) {
        let is_drawn = std::mem::take(&mut self.drawn);
        let modes = self.modes.take();
        self.taken = false;
        if !is_ours() {
            return;
        }
        if is_drawn {
            write(ERASE);
        }
        if self.live && self.typed {
            write(SHOW_CURSOR);
        }
        if let Some(modes) = modes {
            modes.give_back();
        }
    }

    /// Stops the process, with the terminal in order, until it is continued.
    fn stop(&mut self) {
        self.give_back();
        // SIGTSTP has a handler, and SIGSTOP stops also where no shell is there to continue it, as behind `ssh -t`: where
        // the process group is orphaned, the system passes over this one, which stops as SIGTSTP does elsewhere
        // (https://pubs.opengroup.org/onlinepubs/9799919799/functions/V2_chap02.html#tag_16_04_03). It fails for no
        // signal that there is.
        let _ = raise(SIGTTOU);
        self.go_on();
    }

    /// After a stop, which it may not have been told of.
    fn go_on(&mut self) {
        if !self.live || !is_ours() {
            return;
        }
        match &self.modes {
            Some(modes) => {
                modes.take_again();
                write(HIDE_CURSOR);
            }
            None => {
                self.taken = false;
                self.take();
            }
        }
        self.drawn = false;
        self.show("");
    }
}

/// Ends a console.
pub(super) struct End(Arc<Console>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// A place for lines of the log: above what is redrawn.
pub(super) struct Log(Arc<Console>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().write(bytes).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// Obeys what is typed in the console's own line. So many bytes were typed before it was there.
fn read_keys(console: &Console, operator: &Operator, mut early: u64) {
    let mut keys = Keys::default();
    let mut buffer = [0; 1024];
    loop {
        let bytes = match io::stdin().lock().read(&mut buffer) {
            Ok(count) if count > 0 => &buffer[..count],
            // One that was closed is none any more: whoever logs out wants the node to go on.
            _ if !io::stdin().is_terminal() => return,
            Ok(_) => return operator.stop(),
            // In the background a terminal cannot be read; it may come to the foreground.
            Err(_) => {
                thread::sleep(AGAIN);
                continue;
            }
        };
        for byte in bytes {
            let byte = match byte {
                // Ctrl-D that the terminal took for the end is read as a zero; later, one is Ctrl-Space.
                0 if early > 0 => END_OF_INPUT,
                byte => *byte,
            };
            early = early.saturating_sub(1);
            let Some(key) = keys.push(byte) else { continue };
            let asked = {
                let mut state = console.lock();
                let asked = state.entry.press(key);
                match &asked {
                    Asked::Do(line) => state.show(&format!("{PROMPT}{line}\n")),
                    _ => state.show(""),
                }
                asked
            };
            let goes_on = match asked {
                Asked::Nothing => true,
                Asked::Do(line) => follow(console, operator, Typed::parse(&line)),
                Asked::End => false,
            };
            if !goes_on {
                return operator.stop();
            }
        }
    }
}

/// Obeys what comes line by line, by a pipe or from a terminal that shows no line of the console's. Its end ends the
/// node on a terminal alone.
fn read_lines(console: &Console, operator: &Operator, asks: bool) {
    let mut stdin = io::stdin().lock();
    loop {
        let said = match line(&mut stdin) {
            Ok(Some(said)) => said,
            Ok(None) if asks && io::stdin().is_terminal() => return operator.stop(),
            Err(_) if asks && io::stdin().is_terminal() => {
                thread::sleep(AGAIN);
                continue;
            }
            Ok(None) | Err(_) => return,
        };
        let order = said.map_err(ToOwned::to_owned).and_then(|line| Typed::parse(&line));
        if !follow(console, operator, order) {
            return operator.stop();
        }
    }
}

/// Does what was typed; false if that is to end the node.
fn follow(console: &Console, operator: &Operator, order: Result<Typed, String>) -> bool {
    match order {
        Ok(Typed::Nothing) => {}
        Ok(Typed::Help) => console.print(HELP),
        Ok(Typed::Order(Order::Stop)) => return false,
        Ok(Typed::Order(order)) => console.print(&obey(operator, &order)),
        Err(reason) => console.print(&reason),
    }
    true
}

/// What became of an order, for people.
fn obey(operator: &Operator, order: &Order) -> String {
    let (mut members, mut bans, mut text) = (Vec::new(), Vec::new(), String::new());
    let told = operator.obey(order, &mut |answer| {
        match answer {
            Answer::Member(row) => members.push(row),
            Answer::Ban(row) => bans.push(row),
            Answer::Stats(stats) => text = show::stats(&stats),
            Answer::Node(node) => text = format!("process {}", node.pid),
            Answer::Done(done) if members.is_empty() && bans.is_empty() && text.is_empty() => {
                text = show::done(order, &done);
            }
            Answer::Error(reason) => text = reason,
            _ => {}
        }
        Ok(())
    });
    if let Err(problem) = told {
        return problem.to_string();
    }
    match (members.is_empty(), bans.is_empty()) {
        (false, _) => show::members(&members),
        (_, false) => show::bans(&bans),
        _ => text,
    }
}

/// What a node does, in a line.
fn status(last: &StatsView, now: &StatsView) -> String {
    let level = |name: &str| now.chat.get(name).copied().unwrap_or(0);
    let seconds = now.elapsed - last.elapsed;
    let rate = |name: &str| {
        let more = level(name).saturating_sub(last.chat.get(name).copied().unwrap_or(0));
        if seconds > 0.0 { (more as f64 / seconds).round() } else { 0.0 }
    };
    let sum = |names: [&str; 3]| names.into_iter().map(level).sum::<u64>();
    let plural = |count: u64| if count == 1 { "" } else { "s" };
    format!(
        "{} member{} in {} room{}  {} messages/s  {} deliveries/s  shed {}  evicted {}",
        level("members"),
        plural(level("members")),
        level("rooms"),
        plural(level("rooms")),
        rate("messages"),
        rate("deliveries"),
        sum(["shed", "flooded", "over_rate"]),
        level("evicted"),
    )
}

/// Whether the terminal is this program's: a shell's prompt must not be drawn over.
fn is_ours() -> bool {
    !process::is_in_background(&io::stderr())
}

/// Columns and rows of the terminal.
fn size() -> (usize, usize) {
    match tcgetwinsize(io::stderr()) {
        Ok(size) if size.ws_col > 0 => (size.ws_col.into(), size.ws_row.into()),
        _ => (80, 24),
    }
}

fn write(text: impl AsRef<[u8]>) {
    // Nobody is left to tell when standard error is closed.
    let _ = io::stderr().write_all(text.as_ref());
}

/// Ctrl-D.
const END_OF_INPUT: u8 = 0x04;
const PROMPT: &str = "> ";
/// From the cursor on, and behind it.
const ERASE: &[u8] = b"\r\x1b[J";
/// A terminal that becomes narrower while a line is drawn cuts it.
const NO_WRAP: &str = "\x1b[?7l";
const WRAP: &str = "\x1b[?7h";
const HIDE_CURSOR: &str = "\x1b[?25l";
const SHOW_CURSOR: &str = "\x1b[?25h";
/// Columns in which lines are drawn though there are fewer.
const NARROWEST: usize = 4;
/// Rows of a terminal that has room for the line above that of the orders.
const LEAST_ROWS: usize = 3;
/// How often a terminal in whose background it is is tried again.
const AGAIN: Duration = Duration::from_millis(500);
