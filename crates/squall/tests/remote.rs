//! A protocol that is called from other threads while a server runs it.

mod common;

use std::sync::mpsc;
use std::time::Duration;

use common::{client, hear};
use squall::{Input, Origin, Outbox, Protocol, Remote, RemoteError, Server, Service, Time};

/// Remembers who spoke and what it was told, and says so when the server stops.
#[derive(Default)]
struct Room {
    members: Vec<Origin>,
    told: Vec<&'static str>,
    due: Option<Time>,
    end: Option<mpsc::Sender<Vec<&'static str>>>,
}

impl Protocol for Room {
    fn handle_input(&mut self, _now: Time, input: Input<'_>, out: &mut Outbox) {
        match input {
            Input::Message(request) => {
                self.members.push(request.origin);
                out.to(&request.origin).write(b"welcome").unwrap();
            }
            Input::Stopping => {
                let _ = self.end.take().map(|end| end.send(std::mem::take(&mut self.told)));
            }
            _ => {}
        }
    }

    fn handle_timeout(&mut self, now: Time, out: &mut Outbox) {
        if self.due.take_if(|due| *due <= now).is_some() {
            out.to_all(&mut self.members.iter().copied(), b"time is up").unwrap();
        }
    }

    fn poll_timeout(&self) -> Option<Time> {
        self.due
    }
}

fn service(room: Room) -> (Service, Remote<Room>) {
    let (service, remote) = Service::protocol_with_remote("room", room);
    (service.at("udp://127.0.0.1:0").unwrap(), remote)
}

#[test]
fn a_call_sees_what_arrived_and_what_it_writes_is_sent() {
    let (service, remote) = service(Room::default());
    let server = Server::new().service(service).start().unwrap();
    let member = client(server.local_addrs()[0]);
    member.send(b"hello").unwrap();
    assert_eq!(hear(&member), "welcome");
    remote
        .call(|room, now, out| {
            out.to(&room.members[0]).write(b"news").unwrap();
            room.due = Some(now + Duration::from_millis(1));
        })
        .unwrap();
    assert_eq!(hear(&member), "news");
    assert_eq!(hear(&member), "time is up", "a deadline that a call set is kept");
    assert_eq!(remote.ask(|room, _, _| room.members.len()), Ok(1));
}

#[test]
fn calls_made_before_the_start_wait_for_it() {
    let (service, remote) = service(Room::default());
    remote.call(|room, _, _| room.told.push("early")).unwrap();
    let asker = remote.clone();
    let asked = std::thread::spawn(move || asker.ask(|room, _, _| room.told.clone()));
    let server = Server::new().service(service).start().unwrap();
    assert_eq!(asked.join().unwrap(), Ok(vec!["early"]));
    drop(server);
}

#[test]
fn a_call_that_panics_loses_what_it_wrote_and_nothing_else() {
    let (service, remote) = service(Room::default());
    let (told, panics) = mpsc::channel();
    let server = Server::new()
        .service(service)
        .on_error(move |error| told.send(error.to_string()).unwrap())
        .start()
        .unwrap();
    let member = client(server.local_addrs()[0]);
    member.send(b"hello").unwrap();
    assert_eq!(hear(&member), "welcome");
    let asked = remote.ask(|room, _, out| -> u32 {
        out.to(&room.members[0]).write(b"half").unwrap();
        panic!("as it was asked")
    });
    assert_eq!(asked, Err(RemoteError::Panicked));
    assert!(panics.recv_timeout(common::LONG).unwrap().contains("as it was asked"));
    remote.call(|room, _, out| out.to(&room.members[0]).write(b"whole").unwrap()).unwrap();
    assert_eq!(hear(&member), "whole");
}

#[test]
fn what_was_called_before_the_end_is_done_and_what_is_called_after_it_is_refused() {
    let (told, end) = mpsc::channel();
    let (service, remote) = service(Room { end: Some(told), ..Room::default() });
    let server = Server::new().service(service).start().unwrap();
    let (entered, inside) = mpsc::channel();
    let (leave, left) = mpsc::channel::<()>();
    // The shard is inside a call when another is made and the server is stopped.
    remote
        .call(move |_, _, _| {
            entered.send(()).unwrap();
            left.recv().unwrap();
        })
        .unwrap();
    inside.recv_timeout(common::LONG).unwrap();
    remote.call(|room, _, _| room.told.push("last")).unwrap();
    server.stopper().stop();
    leave.send(()).unwrap();
    assert_eq!(end.recv_timeout(common::LONG).unwrap(), ["last"]);
    server.wait();
    assert_eq!(remote.ask(|_, _, _| {}), Err(RemoteError::Stopped));
    assert_eq!(remote.call(|_, _, _| {}), Err(RemoteError::Stopped));
}

#[test]
fn a_server_that_never_starts_refuses_calls() {
    let (service, remote) = service(Room::default());
    let asker = remote.clone();
    let asked = std::thread::spawn(move || asker.ask(|_, _, _| {}));
    drop(Server::new().service(service));
    assert_eq!(asked.join().unwrap(), Err(RemoteError::Stopped));
}

#[test]
fn asking_on_the_protocol_s_own_thread_is_an_error_and_no_dead_lock() {
    let (service, remote) = service(Room::default());
    let own = remote.clone();
    let (told, said) = mpsc::channel();
    let report = Server::new()
        .service(service)
        .run_with(|running| {
            // The first shard will run on this thread.
            told.send(remote.ask(|_, _, _| {})).unwrap();
            let stopper = running.stopper();
            remote
                .call(move |_, _, _| {
                    told.send(own.ask(|_, _, _| {})).unwrap();
                    stopper.stop();
                })
                .unwrap();
        })
        .unwrap();
    assert_eq!(Vec::from_iter(said), [Err(RemoteError::OwnThread); 2]);
    assert_eq!(report.unfinished, 0);
}
