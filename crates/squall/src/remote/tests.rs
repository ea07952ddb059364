use std::time::Duration;

use squall_proto::{Input, Protocol};
use squall_socket::Poller;

use super::*;

/// Keeps what it was told.
#[derive(Default)]
struct Notes(Vec<u32>);

impl Protocol for Notes {
    fn handle_input(&mut self, _now: Time, _input: Input<'_>, _out: &mut Outbox) {}

    fn handle_timeout(&mut self, _now: Time, _out: &mut Outbox) {}

    fn poll_timeout(&self) -> Option<Time> {
        None
    }
}

fn run(machine: &mut Box<dyn Machine>) {
    for _ in 0..machine.calls() {
        machine.run_call(Time::ZERO, &mut Outbox::new());
    }
}

#[test]
fn calls_wait_up_to_a_bound_and_run_in_order() {
    let (mut machine, remote) = with_calls(Notes::default());
    for number in 0..MAX_WAITING as u32 {
        remote.call(move |notes, _, _| notes.0.push(number)).unwrap();
    }
    assert_eq!(remote.call(|notes, _, _| notes.0.clear()), Err(RemoteError::Full));
    run(&mut machine);
    remote.call(|notes, _, _| assert_eq!(notes.0, Vec::from_iter(0..MAX_WAITING as u32))).unwrap();
    run(&mut machine);
    assert_eq!(machine.calls(), 0);
}

#[test]
fn a_shard_is_woken_once_for_what_waits_and_again_after_it_looked() {
    let (machine, remote) = with_calls(Notes::default());
    let (waker, mut poller, mut ready) = (Waker::new().unwrap(), Poller::new().unwrap(), Vec::new());
    poller.add(&waker, 1).unwrap();
    let mut woken = || {
        poller.wait(&mut ready, Some(Duration::ZERO)).unwrap();
        waker.clear();
        !ready.is_empty()
    };
    remote.call(|_, _, _| {}).unwrap();
    assert!(!woken(), "it has no shard yet");
    machine.attach(waker.clone());
    assert!(woken(), "a call waited for the shard");
    remote.call(|_, _, _| {}).unwrap();
    assert!(!woken(), "it was woken and has not looked yet");
    assert_eq!(machine.calls(), 2);
    remote.call(|_, _, _| {}).unwrap();
    assert!(woken());
}

#[test]
fn who_waits_for_an_answer_is_told_that_the_protocol_has_gone() {
    let (machine, remote) = with_calls(Notes::default());
    let asker = remote.clone();
    let asked = thread::spawn(move || asker.ask(|notes, _, _| notes.0.len()));
    while machine.calls() == 0 {
        thread::yield_now();
    }
    drop(machine);
    assert_eq!(asked.join().unwrap(), Err(RemoteError::Stopped));
    assert_eq!(remote.call(|_, _, _| {}), Err(RemoteError::Stopped));
    assert_eq!(remote.ask(|_, _, _| {}), Err(RemoteError::Stopped));
}

#[test]
fn a_call_that_holds_its_own_remote_goes_with_the_protocol() {
    let (machine, remote) = with_calls(Notes::default());
    let own = remote.clone();
    remote.call(move |_, _, _| drop(own)).unwrap();
    drop(machine);
    assert_eq!(Arc::strong_count(&remote.calls), 1, "nothing keeps itself alive");
}

#[test]
fn nobody_waits_for_himself() {
    let (machine, remote) = with_calls(Notes::default());
    machine.own();
    assert_eq!(remote.ask(|_, _, _| {}), Err(RemoteError::OwnThread));
}
