use super::*;
use crate::guard::Trust;

fn stranger(last: u8, port: u16) -> Origin {
    udp(SocketAddr::from((Ipv4Addr::new(192, 0, 2, last), port)))
}

#[test]
fn a_member_says_twenty_messages_a_second_and_is_told_once_a_second() {
    let mut bench = Bench::new();
    let member = stranger(1, 1);
    for _ in 0..100 {
        bench.give(&member, b"x");
    }
    bench.settle();
    assert_eq!((bench.hub.stats().messages, bench.hub.stats().over_rate), (60, 40));
    let all = core::mem::take(&mut bench.got);
    let lines: Vec<&String> = all.values().flatten().collect();
    assert_eq!(lines.iter().filter(|line| **line == "! slow down: 20 messages/s").count(), 1);
    for _ in 0..100 {
        bench.wait(Duration::from_millis(10));
        bench.give(&member, b"x");
    }
    bench.settle();
    assert_eq!(bench.hub.stats().messages, 80);
}

#[test]
fn the_members_of_a_network_share_a_rate_and_heartbeats_cost_nothing() {
    let mut bench = Bench::new();
    for member in 1..=100 {
        (0..10).for_each(|_| bench.give(&stranger(member, 1), b"x"));
        (0..100).for_each(|_| bench.give(&stranger(member, 1), b"^hb^"));
    }
    bench.settle();
    // Coming costs as much as a message.
    assert_eq!(bench.hub.stats().messages + bench.hub.stats().came, 600);
    assert!(bench.got.values().flatten().any(|line| line == "! slow down: 200 messages/s for your network"));
}

#[test]
fn loopback_and_unix_sockets_are_not_limited() {
    let mut bench = Bench::new();
    bench.open(1000);
    for _ in 0..500 {
        bench.say(&[(1, "x"), (1000, "x")]);
    }
    assert_eq!(bench.hub.stats().messages, 1000);
}

#[test]
fn a_network_has_only_so_many_members_but_for_trusted_ones() {
    let mut bench = Bench::new();
    for port in 1..=10_000 {
        bench.give(&stranger(port as u8, port), b"");
    }
    let stats = bench.hub.stats();
    assert_eq!((stats.members, stats.prefix_full), (256, 9744));
    bench.give(&udp("198.51.100.1:1".parse().unwrap()), b"");
    bench.give(&stranger(1, 1), b"quit");
    bench.give(&stranger(9, 10_000), b"");
    assert_eq!(bench.hub.stats().members, 257, "another network, and a place that became free");
    bench.check();
    let mut trusted =
        Bench::with(HubConfig::default().trust(Trust::from_iter(["192.0.2.0/24".parse().unwrap()])));
    for port in 1..=1000 {
        trusted.give(&stranger(1, port), b"");
    }
    assert_eq!(trusted.hub.stats().members, 1000);
}

#[test]
fn a_full_hub_turns_newcomers_away_and_tells_connections_why() {
    let mut bench = Bench::with(HubConfig::default().members(2));
    bench.say(&[(1, ""), (2, ""), (3, "hello")]).open(1000);
    assert_eq!((bench.hub.stats().members, bench.hub.stats().full), (2, 2));
    assert!(bench.got(3).is_empty());
    assert_eq!(bench.got(1000), ["! the hub is full"]);
    assert_eq!(bench.closed, [origin(1000)]);
    bench.say(&[(1, "quit"), (3, "hello")]);
    assert_eq!(bench.got(3), ["ack hello"]);
}

