//! Weather with names.

/// A weather with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Preset {
    /// What it is called.
    pub name: &'static str,
    /// What it is, as text that [`Weather`](crate::Weather) reads.
    pub text: &'static str,
    /// Where its numbers come from; "chosen" are those that come from nowhere else.
    pub source: &'static str,
}

/// All presets. Down is towards the client, which is the one with the wireless link.
///
/// They are for a first look, and to have the same words for the same numbers. Real paths differ: for a path that is
/// known, write its own numbers.
pub const PRESETS: &[Preset] = &[
    Preset { name: "clear", text: "clear", source: "nothing is done to any datagram" },
    // Simulated, these numbers give round trips of 5.1 ms (median), 13.5 ms (90 %) and 33.5 ms (99 %).
    Preset {
        name: "wifi",
        text: "delay=500us,jitter=3ms,jitter-shape=pareto,burst=0.2%:50%,rate=50mbit",
        source: "round trips of 3 ms (median) to 20 ms (90 %) over 47,000 devices of a campus, long-tailed: Sui et al., \
            MobiSys 2016, https://doi.org/10.1145/2906388.2906393; the worst 1 % there, 250 ms and more, is left \
            out. Losses in bursts (0.4 %, 2 datagrams) and the rate are chosen",
    },
    Preset {
        name: "lte",
        text: "delay=30ms,jitter=3ms,jitter-shape=pareto,loss=0.1%,up.rate=6mbit,down.rate=13mbit,up.queue=150KB,\
            down.queue=325KB",
        source: "rates are the medians of Huang et al., MobiSys 2012, https://doi.org/10.1145/2307636.2307658; the \
            mean round trip of 66 ms is that of a speed test of a new network, \
            https://rcrwireless.com/20110614/wireless/rcr-wireless-news-mbb-philadelphia-speed-test-show-showdown-in-the-city-of-brotherly-love. \
            Shape of the jitter, loss and queues (200 ms) are chosen",
    },
    Preset {
        name: "satellite",
        text: "delay=279ms,jitter=5ms,loss=0.1%,up.rate=10mbit,down.rate=100mbit",
        source: "one hop by a geostationary satellite at the edge of its view, RFC 2488 section 2, \
            https://www.rfc-editor.org/rfc/rfc2488#section-2; rates of a subscription in \
            https://blog.apnic.net/2022/11/28/fact-checking-starlinks-performance-figures. Jitter and loss are chosen",
    },
    Preset {
        name: "transatlantic",
        text: "delay=39ms,jitter=200us,loss=0.01%,rate=1gbit",
        source: "78.33 ms round trip from New York to Paris in https://wonderproxy.com/blog/miles-per-milisecond/ (the \
            quickest cable, to London, takes 58.95 ms). Jitter, loss and rate are chosen",
    },
    Preset {
        name: "storm",
        text: "delay=100ms,jitter=50ms,order=free,loss=5%,burst=2%:20%,duplicate=2%,reorder=5%,reorder-by=50ms,\
            corrupt=1%,rate=2mbit",
        source: "chosen: all at once and more than any usable path has, to find what a protocol forgot. 14 % are lost",
    },
    Preset {
        name: "half",
        text: "up.loss=50%",
        source: "chosen: each request is lost with probability one half, and no answer is, so that n tries succeed with \
            1 − 2^−n",
    },
];
