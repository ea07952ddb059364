//! A receiver and senders on loopback.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use squall_node::files::*;
use squall_node::secure::*;

/// A receiver into a directory of its own, and a place for what is sent.
pub(crate) struct House {
    pub(crate) root: tempfile::TempDir,
    pub(crate) receiver: Arc<Receiver>,
    client: SecureClient,
    target: Target,
    pub(crate) events: Arc<Mutex<Vec<ReceiveEvent>>>,
}

/// What a sender did.
pub(crate) struct Sent {
    pub(crate) counts: SendCounts,
    pub(crate) result: Result<(), SendFailure>,
    pub(crate) events: Vec<SendEvent>,
}

/// A server with an identity in `directory`, and a client that it lets in, with where that finds it.
pub(crate) fn ends(directory: &Path) -> (SecureServer, SecureClient, Target) {
    let identity = Identity::load_or_make(&directory.join("identity")).unwrap();
    let fingerprint = identity.fingerprint();
    let token = Token::generate().unwrap();
    let transport = Transport::new(Arc::new(quinn::congestion::CubicConfig::default()));
    let config = SecureConfig::new(identity, Admission::Token(token.clone()), transport.clone())
        .serve(Alpn::FILES)
        .on("udp://127.0.0.1:0".parse().unwrap());
    let server = SecureServer::bind(config).unwrap();
    let target = Target::parse(&server.locals()[0].0.to_string()).unwrap();
    let client = SecureClient::new(Alpn::FILES, Trust::Pinned(fingerprint), transport).token(token);
    (server, client, target)
}

impl House {
    pub(crate) fn new() -> Self {
        Self::with(|config| config)
    }

    pub(crate) fn with(change: impl FnOnce(ReceiveConfig) -> ReceiveConfig) -> Self {
        let root = tempfile::tempdir().unwrap();
        let (server, client, target) = ends(root.path());
        let events = Arc::<Mutex<Vec<ReceiveEvent>>>::default();
        let told = Arc::clone(&events);
        let config = change(ReceiveConfig::new(root.path().join("in")));
        let receiver = Receiver::open(config, move |event| told.lock().unwrap().push(event.clone())).unwrap();
        let receiver = Arc::new(receiver);
        let taking = Arc::clone(&receiver);
        tokio::spawn(async move {
            while let Some(session) = server.accept().await {
                let receiver = Arc::clone(&taking);
                tokio::spawn(async move { receiver.serve(session).await });
            }
        });
        fs::create_dir(root.path().join("out")).unwrap();
        Self { root, receiver, client, target, events }
    }

    /// A path of what is sent.
    pub(crate) fn out(&self, path: &str) -> PathBuf {
        self.root.path().join("out").join(path)
    }

    /// A path of what was received.
    pub(crate) fn inside(&self, path: &str) -> PathBuf {
        self.root.path().join("in").join(path)
    }

    pub(crate) async fn session(&self) -> Session {
        self.client.connect(&self.target).await.unwrap().session
    }

    pub(crate) async fn send(&self, paths: &[&str]) -> Sent {
        self.send_with(paths, |config| config).await
    }

    pub(crate) async fn send_with(
        &self,
        paths: &[&str],
        change: impl FnOnce(SendConfig) -> SendConfig,
    ) -> Sent {
        let items = paths.iter().map(|path| Item::Path(self.out(path))).collect();
        let sender = Sender::new(items, change(SendConfig::new([7; 16])));
        let events = Arc::<Mutex<Vec<SendEvent>>>::default();
        let told = Arc::clone(&events);
        let (counts, result) =
            sender.run(self.session().await, move |event| told.lock().unwrap().push(event.clone())).await;
        let events = events.lock().unwrap().clone();
        Sent { counts, result, events }
    }
}

impl Sent {
    /// What failed, and why.
    pub(crate) fn failures(&self) -> Vec<(String, String)> {
        let failed = self.events.iter().filter_map(|event| match event {
            SendEvent::Failed { path, text, .. } => {
                Some((path.file_name().unwrap().to_string_lossy().into_owned(), text.clone()))
            }
            _ => None,
        });
        failed.collect()
    }

    #[track_caller]
    pub(crate) fn succeeds(self) -> Self {
        assert_eq!(self.result, Ok(()));
        assert_eq!(self.failures(), []);
        self
    }
}

/// Bytes that nothing compresses and that differ everywhere.
pub(crate) fn noise(size: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = vec![0; size];
    for piece in bytes.chunks_mut(8) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        piece.copy_from_slice(&state.to_le_bytes()[..piece.len()]);
    }
    bytes
}

/// Both sides have the same; what differs is told, and nothing else.
#[track_caller]
pub(crate) fn assert_same(received: &Path, sent: &Path) {
    let (received, sent) = (picture(received), picture(sent));
    let differ: Vec<_> = sent
        .keys()
        .chain(received.keys())
        .filter(|path| sent.get(*path) != received.get(*path))
        .map(|path| format!("{}: {:?} instead of {:?}", path.display(), received.get(path), sent.get(path)))
        .collect();
    assert!(differ.is_empty(), "{differ:#?}");
}

/// Everything in a tree that is to be the same on both sides.
pub(crate) fn picture(path: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![path.to_path_buf()];
    while let Some(present) = waiting.pop() {
        let metadata = fs::symlink_metadata(&present).unwrap();
        let content = if metadata.is_dir() {
            waiting.extend(fs::read_dir(&present).unwrap().map(|entry| entry.unwrap().path()));
            "directory".into()
        } else if metadata.is_symlink() {
            format!("-> {}", fs::read_link(&present).unwrap().display())
        } else {
            blake3::hash(&fs::read(&present).unwrap()).to_string()
        };
        let line = format!(
            "{:o} {}.{:09} {content}",
            metadata.permissions().mode() & 0o777,
            metadata.mtime(),
            metadata.mtime_nsec()
        );
        found.insert(present.strip_prefix(path).unwrap().into(), line);
    }
    found
}
