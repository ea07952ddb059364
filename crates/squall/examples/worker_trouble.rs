//! For the tests of worker processes: three of them, whose handler does what it is told. It stops when its
//! standard input ends, and prints what came of it.

use std::io::Read;
use std::time::Duration;
use std::{io, process, thread};

use squall::{Counter, Model, Reply, Request, Running, Server, Service};

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    // The thread that starts a server may end before it.
    let server = thread::spawn(serve).join().map_err(|_| "the server panicked")??;
    for local in server.locals() {
        println!("listening on {}", local.uri);
    }
    io::stdin().read_to_end(&mut Vec::new())?;
    let report = server.shutdown(Duration::from_secs(10));
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
            _ => {}
        }
        reply.write(process::id().to_string().as_bytes())
    };
    let model = Model::Processes { workers: 3, deadline: Some(Duration::from_millis(300)) };
    let service = Service::new("trouble", trouble).at("udp://127.0.0.1:0")?;
    let server = Server::new().service(service).model(model);
    Ok(server.on_error(|error| eprintln!("{error}")).start()?)
}
