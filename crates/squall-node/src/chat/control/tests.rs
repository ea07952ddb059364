//! An operator and a node that talk over a socket.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use squall::socket::{Kind, Socket};

use super::*;

/// Obeys one order, with as many members as it is asked to.
#[derive(Default)]
struct Fake {
    members: u64,
    stopped: AtomicBool,
}

impl Obey for Fake {
    fn obey(&self, order: Order, tell: &mut dyn FnMut(Answer) -> io::Result<()>) -> io::Result<()> {
        match order {
            Order::Node => {
                tell(Answer::Node(NodeView { pid: 7, ..NodeView::default() }))?;
                tell(Answer::Done(Done::default()))
            }
            Order::Members { .. } => {
                for number in 0..self.members {
                    tell(Answer::Member(MemberRow { number, ..MemberRow::default() }))?;
                }
                tell(Answer::Done(Done::members(self.members)))
            }
            order => tell(Answer::Error(format!("{order:?}"))),
        }
    }

    fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
    }
}

fn serve(fake: &Arc<Fake>) -> (tempfile::TempDir, ControlServer) {
    let directory = tempfile::tempdir().unwrap();
    let listener = Listener::at(&directory.path().join("ctl.sock")).unwrap();
    let server = ControlServer::start(listener, Arc::clone(fake) as Arc<dyn Obey>).unwrap();
    (directory, server)
}

#[test]
fn orders_are_answered_one_after_the_other() {
    let fake = Arc::new(Fake { members: 5000, ..Fake::default() });
    let (_directory, server) = serve(&fake);
    let mut client = Client::connect(server.path()).unwrap();
    assert_eq!(client.node().unwrap().pid, 7);
    let mut numbers = Vec::new();
    let order = Order::Members { room: None };
    let done = client.give(&order, |answer| {
        let Answer::Member(member) = answer else { panic!("{answer:?}") };
        numbers.push(member.number);
        Ok(())
    });
    assert_eq!(done.unwrap().members, Some(5000));
    assert!(numbers.into_iter().eq(0..5000));
    let refused = client.give(&Order::Bans, |_| Ok(())).unwrap_err();
    assert_eq!(refused.to_string(), "Bans");
    client.give(&Order::Stop, |_| Ok(())).unwrap();
    // The connection stays open until the process ends, or the operator goes.
    assert!(!client.wait_for_end(Duration::from_millis(1)));
    // It is told before it is done.
    let begun = Instant::now();
    while !fake.stopped.load(Ordering::SeqCst) {
        assert!(begun.elapsed() < Duration::from_secs(60), "the node was not stopped");
        thread::yield_now();
    }
}

#[test]
fn what_is_no_order_is_told_and_the_next_one_obeyed() {
    let (_directory, server) = serve(&Arc::default());
    let mut connection = UnixStream::connect(server.path()).unwrap();
    connection.write_all(b"\n{\"do\":\"dance\"}\n\xff\n{\"do\":\"node\"}\n").unwrap();
    let mut lines = BufReader::new(connection).lines().map(Result::unwrap);
    for says in ["unknown variant `dance`", "this is no order", "\"pid\":7", "{\"done\":{}}"] {
        let line = lines.next().unwrap();
        assert!(line.contains(says), "{line}");
    }
}

#[test]
fn an_order_that_does_not_end_is_given_up() {
    let (_directory, server) = serve(&Arc::default());
    let connection = UnixStream::connect(server.path()).unwrap();
    // The node may hang up before it has read all.
    let _ = (&connection).write_all(&vec![b'x'; 70_000]);
    let mut line = String::new();
    BufReader::new(&connection).read_line(&mut line).unwrap();
    assert!(line.contains("an order has less than 65536 bytes"), "{line}");
}

#[test]
fn a_node_that_has_ended_is_absent() {
    let (_directory, server) = serve(&Arc::default());
    let path = server.path().to_owned();
    drop(server);
    assert!(!path.exists());
    let error = Client::connect(&path).unwrap_err();
    assert!(error.is_absence(), "{error}");
    assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
}

#[test]
fn who_stopped_a_node_is_told_when_it_has_ended_however_long_that_takes() {
    let (ours, theirs) = Socket::pair(Kind::Stream).unwrap();
    let patience = Duration::from_millis(10);
    // The order is there before the node waits for it, with so little patience.
    (&ours).write_all(b"{\"do\":\"stop\"}\n").unwrap();
    let node = thread::spawn(move || server::converse(&theirs, &Fake::default(), patience));
    let mut lines = BufReader::new(&ours);
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    assert_eq!(line, "{\"done\":{}}\n");
    // No end of the connection, though the node's patience was over long ago.
    ours.set_read_timeout(Some(patience * 20)).unwrap();
    line.clear();
    assert!(lines.read_line(&mut line).is_err(), "the connection ended");
    ours.shutdown(std::net::Shutdown::Both).unwrap();
    node.join().unwrap().unwrap();
}
