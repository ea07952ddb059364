//! The servers, and how each is started. All but those of CoAP send every datagram back.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::echo;
use crate::error::Error;

/// A server that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Server {
    Squall,
    SquallThreads,
    C,
    CTrains,
    Tokio,
    TokioMain,
    Std,
    PythonRaw,
    PythonPlain,
    PythonThreading,
    PythonForking,
    PythonAsyncio,
    SquallCoap,
    SquallOnce,
    Libcoap,
}

/// Where the programs are.
pub(crate) struct Programs {
    own: PathBuf,
    squall: PathBuf,
    c: PathBuf,
    fanout: PathBuf,
}

impl Programs {
    /// Builds what must be built. `squall` is the program to measure, where that is given.
    pub(crate) fn find(squall: Option<&Path>) -> Result<Self, Error> {
        let own = std::env::current_exe().map_err(Error::Own)?;
        let directory = own.parent().unwrap_or(Path::new("."));
        let sources = Path::new(env!("CARGO_MANIFEST_DIR"));

        let compiler = std::env::var_os("CC").unwrap_or("cc".into());
        let compile = |name: &str| -> Result<PathBuf, Error> {
            let program = directory.join(format!("squall-compare-{name}"));
            let mut compile = Command::new(&compiler);
            compile.args(["-O2", "-o"]).arg(&program).arg(sources.join(format!("c/{name}.c")));
            build("the C server", compile)?;
            Ok(program)
        };
        let (c, fanout) = (compile("echo")?, compile("fanout")?);

        let squall = match squall {
            Some(path) => path.to_owned(),
            None => {
                let cargo = std::env::var_os("CARGO").unwrap_or("cargo".into());
                let mut compile = Command::new(cargo);
                compile.args(["build", "--release", "--package", "squall-cli"]).current_dir(sources);
                build("squall", compile)?;
                directory.join("squall")
            }
        };
        Ok(Self { own, squall, c, fanout })
    }

    /// The C server that joins what it sends.
    pub(crate) fn c_with_trains(&self, port: u16) -> Command {
        Server::CTrains.command(self, port)
    }

    /// The bare loop that sends each message to all who ever sent one.
    pub(crate) fn c_fanout(&self, port: u16) -> Command {
        with(&self.fanout, &[port.to_string()])
    }

    /// A hub with its files in `folder`; of its history, if it keeps one, too.
    pub(crate) fn chat(&self, port: u16, folder: &Path, history: bool) -> Command {
        let mut command = Command::new(&self.squall);
        command.args(["serve", "chat", "--on"]).arg(format!("udp://127.0.0.1:{port}"));
        command.arg("--data").arg(folder).arg("--control").arg(folder.join(CONTROL));
        if !history {
            command.args(["--history", "none"]);
        }
        command
    }

    /// What that hub has counted.
    pub(crate) fn chat_counts(&self, folder: &Path) -> Result<serde_json::Value, Error> {
        let mut command = Command::new(&self.squall);
        command.arg("ctl").arg("--socket").arg(folder.join(CONTROL)).args(["stats", "--json"]);
        let output =
            command.output().map_err(|source| Error::Start { program: self.squall.clone(), source })?;
        serde_json::from_slice(&output.stdout)
            .map_err(|_| Error::Counts(String::from_utf8_lossy(&output.stderr).trim().into()))
    }

    /// A relay in clear weather on `port` of 127.0.0.1.
    pub(crate) fn relay(&self, port: u16, to: SocketAddr) -> Command {
        let mut command = Command::new(&self.squall);
        command.args(["relay", "--weather", "clear", "--on"]).arg(format!("udp://127.0.0.1:{port}"));
        command.arg("--to").arg(format!("udp://{to}"));
        command
    }
}

