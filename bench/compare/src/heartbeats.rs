//! Many members that only send heartbeats: what they cost the hub, and whether it tells the living from the dead.
//!
//! Each member is an address of its own, sent for by one socket, and sends `^hb^ N` once in an interval; the members'
//! heartbeats are spread evenly over it, each sent when it is due. One more member watches who goes. At the end some
//! fall silent: each is to go when its limit, which it asked for before, has passed, and nobody else.

use std::collections::HashMap;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use serde::Serialize;
use squall_socket::process::pin_to_processor;
use squall_socket::{Address, Outgoing, ReceiveBatch, SendBatch, Socket};

use crate::error::Error;
use crate::fanout::hub::Hub;
use crate::fanout::udp::open_away_from;
use crate::how::seconds;
use crate::process::Running;
use crate::server::Programs;
use crate::spread::Spread;
use crate::{LOAD_PROCESSOR, SERVER_PROCESSOR, progress};

/// Measures what many members cost the chat hub that only send heartbeats, and who is evicted.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Members
    #[arg(long, value_name = "NUMBER", default_value_t = 100_000,
          value_parser = clap::value_parser!(u32).range(1..=199_000))]
    members: u32,
    /// How many of them fall silent at the end
    #[arg(long, value_name = "NUMBER", default_value_t = 1000)]
    dead: u32,
    /// Seconds from one heartbeat of a member to the next
    #[arg(long, value_parser = seconds, default_value = "10")]
    interval: Duration,
    /// Seconds for which the hub's processor time is measured
    #[arg(long, value_parser = seconds, default_value = "60")]
    seconds: Duration,
    /// The squall program; otherwise it is built
    #[arg(long, value_name = "PATH")]
    squall: Option<std::path::PathBuf>,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn measure(arguments: &Arguments) -> Result<(), Error> {
    let programs = Programs::find(arguments.squall.as_deref())?;
    // A child inherits the processor of the thread that starts it.
    pin_to_processor(SERVER_PROCESSOR).map_err(Error::Pin)?;
    let hub = Hub::Squall.start(&programs)?;
    pin_to_processor(LOAD_PROCESSOR).map_err(Error::Pin)?;
    let running = &hub.running;
    let members = arguments.members as usize;
    let dead = (arguments.dead as usize).min(members);
    let mut witness = Witness::join(running)?;
    let mut herd = Herd::new(running.address(), members, arguments.interval).map_err(Error::Member)?;

    let before = running.resident_memory()?;
    progress("heartbeats: all join");
    herd.until(1.0, &mut witness)?;
    progress("heartbeats: intervals are measured");
    herd.until(WARM_UP, &mut witness)?;
    let joined = witness.members(running)?;
    witness.say("/watch on").map_err(Error::Member)?;
    let memory = running.resident_memory()?.saturating_sub(before);

    progress("heartbeats: the hub's processor time is measured");
    let (used, begin) = (running.processor_time()?, Instant::now());
    let end = herd.round() + arguments.seconds.as_secs_f64() / arguments.interval.as_secs_f64();
    herd.until(end, &mut witness)?;
    let (used, elapsed) = (running.processor_time()?.saturating_sub(used), begin.elapsed());

    progress("heartbeats: those that are to fall silent ask for their limits");
    let limits = herd.ask_for_limits(dead, &mut witness)?;
    let end = herd.round().ceil();
    herd.until(end, &mut witness)?;
    let wrong = witness.gone.len();
    progress("heartbeats: some fall silent");
    herd.dead = dead;
    let last = end + f64::max(10.0, 60.0 / arguments.interval.as_secs_f64()) + 0.5;
    while herd.round() < last && witness.gone.len() - wrong < dead {
        herd.until((herd.round() + 0.1).min(last), &mut witness)?;
    }
    // Whoever else goes, goes by then.
    herd.until(herd.round() + 1.0, &mut witness)?;
    running.fail_if_it_ended()?;
    progress("");

    let mut silences = Vec::new();
    let mut beyond = Vec::new();
    for (number, limit) in &limits {
        if let Some(gone) = witness.gone.get(&limit.number) {
            // The last heartbeat of each before the end.
            let said = herd.begin + arguments.interval.mul_f64(end - 1.0 + *number as f64 / members as f64);
            let silence = gone.saturating_duration_since(said).as_secs_f64();
            silences.push(silence);
            beyond.push(silence - limit.seconds);
        }
    }
    let summary = Summary {
        members,
        joined: joined.saturating_sub(1),
        interval: arguments.interval.as_secs_f64(),
        seconds: elapsed.as_secs_f64(),
        cpu_percent: 100.0 * used.as_secs_f64() / elapsed.as_secs_f64(),
        cpu_us_per_heartbeat: used.as_secs_f64() * 1e6
            / (members as f64 * elapsed.as_secs_f64() / arguments.interval.as_secs_f64()),
        bytes_per_member: memory as f64 / members as f64,
        dead,
        limits_told: limits.len(),
        dead_evicted: silences.len(),
        living_evicted: witness.gone.len() - silences.len(),
        silence: Spread::of(&silences),
        beyond_limit: Spread::of(&beyond),
    };
    print(arguments.json, &summary).map_err(Error::Print)
}

