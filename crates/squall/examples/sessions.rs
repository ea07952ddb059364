//! A running total for each peer: `accept()` for datagrams. A peer sends numbers and hears their sum.

use std::thread;
use std::time::Duration;

use squall::sessions::{Session, SessionConfig, SessionError, SessionListener};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let config = SessionConfig::default().max_sessions(64).idle_timeout(Duration::from_secs(30));
    let listener = SessionListener::bind_with(config, &"udp://127.0.0.1:0".parse()?)?;
    for local in listener.locals() {
        println!("listening on {local}");
    }
    loop {
        let session = listener.accept()?;
        // The number of sessions bounds the threads.
        thread::spawn(move || {
            if let Err(error) = add_up(&session) {
                eprintln!("{error}");
            }
        });
    }
}

fn add_up(session: &Session) -> Result<(), SessionError> {
    let mut sum = 0_i64;
    let mut buffer = [0; 64];
    loop {
        let count = match session.recv(&mut buffer) {
            Ok(count) => count,
            // It went home.
            Err(SessionError::Idle { .. }) => return Ok(()),
            Err(error) => return Err(error),
        };
        let number =
            std::str::from_utf8(&buffer[..count]).ok().and_then(|text| text.trim().parse::<i64>().ok());
        let answer = match number {
            Some(number) => {
                sum = sum.saturating_add(number);
                format!("sum {sum}")
            }
            None => "not a number".to_owned(),
        };
        session.send(answer.as_bytes())?;
    }
}
