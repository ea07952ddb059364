//! One datagram of a given size, unfragmented.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use squall_socket::PathMtuDiscovery;

use super::link::{Heard, Link, Sent};
use super::{Complaint, Evidence, PathMtu, PathMtuError};

/// What became of one datagram.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Single {
    /// To whom it went.
    pub target: SocketAddr,
    /// The bytes of its payload.
    pub payload: usize,
    /// What became of it.
    pub fate: Fate,
    /// What a router, or the target's host, said beside "too big" of a datagram of which nothing else was heard.
    pub complaint: Option<Complaint>,
    /// What the kernel took for the path MTU before, in bytes.
    pub kernel_before: u32,
    /// What it takes for it since.
    pub kernel_after: u32,
    /// From sending to knowing, or to giving up.
    pub elapsed: Duration,
}

/// What became of one datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fate {
    /// The target has answered it.
    Arrived {
        /// How.
        how: Evidence,
    },
    /// It left this machine, and nothing came back but perhaps a [`complaint`](Single::complaint).
    Sent,
    /// It is too big.
    TooBig {
        /// For an MTU of this many bytes.
        mtu: u32,
        /// Which router said so; `None` for this machine, which did not send it.
        router: Option<IpAddr>,
    },
}

impl PathMtu {
    /// Sends one datagram of `payload` bytes that may not be fragmented, and waits, for one second by default,
    /// whether it is answered, reported as too big, or complained of. What the kernel knows already of the path counts, too
    /// (`IP_PMTUDISC_DO`, [ip(7)](https://man7.org/linux/man-pages/man7/ip.7.html)). At most 65,507 bytes fit a
    /// datagram.
    ///
    /// # Errors
    /// [`PathMtuError`].
    pub fn send(&mut self, payload: usize) -> Result<Single, PathMtuError> {
        let mut link = Link::open(self.target, PathMtuDiscovery::Do)?;
        let kernel_before = link.kernel_mtu()?;
        let start = Instant::now();
        let fate = match link.send(0, payload)? {
            Sent::TooLong { mtu } => Fate::TooBig { mtu: mtu.unwrap_or(kernel_before), router: None },
            Sent::Failed(source) => {
                return Err(PathMtuError::System { what: "send to", target: self.target, source });
            }
            Sent::Away => self.await_fate(&mut link, start)?,
        };
        let kernel_after = link.kernel_mtu()?;
        let fate = match fate {
            // A router from before RFC 1191 does not say: the kernel guesses.
            Fate::TooBig { mtu: 0, router } => Fate::TooBig { mtu: kernel_after, router },
            fate => fate,
        };
        let elapsed = start.elapsed();
        let complaint = match fate {
            Fate::Sent => link.into_complaints().into_iter().next(),
            _ => None,
        };
        Ok(Single { target: self.target, payload, fate, complaint, kernel_before, kernel_after, elapsed })
    }

    fn await_fate(&self, link: &mut Link, start: Instant) -> Result<Fate, PathMtuError> {
        let total = self.total.unwrap_or(Duration::from_secs(1));
        loop {
            if let Some(heard) = link.hear()? {
                return Ok(match heard {
                    Heard::Answer { how, .. } => Fate::Arrived { how },
                    Heard::TooBig { mtu, router, .. } => Fate::TooBig { mtu, router: Some(router) },
                });
            }
            if link.has_complaints() {
                return Ok(Fate::Sent);
            }
            match total.checked_sub(start.elapsed()) {
                Some(left) if !left.is_zero() => link.wait(left)?,
                _ => return Ok(Fate::Sent),
            }
        }
    }
}
