//! `squall relay` beside nginx's UDP proxy, in turn before the same server: what a round trip costs the proxy.
//!
//! Both hand a datagram on and its answer back, with a socket towards the server for each client. How many they
//! could hand on is bounded by the processor they use, and that is what is compared: round trips by the seconds
//! of processor time that the proxy used for them, whatever the load and the server did meanwhile.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde::Serialize;
use squall::load::Load;
use squall_socket::process::pin_to_processor;

use crate::error::Error;
use crate::how::How;
use crate::process::Running;
use crate::server::Programs;
use crate::spread::Spread;
use crate::{LOAD_PROCESSOR, SERVER_PROCESSOR, progress};

/// Measures squall relay beside nginx's UDP proxy: round trips by the proxy's processor time.
#[derive(clap::Args)]
#[command(after_help = "Without options: 7 rounds of 3 seconds.")]
pub(crate) struct Arguments {
    #[command(flatten)]
    how: How,
}

pub(crate) fn compare(arguments: &Arguments) -> Result<(), Error> {
    let how = &arguments.how;
    let (seconds, rounds) = how.times(3000, 7);
    let proxies = how.choose(&[Proxy::Squall, Proxy::Nginx], Proxy::label)?;
    let programs = Programs::find(how.squall.as_deref())?;
    let nginx = match proxies.contains(&Proxy::Nginx) {
        true => Some(Nginx::find()?),
        false => None,
    };
    for (name, about, load) in LOADS {
        let mut rows: Vec<Vec<f64>> = vec![Vec::new(); proxies.len()];
        for round in 1..=rounds {
            // Who begins changes, so that what the one leaves behind is not always the other's.
            let turn = |index: usize| if round % 2 == 0 { proxies.len() - 1 - index } else { index };
            for index in (0..proxies.len()).map(turn) {
                progress(&format!("{name}: round {round} of {rounds}: {}", proxies[index].label()));
                rows[index].push(measure(proxies[index], load, &programs, nginx.as_ref(), seconds)?);
            }
        }
        progress("");
        print(how.json, (name, about), seconds, &proxies, &rows).map_err(Error::Print)?;
    }
    Ok(())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Proxy {
    Squall,
    Nginx,
}

impl Proxy {
    fn label(self) -> &'static str {
        match self {
            Proxy::Squall => "squall relay",
            Proxy::Nginx => "nginx",
        }
    }
}

/// Round trips by a second of the proxy's processor time.
fn measure(
    proxy: Proxy,
    load: fn(SocketAddr) -> Load,
    programs: &Programs,
    nginx: Option<&Nginx>,
    seconds: Duration,
) -> Result<f64, Error> {
    // A child inherits the processor of the thread that starts it.
    pin_to_processor(LOAD_PROCESSOR).map_err(Error::Pin)?;
    let server = Running::start(|port| programs.c_with_trains(port))?;
    server.wait_until_it_answers(false)?;
    pin_to_processor(SERVER_PROCESSOR).map_err(Error::Pin)?;
    let config = match (proxy, nginx) {
        (Proxy::Nginx, Some(nginx)) => Some(nginx.config()?),
        _ => None,
    };
    let mut written = Ok(());
    let running = Running::start(|port| match (&config, nginx) {
        (Some(config), Some(nginx)) => {
            written = config.write(nginx, port, server.address());
            nginx.command(config)
        }
        _ => programs.relay(port, server.address()),
    });
    written?;
    let running = running?;
    pin_to_processor(LOAD_PROCESSOR).map_err(Error::Pin)?;
    running.wait_until_it_answers(false)?;
    let load = load(running.address()).duration(seconds).timeout(Duration::from_millis(500));
    load.clone().duration(seconds / 5).run()?;
    let before = running.processor_time()?;
    let report = load.run()?;
    let used = running.processor_time()?.saturating_sub(before);
    Ok(report.replies as f64 / used.as_secs_f64().max(0.01))
}

