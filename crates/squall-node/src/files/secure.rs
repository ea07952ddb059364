//! Files over the secure tier, as a service of a node.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use squall::{BindError, IpFamily, Local, Uri};
use tracing::{debug, error, info, warn};

use super::config::FilesConfig;
use super::counts::FileServerCounts;
use super::plan::FilePlace;
use super::receive::{ReceiveConfig, ReceiveEvent};
use super::server::{FileServer, FileServerError, FileServerRemote};
use crate::data::DataDirectory;
use crate::node::{Addresses, NodeError};
use crate::secure::{Admission, Fingerprint, Identity, SecureConfig, Token, Transport};

/// Secure uploads that are to be taken.
#[derive(Debug)]
pub(crate) struct SecurePlan {
    config: FilesConfig,
    listen: Addresses,
    /// Nobody has asked for them: they are among what runs when nothing is named.
    is_default: bool,
}

/// The secure uploads of a running node.
#[derive(Debug)]
pub struct SecureFiles {
    server: FileServer,
    locals: Vec<Local>,
    key: Fingerprint,
    token_file: Option<PathBuf>,
    /// This node's, until it ends.
    _data: Option<Arc<DataDirectory>>,
}

impl SecurePlan {
    /// Uploads at these addresses.
    pub(crate) fn new(config: FilesConfig, listen: Addresses, is_default: bool) -> Self {
        Self { config, listen, is_default }
    }

    /// Opens the folder and the addresses; `None` where nobody has asked for it and there is no folder, key or token to
    /// be had, which the log says.
    pub(crate) fn open(self, place: &FilePlace) -> Result<Option<SecureFiles>, NodeError> {
        match self.start(place) {
            Ok(files) => Ok(Some(files)),
            Err(NodeError::Data(problem)) if self.is_default => {
                error!("files are not taken over QUIC until the node is started again: {problem}");
                Ok(None)
            }
            Err(problem) => Err(problem),
        }
    }

    fn start(&self, place: &FilePlace) -> Result<SecureFiles, NodeError> {
        let data = |problem: &dyn std::error::Error| NodeError::Data(problem.to_string());
        let identity = Identity::load_or_make(&Identity::default_path()).map_err(|problem| data(&problem))?;
        let key = identity.fingerprint();
        let (admission, token_file) = if self.config.open {
            (Admission::Open, None)
        } else {
            let path = self.config.token_file.clone().unwrap_or_else(Token::default_path);
            let token = Token::load_or_make(&path).map_err(|problem| data(&problem))?;
            (Admission::Token(token), Some(path))
        };
        let mut secure = SecureConfig::new(identity, admission, Transport::default());
        for uri in self.listen.uris() {
            secure = match self.listen {
                Addresses::Said(_) => secure.on(uri.clone()),
                Addresses::Default(_) => secure.on_if_present(uri.clone()),
            };
        }
        // Where anybody may send, nobody replaces what others sent.
        let config = ReceiveConfig::new(&place.path).replaces(!self.config.open);
        let server = FileServer::start(config, secure, log).map_err(|problem| match problem {
            FileServerError::Secure(crate::secure::SecureError::Bind(problem)) => NodeError::Bind(problem),
            problem => data(&problem),
        })?;
        let locals = server.locals().iter().filter_map(|(uri, buffers)| {
            if let Some(note) = buffers.note() {
                warn!("{uri}: {note}");
            }
            let address = *uri.resolve(IpFamily::Any).ok()?.first()?;
            let receive_buffer = Some(buffers.receive);
            Some(Local { service: "files".into(), uri: uri.clone(), address, receive_buffer, sockets: 1 })
        });
        let locals = locals.collect();
        Ok(SecureFiles { server, locals, key, token_file, _data: place.data.clone() })
    }
}

impl SecureFiles {
    /// Where they come in.
    pub fn locals(&self) -> &[Local] {
        &self.locals
    }

    /// Optional addresses that this machine does not have.
    pub fn left_out(&self) -> &[BindError] {
        self.server.left_out()
    }

    /// Where they go.
    pub fn path(&self) -> &Path {
        self.server.receiver().path()
    }

    /// The node's key.
    pub fn key(&self) -> &Fingerprint {
        &self.key
    }

    /// The file with the token; `None` where everybody may come in.
    pub fn token_file(&self) -> Option<&Path> {
        self.token_file.as_deref()
    }

    /// A line that sends something to `uri`, for people to paste on this machine.
    pub fn try_line(&self, uri: &Uri) -> Option<String> {
        let address = uri.resolve(IpFamily::Any).ok()?.first()?.ip()?;
        let port = if address.port() == crate::secure::PORT {
            String::new()
        } else {
            format!(":{}", address.port())
        };
        let host = match address {
            address if address.ip().is_unspecified() => "127.0.0.1".into(),
            std::net::SocketAddr::V6(v6) if !port.is_empty() => format!("'[{}]'", v6.ip()),
            address => address.ip().to_string(),
        };
        let token = self
            .token_file
            .as_ref()
            .map_or_else(String::new, |path| format!(" --token-file {}", path.display()));
        Some(format!("echo hello | squall send - {host}{port} --name hello-$${token}"))
    }

    pub(super) fn remote(&self) -> FileServerRemote {
        self.server.remote()
    }

    /// Ends: senders are told, and what is whole goes under its name; and reports.
    pub(crate) fn finish(self) -> FileServerCounts {
        self.server.stop()
    }
}

/// What happens goes to the log.
fn log(event: &ReceiveEvent) {
    match event {
        ReceiveEvent::Came { peer, .. } => debug!("files: {peer} came"),
        ReceiveEvent::Stored { path, size, .. } => debug!("files: {} ({size} bytes)", shown(path)),
        ReceiveEvent::Refused { path, text, .. } => warn!("files: {} is not taken: {text}", shown(path)),
        ReceiveEvent::Went { peer, counts, broken, .. } => {
            let end = broken.as_ref().map_or_else(String::new, |why| format!("; stopped half-way: {why}"));
            info!(
                "files: {peer}: {} stored, {} unchanged, {} refused, {} bytes{end}",
                counts.stored, counts.unchanged, counts.refused, counts.bytes
            );
        }
    }
}

fn shown(path: &Path) -> String {
    use std::os::unix::ffi::OsStrExt;
    super::disk::show(path.as_os_str().as_bytes())
}
