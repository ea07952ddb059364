use super::*;

/// How many live members are evicted, in how many member-hours, where each of `members` beats every ten seconds for
/// `days`, the first of them clear, and then loses `lost` heartbeats in a row once in `every`.
fn evicted(members: u32, days: u32, every: u32, lost: u32, numbers: bool) -> (u32, u32) {
    let mut hub = Hub::new(HubConfig::default(), Box::new(NoHistory));
    let mut out = Outbox::new();
    let mut evicted = 0;
    for beat in 0..days * 8640 {
        for member in 0..members {
            let nanos =
                u64::from(beat) * 10_000_000_000 + u64::from(member) * 10_000_000_000 / u64::from(members);
            let now = Time::from_nanos(nanos);
            while let Some(due) = hub.poll_timeout().filter(|due| *due <= now) {
                hub.handle_timeout(due, &mut out);
            }
            let phase = (beat + member * (every / members)) % every;
            if beat < 8640 || phase >= lost {
                let line = if numbers { alloc::format!("^hb^ {beat}") } else { "^hb^".into() };
                hub.handle_input(
                    now,
                    Input::Message(Request::new(now, line.as_bytes(), origin(member))),
                    &mut out,
                );
            }
        }
        evicted += core::iter::from_fn(|| hub.poll_event())
            .filter(|e| matches!(e, Event::Went { .. }))
            .count() as u32;
    }
    (evicted, members * days * 24)
}

#[test]
fn a_hub_learns_from_members_that_it_took_for_dead() {
    for numbers in [true, false] {
        let (evicted, hours) = evicted(10, 4, 8640, 4, numbers);
        assert!(evicted <= 3, "{evicted} in {hours} member-hours");
    }
}

#[test]
fn heartbeats_that_come_less_often_than_the_default_limit_are_learnt_from_evictions() {
    let mut bench = Bench::new();
    for _ in 0..30 {
        bench.say(&[(1, "^hb^")]).wait(Duration::from_secs(60));
    }
    assert_eq!(bench.hub.stats().silent, 2, "until two intervals are measured the limit is 30 s");
}

#[test]
fn a_connections_heartbeats_say_nothing_of_the_weather() {
    let mut bench = Bench::new();
    bench.open(1000);
    for _ in 0..100 {
        bench.say(&[(1000, "^hb^")]).wait(Duration::from_secs(10));
    }
    let member = bench.hub.members(bench.now).next().unwrap();
    assert_eq!((member.every, member.loss), (None, None));
    assert_eq!(bench.hub.stats().heartbeats, 100);
}

#[test]
fn an_eviction_is_told_with_the_limit_that_held_at_last() {
    let mut bench = Bench::new();
    bench.say(&[(1, "^hb^ 1")]).wait(Duration::from_secs(31));
    let went = core::iter::from_fn(|| bench.hub.poll_event()).find_map(|event| match event {
        Event::Went { silence, limit, .. } => Some((silence, limit)),
        _ => None,
    });
    let (silence, limit) = went.unwrap();
    assert_eq!(limit, Some(Duration::from_secs(30)));
    assert!(silence >= Duration::from_secs(30) && silence <= Duration::from_millis(30_200), "{silence:?}");
}

#[test]
fn a_hub_that_stood_still_takes_nobody_for_dead_and_learns_no_wrong_interval() {
    for (numbers, every, still) in
        [(true, 5, 32), (false, 5, 32), (true, 10, 125), (true, 1, 125), (false, 10, 3600)]
    {
        let mut bench = Bench::new();
        let mut count = 0;
        let mut beat = |bench: &mut Bench| {
            count += 1;
            let line = if numbers { alloc::format!("^hb^ {count}") } else { "^hb^".into() };
            bench.give(&origin(1), line.as_bytes());
        };
        for _ in 0..20 {
            bench.say(&[(2, "a person")]);
            beat(&mut bench);
            bench.wait(Duration::from_secs(every));
        }
        let beating =
            |bench: &Bench| bench.hub.members(bench.now).find(|member| member.every.is_some()).unwrap();
        let limit = beating(&bench).limit;
        // Whether its clock or its sockets come first when it wakes is chance.
        bench.now += Duration::from_secs(still);
        bench.hub.handle_timeout(bench.now, &mut bench.out);
        for _ in 0..still / every {
            beat(&mut bench);
        }
        for _ in 0..20 {
            bench.wait(Duration::from_secs(every));
            beat(&mut bench);
        }
        assert_eq!(bench.hub.stats().silent, 0, "{numbers} {every} {still}");
        let member = beating(&bench);
        let off = member.every.unwrap().as_secs_f32() / every as f32;
        assert!((0.99..1.01).contains(&off), "{off}: {numbers} {every} {still}");
        assert_eq!(member.loss, Some(0.0), "{numbers} {every} {still}");
        assert!(member.limit >= limit.map(|limit| limit / 2), "{:?} of {limit:?}", member.limit);
        // It is evicted in its time when it is gone, and so is the person.
        bench.wait(Duration::from_secs(600));
        assert_eq!(bench.hub.stats().members, 0);
    }
}

#[test]
fn a_member_that_beats_far_more_often_from_now_on_is_known_to_in_the_end() {
    let mut bench = Bench::new();
    for _ in 0..20 {
        bench.say(&[(1, "^hb^")]).wait(Duration::from_secs(60));
    }
    for _ in 0..200 {
        bench.say(&[(1, "^hb^")]).wait(Duration::from_secs(1));
    }
    let every = bench.hub.members(bench.now).next().unwrap().every.unwrap();
    assert!(every < Duration::from_secs(2), "{every:?}");
}
