//! From a configuration to a service that takes files, over the plain wire and the secure tier.

use std::path::PathBuf;
use std::sync::Arc;

use squall::{Service, Transport};
use tracing::error;

use super::config::FilesConfig;
use super::plain::{PlainFiles, PlainPlan};
use super::secure::{SecureFiles, SecurePlan};
use crate::config::{Config, ServiceConfig};
use crate::data::{DataDirectory, SharedData};
use crate::node::{Addresses, NodeError, addresses, refuse_exposed};

/// Files that are to be taken.
#[derive(Debug)]
pub(crate) struct FilesPlan {
    config: FilesConfig,
    plain: Option<PlainPlan>,
    secure: Option<SecurePlan>,
    is_default: bool,
}

/// Where files go.
#[derive(Debug)]
pub(crate) struct FilePlace {
    pub(crate) path: PathBuf,
    /// This node's, until it ends, if the folder is in it.
    pub(crate) data: Option<Arc<DataDirectory>>,
}

/// The files of a node that runs.
#[derive(Debug, Default)]
pub struct Files {
    /// What comes over the plain wire.
    pub plain: Option<PlainFiles>,
    /// What comes over the secure tier.
    pub secure: Option<SecureFiles>,
}

impl FilesPlan {
    pub(crate) fn new(service: &ServiceConfig, node: &Config) -> Result<Self, NodeError> {
        let incomplete = |needs| NodeError::Incomplete { service: service.name.clone(), needs };
        if service.command.is_some() || service.pool.is_some() {
            return Err(incomplete("runs no command; only exec does"));
        }
        if service.text.is_some() {
            return Err(incomplete("has no text to set; only reply and coap have"));
        }
        if service.framing.is_some() {
            return Err(incomplete("takes datagrams, which need no --framing"));
        }
        let listen = addresses(service)?;
        if listen.uris().iter().any(|uri| uri.transport() != Transport::Udp) {
            return Err(incomplete(
                "comes by UDP alone: write udp:// for the plain wire, quic:// for the secure one",
            ));
        }
        let (secure, plain) = listen.partition(|uri| uri.is_quic());
        refuse_exposed(service, &plain, node)?;
        let is_default = node.services.is_empty();
        let config = &service.files;
        Ok(Self {
            config: config.clone(),
            plain: (!plain.uris().is_empty()).then(|| PlainPlan::new(config.clone(), plain, is_default)),
            secure: (!secure.uris().is_empty()).then(|| SecurePlan::new(config.clone(), secure, is_default)),
            is_default,
        })
    }

    /// Opens the folder and makes the service. Where nobody has asked for it and there is no folder to be had, the node
    /// goes on without it, which the log says.
    pub(crate) fn open(self, data: &mut SharedData) -> Result<(Option<Service>, Files), NodeError> {
        let place = match &self.config.dir {
            Some(path) => FilePlace { path: path.clone(), data: None },
            None => match data.open() {
                Ok(data) => FilePlace { path: data.path().join("files"), data: Some(data) },
                Err(problem) if !self.is_default || problem.is_in_use() => {
                    return Err(NodeError::Data(problem.to_string()));
                }
                Err(problem) => {
                    error!("files are not taken until the node is started again: {problem}");
                    return Ok((None, Files::default()));
                }
            },
        };
        let opened = self.plain.map(|plan| plan.open(&place)).transpose()?.flatten();
        let (service, plain) = opened.unzip();
        let secure = self.secure.map(|plan| plan.open(&place)).transpose()?.flatten();
        Ok((service, Files { plain, secure }))
    }
}

impl Addresses {
    /// Those for which `first` holds, and the others.
    fn partition(self, first: impl Fn(&squall::Uri) -> bool) -> (Self, Self) {
        let make = match &self {
            Self::Said(_) => Self::Said,
            Self::Default(_) => Self::Default,
        };
        let (Self::Said(uris) | Self::Default(uris)) = self;
        let (these, others) = uris.into_iter().partition(first);
        (make(these), make(others))
    }
}
