//! A set of ports.

use alloc::boxed::Box;
use alloc::vec;
use core::fmt;

/// A set of ports: one bit for each of the 65,536, so that a look-up costs one read, whatever is in it.
#[derive(Clone, PartialEq, Eq)]
pub struct PortSet {
    bits: Box<[u64]>,
}

impl PortSet {
    /// The empty set. It takes 8 KiB, full or empty.
    pub fn new() -> Self {
        Self { bits: vec![0; 65_536 / 64].into_boxed_slice() }
    }

    /// Adds `port`.
    pub fn insert(&mut self, port: u16) {
        self.bits[usize::from(port / 64)] |= 1 << (port % 64);
    }

    /// Whether `port` is in the set.
    pub fn contains(&self, port: u16) -> bool {
        self.bits[usize::from(port / 64)] & (1 << (port % 64)) != 0
    }

    /// The ports of the set, from the lowest.
    pub fn iter(&self) -> impl Iterator<Item = u16> + '_ {
        (0..=u16::MAX).filter(|&port| self.contains(port))
    }
}

impl Default for PortSet {
    fn default() -> Self {
        Self::new()
    }
}

impl FromIterator<u16> for PortSet {
    fn from_iter<I: IntoIterator<Item = u16>>(ports: I) -> Self {
        let mut set = Self::new();
        set.extend(ports);
        set
    }
}

impl Extend<u16> for PortSet {
    fn extend<I: IntoIterator<Item = u16>>(&mut self, ports: I) {
        ports.into_iter().for_each(|port| self.insert(port));
    }
}

impl fmt::Debug for PortSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    #[test]
    fn a_set_holds_the_ports_put_into_it_and_no_others() {
        let ports = [0, 63, 64, 1060, u16::MAX];
        let set: PortSet = ports.into_iter().collect();
        assert!(set.iter().eq(ports));
        assert_eq!(format!("{set:?}"), "{0, 63, 64, 1060, 65535}");
    }
}
