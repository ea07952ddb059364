//! From addresses to names.

use std::ffi::CStr;
use std::net::SocketAddr;

use super::NameError;
use crate::Address;

/// A question for the name of an address
/// ([getnameinfo(3)](https://man7.org/linux/man-pages/man3/getnameinfo.3.html)). An address or port without a
/// name is answered by its number, unless [`name_required`](Self::name_required) says otherwise.
#[derive(Clone, Debug)]
#[must_use = "nothing is looked up before `look_up`"]
pub struct Reverse {
    address: SocketAddr,
    flags: libc::c_int,
}

/// A host and a service, each by name or by number.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HostService {
    /// The host.
    pub host: String,
    /// The service.
    pub service: String,
}

impl Reverse {
    /// A question for the names of `address` and its port, the port being one of TCP.
    pub fn new(address: SocketAddr) -> Self {
        Self { address, flags: 0 }
    }

    /// The host by number, without asking anybody (`NI_NUMERICHOST`).
    pub fn numeric_host(self) -> Self {
        self.flag(libc::NI_NUMERICHOST)
    }

    /// The service by number (`NI_NUMERICSERV`).
    pub fn numeric_service(self) -> Self {
        self.flag(libc::NI_NUMERICSERV)
    }

    /// A host without a name is an error (`NI_NAMEREQD`).
    pub fn name_required(self) -> Self {
        self.flag(libc::NI_NAMEREQD)
    }

    /// The port is one of UDP (`NI_DGRAM`).
    pub fn datagram(self) -> Self {
        self.flag(libc::NI_DGRAM)
    }

    /// Asks.
    ///
    /// # Errors
    /// [`NameError`]: `NoSuchName` only when a name is required.
    pub fn look_up(&self) -> Result<HostService, NameError> {
        let raw = Address::Ip(self.address).to_raw();
        let mut host = [0; HOST];
        let mut service = [0; SERVICE];
        // SAFETY: the address is good for the length it states, the buffers for theirs.
        let code = unsafe {
            libc::getnameinfo(
                (&raw const raw.storage).cast(),
                raw.len,
                host.as_mut_ptr(),
                HOST as _,
                service.as_mut_ptr(),
                SERVICE as _,
                self.flags,
            )
        };
        if code != 0 {
            return Err(NameError::from_eai(code, format!("the name of {}", self.address)));
        }
        Ok(HostService { host: text(&host), service: text(&service) })
    }

    fn flag(mut self, flag: libc::c_int) -> Self {
        self.flags |= flag;
        self
    }
}

/// What the C library wrote: a text that ends with a zero.
fn text(buffer: &[libc::c_char]) -> String {
    let bytes: Vec<u8> = buffer.iter().map(|byte| *byte as u8).collect();
    CStr::from_bytes_until_nul(&bytes).unwrap_or_default().to_string_lossy().into_owned()
}

/// `NI_MAXHOST` and `NI_MAXSERV`, the longest that there are.
const HOST: usize = 1025;
const SERVICE: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_localhost() {
        let reverse = Reverse::new("127.0.0.1:9".parse().unwrap()).numeric_service().name_required();
        let found = reverse.look_up().unwrap();
        assert!(found.host.contains("localhost"), "{found:?}");
        assert_eq!(found.service, "9");
    }

    #[test]
    fn numbers_ask_nobody() {
        let reverse = Reverse::new("[2001:db8::1]:65535".parse().unwrap()).numeric_host().numeric_service();
        let expected = HostService { host: "2001:db8::1".into(), service: "65535".into() };
        assert_eq!(reverse.look_up().unwrap(), expected);
    }
}
