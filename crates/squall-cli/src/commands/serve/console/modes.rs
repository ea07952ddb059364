//! The modes of the terminal: what is typed comes at once, and the terminal does not show it by itself.

use std::io;

use rustix::io::ioctl_fionread;
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};

/// Modes as they were before.
#[derive(Debug)]
pub(super) struct Modes(Termios);

impl Modes {
    /// Has keys come one by one. Ctrl-C and Ctrl-Z stay signals; Ctrl-\ is none, as it would end the node with the
    /// terminal as it is now. A line feed goes on beginning a line: what this node's other processes write must not form
    /// stairs.
    pub(super) fn take() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        apply(&before)?;
        Ok(Self(before))
    }

    /// The same again, after somebody else may have changed them.
    pub(super) fn take_again(&self) {
        // A terminal that is gone needs nothing.
        let _ = apply(&self.0);
    }

    /// Sets them to what they were.
    pub(super) fn give_back(self) {
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}

/// How many bytes wait to be read.
pub(super) fn waiting() -> u64 {
    ioctl_fionread(io::stdin()).unwrap_or(0)
}

fn apply(before: &Termios) -> io::Result<()> {
    let mut modes = before.clone();
    modes.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO | LocalModes::IEXTEN);
    modes.special_codes[SpecialCodeIndex::VQUIT] = DISABLED;
    modes.special_codes[SpecialCodeIndex::VMIN] = 1;
    modes.special_codes[SpecialCodeIndex::VTIME] = 0;
    Ok(tcsetattr(io::stdin(), OptionalActions::Now, &modes)?)
}

/// What no key is: `_POSIX_VDISABLE` ([termios(3)](https://man7.org/linux/man-pages/man3/termios.3.html)).
const DISABLED: u8 = 0;
