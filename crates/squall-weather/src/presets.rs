//! Weather with names.

/// A weather with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Preset {
    /// What it is called.
    pub name: &'static str,
    /// What it is, as text that [`Weather`](crate::Weather) reads.
    pub text: &'static str,
    /// Where its numbers come from.
    pub source: &'static str,
}

/// All presets. `down` is towards the client.
pub const PRESETS: &[Preset] = &[
    Preset { name: "clear", text: "clear", source: "nothing is done to any datagram" },
    Preset {
        name: "wifi",
        text: "delay=2ms,jitter=1.5ms,jitter-shape=pareto,burst=0.2%:40%,rate=50mbit,queue=625KB",
        source: "chosen",
    },
    Preset {
        name: "lte",
        text: "delay=25ms,jitter=4ms,jitter-shape=pareto,loss=0.1%,down.rate=30mbit,up.rate=10mbit",
        source: "chosen",
    },
    Preset {
        name: "satellite",
        text: "delay=280ms,jitter=5ms,loss=0.5%,down.rate=20mbit,up.rate=3mbit",
        source: "chosen",
    },
    Preset { name: "transatlantic", text: "delay=38ms,jitter=300us,loss=0.01%,rate=1gbit", source: "chosen" },
    Preset {
        name: "storm",
        text: "delay=100ms,jitter=50ms,order=free,burst=2%:20%,loss=5%,duplicate=2%,corrupt=1%,reorder=5%,rate=2mbit",
        source: "chosen",
    },
    Preset { name: "half", text: "up.loss=50%", source: "chosen" },
];
