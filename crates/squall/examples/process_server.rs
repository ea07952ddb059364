//! A server in two worker processes, or as many as its argument says. `main` runs in each of them up to `start`, which serves there and does
//! not return; what is printed after it is printed by the parent alone. A request that says `crash` aborts
//! its worker, and costs nobody else an answer.

use std::process;

use squall::{Model, Reply, Request, Server, Service};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let who = |request: &Request<'_>, reply: &mut Reply<'_>| {
        if request.payload == b"crash" {
            process::abort();
        }
        reply.write(format!("worker {} heard ", process::id()).as_bytes())?;
        reply.write(request.payload)
    };
    let workers = std::env::args().nth(1).map_or(Ok(2), |count| count.parse())?;
    let server = Server::new()
        .service(Service::new("who", who).at("udp://127.0.0.1:0")?)
        .model(Model::processes(workers))
        .on_error(|error| eprintln!("{error}"))
        .start()?;
    for local in server.locals() {
        println!("listening on {}", local.uri);
    }
    server.wait();
    Ok(())
}