#[derive(Serialize)]
struct Summary {
    members: usize,
    /// As the hub counts them.
    joined: usize,
    /// Between two heartbeats of a member, in seconds.
    interval: f64,
    seconds: f64,
    cpu_percent: f64,
    cpu_us_per_heartbeat: f64,
    /// What the hub's resident memory grew by while they joined and were first measured.
    bytes_per_member: f64,
    dead: usize,
    /// How many of the dead were told their limits before.
    limits_told: usize,
    dead_evicted: usize,
    living_evicted: usize,
    /// From the last heartbeat until the watcher was told, in seconds.
    silence: Spread,
    /// The same from the limit, which the hub tells in whole seconds.
    beyond_limit: Spread,
}

fn print(json: bool, it: &Summary) -> io::Result<()> {
    let out = &mut io::stdout().lock();
    if json {
        serde_json::to_writer(&mut *out, it)?;
        return writeln!(out);
    }
    writeln!(out, "{} members, a heartbeat every {} s, for {:.0} s", it.members, it.interval, it.seconds)?;
    writeln!(out, "{:<22}{} of {}", "joined", it.joined, it.members)?;
    let (percent, each) = (it.cpu_percent, it.cpu_us_per_heartbeat);
    writeln!(out, "{:<22}{percent:.2} % of a processor, {each:.2} µs a heartbeat", "processor time")?;
    writeln!(out, "{:<22}{:.0} bytes a member", "memory", it.bytes_per_member)?;
    writeln!(out, "{:<22}{} of {}", "dead evicted", it.dead_evicted, it.dead)?;
    writeln!(out, "{:<22}{}", "living evicted", it.living_evicted)?;
    let Spread { median, lowest, highest } = it.silence;
    writeln!(out, "{:<22}{median:.1} s ({lowest:.1} – {highest:.1})", "evicted after")?;
    let Spread { median, lowest, highest } = it.beyond_limit;
    writeln!(out, "{:<22}{median:+.1} s ({lowest:+.1} – {highest:+.1})", "beyond its limit")
}

/// All members, which send in turn. A round is an interval.
struct Herd {
    socket: Socket,
    hub: SocketAddr,
    members: usize,
    interval: Duration,
    begin: Instant,
    /// Heartbeats that were due so far, those of the dead included.
    beats: u64,
    /// Those that are silent: so many, evenly spread.
    dead: usize,
    sending: SendBatch,
    receiving: ReceiveBatch,
}

/// What a member was told about itself.
struct Limit {
    /// The hub's number for it.
    number: u64,
    seconds: f64,
}

impl Herd {
    fn new(hub: SocketAddr, members: usize, interval: Duration) -> io::Result<Self> {
        let socket = open_away_from(hub, Ipv4Addr::UNSPECIFIED)?;
        Ok(Self {
            socket,
            hub,
            members,
            interval,
            begin: Instant::now(),
            beats: 0,
            dead: 0,
            sending: SendBatch::new(BATCH),
            receiving: ReceiveBatch::new(BATCH, 2048),
        })
    }

    /// How many intervals have passed.
    fn round(&self) -> f64 {
        self.begin.elapsed().as_secs_f64() / self.interval.as_secs_f64()
    }

    /// Whether this member is one of those that fall silent.
    fn is_to_die(&self, member: usize, dead: usize) -> bool {
        member * dead / self.members != (member + 1) * dead / self.members
    }

    /// Sends what is due, each in its time, until the given round.
    fn until(&mut self, round: f64, witness: &mut Witness) -> Result<(), Error> {
        let end = (round * self.members as f64).round() as u64;
        let mut watched = Instant::now();
        while self.beats < end {
            let due = ((self.round() * self.members as f64) as u64).min(end);
            while self.beats < due {
                self.send(due)?;
            }
            if watched.elapsed() > GLANCE {
                watched = Instant::now();
                witness.watch(self.interval).map_err(Error::Member)?;
            }
            std::hint::spin_loop();
        }
        Ok(())
    }

    /// Sends the heartbeats before number `due`, up to a call's worth.
    fn send(&mut self, due: u64) -> Result<(), Error> {
        let count = (due - self.beats).min(BATCH as u64);
        let members = self.members as u64;
        let mut texts = Vec::with_capacity(count as usize);
        for beat in self.beats..self.beats + count {
            let member = (beat % members) as usize;
            if !self.is_to_die(member, self.dead) {
                texts.push((member, format!("^hb^ {}", beat / members)));
            }
        }
        self.beats += count;
        self.send_all(&texts)
    }

