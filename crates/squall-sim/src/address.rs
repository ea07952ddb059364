//! Addresses as a test writes them.

use std::net::SocketAddr;

/// What names a socket of a simulated network: a [`SocketAddr`], or its text, `"192.0.2.1:5683"` or
/// `"[2001:db8::1]:5683"`. Names are not looked up.
pub trait IntoAddress {
    /// The address.
    ///
    /// # Panics
    /// When the text is not an IP address with a port: it stands in a test, whose author is told at once.
    fn into_address(self) -> SocketAddr;
}

impl IntoAddress for SocketAddr {
    fn into_address(self) -> SocketAddr {
        self
    }
}

impl IntoAddress for &str {
    #[track_caller]
    fn into_address(self) -> SocketAddr {
        match self.parse() {
            Ok(address) => address,
            Err(_) => {
                panic!("{self:?} is not an IP address with a port, like 192.0.2.1:5683 or [2001:db8::1]:5683")
            }
        }
    }
}