fn print(
    json: bool,
    (name, about): (&str, &str),
    seconds: Duration,
    proxies: &[Proxy],
    rows: &[Vec<f64>],
) -> io::Result<()> {
    let out = &mut io::stdout().lock();
    let rounds = rows.first().map_or(0, Vec::len);
    if !json {
        writeln!(out, "{name}: {about} ({rounds} × {} s)", seconds.as_secs_f64())?;
        let (trips, spread, ratio) = ("round trips / CPU s", "lowest – highest", "× nginx");
        writeln!(out, "{:<14}{trips:>21}{spread:>24}{:>10}{ratio:>9}{spread:>18}", "", "CPU µs")?;
    }
    let nginx = proxies.iter().position(|proxy| *proxy == Proxy::Nginx).map(|index| &rows[index]);
    for (proxy, row) in proxies.iter().zip(rows) {
        let ratios: Option<Vec<f64>> =
            nginx.map(|nginx| row.iter().zip(nginx).map(|(own, nginx)| own / nginx).collect());
        let summary = Summary {
            load: name,
            proxy: proxy.label(),
            rounds,
            round_trips_per_cpu_second: Spread::of(row),
            nginx_ratio: ratios.map(|ratios| Spread::of(&ratios)),
        };
        if json {
            serde_json::to_writer(&mut *out, &summary)?;
            writeln!(out)?;
            continue;
        }
        let Spread { median, lowest, highest } = summary.round_trips_per_cpu_second;
        let spread = format!("{lowest:.0} – {highest:.0}");
        write!(out, "{:<14}{median:>21.0}{spread:>24}{:>10.2}", proxy.label(), 1e6 / median)?;
        match summary.nginx_ratio {
            Some(Spread { median, lowest, highest }) => {
                let spread = format!("{lowest:.2} – {highest:.2}");
                writeln!(out, "{median:>9.2}{spread:>18}")?;
            }
            None => writeln!(out, "{:>9}", "–")?,
        }
    }
    if json { Ok(()) } else { writeln!(out) }
}

#[derive(Serialize)]
struct Summary<'a> {
    load: &'a str,
    proxy: &'a str,
    rounds: usize,
    round_trips_per_cpu_second: Spread,
    /// Of each round by itself, in which both had their turn.
    nginx_ratio: Option<Spread>,
}

/// nginx, and where its module for streams is, if that is not built in.
struct Nginx {
    program: PathBuf,
    module: Option<PathBuf>,
}

impl Nginx {
    fn find() -> Result<Self, Error> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        // Debian has it where only root looks.
        let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
        let program = folders.map(|folder| folder.join("nginx")).find(|path| path.is_file());
        let module = Path::new("/usr/lib/nginx/modules/ngx_stream_module.so");
        let module = module.is_file().then(|| module.to_owned());
        Ok(Self { program: program.ok_or(Error::NoNginx)?, module })
    }

    fn config(&self) -> Result<Config, Error> {
        let folder = std::env::temp_dir().join(format!("squall-compare-{}", std::process::id()));
        let config = Config { folder };
        std::fs::create_dir_all(&config.folder).map_err(|source| config.error(source))?;
        Ok(config)
    }

    /// One process in all, whose processor time is then that of the work.
    fn command(&self, config: &Config) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("-p").arg(&config.folder).arg("-c").arg(config.path());
        command.arg("-e").arg(config.folder.join("error.log"));
        command
    }
}

/// A folder for one run of nginx, removed when it is over.
struct Config {
    folder: PathBuf,
}

impl Config {
    fn path(&self) -> PathBuf {
        self.folder.join("nginx.conf")
    }

    fn write(&self, nginx: &Nginx, port: u16, server: SocketAddr) -> Result<(), Error> {
        let folder = self.folder.display();
        let module = nginx.module.as_ref().map(|module| format!("load_module {};\n", module.display()));
        let text = format!(
            "{}daemon off;\nmaster_process off;\npid {folder}/pid;\nworker_rlimit_nofile 16384;\n\
             events {{ worker_connections 8192; }}\n\
             stream {{ server {{ listen 127.0.0.1:{port} udp; proxy_pass {server}; proxy_timeout 60s; }} }}\n",
            module.unwrap_or_default()
        );
        std::fs::write(self.path(), text).map_err(|source| self.error(source))
    }

    fn error(&self, source: io::Error) -> Error {
        Error::Write { path: self.path(), source }
    }
}

impl Drop for Config {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// A load's name, what it is, and the load.
type Named = (&'static str, &'static str, fn(SocketAddr) -> Load);

const LOADS: [Named; 2] = [
    ("many", "256 peers, 128 requests of 64 bytes in flight", |target| {
        Load::udp(target).peers(256).in_flight(128).busy(true)
    }),
    ("burst", "one peer, bursts of 32 datagrams of 64 bytes, 8 bursts in flight", |target| {
        Load::udp(target).burst(32).in_flight(8 * 32).busy(true)
    }),
];
