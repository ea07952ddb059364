//! Inside a worker process.

use std::env;
use std::io;
use std::os::unix::process::parent_id;
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use squall_proto::Transport;
use squall_socket::{Socket, process as os};

use super::VARIABLE;
use super::line::{self, Status};
use crate::control::Control;
use crate::server::{self, Bound, Config, Model, Service};

/// What a worker has from its parent.
pub(crate) struct Inheritance {
    worker: usize,
    line: Socket,
    sockets: Vec<(usize, Transport, Socket)>,
}

/// Whether this process is a worker of a server with [`Model::Processes`](crate::Model::Processes), started again
/// by its parent: what there may be only once, a file that is locked for instance, is the parent's then.
pub fn is_worker() -> bool {
    let of_parent = |text: String| text.split(' ').next()?.parse::<u32>().ok();
    env::var(VARIABLE).ok().and_then(of_parent) == Some(parent_id())
}

/// Takes the inheritance of this process, if it is a worker and has not taken it before.
pub(crate) fn inheritance() -> io::Result<Option<Inheritance>> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    let Ok(text) = env::var(VARIABLE) else { return Ok(None) };
    let (parent, text) = text.split_once(' ').unwrap_or_default();
    if parent.parse() != Ok(parent_id()) {
        return Ok(None);
    }
    if TAKEN.swap(true, Ordering::Relaxed) {
        return Ok(None);
    }
    let bad = || {
        io::Error::new(io::ErrorKind::InvalidInput, format!("{VARIABLE} is {text:?}, which no parent set"))
    };
    let mut words = text.split(' ');
    let mut number = || words.next().and_then(|word| word.parse::<i32>().ok()).ok_or_else(bad);
    let (worker, descriptor) = (number()?, number()?);
    let line = Socket::from(os::take_inherited(descriptor)?);
    let mut sockets = Vec::new();
    for word in words {
        let mut fields = word.split(':');
        let service = fields.next().and_then(|field| field.parse().ok()).ok_or_else(bad)?;
        let transport = fields.next().and_then(transport).ok_or_else(bad)?;
        let descriptor = fields.next().and_then(|field| field.parse().ok()).ok_or_else(bad)?;
        sockets.push((service, transport, Socket::from(os::take_inherited(descriptor)?)));
    }
    Ok(Some(Inheritance { worker: usize::try_from(worker).map_err(|_| bad())?, line, sockets }))
}

/// Serves the inherited sockets until the parent says to stop, and ends the process.
pub(crate) fn run_as_worker(
    inheritance: Inheritance,
    services: Vec<Service>,
    mut config: Config,
    deadline: Option<Duration>,
) -> ! {
    match serve(inheritance, services, &mut config, deadline) {
        Ok(()) => process::exit(0),
        Err(error) => {
            // The parent tells the program's error hook how its worker ended.
            let _ = io::Write::write_fmt(&mut io::stderr(), format_args!("squall worker: {error}\n"));
            process::exit(1)
        }
    }
}

fn serve(
    inheritance: Inheritance,
    services: Vec<Service>,
    config: &mut Config,
    deadline: Option<Duration>,
) -> io::Result<()> {
    // A worker inside a handler would not see that the parent is gone.
    os::end_with_parent()?;
    // Ctrl-C reaches the whole group; the parent tells when to stop.
    os::ignore_termination()?;
    let Inheritance { worker, line, sockets } = inheritance;
    os::set_name(&format!("squall-worker-{worker}"));
    let mut bound = Vec::new();
    for (service, transport, socket) in sockets {
        let address = socket.local_address()?;
        bound.push(Bound {
            service,
            transport,
            coap: false,
            address,
            wildcard: address.ip().is_some_and(|ip| ip.ip().is_unspecified()),
            sockets: vec![Arc::new(socket)],
            receive_buffer: None,
            _file: None,
        });
    }
    let config = Config { model: Model::Inline, limit: None, ..std::mem::take(config) };
    let (control, mut parts, _meters, seats) =
        server::assemble(services, config, bound, worker, deadline.is_some())?;
    parts.spawn(&control, seats)?;
    let line = Arc::new(Line { socket: line, write: Mutex::new(()) });
    let (control2, line2) = (Arc::clone(&control), Arc::clone(&line));
    thread::Builder::new().name("squall-line".into()).spawn(move || listen(&control2, &line2, deadline))?;
    control.wait_for_stop();
    parts.finish(&control);
    line.tell(&control)
}

/// The line to the parent.
struct Line {
    socket: Socket,
    /// Held while a status is written, so that none is inside another.
    write: Mutex<()>,
}

impl Line {
    fn tell(&self, control: &Control) -> io::Result<()> {
        let _write = self.write.lock().unwrap_or_else(PoisonError::into_inner);
        status(control).write(&self.socket)
    }
}

/// Sends the status at intervals, also while the server stops, and waits for orders to stop. Without a parent
/// there is nothing to do.
fn listen(control: &Control, line: &Line, deadline: Option<Duration>) {
    let interval =
        deadline.map_or(INTERVAL, |deadline| (deadline / 4).clamp(Duration::from_millis(5), INTERVAL));
    loop {
        let sent = line.socket.set_read_timeout(Some(interval)).and_then(|()| line.tell(control));
        match sent.and_then(|()| line::read_stop(&line.socket)) {
            Ok(grace) => control.stop(Some(grace)),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
            Err(_) => process::exit(1),
        }
    }
}

fn status(control: &Control) -> Status {
    let busy = control.busy().into_iter().max().unwrap_or_default();
    control
        .stats
        .with_all(|sockets| Status::of(busy, control.unfinished(), sockets.iter().map(|stats| &**stats)))
}

fn transport(name: &str) -> Option<Transport> {
    [Transport::Udp, Transport::Tcp, Transport::Unix, Transport::Unixgram]
        .into_iter()
        .find(|transport| transport.name() == name)
}

/// How often a worker tells its counts.
const INTERVAL: Duration = Duration::from_millis(250);
