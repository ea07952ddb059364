//! The terminal: taken over, given back whatever happens, stopped and gone on with.

use std::io::{self, Write};
use std::panic;
use std::process;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError};
use std::thread;

use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::event::{
    self, DisableBracketedPaste, DisableFocusChange, DisableMouseCapture, EnableBracketedPaste,
    EnableFocusChange, EnableMouseCapture,
};
use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use ratatui::crossterm::{Command, cursor, execute};
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGTERM, SIGTSTP};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;
use squall::socket::Waker;

use crate::exit::Exit;

/// What a terminal shows its user through, until it is dropped.
pub(super) struct Screenful {
    terminal: Terminal<CrosstermBackend<io::Stdout>>,
    has_mouse: bool,
}

impl Screenful {
    /// Takes the terminal over.
    ///
    /// # Errors
    /// The system's. The terminal is as it was then.
    pub(super) fn new(has_mouse: bool) -> io::Result<Self> {
        restore_on_panic();
        let taken = take(has_mouse).and_then(|()| Terminal::new(CrosstermBackend::new(io::stdout())));
        match taken {
            Ok(terminal) => Ok(Self { terminal, has_mouse }),
            Err(error) => {
                give_back();
                Err(error)
            }
        }
    }

    pub(super) fn draw(&mut self, draw: impl FnOnce(&mut ratatui::Frame<'_>)) -> io::Result<()> {
        self.terminal.draw(draw).map(drop)
    }

    /// Draws everything anew with the next frame.
    pub(super) fn clear(&mut self) -> io::Result<()> {
        // Not `Terminal::clear`: it asks the terminal where the cursor is, and the keys' thread would read the answer.
        let size = self.terminal.size()?;
        self.terminal.resize(size.into())
    }

    /// Gives the terminal back and stops, until the shell or whoever else wants it to go on.
    pub(super) fn suspend(&mut self) -> io::Result<()> {
        give_back();
        emulate_default_handler(SIGTSTP)?;
        self.take_again()
    }

    /// Takes the terminal over once more, whose modes somebody else may have changed.
    pub(super) fn take_again(&mut self) -> io::Result<()> {
        // What raw mode is remembered to have been is what it was before the stop.
        let _ = disable_raw_mode();
        take(self.has_mouse)?;
        self.clear()
    }

    /// Rings.
    pub(super) fn ring(&mut self) -> io::Result<()> {
        let mut out = io::stdout();
        out.write_all(b"\x07")?;
        out.flush()
    }
}

impl Drop for Screenful {
    fn drop(&mut self) {
        give_back();
    }
}

/// What a terminal and the system tell.
#[derive(Debug)]
pub(super) enum Happened {
    Typed(event::Event),
    /// The terminal is gone, or a signal asks the program to end.
    End,
    /// To stop for a while, by SIGTSTP.
    Stop,
    /// It goes on after a stop.
    Continued,
}

/// Tells what is typed and which signals come, each by a thread of its own. A second signal to end ends the program at
/// once.
///
/// # Errors
/// The system's.
pub(super) fn listen(tell: &SyncSender<Happened>, waker: &Waker) -> io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP, SIGTSTP, SIGCONT])?;
    let (to, wake) = (tell.clone(), waker.clone());
    let wait = move || {
        let mut is_to_end = false;
        for signal in signals.forever() {
            let happened = match signal {
                SIGTSTP => Happened::Stop,
                SIGCONT => Happened::Continued,
                // Whoever should end is stuck in a terminal that takes nothing any more.
                _ if std::mem::replace(&mut is_to_end, true) => end_at_once(),
                _ => Happened::End,
            };
            match to.try_send(happened) {
                Ok(()) => wake.wake(),
                Err(TrySendError::Full(Happened::End)) => end_at_once(),
                Err(TrySendError::Full(_)) => {}
                Err(TrySendError::Disconnected(_)) => return,
            }
        }
    };
    thread::Builder::new().name("squall-signals".into()).spawn(wait)?;
    let (to, wake) = (tell.clone(), waker.clone());
    let read = move || {
        loop {
            let (happened, is_last) = match event::read() {
                Ok(event) => (Happened::Typed(event), false),
                Err(_) => (Happened::End, true),
            };
            if to.send(happened).is_err() {
                return;
            }
            wake.wake();
            if is_last {
                return;
            }
        }
    };
    thread::Builder::new().name("squall-keys".into()).spawn(read)?;
    Ok(())
}

fn take(has_mouse: bool) -> io::Result<()> {
    TAKEN.store(true, Ordering::SeqCst);
    enable_raw_mode()?;
    let mut out = io::stdout();
    execute!(out, EnterAlternateScreen, NoWheelAsKeys, EnableBracketedPaste, EnableFocusChange)?;
    if has_mouse { execute!(out, EnableMouseCapture) } else { Ok(()) }
}

fn give_back() {
    if TAKEN.swap(false, Ordering::SeqCst) {
        // A terminal that is gone needs nothing.
        let _ = execute!(
            io::stdout(),
            DisableMouseCapture,
            DisableFocusChange,
            DisableBracketedPaste,
            WheelAsKeys,
            LeaveAlternateScreen,
            cursor::Show
        );
        let _ = disable_raw_mode();
    }
}

/// Ends without a word to the terminal but for its modes, which can always be set.
fn end_at_once() -> ! {
    let _ = disable_raw_mode();
    process::exit(Exit::Interrupted.code().into())
}

/// A panic's message is to be read, and the shell to be used.
fn restore_on_panic() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            give_back();
            before(panic);
        }));
    });
}

/// Whether the terminal is ours.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// On the alternate screen many terminals turn the wheel into arrow keys, which would leaf through what was sent
/// (DECSET 1007 of xterm's [control sequences](https://invisible-island.net/xterm/ctlseqs/ctlseqs.html)).
struct NoWheelAsKeys;

impl Command for NoWheelAsKeys {
    fn write_ansi(&self, f: &mut impl std::fmt::Write) -> std::fmt::Result {
        f.write_str("\x1b[?1007l")
    }
}

struct WheelAsKeys;

impl Command for WheelAsKeys {
    fn write_ansi(&self, f: &mut impl std::fmt::Write) -> std::fmt::Result {
        f.write_str("\x1b[?1007h")
    }
}