impl Server {
    pub(crate) fn label(self) -> &'static str {
        match self {
            Server::Squall => "Squall",
            Server::SquallThreads => "Squall, 8 threads",
            Server::C => "C recvmmsg/sendmmsg",
            Server::CTrains => "C with GRO and GSO",
            Server::Tokio => "tokio UdpSocket",
            Server::TokioMain => "tokio::main UdpSocket",
            Server::Std => "std UdpSocket",
            Server::PythonRaw => "Python socket",
            Server::PythonPlain => "Python UDPServer",
            Server::PythonThreading => "Python ThreadingUDPServer",
            Server::PythonForking => "Python ForkingUDPServer",
            Server::PythonAsyncio => "Python asyncio",
            Server::SquallCoap => "Squall",
            Server::SquallOnce => "Squall, at most once",
            Server::Libcoap => "libcoap coap-server",
        }
    }

    /// Whether the others are compared with it.
    pub(crate) fn is_squall(self) -> bool {
        matches!(self, Server::Squall | Server::SquallThreads | Server::SquallCoap | Server::SquallOnce)
    }

    /// Whether it speaks CoAP and echoes nothing.
    pub(crate) fn is_coap(self) -> bool {
        matches!(self, Server::SquallCoap | Server::SquallOnce | Server::Libcoap)
    }

    /// Whether a short measurement says as much as a long one.
    pub(crate) fn is_slow(self) -> bool {
        matches!(
            self,
            Server::PythonRaw
                | Server::PythonPlain
                | Server::PythonThreading
                | Server::PythonForking
                | Server::PythonAsyncio
        )
    }

    /// The command that serves on `port` of 127.0.0.1.
    pub(crate) fn command(self, programs: &Programs, port: u16) -> Command {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        match self {
            Server::Squall => squall(programs, address, &[]),
            Server::SquallThreads => squall(programs, address, &["--model", "threads:8"]),
            Server::C => with(&programs.c, &[port.to_string()]),
            Server::CTrains => with(&programs.c, &[port.to_string(), "trains".into()]),
            Server::Tokio => own(programs, echo::Kind::Tokio, address),
            Server::TokioMain => own(programs, echo::Kind::TokioMain, address),
            Server::Std => own(programs, echo::Kind::Std, address),
            Server::PythonRaw => python("raw", port),
            Server::PythonPlain => python("plain", port),
            Server::PythonThreading => python("threading", port),
            Server::PythonForking => python("forking", port),
            Server::PythonAsyncio => python("asyncio", port),
            Server::SquallCoap => {
                let arguments = ["serve", "coap", "--shards", "1", "--on"].map(String::from);
                with(&programs.squall, &[&arguments[..], &[format!("coap://{address}")]].concat())
            }
            Server::SquallOnce => own(programs, echo::Kind::CoapOnce, address),
            Server::Libcoap => {
                let arguments = ["-A", "127.0.0.1", "-v", "0", "-p"].map(String::from);
                with(&libcoap(), &[&arguments[..], &[port.to_string()]].concat())
            }
        }
    }
}

fn squall(programs: &Programs, address: SocketAddr, more: &[&str]) -> Command {
    let mut command = Command::new(&programs.squall);
    command.args(["serve", "echo", "--shards", "1", "--on"]).arg(format!("udp://{address}")).args(more);
    command
}

fn own(programs: &Programs, kind: echo::Kind, address: SocketAddr) -> Command {
    let kind = match kind {
        echo::Kind::Std => "std",
        echo::Kind::Tokio => "tokio",
        echo::Kind::TokioMain => "tokio-main",
        echo::Kind::CoapOnce => "coap-once",
    };
    with(&programs.own, &["--serve".into(), kind.into(), "--on".into(), address.to_string()])
}

/// libcoap's server, which Debian gives a suffix for its TLS library.
fn libcoap() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let names = ["coap-server", "coap-server-notls", "coap-server-openssl", "coap-server-gnutls"];
    let all = std::env::split_paths(&path).flat_map(|directory| names.map(|name| directory.join(name)));
    all.into_iter().find(|program| program.is_file()).unwrap_or_else(|| names[0].into())
}

fn python(mode: &str, port: u16) -> Command {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/echo.py");
    let mut command = Command::new("python3");
    command.arg(script).args([mode, &port.to_string()]);
    command
}

fn with(program: &Path, arguments: &[String]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments);
    command
}

/// The name of a hub's control socket in its folder.
const CONTROL: &str = "ctl.sock";

fn build(program: &'static str, mut command: Command) -> Result<(), Error> {
    let output = command.output().map_err(|source| Error::Tool { program, source })?;
    if output.status.success() {
        return Ok(());
    }
    let tool = command.get_program().to_string_lossy().into_owned();
    let reason = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(Error::Build { program, tool, reason })
}
