//! A chat hub for programs and people: `nc -u 127.0.0.1 PORT` and `nc 127.0.0.1 PORT` take part.

use squall::chat::{Hub, HubConfig, NoHistory};
use squall::framing::Framing;
use squall::{Server, Service};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let hub = Hub::new(HubConfig::default().seed(squall::seed()), Box::new(NoHistory));
    let service = Service::protocol("chat", hub)
        // It answers nothing that another server sends, and looks for that itself.
        .answers_anything(false)
        .framing(Framing::Lines { max: 64 * 1024 })
        .at("udp://127.0.0.1:0")?
        .at("tcp://127.0.0.1:0")?;
    let server = Server::new().service(service).start()?;
    for local in server.locals() {
        println!("listening on {}", local.uri);
    }
    server.wait();
    Ok(())
}
