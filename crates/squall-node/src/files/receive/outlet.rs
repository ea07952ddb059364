//! What the receiver says, on its way to the control stream: entries that follow one another share a message.

use std::io;
use std::time::Duration;

use quinn::{Connection, SendStream};
use squall::files::WINDOW;
use squall::files::wire::Verdict;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::files::disk::Trouble;
use crate::secure::{Parting, close_with};

/// Something to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Say {
    Ready,
    Unchanged(u64),
    Wanted(u64),
    Compare(u64),
    Stored(u64),
    Refused(u64, Trouble),
    Complete,
}

/// Where things are said.
#[derive(Clone)]
pub(super) struct Outlet {
    queue: UnboundedSender<Say>,
    /// How much waits to be written.
    waiting: watch::Sender<usize>,
}

impl Outlet {
    /// Says something as soon as the stream takes it.
    pub(super) fn send(&self, say: Say) {
        self.waiting.send_modify(|waiting| *waiting += 1);
        let _ = self.queue.send(say);
    }

    /// Waits until so little waits that more may be done of which something is to be said.
    pub(super) async fn has_room(&self) {
        let _ = self.waiting.subscribe().wait_for(|waiting| *waiting <= WINDOW).await;
    }
}

pub(super) fn outlet() -> (Outlet, UnboundedReceiver<Say>) {
    let (queue, said) = unbounded_channel();
    (Outlet { queue, waiting: watch::Sender::new(0) }, said)
}

/// Writes what is said until that all is done is said, and then ends the connection.
pub(super) async fn write(
    outlet: Outlet,
    mut said: UnboundedReceiver<Say>,
    mut stream: SendStream,
    connection: Connection,
) -> io::Result<()> {
    let waiting = outlet.waiting;
    drop(outlet.queue);
    // Before what is told of files that are there.
    let _ = stream.set_priority(1);
    let (mut taken, mut bytes) = (Vec::new(), Vec::new());
    while said.recv_many(&mut taken, 1024).await > 0 {
        encode(&taken, &mut bytes);
        stream.write_all(&bytes).await?;
        if taken.last() == Some(&Say::Complete) {
            let _ = stream.finish();
            // When the sender has all of it, neither has anything more to say. One whose last acknowledgement was lost has
            // ended and never answers.
            let _ = timeout(LINGER, stream.stopped()).await;
            close_with(&connection, Parting::Done.code(), b"");
            return Ok(());
        }
        waiting.send_modify(|waiting| *waiting -= taken.len());
        bytes.clear();
        taken.clear();
    }
    Ok(())
}

fn encode(said: &[Say], out: &mut Vec<u8>) {
    let mut rest = said;
    while let Some((first, behind)) = rest.split_first() {
        let run = |entry: u64, same: fn(u64) -> Say| {
            1 + (entry + 1..).zip(behind).take_while(|(next, said)| **said == same(*next)).count()
        };
        let mut taken = 1;
        match first {
            Say::Ready => Verdict::Ready.encode(out),
            Say::Complete => Verdict::Complete.encode(out),
            Say::Compare(entry) => Verdict::Compare { entry: *entry }.encode(out),
            Say::Refused(entry, trouble) => {
                Verdict::Refused { entry: *entry, reason: trouble.reason, text: &trouble.text }.encode(out);
            }
            Say::Unchanged(entry) => {
                taken = run(*entry, Say::Unchanged);
                Verdict::Unchanged { first: *entry, count: taken as u64 }.encode(out);
            }
            Say::Wanted(entry) => {
                taken = run(*entry, Say::Wanted);
                Verdict::Wanted { first: *entry, count: taken as u64 }.encode(out);
            }
            Say::Stored(entry) => {
                taken = run(*entry, Say::Stored);
                Verdict::Stored { first: *entry, count: taken as u64 }.encode(out);
            }
        }
        rest = &rest[taken..];
    }
}

/// How long a sender may take to acknowledge that all is done: a network that is away for some seconds is waited for.
const LINGER: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use squall::files::wire::split_message;

    use super::*;

    #[test]
    fn entries_that_follow_one_another_share_a_message() {
        let said = [
            Say::Ready,
            Say::Wanted(0),
            Say::Wanted(1),
            Say::Wanted(3),
            Say::Stored(4),
            Say::Unchanged(5),
            Say::Unchanged(6),
            Say::Unchanged(7),
            Say::Compare(8),
        ];
        let mut bytes = vec![];
        encode(&said, &mut bytes);
        let mut rest = &bytes[..];
        let mut read = vec![];
        while let Some((body, used)) = split_message(rest).unwrap() {
            read.push(Verdict::decode(body).unwrap());
            rest = &rest[used..];
        }
        assert_eq!(
            read,
            [
                Verdict::Ready,
                Verdict::Wanted { first: 0, count: 2 },
                Verdict::Wanted { first: 3, count: 1 },
                Verdict::Stored { first: 4, count: 1 },
                Verdict::Unchanged { first: 5, count: 3 },
                Verdict::Compare { entry: 8 },
            ]
        );
    }
}