#[test]
fn a_flood_sheds_its_own_messages_and_nobody_elses() {
    let mut bench = Bench::new();
    bench.say(&[(1, ""), (2, "hello"), (3, "")]).got(3);
    let start = bench.hub.stats();
    for step in 0..1000 {
        for _ in 0..1500 {
            let request = Request::new(bench.now, b"flood", origin(1));
            bench.hub.handle_input(bench.now, Input::Message(request), &mut bench.out);
            if step == 0 && bench.hub.stats().floods == 1 {
                assert!(bench.out.isolated().contains(&origin(1)) || bench.hub.stats().flooded > 1);
            }
        }
        bench.out.clear();
        bench.give(&origin(2), alloc::format!("text {step}").as_bytes());
        bench.wait(Duration::from_millis(10));
    }
    let got = bench.got(3);
    let texts: Vec<&String> = got.iter().filter(|line| line.starts_with("ack text")).collect();
    let expected: Vec<String> = (0..1000).map(|step| alloc::format!("ack text {step}")).collect();
    assert_eq!(texts, expected.iter().collect::<Vec<_>>());
    let flood = got.len() - texts.len();
    // The queue that it filled first is said before it counts as flooding; then 20 messages/s.
    assert!((200..=230).contains(&flood), "{flood} in ten seconds");
    let stats = bench.hub.stats();
    assert_eq!(stats.floods - start.floods, 1);
    let waiting = bench.hub.senders.flooders.iter().map(|sender| bench.hub.senders.get(*sender).waiting().0);
    let waiting = waiting.sum::<usize>() as u64;
    assert_eq!(stats.flooded + stats.messages - start.messages + waiting, 1_500_000 + 1000);
}

#[test]
fn a_flood_is_over_when_its_queue_was_empty_for_a_second() {
    let mut bench = Bench::new();
    bench.say(&[(1, ""), (2, "hello")]).got(1);
    for _ in 0..1025 {
        bench.give(&origin(1), b"x");
    }
    assert!(bench.got(1).contains(&"! slow down: more than is relayed".to_string()));
    assert!(matches!(
        core::iter::from_fn(|| bench.hub.poll_event()).last(),
        Some(Event::Flooding(who)) if who.number == 1
    ));
    bench.wait(Duration::from_secs(60));
    assert!(bench.got(1).len() >= 1000);
    assert!(bench.hub.members(bench.now).all(|member| !member.flooding));
    for _ in 0..100 {
        bench.say(&[(1, "y")]);
    }
    assert_eq!(bench.got(1).len(), 100);
}

#[test]
fn a_flooding_member_that_leaves_and_comes_again_begins_anew() {
    let mut bench = Bench::new();
    for _ in 0..3 {
        bench.say(&[(1, "")]);
        (0..1500).for_each(|_| bench.give(&origin(1), b"x"));
        bench.hub.kick(bench.now, &Selector::Number(bench.hub.stats().came), &mut bench.out);
        bench.settle();
    }
    assert_eq!((bench.hub.stats().kicked, bench.hub.stats().members), (3, 0));
}

#[test]
fn all_queues_together_have_a_limit() {
    let mut bench = Bench::with(HubConfig::default().all_queues(10_000));
    let text = "x".repeat(1000);
    for _ in 0..5 {
        (0..50).for_each(|member| bench.give(&origin(member), text.as_bytes()));
    }
    let shed = bench.hub.stats().shed;
    assert!(shed >= 200, "{shed}");
    bench.settle();
    assert_eq!(bench.hub.stats().messages + shed, 250);
    assert!(bench.hub.stats().messages <= 20);
}

#[test]
fn what_two_hubs_would_send_each_other_for_ever_ends() {
    let mut bench = Bench::new();
    bench.say(&[(1, "")]);
    bench.say(&[(1, "ack hi")]);
    assert_eq!(bench.got(1), ["ack ack hi"], "a member may say it");
    bench.say(&[(1, "ack ack hi"), (1, "ack bob: ack hi")]);
    assert!(bench.got(1).is_empty());
    assert_eq!(bench.hub.stats().loops, 2);
    bench.say(&[(1, "bye bye"), (1, "* waves"), (1, "! watch out")]);
    assert_eq!(bench.got(1), ["ack bye bye", "ack * waves", "ack ! watch out"], "so may these");
}
