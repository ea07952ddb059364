//! A server whose handler waits: four threads, so that a slow request holds up no other. A request that
//! says `slow` takes a second.

use std::thread;
use std::time::Duration;

use squall::{Model, Reply, Request, Server, Service};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let work = |request: &Request<'_>, reply: &mut Reply<'_>| {
        if request.payload == b"slow" {
            thread::sleep(Duration::from_secs(1));
        }
        reply.write(b"done: ")?;
        reply.write(request.payload)
    };
    // Past ten seconds a request is given up and its thread replaced.
    let model = Model::Threads { threads: 4, queue: 256, deadline: Some(Duration::from_secs(10)) };
    let service = Service::new("work", work).at("udp://127.0.0.1:0")?;
    let server = Server::new().service(service).model(model).start()?;
    for local in server.locals() {
        println!("listening on {}", local.uri);
    }
    server.wait();
    Ok(())
}
