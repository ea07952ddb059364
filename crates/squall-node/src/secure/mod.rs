//! The secure tier: QUIC.

#[cfg_attr(not(test), expect(dead_code, reason = "the endpoint takes it"))]
pub(crate) mod congestion;
