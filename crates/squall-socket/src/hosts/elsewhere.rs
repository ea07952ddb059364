use std::fs::File;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::process::Command;

use super::{InterfaceCounts, Offloads};

/// Network namespaces are there on Linux alone.
#[derive(Debug)]
pub enum Namespace {}

/// The kernel's table of interfaces, as Linux alone lets it be changed.
#[derive(Debug)]
pub enum Route {}

/// TUN devices, as Linux alone has them.
#[derive(Debug)]
pub enum Tun {}

/// Signals as something to read, which Linux alone has.
#[derive(Debug)]
pub enum SignalQueue {}

/// A signal that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signalled {
    /// Its number.
    pub signal: i32,
    /// Whether the system itself sent it.
    pub by_system: bool,
}

#[allow(missing_docs, clippy::missing_errors_doc)]
impl Namespace {
    pub fn current() -> io::Result<Self> {
        unsupported()
    }

    pub fn create() -> io::Result<Self> {
        unsupported()
    }

    pub fn enter(&self) -> io::Result<()> {
        match *self {}
    }

    pub fn signal_processes(&self, _signal: i32) -> io::Result<usize> {
        match *self {}
    }
}

impl AsFd for Namespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match *self {}
    }
}

impl TryFrom<File> for Namespace {
    type Error = io::Error;

    fn try_from(_file: File) -> io::Result<Self> {
        unsupported()
    }
}

#[allow(missing_docs, clippy::missing_errors_doc)]
impl Route {
    pub fn open() -> io::Result<Self> {
        unsupported()
    }

    pub fn set_limits(&mut self, _interface: u32, _mtu: u32, _queue: u32) -> io::Result<()> {
        match *self {}
    }

    pub fn set_up(&mut self, _interface: u32) -> io::Result<()> {
        match *self {}
    }

    pub fn add_address(&mut self, _interface: u32, _address: IpAddr, _prefix: u8) -> io::Result<()> {
        match *self {}
    }

    pub fn add_route(&mut self, _interface: u32, _network: IpAddr, _prefix: u8) -> io::Result<()> {
        match *self {}
    }

    pub fn counts(&mut self, _interface: u32) -> io::Result<InterfaceCounts> {
        match *self {}
    }
}

#[allow(missing_docs, clippy::missing_errors_doc)]
impl Tun {
    pub const FILE: &str = "/dev/net/tun";

    pub fn create(_name: &str, _offload: bool) -> io::Result<Self> {
        unsupported()
    }

    pub fn name(&self) -> &str {
        match *self {}
    }

    pub fn index(&self) -> u32 {
        match *self {}
    }

    pub fn receive(&self, _offloads: &mut Offloads, _packet: &mut [u8]) -> io::Result<usize> {
        match *self {}
    }

    pub fn send(&self, _offloads: &Offloads, _packet: &[u8]) -> io::Result<()> {
        match *self {}
    }
}

impl AsFd for Tun {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match *self {}
    }
}

#[allow(missing_docs, clippy::missing_errors_doc)]
impl SignalQueue {
    pub fn open(_signals: &[i32]) -> io::Result<Self> {
        unsupported()
    }

    pub fn release(&self, _command: &mut Command) {
        match *self {}
    }

    pub fn next(&self) -> io::Result<Option<Signalled>> {
        match *self {}
    }
}

impl AsFd for SignalQueue {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match *self {}
    }
}

/// User namespaces are there on Linux alone.
///
/// # Errors
/// `Unsupported`.
pub fn enter_user_namespace() -> io::Result<()> {
    unsupported()
}

fn unsupported<T>() -> io::Result<T> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "hosts of one's own take Linux's network namespaces"))
}
