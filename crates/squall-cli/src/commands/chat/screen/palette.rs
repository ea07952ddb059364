//! Colours, and what stands for them where there are none.

use ratatui::style::{Color, Modifier, Style};

use crate::output::no_color;

/// How things look.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Palette {
    has_colour: bool,
}

impl Palette {
    pub(crate) fn new(has_colour: bool) -> Self {
        Self { has_colour }
    }

    /// As the environment wants it.
    pub(crate) fn of_environment() -> Self {
        Self::new(!no_color())
    }

    /// A name's own colour, the same in every run.
    pub(crate) fn name(&self, name: &str) -> Style {
        // FNV-1a: few names, and they differ.
        let hash = name
            .bytes()
            .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        self.coloured(NAMES[(hash >> 8) as usize % NAMES.len()], Modifier::BOLD)
    }

    pub(crate) fn bar(&self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    pub(crate) fn faint(&self) -> Style {
        self.coloured(Color::DarkGray, Modifier::DIM)
    }

    pub(crate) fn good(&self) -> Style {
        self.coloured(Color::Green, Modifier::empty())
    }

    pub(crate) fn warning(&self) -> Style {
        self.coloured(Color::Yellow, Modifier::empty())
    }

    pub(crate) fn bad(&self) -> Style {
        self.coloured(Color::Red, Modifier::BOLD)
    }

    pub(crate) fn strong(&self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    fn coloured(&self, colour: Color, without: Modifier) -> Style {
        if self.has_colour { Style::new().fg(colour) } else { Style::new().add_modifier(without) }
    }
}

/// Colours that can be read on light and on dark ground.
const NAMES: [Color; 14] = [
    Color::Indexed(33),
    Color::Indexed(166),
    Color::Indexed(35),
    Color::Indexed(170),
    Color::Indexed(37),
    Color::Indexed(136),
    Color::Indexed(99),
    Color::Indexed(71),
    Color::Indexed(168),
    Color::Indexed(67),
    Color::Indexed(203),
    Color::Indexed(141),
    Color::Indexed(38),
    Color::Indexed(172),
];
