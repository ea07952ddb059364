use super::*;
use crate::{JitterShape, Order, Probability, Rule};
use alloc::format;
use alloc::string::ToString;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use proptest::prelude::*;

fn parse(text: &str) -> Weather {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn refused(text: &str) -> String {
    match text.parse::<Weather>() {
        Ok(weather) => panic!("{text} is read as {weather}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn every_preset_is_read_and_its_text_survives_the_way_there_and_back() {
    for preset in PRESETS {
        let weather =
            Weather::preset(preset.name).unwrap_or_else(|| panic!("{}: {}", preset.name, preset.text));
        assert_eq!(parse(&weather.to_string()), weather);
        assert_eq!(parse(preset.name), weather);
        assert!(preset.source.len() > 20, "{}", preset.name);
    }
    assert_eq!(Weather::preset("nice"), None);
    let names: Vec<&str> = PRESETS.iter().map(|preset| preset.name).collect();
    assert_eq!(names, ["clear", "wifi", "lte", "satellite", "transatlantic", "storm", "half"]);
}

#[test]
fn settings_have_one_way_of_being_shown() {
    for (text, shown) in [
        ("clear", "clear"),
        ("loss=0", "clear"),
        (
            "delay=0.025s,jitter=5000us,loss=0.01,rate=1000mbit,queue=6000KB",
            "delay=25ms,jitter=5ms,loss=1%,rate=1gbit,queue=6MB",
        ),
        (" delay = 1ms , up.loss = 5% ", "delay=1ms,up.loss=5%"),
        ("up.delay=1ms,delay=2ms", "up.delay=1ms,down.delay=2ms"),
        ("delay=2ms,up.delay=2ms", "delay=2ms"),
        ("burst-enter=1%,burst-leave=20%,burst-loss=50%", "burst=1%:20%,burst-loss=50%"),
        (
            "order=free,jitter-shape=pareto,mtu=1400B,mtu-icmp=no",
            "jitter-shape=pareto,order=free,mtu=1400,mtu-icmp=no",
        ),
        ("order=keep,mtu-icmp=yes,jitter-shape=uniform,reorder-by=10ms,burst-loss=100%", "clear"),
        (
            "reorder=2%,reorder-by=3ms,duplicate=1%,corrupt=0.5%",
            "duplicate=1%,reorder=2%,reorder-by=3ms,corrupt=0.5%",
        ),
        ("blackout=10s+2s/0+1s,blackout-every=1m+500ms", "blackout=10s+2s/0+1s,blackout-every=60s+500ms"),
        ("rate=1MB/s", "rate=8mbit"),
        ("half,down.loss=1%", "up.loss=50%,down.loss=1%"),
        ("half,loss=1%", "loss=1%"),
        ("rule=drop  every:3", "rule=every:3 drop"),
        (
            "rule=size:100 drop,rule=size:0- loss:1%,up.rule=drop",
            "up.rule=size:100 drop,up.rule=size:0- loss:1%,up.rule=drop,down.rule=size:100 drop,down.rule=size:0- loss:1%",
        ),
        (
            "rule=peer:10.0.0.0/8 drop,rule=peer:[::1]:53 drop,rule=peer:fd00::/8 drop,rule=peer:10.0.0.1/32 drop",
            "rule=peer:10.0.0.0/8 drop,rule=peer:[::1]:53 drop,rule=peer:fd00::/8 drop,rule=peer:10.0.0.1 drop",
        ),
        (
            "rule=prefix:GET drop,rule=prefix:0x474554 drop,rule=prefix:0x00ff drop,rule=prefix:0x3078 drop",
            "rule=prefix:GET drop,rule=prefix:GET drop,rule=prefix:0x00ff drop,rule=prefix:0x3078 drop",
        ),
        (
            "rule=loss:1% delay:2ms jitter:1ms duplicate:2% reorder:3% corrupt:4%",
            "rule=loss:1% delay:2ms jitter:1ms duplicate:2% reorder:3% corrupt:4%",
        ),
        ("loss=1% @10s: half @ 1m : clear @2m:repeat", "loss=1%@10s:up.loss=50%@60s:clear@120s:repeat"),
        ("clear@5s:loss=1%@up.9s:repeat", "clear@5s:loss=1%@up.9s:repeat"),
    ] {
        assert_eq!(parse(text).to_string(), shown, "{text}");
        assert_eq!(parse(shown), parse(text), "{shown}");
    }
}

#[test]
fn what_makes_no_sense_is_refused_in_words() {
    let probability = "it must be a probability from 0% to 100%, like 1.5%";
    let time = "it must be a time up to 1h with its unit, like 25ms";
    let presets = "clear, wifi, lte, satellite, transatlantic, storm, half";
    for (text, message) in [
        ("", format!("a part of the weather is empty; write KEY=VALUE,… or a preset: {presets}")),
        ("loss=1%,,delay=1ms", format!("a part of the weather is empty; write KEY=VALUE,… or a preset: {presets}")),
        ("nice", format!("\"nice\" is no preset; there are {presets}")),
        ("delay", format!("\"delay\" is no preset; there are {presets}; a key has a value: KEY=VALUE")),
        ("loss=1%,lte", "the preset lte must come first; what follows changes it".into()),
        ("lte,lte", "the preset lte must come first; what follows changes it".into()),
        ("loss=1%,loss=2%", "loss is given twice".into()),
        ("up.loss=1%,up.loss=1%", "up.loss is given twice".into()),
        ("burst=1%:9%,burst-enter=2%", "burst-enter is given twice".into()),
        ("loss=101%", format!("loss=101%: {probability}")),
        ("loss=-1%", format!("loss=-1%: {probability}")),
        ("loss=nan", format!("loss=nan: {probability}")),
        ("loss=", format!("loss=: {probability}")),
        ("loss=5", format!("loss=5: {probability}")),
        ("up.duplicate=2", format!("up.duplicate=2: {probability}")),
        ("burst=1%", "burst=1%: it must be two probabilities, of entering and of leaving a burst, like 1%:25%".into()),
        ("burst=1%:0%", "up: a burst would never end; give burst-leave a probability over 0%".into()),
        ("down.burst-enter=1%", "down: a burst would never end; give burst-leave a probability over 0%".into()),
        ("delay=25", format!("delay=25: {time}")),
        ("delay=-1ms", format!("delay=-1ms: {time}")),
        ("jitter=2h", format!("jitter=2h: {time}")),
        ("jitter-shape=gauss", "jitter-shape=gauss: it must be uniform, normal or pareto".into()),
        ("order=any", "order=any: it must be keep or free".into()),
        ("rate=0bit", "rate=0bit: it must be a rate from 1bit to 1tbit a second, like 10mbit or 1MB/s".into()),
        ("rate=10", "rate=10: it must be a rate from 1bit to 1tbit a second, like 10mbit or 1MB/s".into()),
        ("rate=2tbit", "rate=2tbit: it must be a rate from 1bit to 1tbit a second, like 10mbit or 1MB/s".into()),
        ("queue=6MB", "up: a queue needs a rate to wait for".into()),
        ("up.rate=1mbit,down.queue=9KB", "down: a queue needs a rate to wait for".into()),
        ("rate=1mbit,queue=1499", "up: the queue is shorter than one datagram: it must hold the mtu, or 1500 bytes if there is none".into()),
        ("rate=1mbit,queue=17GB", "queue=17GB: it must be a number of bytes up to 16GB, like 64KiB or 6MB".into()),
        ("mtu=67", "mtu=67: it must be a number of bytes from 68 to 65535, like 1400".into()),
        ("mtu=65536", "mtu=65536: it must be a number of bytes from 68 to 65535, like 1400".into()),
        ("mtu-icmp=maybe", "mtu-icmp=maybe: it must be yes or no".into()),
        ("blackout=10s", "blackout=10s: it must be one or more times up to 1h, each with its length, like 10s+2s or 10s+2s/60s+500ms".into()),
        ("blackout-every=2s+2s", "blackout-every=2s+2s: it must be a period up to 1h and a length that is shorter, like 30s+2s".into()),
        ("clear@10s", "@10s: write @TIME:WEATHER or @TIME:repeat".into()),
        ("clear@10:loss=1%", "@10:loss=1%: the time must be over 0 and have its unit, like 10s".into()),
        ("clear@0s:loss=1%", "@0s:loss=1%: the time must be over 0 and have its unit, like 10s".into()),
        ("clear@10s:half@10s:clear", "@10s:clear: the times must rise".into()),
        ("clear@10s:half@9s:repeat", "@9s:repeat: the times must rise".into()),
        ("clear@10s:repeat@11s:repeat", "@11s:repeat: there is one repeat for each direction".into()),
        ("clear@10s:repeat@11s:half", "@11s:half: repeat comes last".into()),
        ("clear@up.10s:half", "@up.10s:half: only repeat is for one direction; write up. and down. before the keys".into()),
        ("clear@10s:", format!("a part of the weather is empty; write KEY=VALUE,… or a preset: {presets}")),
        ("clear@10s:loss=2", format!("loss=2: {probability}")),
    ] {
        assert_eq!(refused(text), message, "{text}");
    }
}

#[test]
fn an_unknown_key_is_told_with_the_nearest_one_and_all() {
    assert!(
        refused("los=1%").starts_with("there is no key \"los\"; loss is near; there are delay, jitter, ")
    );
    assert!(refused("up.rat=1bit").starts_with("there is no key \"up.rat\"; rate is near; there are "));
    assert!(refused("left.loss=1%").starts_with("there is no key \"left.loss\"; there are delay, jitter, "));
    assert!(refused("loss=1%,nonsense").starts_with("there is no key \"nonsense\"; there are delay, "));
}

#[test]
fn what_is_near_is_told_in_capitals_too() {
    assert!(refused("Half").starts_with("\"Half\" is no preset; half is near; there are clear, "));
    assert!(refused("STROM").starts_with("\"STROM\" is no preset; storm is near; "));
    assert!(refused("LOSS=1%").starts_with("there is no key \"LOSS\"; loss is near; "));
    assert!(refused("LOSS").ends_with("; a key has a value: KEY=VALUE"));
    assert!(refused("up.Delay=1ms").starts_with("there is no key \"up.Delay\"; delay is near; "));
}

#[test]
fn rules_without_sense_are_refused_by_their_faulty_part() {
    let nothing = "it does nothing; add drop, loss:P, delay:T, jitter:T or such";
    let probability = "it must be a probability from 0% to 100%, like loss:1.5%";
    let peer = "it must be ADDRESS, ADDRESS/BITS or ADDRESS:PORT, like peer:10.0.0.0/8";
    let prefix = "it must be text, or whole bytes in hex, like prefix:0x00ff";
    let size = "it must be bytes, MIN-MAX, like size:1000-1500";
    let every = "it must be a whole number from 1 on, like every:3";
    for (rule, part, reason) in [
        ("", "", nothing),
        ("size:100", "size:100", nothing),
        ("drop:1", "drop:1", "drop has no value"),
        ("drop loss:1%", "drop loss:1%", "a rule that drops does nothing else"),
        ("drop drop", "drop", "this is there twice"),
        ("size:9-1 drop", "size:9-1", size),
        ("every:2 size:x drop", "size:x", size),
        ("every:0 drop", "every:0", every),
        ("every:-1 drop", "every:-1", every),
        ("peer:10.0.0.0/33 drop", "peer:10.0.0.0/33", peer),
        ("peer:300.1.1.1 drop", "peer:300.1.1.1", peer),
        ("peer:example.org drop", "peer:example.org", peer),
        ("prefix: drop", "prefix:", prefix),
        ("prefix:0x drop", "prefix:0x", prefix),
        ("prefix:0x123 drop", "prefix:0x123", prefix),
        ("prefix:0xzz drop", "prefix:0xzz", prefix),
        ("prefix:0x+1 drop", "prefix:0x+1", prefix),
        ("loss:101%", "loss:101%", probability),
        ("delay:5", "delay:5", "it must be a time up to 1h with its unit, like delay:25ms"),
        (
            "fly",
            "fly",
            "there are size, every, peer, prefix, drop, loss, delay, jitter, duplicate, reorder, corrupt",
        ),
    ] {
        let message = refused(&format!("rule={rule}"));
        let part: String = part.chars().take(18).collect();
        assert_eq!(message, format!("rule: {part:?}: {reason}"));
    }
    // However long the part is.
    for rule in ["peer:", "fly", "drop loss:5% ", "prefix:0x"] {
        let message = refused(&format!("rule={rule}{}", "z".repeat(500)));
        assert!(message.chars().count() < 120, "{message}");
    }
}

#[test]
fn there_are_bounds_to_rules_blackouts_and_schedules() {
    let rules = |count| (0..count).map(|_| "rule=drop").collect::<Vec<_>>().join(",");
    assert_eq!(parse(&rules(64)).up.rules.len(), 64);
    assert_eq!(refused(&rules(65)), "there can be at most 64 rules");
    let windows = |count| format!("blackout={}", (0..count).map(|_| "1s+1s").collect::<Vec<_>>().join("/"));
    assert_eq!(parse(&windows(64)).up.blackouts.once.len(), 64);
    refused(&windows(65));
    let stages = |count| (1..=count).fold("clear".to_string(), |text, n| text + &format!("@{n}s:half"));
    assert_eq!(parse(&stages(1000)).up.schedule.later.len(), 1000);
    assert_eq!(refused(&stages(1001)), "there can be at most 1000 changes of weather");
    assert!(refused(&format!("loss={}", "9".repeat(5000))).len() < 200);
    assert!(refused(&"x".repeat(5000)).len() < 300);
    assert!(refused(&format!("{}=1", "x".repeat(5000))).len() < 400);
}

#[test]
fn a_changed_key_merges_and_a_preset_replaces() {
    let weather = parse("delay=25ms,up.loss=1%,rule=every:2 drop");
    let changed = |text| weather.changed(text).unwrap().to_string();
    assert_eq!(changed("up.delay=1s"), "up.delay=1s,down.delay=25ms,up.loss=1%,rule=every:2 drop");
    assert_eq!(changed("loss=2%"), "delay=25ms,loss=2%,rule=every:2 drop");
    assert_eq!(changed("rule=drop"), "delay=25ms,up.loss=1%,rule=every:2 drop,rule=drop");
    assert_eq!(changed("clear"), "clear");
    assert_eq!(changed("half"), "up.loss=50%");
    assert_eq!(changed("delay=1ms@5s:clear"), "delay=1ms@5s:clear");
    assert!(weather.changed("queue=9KB").is_err());
    assert!(parse("rate=1mbit@5s:clear").changed("queue=9KB").is_err(), "there is no rate later");
    let scheduled = parse("loss=1%@5s:loss=2%@9s:repeat");
    let changed = scheduled.changed("delay=1ms").unwrap();
    assert_eq!(changed.to_string(), "delay=1ms,loss=1%@5s:delay=1ms,loss=2%@9s:repeat");
}

#[test]
fn settings_are_those_of_the_setters() {
    let percent = Probability::percent;
    let ms = Duration::from_millis;
    let conditions = Conditions::default()
        .loss(percent(1))
        .burst(percent(2), percent(20))
        .burst_loss(percent(90))
        .burst_good_loss(percent(3))
        .delay(ms(25))
        .jitter(ms(5))
        .jitter_shape(JitterShape::Normal)
        .order(Order::Free)
        .duplicate(percent(4))
        .reorder(percent(5), ms(7))
        .corrupt(percent(6))
        .rate(1_000_000)
        .queue(9000)
        .mtu(1400)
        .mtu_icmp(false)
        .blackout(ms(1), ms(2))
        .blackout_every(ms(100), ms(3))
        .rule(Rule::new().peer("10.0.0.1:5".parse().unwrap()).prefix("x").delay(ms(1)).jitter(ms(2)))
        .then(ms(9000), Conditions::default().mtu(1300))
        .then(ms(5000), Conditions::default().mtu(1200))
        .repeat(ms(10_000));
    assert_eq!(
        Weather::both(conditions.clone()).to_string(),
        "delay=25ms,jitter=5ms,jitter-shape=normal,order=free,loss=1%,burst=2%:20%,burst-loss=90%,\
         burst-good-loss=3%,duplicate=4%,reorder=5%,reorder-by=7ms,corrupt=6%,rate=1mbit,queue=9KB,mtu=1400,\
         mtu-icmp=no,blackout=1ms+2ms,blackout-every=100ms+3ms,\
         rule=peer:10.0.0.1:5 prefix:x delay:1ms jitter:2ms@5s:mtu=1200@9s:mtu=1300@10s:repeat"
    );
    let replaced = Conditions::default().then(ms(1), Conditions::default()).then(ms(1), conditions.clone());
    assert_eq!(replaced.schedule.later.len(), 1);
    assert_eq!(replaced.at_stage(1).delay, conditions.delay);
    let odd = Weather::both(Conditions::default().rule(Rule::new().prefix("a,b@c").drop()));
    assert_eq!(odd.to_string(), "rule=prefix:0x612c624063 drop");
    let one = Weather { up: conditions, down: Conditions::default() };
    assert_eq!(parse(&one.to_string()).up, one.up, "{one}");
}

fn any_probability() -> impl Strategy<Value = Probability> {
    prop_oneof![
        Just(Probability::ZERO),
        Just(Probability::ONE),
        (0.0..=1.0).prop_map(|ratio| Probability::from_ratio(ratio).unwrap())
    ]
}

fn any_span() -> impl Strategy<Value = Duration> {
    prop_oneof![Just(0), 0..3_600_000_000_000u64].prop_map(Duration::from_nanos)
}

fn any_rule() -> BoxedStrategy<Rule> {
    let size = proptest::option::of((any::<u32>(), any::<u32>()));
    let peer = proptest::option::of((any::<IpAddr>(), any::<u8>(), any::<Option<u16>>()));
    let picks = (size, proptest::option::of(1..9u64), peer, any::<Vec<u8>>());
    let acts = proptest::array::uniform4(proptest::option::of(any_probability()));
    let delays = proptest::array::uniform2(proptest::option::of(any_span()));
    (picks, acts, delays)
        .prop_map(|((size, every, peer, prefix), acts, [delay, jitter])| {
            let mut rule = Rule::new().prefix(prefix);
            if let Some((a, b)) = size {
                rule = rule.size(a.min(b) as usize..=a.max(b) as usize);
            }
            rule.every = every;
            rule = match peer {
                Some((address, _, Some(port))) => rule.peer(SocketAddr::new(address, port)),
                Some((address, bits, None)) => rule.network(address, bits),
                None => rule,
            };
            [rule.loss, rule.duplicate, rule.reorder, rule.corrupt] = acts;
            rule.delay = delay.map(crate::conditions::nanos);
            rule.jitter = jitter.map(crate::conditions::nanos);
            if rule.acts() { rule } else { rule.drop() }
        })
        .boxed()
}

fn any_conditions() -> BoxedStrategy<Conditions> {
    let probabilities = proptest::array::uniform8(any_probability());
    let spans = proptest::array::uniform3(any_span());
    let shape = proptest::sample::select(&JitterShape::ALL[..]);
    let line =
        (proptest::option::of(1..=1_000_000_000_000u64), proptest::option::of(65_536..16_000_000_000u64));
    let mtu = (proptest::option::of(68..=65_535u32), any::<bool>());
    let blackouts = proptest::collection::vec((any_span(), any_span()), 0..3);
    let rules = proptest::collection::vec(any_rule(), 0..3);
    let times = (blackouts, proptest::option::of(any_span()));
    (probabilities, spans, shape, any::<bool>(), line, mtu, times, rules)
        .prop_map(
            |(p, [delay, jitter, by], shape, free, (rate, queue), (mtu, icmp), (blackouts, every), rules)| {
                let leave = if p[2].is_zero() { Probability::ONE } else { p[2] };
                let mut conditions = Conditions::default()
                    .loss(p[0])
                    .burst(p[1], leave)
                    .burst_loss(p[3])
                    .burst_good_loss(p[4])
                    .delay(delay)
                    .jitter(jitter)
                    .jitter_shape(shape)
                    .order(if free { Order::Free } else { Order::Keep })
                    .duplicate(p[5])
                    .reorder(p[6], by)
                    .corrupt(p[7])
                    .mtu_icmp(icmp);
                conditions.mtu = mtu;
                conditions.rate = rate.unwrap_or(0);
                conditions.queue = queue.filter(|_| rate.is_some());
                conditions.rules = rules;
                for (start, length) in blackouts {
                    conditions = conditions.blackout(start, length);
                }
                if let Some(period) = every {
                    conditions = conditions.blackout_every(period, period / 2);
                }
                conditions
            },
        )
        .boxed()
}

fn any_weather() -> BoxedStrategy<Weather> {
    let section = prop_oneof![
        (any_conditions(), any_conditions()).prop_map(|(up, down)| Weather { up, down }),
        any_conditions().prop_map(Weather::both),
    ];
    let later =
        proptest::collection::btree_map(1..1_000_000_000_000u64, (any_conditions(), any_conditions()), 0..3);
    (section, later, any::<bool>())
        .prop_map(|(Weather { mut up, mut down }, later, repeats)| {
            let end = Duration::from_secs(1001);
            for (time, conditions) in later {
                let (first, second) = conditions;
                up = up.then(Duration::from_nanos(time), first);
                down = down.then(Duration::from_nanos(time), second);
            }
            if repeats {
                Weather { up: up.repeat(end), down: down.repeat(end * 2) }
            } else {
                Weather { up, down }
            }
        })
        .boxed()
}

proptest! {
    #[test]
    fn every_weather_survives_the_way_into_text_and_back(weather in any_weather()) {
        let text = weather.to_string();
        prop_assert_eq!(text.parse::<Weather>(), Ok(weather), "{}", text);
    }

    #[test]
    fn no_text_is_too_odd(text in "((up|down)?[.]?(lte|half|rule|loss|delay|queue|rate|mtu|blackout|drop|every|size|[@=:,+0-9.%a-z/ ]){0,4}){0,6}") {
        if let Ok(weather) = text.parse::<Weather>() {
            let shown = weather.to_string();
            prop_assert_eq!(shown.parse::<Weather>(), Ok(weather), "{}", shown);
        }
    }
}
