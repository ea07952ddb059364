//! For the tests of worker processes: three of them, whose handler does what it is told. It stops when its
//! standard input ends, and prints what came of it.
//!
//! Arguments: `patient` sets no deadline and shuts down within one second; `drop` drops the server instead and
//! stays; `once` starts and stops; `remote` runs a protocol that is called, and prints what the parent is told.

use std::io::Read;
use std::net::UdpSocket;
use std::sync::OnceLock;
use std::time::Duration;
use std::{env, io, process, thread};

use squall::{Counter, Input, Model, Outbox, Protocol, Reply, Request, Running, Server, Service, Time};

/// What the parent's question to the protocol was answered with.
static ASKED: OnceLock<String> = OnceLock::new();

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    // The thread that starts a server may end before it.
    let server = thread::spawn(serve).join().map_err(|_| "the server panicked")??;
    for local in server.locals() {
        println!("listening on {}", local.uri);
    }
    if let Some(asked) = ASKED.get() {
        println!("asked: {asked}");
    }
    if is_told("once") {
        server.shutdown(Duration::ZERO);
        return Ok(());
    }
    io::stdin().read_to_end(&mut Vec::new())?;
    if is_told("drop") {
        drop(server);
        println!("dropped");
        loop {
            thread::park();
        }
    }
    let report = server.shutdown(Duration::from_secs(if is_told("patient") { 1 } else { 10 }));
    let (late, restarts) = (report.stats.total(Counter::Late), report.stats.total(Counter::WorkerRestarts));
    println!("handled {} unfinished {} late {late} restarts {restarts}", report.handled, report.unfinished);
    Ok(())
}

fn serve() -> Result<Running, Failure> {
    let trouble = |request: &Request<'_>, reply: &mut Reply<'_>| {
        match request.payload {
            b"block" => loop {
                thread::park();
            },
            b"abort" => process::abort(),
            b"another" => {
                let program = env::current_exe().unwrap();
                let told = process::Command::new(program).arg("once").output();
                return reply.write(&told.unwrap().stdout);
            }
            b"ignored" => {
                let told = process::Command::new("grep").args(["SigIgn", "/proc/self/status"]).output();
                return reply.write(&told.unwrap().stdout);
            }
            _ => {}
        }
        if let Some(witness) = request.payload.strip_prefix(b"block and tell ") {
            let witness = std::str::from_utf8(witness).unwrap();
            UdpSocket::bind("127.0.0.1:0").unwrap().send_to(b"blocked", witness).unwrap();
            loop {
                thread::park();
            }
        }
        reply.write(process::id().to_string().as_bytes())
    };
    let deadline = (!is_told("patient")).then_some(Duration::from_millis(300));
    let model = Model::Processes { workers: 3, deadline };
    if is_told("remote") {
        let (service, remote) = Service::protocol_with_remote("trouble", Calls(0));
        remote.call(|calls, _, _| calls.0 += 1)?;
        // No worker gets beyond this.
        let server = Server::new().service(service.at("udp://127.0.0.1:0")?).model(model).start()?;
        ASKED.set(format!("{:?}", remote.ask(|calls, _, _| calls.0))).unwrap();
        return Ok(server);
    }
    let service = Service::new("trouble", trouble).at("udp://127.0.0.1:0")?;
    let server = Server::new().service(service).model(model);
    Ok(server.on_error(|error| eprintln!("{error}")).start()?)
}

/// Says how often it was called.
struct Calls(u32);

impl Protocol for Calls {
    fn handle_input(&mut self, _now: Time, input: Input<'_>, out: &mut Outbox) {
        if let Input::Message(request) = input {
            // A peer that is not answered asks again.
            let _ = out.answer(&request).write(self.0.to_string().as_bytes());
        }
    }

    fn handle_timeout(&mut self, _now: Time, _out: &mut Outbox) {}

    fn poll_timeout(&self) -> Option<Time> {
        None
    }
}

fn is_told(word: &str) -> bool {
    env::args().skip(1).any(|argument| argument == word)
}
