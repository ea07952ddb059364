//! Lines for whoever reads them.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::Builder;
use std::time::Duration;

/// Writes lines in a thread of its own: a pipe that nobody reads, or a terminal that is held, stops nobody who sends.
pub(super) struct Lines {
    queue: Arc<Mutex<Queue>>,
    /// Says that something was written; gone when all is.
    progress: Mutex<Receiver<()>>,
    /// What is written where lines had to be left out.
    tell: fn(u64) -> String,
}

struct Queue {
    lines: Option<Sender<String>>,
    /// Bytes that wait to be written.
    waiting: usize,
    /// Lines that were left out since the last one that was not.
    left_out: u64,
}

impl Lines {
    /// Writes to `out`.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(super) fn to(out: impl Write + Send + 'static, tell: fn(u64) -> String) -> io::Result<Self> {
        let (lines, queued) = channel();
        let queue = Arc::new(Mutex::new(Queue { lines: Some(lines), waiting: 0, left_out: 0 }));
        let (written, progress) = sync_channel(1);
        let shared = Arc::clone(&queue);
        Builder::new().name("squall-lines".into()).spawn(move || write(out, &queued, &shared, &written))?;
        Ok(Self { queue, progress: Mutex::new(progress), tell })
    }

    /// Writes a line as soon as those before it are; where [`MOST`] bytes wait, it is left out and counted.
    pub(super) fn print(&self, line: String) {
        let mut queue = lock(&self.queue);
        if queue.waiting + line.len() > MOST {
            queue.left_out += 1;
            return;
        }
        queue.tell(self.tell);
        queue.push(line);
    }

    /// Waits until all is written, as long as somebody reads.
    pub(super) fn end(&self) {
        {
            let mut queue = lock(&self.queue);
            queue.tell(self.tell);
            queue.lines = None;
        }
        let progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        while progress.recv_timeout(PATIENCE).is_ok() {}
    }
}

impl Queue {
    fn tell(&mut self, tell: fn(u64) -> String) {
        match std::mem::take(&mut self.left_out) {
            0 => {}
            left_out => self.push(tell(left_out)),
        }
    }

    fn push(&mut self, line: String) {
        self.waiting += line.len();
        if let Some(lines) = &self.lines {
            let _ = lines.send(line);
        }
    }
}

fn write(mut out: impl Write, queued: &Receiver<String>, queue: &Mutex<Queue>, written: &SyncSender<()>) {
    for line in queued {
        // A reader that has gone has what it wanted.
        let _ = out.write_all(line.as_bytes()).and_then(|()| out.flush());
        lock(queue).waiting -= line.len();
        let _ = written.try_send(());
    }
}

fn lock(queue: &Mutex<Queue>) -> MutexGuard<'_, Queue> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Bytes that wait at most: some hundred thousand files.
const MOST: usize = 16 << 20;
/// How long a reader may take for a line at the end.
const PATIENCE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes nothing until it is let, and then says what it took.
    struct Held(Receiver<()>, Sender<String>);

    impl Write for Held {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            let _ = self.1.send(String::from_utf8_lossy(bytes).into_owned());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_does_not_read_misses_what_is_too_much_and_is_told_how_much() {
        let ((go, held), (read, lines)) = (channel(), channel());
        let out = Lines::to(Held(held, read), |left_out| format!("{left_out} left out\n")).unwrap();
        let long = "x".repeat(MOST / 2);
        for line in [&*long, &*long, "one", "two"] {
            out.print(line.into());
        }
        drop(go);
        assert_eq!((lines.recv().unwrap().len(), lines.recv().unwrap().len()), (MOST / 2, MOST / 2));
        while lock(&out.queue).waiting > 0 {
            std::thread::yield_now();
        }
        out.print("three".into());
        out.end();
        assert_eq!(lines.iter().collect::<Vec<_>>(), ["2 left out\n", "three"]);
    }

    #[test]
    fn the_end_does_not_wait_for_a_reader_that_never_reads() {
        let ((_go, held), (read, _lines)) = (channel(), channel());
        let out = Lines::to(Held(held, read), |_| String::new()).unwrap();
        out.print("one".into());
        out.end();
        assert_eq!(lock(&out.queue).waiting, 3);
    }
}
