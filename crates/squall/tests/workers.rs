//! Worker processes in trouble: each costs what it held, and no other worker's peers notice.

mod common;

use std::collections::HashSet;
use std::net::UdpSocket;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::{Example, LONG, ask, hear, state, until};

/// Peers of a server with three workers, with the process that answers each.
fn peers(server: &Example) -> Vec<(UdpSocket, String)> {
    let all: Vec<_> = (0..24)
        .map(|_| {
            let peer = server.udp();
            let worker = ask(&peer, b"who");
            (peer, worker)
        })
        .collect();
    let workers: HashSet<_> = all.iter().map(|(_, worker)| worker).collect();
    assert!(workers.len() > 1, "24 peers on one of three workers");
    all
}

/// Ends the server and returns its last line.
fn stop(mut server: Example) -> String {
    drop(server.child.stdin.take());
    server.lines.next().unwrap().unwrap()
}

fn start() -> Example {
    start_told(&[])
}

fn start_told(what: &[&str]) -> Example {
    Example::start_with("worker_trouble", what, Stdio::piped())
}

fn signal(name: &str, process: &str) {
    let kill = format!("kill -{name} {process}");
    assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
}

#[test]
fn a_worker_that_blocks_is_killed_and_replaced_and_no_other_s_peers_notice() {
    let server = start();
    let peers = peers(&server);
    let (bad, victim) = &peers[0];
    bad.send(b"block").unwrap();
    for (peer, worker) in peers.iter().filter(|(_, worker)| worker != victim) {
        assert_eq!(ask(peer, b"who"), *worker);
    }
    // What is sent before that may be in its hands.
    until("the worker is killed", || state(victim).is_none());
    let successor = ask(bad, b"who");
    assert_ne!(successor, *victim);
    for (peer, worker) in &peers {
        assert_eq!(ask(peer, b"who"), if worker == victim { successor.clone() } else { worker.clone() });
    }
    let report = stop(server);
    assert!(report.ends_with("unfinished 0 late 1 restarts 1"), "{report}");
}

#[test]
fn a_worker_that_aborts_is_replaced() {
    let server = start();
    let peers = peers(&server);
    let (bad, victim) = &peers[0];
    let mut worker = victim.clone();
    for _ in 0..2 {
        bad.send(b"abort").unwrap();
        until("the worker has ended", || state(&worker).is_none());
        worker = ask(bad, b"who");
        assert_ne!(worker, *victim);
    }
    let report = stop(server);
    assert!(report.ends_with("late 0 restarts 2"), "{report}");
}

#[test]
fn what_waits_for_a_killed_worker_is_answered_by_its_successor() {
    let server = start();
    let peers = peers(&server);
    let (peer, victim) = &peers[0];
    signal("STOP", victim);
    until("the worker stands still", || state(victim) == Some('T'));
    for _ in 0..10 {
        peer.send(b"who").unwrap();
    }
    signal("KILL", victim);
    let answers: HashSet<_> = (0..10).map(|_| hear(peer)).collect();
    assert!(answers.len() == 1 && !answers.contains(victim), "{answers:?}");
}

#[test]
fn a_worker_killed_under_load_loses_at_most_what_it_held() {
    let server = start();
    let peers = peers(&server);
    let victim = peers[0].1.clone();
    let (stop_load, address) = (AtomicBool::new(false), server.address());
    let lost = thread::scope(|scope| {
        let loads: Vec<_> = peers
            .iter()
            .map(|(peer, worker)| {
                let (hit, stop_load) = (*worker == victim, &stop_load);
                scope.spawn(move || load(peer, worker, hit, stop_load))
            })
            .collect();
        signal("KILL", &victim);
        until("it is gone", || state(&victim).is_none());
        // The new worker answers, so that all that was lost is lost.
        let fresh: Vec<_> = (0..24).map(|_| common::client(address)).collect();
        for peer in &fresh {
            assert_ne!(ask(peer, b"who"), "");
        }
        stop_load.store(true, Ordering::Relaxed);
        loads.into_iter().map(|load| load.join().unwrap()).sum::<u32>()
    });
    let on_victim = peers.iter().filter(|(_, worker)| *worker == victim).count() as u32;
    assert!(lost <= on_victim, "{lost} lost of {on_victim} that could be in its hands");
    let report = stop(server);
    assert!(report.ends_with("unfinished 0 late 0 restarts 1"), "{report}");
}

