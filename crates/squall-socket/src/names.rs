//! Names: of hosts, services, protocols and this machine, to numbers and back.
//!
//! Looking up a host asks the system's resolver, which reads files and asks servers: it can take seconds and
//! blocks its thread. Everything here may be called from several threads at once.

mod database;
mod host;
mod ipv4;
mod lookup;
mod reverse;

use std::ffi::{CStr, CString};
use std::io;

use thiserror::Error;

pub use database::{protocol_name, protocol_number, service_name, service_port};
pub use host::{HostEntry, fqdn, host_by_address, host_by_name, host_name};
pub use ipv4::parse_ipv4_short;
pub use lookup::{Entry, Lookup, resolve};
pub use reverse::{HostService, Reverse};

/// Why a name could not be looked up. `what` says which one: `host "example.org"`.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum NameError {
    /// There is no such name, or it has no address of the family that was asked for (`EAI_NONAME`,
    /// `EAI_NODATA`). Asking again gives the same.
    #[error("no such name: {what}")]
    NoSuchName {
        /// What was looked up.
        what: String,
    },
    /// There is no such service for this kind of socket (`EAI_SERVICE`).
    #[error("no such service: {what}")]
    NoSuchService {
        /// What was looked up.
        what: String,
    },
    /// The name servers did not answer; asking again later may help (`EAI_AGAIN`).
    #[error("the name servers did not answer for {what}; try again")]
    TryAgain {
        /// What was looked up.
        what: String,
    },
    /// A name server answered that it cannot (`EAI_FAIL`).
    #[error("the name servers failed for {what}")]
    Failed {
        /// What was looked up.
        what: String,
    },
    /// The question makes no sense (`EAI_FAMILY`, `EAI_SOCKTYPE`, `EAI_BADFLAGS`, a zero byte in a name).
    #[error("cannot look up {what}: {reason}")]
    Invalid {
        /// What was looked up.
        what: String,
        /// The C library's words.
        reason: String,
    },
    /// The system failed (`EAI_SYSTEM`, `EAI_MEMORY`).
    #[error("cannot look up {what}")]
    System {
        /// What was looked up.
        what: String,
        /// What the system said.
        source: io::Error,
    },
}

impl NameError {
    /// From getaddrinfo's or getnameinfo's result
    /// ([getaddrinfo(3)](https://man7.org/linux/man-pages/man3/getaddrinfo.3.html)). `errno` must still be
    /// theirs.
    fn from_eai(code: libc::c_int, what: String) -> Self {
        match code {
            libc::EAI_SYSTEM => Self::System { what, source: io::Error::last_os_error() },
            libc::EAI_MEMORY => Self::System { what, source: io::ErrorKind::OutOfMemory.into() },
            libc::EAI_NONAME => Self::NoSuchName { what },
            code if NO_ADDRESS.contains(&code) => Self::NoSuchName { what },
            libc::EAI_SERVICE => Self::NoSuchService { what },
            libc::EAI_AGAIN => Self::TryAgain { what },
            libc::EAI_FAIL => Self::Failed { what },
            _ => {
                // SAFETY: gai_strerror returns a text that ends with a zero, for every number.
                let reason = unsafe { CStr::from_ptr(libc::gai_strerror(code)) };
                Self::Invalid { what, reason: reason.to_string_lossy().into_owned() }
            }
        }
    }
}

/// A name for the C library.
fn c_string(name: &str, what: &str) -> Result<CString, NameError> {
    CString::new(name)
        .map_err(|_| NameError::Invalid { what: what.into(), reason: "it contains a zero byte".into() })
}

/// Calls the C library with room for its answer, and with more until that is enough (`ERANGE`). The inner
/// result is the function's own: 0, or an error number.
#[cfg(all(target_os = "linux", target_env = "gnu", not(squall_portable)))]
fn with_buffer<T>(mut call: impl FnMut(&mut [libc::c_char]) -> Result<T, i32>) -> Result<T, i32> {
    let mut buffer = vec![0; 1024];
    loop {
        match call(&mut buffer) {
            Err(libc::ERANGE) if buffer.len() < MAX_ANSWER => buffer.resize(buffer.len() * 4, 0),
            result => return result,
        }
    }
}

/// The largest answer of a `…_r` function that is worth reading: 1 MiB.
#[cfg(all(target_os = "linux", target_env = "gnu", not(squall_portable)))]
const MAX_ANSWER: usize = 1 << 20;

/// glibc's `EAI_NODATA` and `EAI_ADDRFAMILY`: the name exists and has no address at all, or none of this
/// family. The libc crate lacks one of them.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const NO_ADDRESS: [libc::c_int; 2] = [-5, -9];
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
const NO_ADDRESS: [libc::c_int; 0] = [];
