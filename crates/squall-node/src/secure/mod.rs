//! The secure tier: QUIC.

pub(crate) mod congestion;
