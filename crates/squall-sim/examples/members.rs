//! A million members that send a heartbeat every ten seconds: what they cost a hub in memory and processor time, and
//! whether each that dies is evicted in its time and no other.
//!
//! `cargo run --release -p squall-sim --example members [MEMBERS [INTERVALS]]`
//!
//! Time is virtual, and the processor time is the hub's machine alone, without a kernel and sockets.

#[path = "../tests/hours/mod.rs"]
mod hours;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let members: u32 = arguments.next().map_or(Ok(1_000_000), |text| text.parse())?;
    let intervals: u32 = arguments.next().map_or(Ok(20), |text| text.parse())?;
    if !(100..=10_000_000).contains(&members) || intervals < 5 {
        return Err("from a hundred to ten million members, and at least five intervals".into());
    }
    let cost = hours::many::run(members, intervals);
    println!("{members} members, a heartbeat every 10 s, {} heartbeats measured", cost.heartbeats);
    println!(
        "memory            {:.0} bytes a member, {:.0} at most while they come",
        cost.bytes, cost.most_bytes
    );
    let percent = |members: f64| cost.nanos * members / 10.0 / 1e9 * 100.0;
    println!(
        "processor time    {:.0} ns a heartbeat: {:.2} % of a core for 100,000 members, {:.1} % for a million",
        cost.nanos,
        percent(1e5),
        percent(1e6)
    );
    println!("dead evicted      {} of {}", cost.evicted, cost.died);
    println!("  after           {:.1} to {:.1} s of silence", cost.shortest, cost.longest);
    println!("  beyond limit    {:.2} s at most", cost.latest);
    println!("living evicted    {}", cost.wrong);
    Ok(())
}