/// Asks in a row, one request at a time, and returns how many were lost. A peer of the killed worker may
/// lose one, and is then answered by one successor; nobody else loses any.
fn load(peer: &UdpSocket, worker: &str, hit: bool, stop: &AtomicBool) -> u32 {
    let (mut lost, mut successor) = (0, None::<String>);
    for _ in 0..200_000 {
        if stop.load(Ordering::Relaxed) && (!hit || successor.is_some()) {
            break;
        }
        peer.set_read_timeout(Some(if hit { Duration::from_secs(1) } else { LONG })).unwrap();
        peer.send(b"who").unwrap();
        let mut buffer = [0; 16];
        match common::receive(peer, &mut buffer) {
            Ok(count) => {
                let answer = std::str::from_utf8(&buffer[..count]).unwrap();
                if answer != worker {
                    assert!(hit, "a peer moved from {worker} to {answer}");
                    let first = successor.get_or_insert_with(|| answer.to_owned());
                    assert_eq!(first, answer, "one successor");
                }
            }
            Err(_) if hit => lost += 1,
            Err(error) => panic!("a peer of another worker lost a request: {error}"),
        }
    }
    lost
}

#[test]
fn workers_stop_with_their_server_and_their_counts_are_told() {
    let server = start();
    let peers = peers(&server);
    assert_eq!(stop(server), "handled 24 unfinished 0 late 0 restarts 0");
    drop(peers);
    // A server that is stopped at once.
    let report = stop(start());
    assert_eq!(report, "handled 0 unfinished 0 late 0 restarts 0");
}

#[test]
fn a_worker_that_hangs_does_not_hold_the_shutdown_up() {
    let server = start_told(&["patient"]);
    let peers = peers(&server);
    let witness = UdpSocket::bind("127.0.0.1:0").unwrap();
    witness.set_read_timeout(Some(LONG)).unwrap();
    peers[0].0.send(format!("block and tell {}", witness.local_addr().unwrap()).as_bytes()).unwrap();
    assert_eq!(hear(&witness), "blocked");
    let begun = Instant::now();
    let report = stop(server);
    let taken = begun.elapsed();
    assert!(report.ends_with("unfinished 1 late 0 restarts 0"), "{report}");
    assert!(taken >= Duration::from_secs(1) && taken < Duration::from_secs(5), "{taken:?} of one second");
}

#[test]
fn a_server_that_is_dropped_stops_its_workers() {
    let mut server = start_told(&["drop"]);
    let peers = peers(&server);
    drop(server.child.stdin.take());
    assert_eq!(server.lines.next().unwrap().unwrap(), "dropped");
    for (_, worker) in &peers {
        until("the worker has ended", || state(worker).is_none());
    }
    assert!(server.child.try_wait().unwrap().is_none(), "its parent stays");
}

#[test]
fn a_worker_outlives_ctrl_c_and_what_it_starts_does_not() {
    let server = start();
    let peer = server.udp();
    let worker = ask(&peer, b"who");
    // As it is for this program's own children, whatever that is.
    let ours = Command::new("grep").args(["SigIgn", "/proc/self/status"]).output().unwrap();
    assert_eq!(ask(&peer, b"ignored"), String::from_utf8_lossy(&ours.stdout));
    for name in ["INT", "TERM"] {
        signal(name, &worker);
    }
    assert_eq!(ask(&peer, b"who"), worker);
    assert!(stop(server).ends_with("late 0 restarts 0"));
}

#[test]
fn a_program_that_a_worker_starts_can_be_a_server_of_its_own() {
    let server = start_told(&["patient"]);
    let answer = ask(&server.udp(), b"another");
    assert!(answer.starts_with("listening on udp://127.0.0.1:"), "{answer}");
    assert!(!answer.contains(&server.uri), "{answer}");
}

#[test]
fn a_protocol_s_calls_reach_the_worker_that_has_it_and_are_refused_elsewhere() {
    let mut server = start_told(&["remote"]);
    assert_eq!(server.lines.next().unwrap().unwrap(), "asked: Err(Stopped)", "the parent runs no protocol");
    assert_eq!(ask(&server.udp(), b"how often?"), "1", "the call was made in the worker, too");
    stop(server);
}
