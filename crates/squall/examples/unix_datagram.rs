//! A Unix datagram server at the path in its first argument. Its peers are on this machine, so an answer may
//! be as long as it likes; they bind a path of their own to be answered at.

use squall::{Reply, Request, Server, Service};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("usage: unix_datagram PATH")?;
    let repeat = |request: &Request<'_>, reply: &mut Reply<'_>| {
        for _ in 0..3 {
            reply.write(request.payload)?;
            reply.next()?;
        }
        Ok(())
    };
    let service = Service::new("repeat", repeat).at(&format!("unixgram:{path}"))?;
    let server = Server::new().service(service).start()?;
    for local in server.locals() {
        println!("listening on {}", local.uri);
    }
    server.wait();
    Ok(())
}
