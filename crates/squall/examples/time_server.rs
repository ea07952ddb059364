//! A time server as a closure: `cargo run --example time_server`, then `squall ask udp://127.0.0.1:PORT`.

use std::fmt::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use squall::{Refusal, Reply, Request, Server, Service};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let time = |_: &Request<'_>, reply: &mut Reply<'_>| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let seconds = now.map_err(|_| Refusal::Failed("the clock is before 1970"))?.as_secs();
        write!(reply, "{seconds} seconds since 1970").map_err(|_| Refusal::Full)
    };
    let server = Server::new().service(Service::new("time", time).at("udp://127.0.0.1:0")?).start()?;
    for local in server.locals() {
        println!("listening on {}", local.uri);
    }
    server.wait();
    Ok(())
}
