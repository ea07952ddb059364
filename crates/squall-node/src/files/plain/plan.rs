//! From a configuration to uploads that are taken.

use std::error::Error;

use squall::Service;
use squall::files::plain::{Receiver, ReceiverConfig};
use tracing::error;

use super::folder::FolderError;
use super::running::PlainFiles;
use super::service::GuardedReceiver;
use super::store::{Store, StoreConfig};
use crate::files::{FilePlace, FilesConfig};
use crate::node::{Addresses, NodeError};

/// Uploads that are to be taken.
#[derive(Debug)]
pub(crate) struct PlainPlan {
    config: FilesConfig,
    listen: Addresses,
    /// Nobody has asked for them: they are among what runs when nothing is named.
    is_default: bool,
}

impl PlainPlan {
    /// Uploads at these addresses.
    pub(crate) fn new(config: FilesConfig, listen: Addresses, is_default: bool) -> Self {
        Self { config, listen, is_default }
    }

    /// Opens the folder and makes the service; none where nobody has asked for it and there is no folder to be had, which
    /// the log says.
    pub(crate) fn open(self, place: &FilePlace) -> Result<Option<(Service, PlainFiles)>, NodeError> {
        let config = StoreConfig {
            pattern: self.config.pattern.clone().unwrap_or_default(),
            space: self.config.space.unwrap_or(SPACE),
        };
        let (front, store, earlier) = match Store::open(&place.path, config) {
            Ok(opened) => opened,
            Err(problem) => return self.without(&problem, matches!(problem, FolderError::InUse { .. })),
        };
        let receiver = Receiver::new(self.receiver(), Box::new(front)).earlier(earlier);
        let (guarded, last) = GuardedReceiver::new(receiver);
        let (service, remote) = Service::protocol_with_remote("files", guarded);
        // Nothing is answered, so that nobody can be led to answer it; and a sender that waits for nothing passes any
        // rate of requests.
        let service = service.answers_anything(false).rate_limited(false);
        Ok(Some((self.listen.add_to(service), PlainFiles::new(remote, store, last, place.data.clone()))))
    }

    /// The node goes on without uploads, if nobody has asked for them.
    fn without(
        &self,
        problem: &dyn Error,
        is_in_use: bool,
    ) -> Result<Option<(Service, PlainFiles)>, NodeError> {
        if !self.is_default || is_in_use {
            return Err(NodeError::Data(problem.to_string()));
        }
        error!("files are not taken until the node is started again: {problem}");
        Ok(None)
    }

    fn receiver(&self) -> ReceiverConfig {
        let config = &self.config;
        // The receiver itself trusts no network but loopback: that a network's senders may come says not that it may
        // have all uploads.
        let mut receiver = ReceiverConfig::default().seed(squall::seed());
        if let Some(idle) = config.idle {
            receiver = receiver.idle(idle);
        }
        if let Some(uploads) = config.uploads {
            receiver = receiver.uploads(uploads);
        }
        if let Some(uploads) = config.prefix_uploads {
            receiver = receiver.uploads_per_prefix(uploads);
        }
        if let Some(size) = config.size {
            receiver = receiver.size(size);
        }
        receiver
    }
}

/// Bytes of all files in the folder, where nothing is said.
const SPACE: u64 = 10 << 30;
