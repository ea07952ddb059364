//! A server process: started, waited for, asked for its processor time, and ended whatever happens.

use std::io::{self, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::error::Error;

/// A server that runs until this is dropped.
pub(crate) struct Running {
    child: std::cell::RefCell<Child>,
    address: SocketAddr,
}

impl Running {
    /// Starts what `command` makes for a port of 127.0.0.1 that is free now, of UDP and of TCP.
    pub(crate) fn start(command: impl FnOnce(u16) -> Command) -> Result<Self, Error> {
        let address = free_port().map_err(Error::Port)?;
        let mut command = command(address.port());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let child = command
            .spawn()
            .map_err(|source| Error::Start { program: command.get_program().into(), source })?;
        Ok(Self { child: child.into(), address })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Asks until the server echoes, or resets a CoAP ping.
    pub(crate) fn wait_until_it_answers(&self, coap: bool) -> Result<(), Error> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).map_err(Error::Probe)?;
        socket.connect(self.address).map_err(Error::Probe)?;
        socket.set_read_timeout(Some(PAUSE)).map_err(Error::Probe)?;
        let begin = Instant::now();
        let mut buffer = [0; 64];
        for number in 0_u32.. {
            self.fail_if_it_ended()?;
            if begin.elapsed() > PATIENCE {
                return Err(Error::Silent(PATIENCE.as_secs()));
            }
            let [.., high, low] = number.to_be_bytes();
            let (question, answer) = if coap {
                (vec![0x40, 0, high, low], vec![0x70, 0, high, low])
            } else {
                let question = format!("are you there? {number}").into_bytes();
                (question.clone(), question)
            };
            let asked = socket.send(&question).and_then(|_| socket.recv(&mut buffer));
            match asked {
                Ok(len) if buffer[..len].ends_with(&answer) => break,
                // A refusal comes at once, since nobody listens yet.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => std::thread::sleep(PAUSE),
                _ => {}
            }
        }
        Ok(())
    }

    /// What the process, its threads and its finished children have used, to 10 ms.
    pub(crate) fn processor_time(&self) -> Result<Duration, Error> {
        let id = self.child.borrow().id();
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).map_err(Error::ProcessorTime)?;
        // The name, in parentheses, may hold spaces; behind it the fields are counted from 3.
        let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields).split_whitespace();
        let ticks: u64 = fields.skip(14 - 3).take(4).filter_map(|field| field.parse::<u64>().ok()).sum();
        Ok(TICK * u32::try_from(ticks).unwrap_or(u32::MAX))
    }

    /// The most memory that the process has had so far, in bytes.
    pub(crate) fn peak_memory(&self) -> Result<u64, Error> {
        self.memory("VmHWM:")
    }

    /// The memory that the process has now, in bytes.
    pub(crate) fn resident_memory(&self) -> Result<u64, Error> {
        self.memory("VmRSS:")
    }

    fn memory(&self, field: &str) -> Result<u64, Error> {
        let id = self.child.borrow().id();
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).map_err(Error::ProcessorTime)?;
        let line = status.lines().find_map(|line| line.strip_prefix(field));
        let kibibytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        Ok(kibibytes.unwrap_or(0) * 1024)
    }

    /// Tells its last words if it has ended.
    pub(crate) fn fail_if_it_ended(&self) -> Result<(), Error> {
        let mut child = self.child.borrow_mut();
        let Ok(Some(status)) = child.try_wait() else { return Ok(()) };
        let mut stderr = String::new();
        if let Some(pipe) = &mut child.stderr {
            let _ = pipe.take(4096).read_to_string(&mut stderr);
        }
        Err(Error::Ended { status, stderr: stderr.lines().last().unwrap_or("without a word").trim().into() })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let child = self.child.get_mut();
        let _ = child.kill();
        let _ = child.wait();
    }
}

fn free_port() -> io::Result<SocketAddr> {
    loop {
        let address = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        match TcpListener::bind(address) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            result => return result.map(|_| address),
        }
    }
}

const PAUSE: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_secs(10);
/// The unit of /proc/PID/stat: USER_HZ, which is 100 on every architecture that Rust's standard library supports
/// but Alpha.
const TICK: Duration = Duration::from_millis(10);