    fn send_all(&mut self, texts: &[(usize, String)]) -> Result<(), Error> {
        let mut rest = texts;
        while !rest.is_empty() {
            let outgoing = rest.iter().map(|(member, text)| Outgoing {
                payload: text.as_bytes(),
                to: Some(Address::Ip(self.hub)),
                source: Some(address_of(*member)),
                segment_size: None,
            });
            match self.sending.send(&self.socket, false, outgoing) {
                Ok(count) => rest = &rest[count..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(Error::Member(error)),
            }
        }
        Ok(())
    }

    /// Asks the hub for the limits of the members that are to die, a few at a time, while all send on.
    fn ask_for_limits(&mut self, dead: usize, witness: &mut Witness) -> Result<HashMap<usize, Limit>, Error> {
        let all: Vec<usize> = (0..self.members).filter(|member| self.is_to_die(*member, dead)).collect();
        let mut limits = HashMap::new();
        for _ in 0..TRIES {
            let missing: Vec<_> = all.iter().filter(|member| !limits.contains_key(*member)).collect();
            for some in missing.chunks(BATCH) {
                let texts: Vec<_> = some.iter().map(|member| (**member, format!("/me m{member}"))).collect();
                self.send_all(&texts)?;
                // 10 ms, or as much of an interval as one heartbeat takes.
                let round =
                    self.round() + f64::max(0.01 / self.interval.as_secs_f64(), 1.0 / self.members as f64);
                self.until(round, witness)?;
                self.hear_limits(&mut limits)?;
            }
        }
        Ok(limits)
    }

    fn hear_limits(&mut self, limits: &mut HashMap<usize, Limit>) -> Result<(), Error> {
        loop {
            match self.receiving.receive(&self.socket, BATCH) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                result => result.map_err(Error::Member)?,
            };
            for message in self.receiving.iter() {
                let text = String::from_utf8_lossy(message.payload);
                for line in text.lines().filter(|line| line.starts_with("* me ")) {
                    let member = field(line, "token").and_then(|token| token.strip_prefix('m')?.parse().ok());
                    let number = field(line, "member").and_then(|number| number.parse().ok());
                    let limit = field(line, "limit").and_then(|limit| limit.parse().ok());
                    if let (Some(member), Some(number), Some(seconds)) = (member, number, limit) {
                        limits.insert(member, Limit { number, seconds });
                    }
                }
            }
        }
    }
}

/// A member that hears who goes.
struct Witness {
    socket: UdpSocket,
    beat: Instant,
    beats: u32,
    /// When the hub told that a member went, by its number.
    gone: HashMap<u64, Instant>,
}

impl Witness {
    fn join(hub: &Running) -> Result<Self, Error> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).map_err(Error::Member)?;
        socket.connect(hub.address()).map_err(Error::Member)?;
        let mut it = Self { socket, beat: Instant::now(), beats: 0, gone: HashMap::new() };
        it.members(hub)?;
        Ok(it)
    }

    fn say(&self, text: &str) -> io::Result<()> {
        self.socket.send(text.as_bytes()).map(drop)
    }

    /// How many members the room has, as the hub says.
    fn members(&mut self, hub: &Running) -> Result<usize, Error> {
        self.socket.set_nonblocking(false).map_err(Error::Member)?;
        self.socket.set_read_timeout(Some(PAUSE)).map_err(Error::Member)?;
        let begin = Instant::now();
        let mut buffer = [0; 2048];
        while begin.elapsed() < PATIENCE {
            hub.fail_if_it_ended()?;
            // A refusal says that nobody listens yet.
            let answer = self.say("/rooms").and_then(|()| self.socket.recv(&mut buffer));
            let Ok(len) = answer else {
                std::thread::sleep(GLANCE);
                continue;
            };
            let text = String::from_utf8_lossy(&buffer[..len]);
            let line = text.lines().find(|line| line.starts_with("* room "));
            if let Some(members) = line.and_then(|line| field(line, "members")?.parse().ok()) {
                self.socket.set_nonblocking(true).map_err(Error::Member)?;
                return Ok(members);
            }
        }
        Err(Error::Silent(PATIENCE.as_secs()))
    }

    /// Takes what the hub has told, and lives on.
    fn watch(&mut self, interval: Duration) -> io::Result<()> {
        if self.beat.elapsed() >= interval {
            self.beat += interval;
            self.beats += 1;
            self.say(&format!("^hb^ {}", self.beats))?;
        }
        let mut buffer = [0; 2048];
        loop {
            let len = match self.socket.recv(&mut buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                result => result?,
            };
            let now = Instant::now();
            for line in String::from_utf8_lossy(&buffer[..len]).lines() {
                let number =
                    line.strip_prefix("* went ~").and_then(|rest| rest.split(' ').next()?.parse().ok());
                if let Some(number) = number {
                    self.gone.insert(number, now);
                }
            }
        }
    }
}

/// The value of `name=value` in a line.
fn field<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    line.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
}

/// The address that a member sends from.
fn address_of(member: usize) -> SocketAddr {
    let [.., second, third, fourth] = u32::try_from(member).unwrap_or(u32::MAX).to_be_bytes();
    (IpAddr::from([127, second + 1, third, fourth]), 0).into()
}

/// Rounds until the hub knows the members' intervals, that of joining included.
const WARM_UP: f64 = 4.0;
/// Heartbeats for one call, where they are late.
const BATCH: usize = 64;
/// How often a member asks that gets no answer.
const TRIES: u32 = 3;
const GLANCE: Duration = Duration::from_millis(1);
const PAUSE: Duration = Duration::from_millis(200);
const PATIENCE: Duration = Duration::from_secs(10);
