//! A protocol with a timer: who sends `join` hears a tick ten times a second, until `leave` or twenty ticks.

use std::time::Duration;

use squall::{Input, Origin, Outbox, Protocol, Server, Service, Time};

#[derive(Default)]
struct Ticker {
    /// Each member and the ticks that it still gets; 100 members at most.
    members: Vec<(Origin, u32)>,
    next: Option<Time>,
}

const INTERVAL: Duration = Duration::from_millis(100);

impl Protocol for Ticker {
    fn handle_input(&mut self, now: Time, input: Input<'_>, out: &mut Outbox) {
        let Input::Message(request) = input else { return };
        self.members.retain(|(member, _)| member.peer != request.origin.peer);
        // Twenty ticks are more than three times a `join`: nobody may have them sent to somebody else.
        if request.payload == b"join" && request.origin.validated && self.members.len() < 100 {
            self.members.push((request.origin, 20));
            self.next.get_or_insert(now + INTERVAL);
            let _ = out.answer(&request).write(b"welcome");
        }
    }

    fn handle_timeout(&mut self, now: Time, out: &mut Outbox) {
        let Some(due) = self.next.filter(|due| *due <= now) else { return };
        for (member, left) in &mut self.members {
            *left -= 1;
            let _ = out.to(member).write(format!("tick, {left} left").as_bytes());
        }
        self.members.retain(|(_, left)| *left > 0);
        self.next = (!self.members.is_empty()).then_some(due + INTERVAL);
    }

    fn poll_timeout(&self) -> Option<Time> {
        self.next
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let service = Service::protocol("ticker", Ticker::default()).at("udp://127.0.0.1:0")?;
    let server = Server::new().service(service).start()?;
    for local in server.locals() {
        println!("listening on {}", local.uri);
    }
    server.wait();
    Ok(())
}
