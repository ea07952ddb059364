//! A stamp server on TCP: each line comes back behind a number and with its line end.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};

use squall::framing::Framing;
use squall::{Refusal, Reply, Request, Server, Service};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let count = AtomicU64::new(1);
    let stamp = move |request: &Request<'_>, reply: &mut Reply<'_>| {
        write!(reply, "[{}] ", count.fetch_add(1, Ordering::Relaxed)).map_err(|_| Refusal::Full)?;
        reply.write(request.payload)
    };
    let service = Service::new("stamp", stamp)
        .at("tcp://127.0.0.1:0")?
        // A line of more than a kilobyte ends its connection.
        .framing(Framing::Lines { max: 1024 });
    let server = Server::new().service(service).start()?;
    for local in server.locals() {
        println!("listening on {}", local.uri);
    }
    server.wait();
    Ok(())
}
