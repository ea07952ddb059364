//! The congestion controller on paths in virtual time.
//!
//! `SQUALL_SIM_SEEDS=1000 cargo test -p squall-proto --test congestion` runs more seeds.

#[path = "congestion/path.rs"]
mod path;
#[path = "congestion/window.rs"]
mod window;

use std::time::Duration;
use path::Path;
use window::{cubic, squall};

#[test]
fn explore_now() {
    let which = std::env::var("W").unwrap_or("rate=1gbit,delay=25ms,queue=6MB".into());
    let n: usize = std::env::var("N").ok().and_then(|n| n.parse().ok()).unwrap_or(1);
    let late: u64 = std::env::var("LATE").ok().and_then(|n| n.parse().ok()).unwrap_or(0);
    let c: usize = std::env::var("C").ok().and_then(|n| n.parse().ok()).unwrap_or(0);
    let steps: u64 = std::env::var("S").ok().and_then(|n| n.parse().ok()).unwrap_or(20);
    let dt: u64 = std::env::var("DT").ok().and_then(|n| n.parse().ok()).unwrap_or(250);
    let d: u64 = std::env::var("D").ok().and_then(|n| n.parse().ok()).unwrap_or(25000);
    let mut path = Path::new(&which, 7).delay(Duration::from_micros(d));
    for _ in 0..c { path.sender(cubic()); }
    if c > 0 { path.run(Duration::from_millis(late)); }
    path.sender(squall());
    for i in 0..steps {
        if (i * dt) >= late && path.senders.len() < n + c { path.sender(squall()); }
        if let Ok(w) = std::env::var("CH") { if i == steps / 2 { path.change(&w); } }
        let did = path.run(Duration::from_millis(dt));
        print!("{:6.2}s", (i + 1) as f64 * dt as f64 / 1e3);
        for (did, sender) in did.iter().zip(&path.senders) {
            print!(" | {:7.1}M q {:5.1} max {:5.1} lost {:4.1}%", did.rate / 1e6, did.waited.as_secs_f64() * 1e3, did.longest.as_secs_f64() * 1e3, did.lost * 100.0);
            if let Some(b) = sender.window.belief() {
                print!(" w {:5.0}k bw {:6.1} rt {:5.1?} L {:.3} {:9}", b.window / 1000, b.bandwidth as f64 * 8e-6, b.round_trip.unwrap_or_default().as_secs_f64() * 1e3, b.loss, format!("{}", b.phase));
            } else { print!(" w {:5.0}k", sender.window.window() / 1000); }
        }
        println!();
    }
}
