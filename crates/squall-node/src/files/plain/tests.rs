use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use squall::files::plain::{BYE, Receiver, ReceiverConfig};
use squall::{Input, Origin, Outbox, Peer, Protocol, Request, Time, Transport};

use super::store::{Store, StoreConfig, StoreStats};

/// A receiver without a socket, that writes into a folder.
struct Bench {
    receiver: Receiver,
    store: Store,
    out: Outbox,
}

impl Bench {
    fn open(path: &Path, space: u64) -> Self {
        let config = StoreConfig { pattern: "{peer}+{port}".parse().unwrap(), space };
        let (front, store, earlier) = Store::open(path, config).unwrap();
        let receiver = Receiver::new(ReceiverConfig::default(), Box::new(front)).earlier(earlier);
        Self { receiver, store, out: Outbox::new() }
    }

    fn give(&mut self, port: u16, datagrams: &[&[u8]]) {
        let peer = Peer::Ip(SocketAddr::from(([127, 0, 0, 1], port)));
        let origin = Origin { peer, local: None, transport: Transport::Udp, validated: true };
        for datagram in datagrams {
            let request = Request::new(Time::ZERO, datagram, origin);
            self.receiver.handle_input(Time::ZERO, Input::Message(request), &mut self.out);
        }
    }

    /// Ends in good order; what the store has counted.
    fn end(mut self) -> StoreStats {
        self.receiver.handle_input(Time::ZERO, Input::Stopping, &mut self.out);
        self.lose()
    }

    /// Ends as a process does that is killed: nobody says what is under way.
    fn lose(self) -> StoreStats {
        drop(self.receiver);
        assert!(self.store.close(Duration::from_secs(60)));
        self.store.stats()
    }
}

fn kept(path: &Path) -> BTreeMap<String, String> {
    let files = fs::read_dir(path).unwrap().map(|file| file.unwrap());
    files
        .map(|file| (file.file_name().into_string().unwrap(), fs::read_to_string(file.path()).unwrap()))
        .filter(|(name, _)| !name.starts_with('.'))
        .collect()
}

fn names(files: &[(&str, &str)]) -> BTreeMap<String, String> {
    files.iter().map(|(name, content)| ((*name).to_owned(), (*content).to_owned())).collect()
}

#[test]
fn uploads_become_files_whose_names_are_never_taken_twice() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("127.0.0.1+1"), "old").unwrap();
    let mut bench = Bench::open(folder.path(), u64::MAX);
    bench.give(1, &[b"one", BYE, b"tw"]);
    bench.give(2, &[BYE]);
    bench.give(1, &[b"o", BYE]);
    let stats = bench.end();
    let expected =
        [("127.0.0.1+1", "old"), ("127.0.0.1+1-2", "one"), ("127.0.0.1+1-3", "two"), ("127.0.0.1+2", "")];
    assert_eq!(kept(folder.path()), names(&expected));
    assert_eq!((stats.files, stats.incomplete, stats.written, stats.used), (3, 0, 6, 9));
}

#[test]
fn what_an_earlier_run_has_left_is_incomplete_and_so_is_the_rest_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut bench = Bench::open(folder.path(), u64::MAX);
    bench.give(1, &[b"killed"]);
    assert_eq!(bench.lose().files, 0);
    assert_eq!(kept(folder.path()), names(&[]));
    let mut bench = Bench::open(folder.path(), u64::MAX);
    bench.give(1, &[b"rest", BYE]);
    bench.give(2, &[b"stopped"]);
    assert_eq!(bench.end().recovered, 1);
    let first = [("127.0.0.1+1.incomplete", "killed"), ("127.0.0.1+1-2.incomplete", "rest")];
    let second =
        [("127.0.0.1+2.incomplete", "stopped"), ("127.0.0.1+2-2.incomplete", "rest"), ("127.0.0.1+2", "new")];
    assert_eq!(kept(folder.path()), names(&[&first[..], &second[..1]].concat()));
    let mut bench = Bench::open(folder.path(), u64::MAX);
    bench.give(2, &[b"rest", BYE, b"new", BYE]);
    let stats = bench.end();
    assert_eq!(kept(folder.path()), names(&[&first[..], &second[..]].concat()));
    assert_eq!((stats.recovered, stats.files, stats.incomplete), (0, 1, 1));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 5, "nothing else is left");
}

#[test]
fn a_folder_without_space_keeps_what_fits_of_an_upload() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("old"), "12345").unwrap();
    let mut bench = Bench::open(folder.path(), 10);
    bench.give(1, &[b"123", b"456", BYE]);
    bench.give(2, &[b"78", BYE]);
    let stats = bench.end();
    let expected = [("old", "12345"), ("127.0.0.1+1.incomplete", "123"), ("127.0.0.1+2", "78")];
    assert_eq!(kept(folder.path()), names(&expected));
    assert_eq!((stats.no_space, stats.used), (1, 10));
}
