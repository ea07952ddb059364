//! The terminal of a node with a chat: a line that shows members and rates, orders that are typed below it, and the log
//! above both.

use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use squall::socket::process;
use squall_node::chat::Operator;
use squall_node::chat::control::{Answer, HELP, Order, StatsView, Typed};

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
    /// Whether the line is on the screen.
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
        let typed = io::stdin().is_terminal();
        {
            let mut state = self.lock();
            let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
            state.live = io::stderr().is_terminal() && !dumb;
            state.typed = typed && state.live;
            state.operator = Some(Arc::clone(&operator));
        }
        self.tick();
        if self.lock().typed {
            self.print("help tells what can be typed here; quit ends the node");
        }
        let console = Arc::clone(self);
        let read = move || read(&console, &operator, typed);
        // A node in the background must not be stopped for wanting to read.
        let _ = process::ignore_background_reads();
        let spawned = thread::Builder::new().name("squall-console".into()).spawn(read);
        spawned.map_err(|problem| Exit::Failed.with(format_args!("cannot read orders: {problem}")))?;
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
        if !state.live {
            return;
        }
        state.status = status(&state.last, &now);
        state.last = now;
        if !is_ours() {
            state.drawn = false;
        } else if state.drawn && state.typed {
            // In the line above the one in which orders are typed, and back.
            let text = format!("\x1b7\x1b[A\r\x1b[K{}\x1b8", cut(&state.status));
            write(&text);
        } else {
            state.erase();
            state.draw();
        }
    }

    /// Shows the log only, from now on.
    pub(super) fn end(&self) {
        let mut state = self.lock();
        state.erase();
        state.live = false;
        state.operator = None;
    }

    /// Where a line of the log is written.
    pub(super) fn log(self: &Arc<Self>) -> Log {
        Log(Arc::clone(self))
    }

    /// Says something, a line or several.
    fn print(&self, text: &str) {
        let mut state = self.lock();
        state.erase();
        write(&format!("{}\n", text.trim_end()));
        state.draw();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Takes the line off the screen.
    fn erase(&mut self) {
        if std::mem::take(&mut self.drawn) && is_ours() {
            write(if self.typed { "\r\x1b[K\x1b[A\r\x1b[K" } else { "\r\x1b[K" });
        }
    }

    fn draw(&mut self) {
        if self.live && is_ours() {
            let line = cut(&self.status);
            write(&if self.typed { format!("{line}\n{PROMPT}") } else { line });
            self.drawn = true;
        }
    }

    /// The line was left behind by whoever typed one below it.
    fn passed(&mut self) {
        if std::mem::take(&mut self.drawn) && self.typed {
            // Up to the line that shows the state, which goes, and down behind what was typed.
            write("\x1b[2A\r\x1b[M\x1b[B\r");
        }
    }
}

/// A place for lines of the log: above what is redrawn.
pub(super) struct Log(Arc<Console>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.0.lock();
        state.erase();
        let written = io::stderr().write(bytes);
        state.draw();
        written
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// Obeys what is typed, or comes by a pipe. Its end ends the node on a terminal alone.
fn read(console: &Console, operator: &Operator, typed: bool) {
    let mut stdin = io::stdin().lock();
    loop {
        let said = match line(&mut stdin) {
            Ok(Some(said)) => said,
            // One that was closed is none any more: whoever logs out wants the node to go on.
            Ok(None) if typed && io::stdin().is_terminal() => return operator.stop(),
            // In the background a terminal cannot be read; it may come to the foreground.
            Err(_) if typed && io::stdin().is_terminal() => {
                thread::sleep(AGAIN);
                continue;
            }
            Ok(None) | Err(_) => return,
        };
        console.lock().passed();
        let order = said.map_err(ToOwned::to_owned).and_then(|line| Typed::parse(&line));
        match order {
            Ok(Typed::Nothing) => console.redraw(),
            Ok(Typed::Help) => console.print(HELP),
            Ok(Typed::Order(Order::Stop)) => return operator.stop(),
            Ok(Typed::Order(order)) => console.print(&obey(operator, &order)),
            Err(reason) => console.print(&reason),
        }
    }
}

impl Console {
    fn redraw(&self) {
        let mut state = self.lock();
        state.erase();
        state.draw();
    }
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
        level("silent"),
    )
}

/// What a narrow terminal has no room for is not shown, so that the line stays one.
fn cut(line: &str) -> String {
    format!("\x1b[?7l{line}\x1b[?7h")
}

/// Whether the terminal is this program's: a shell's prompt must not be drawn over.
fn is_ours() -> bool {
    !process::is_in_background(&io::stderr())
}

fn write(text: &str) {
    // Nobody is left to tell when standard error is closed.
    let _ = io::stderr().write_all(text.as_bytes());
}

const PROMPT: &str = "> ";
/// How often a terminal in whose background it is is tried again.
const AGAIN: Duration = Duration::from_millis(500);
