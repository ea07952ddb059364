//! Typed socket options, as methods of [`Socket`], grouped by theme.
//!
//! An option that the system or the portable back end lacks is refused with `Unsupported`, so that a caller
//! can do without and say so.

mod buffers;
mod common;
mod credentials;
mod ip;
mod multicast;
mod numbers;
mod offload;
mod path_mtu;
mod receive;
#[cfg(test)]
mod tests;

pub use buffers::Memory;
pub use credentials::Credentials;
pub use ip::Ecn;
pub use path_mtu::PathMtuDiscovery;

use std::io;
use std::os::fd::AsFd;

use crate::socket::{get_option, set_option};
use crate::{Family, Socket};
use numbers::Number;

impl Socket {
    /// An option that has no method of its own, by level and name, if its value is an `int`
    /// ([getsockopt(2)](https://man7.org/linux/man-pages/man2/getsockopt.2.html)).
    ///
    /// # Errors
    /// The system's: `ENOPROTOOPT` for an unknown option.
    pub fn int_option(&self, level: i32, name: i32) -> io::Result<i32> {
        get_option(self.as_fd(), level, name)
    }

    /// Sets an option that has no method of its own, by level and name, if its value is an `int`.
    ///
    /// # Errors
    /// The system's: `ENOPROTOOPT` for an unknown option, `InvalidInput` for one that is no `int`.
    pub fn set_int_option(&self, level: i32, name: i32, value: i32) -> io::Result<()> {
        set_option(self.as_fd(), level, name, value)
    }

    fn get(&self, option: Number) -> io::Result<i32> {
        get_option(self.as_fd(), option.level()?, option.name)
    }

    fn set(&self, option: Number, value: i32) -> io::Result<()> {
        set_option(self.as_fd(), option.level()?, option.name, value)
    }

    /// Reads the option of the socket's own family.
    fn get_ip(&self, v4: Number, v6: Number) -> io::Result<i32> {
        match self.family()? {
            Family::V4 => self.get(v4),
            Family::V6 => self.get(v6),
            family => Err(not_ip(family, v4)),
        }
    }

    /// Sets the option of the socket's own family.
    fn set_own_ip(&self, v4: Number, v6: Number, value: i32) -> io::Result<()> {
        match self.family()? {
            Family::V4 => self.set(v4, value),
            Family::V6 => self.set(v6, value),
            family => Err(not_ip(family, v4)),
        }
    }

    /// Sets the option of the socket's family. An IPv6 socket may carry IPv4 too, by mapped addresses, and
    /// those packets obey the IPv4 option: it is set as well. Systems that refuse it on an IPv6 socket have
    /// no use for it there, so that this refusal counts for nothing.
    fn set_ip(&self, v4: Number, v6: Number, value: i32) -> io::Result<()> {
        self.set_own_ip(v4, v6, value)?;
        if self.family()? == Family::V6 {
            let _ = self.set(v4, value);
        }
        Ok(())
    }
}

fn not_ip(family: Family, option: Number) -> io::Error {
    let reason = format!("{} is an option of IP sockets, and this one is {family:?}", option.label);
    io::Error::new(io::ErrorKind::InvalidInput, reason)
}
