//! The modes of the terminal: what is typed comes at once, and the terminal does not show it by itself.

use std::io;

use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};

/// Modes as they were before.
#[derive(Debug)]
pub(super) struct Modes(Termios);

impl Modes {
    /// Has keys come one by one. Ctrl-C and Ctrl-Z stay signals, and a line feed goes on beginning a line: what this
    /// node's other processes write must not form stairs.
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

fn apply(before: &Termios) -> io::Result<()> {
    let mut modes = before.clone();
    modes.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO | LocalModes::IEXTEN);
    modes.special_codes[SpecialCodeIndex::VMIN] = 1;
    modes.special_codes[SpecialCodeIndex::VTIME] = 0;
    Ok(tcsetattr(io::stdin(), OptionalActions::Now, &modes)?)
}
