//! What a program can have a say in, or be told.

use std::any::Any;
use std::fmt;
use std::time::Duration;

use squall_proto::Request;

use crate::verdict::{Verdict, contain};

/// Something that went wrong in a running server without ending it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// A socket cannot be read.
    #[error("cannot receive on {address}: {source}")]
    Receive {
        /// The socket's address.
        address: String,
        /// The system's reason.
        source: std::io::Error,
    },
    /// Connections cannot be accepted for the moment; it is tried again.
    #[error("cannot accept connections on {address}: {source}{}", accept_remedy(source))]
    Accept {
        /// The listener's address.
        address: String,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A handler panicked; its request got no answer.
    #[error("a handler of {service} panicked: {message}")]
    Panicked {
        /// The service.
        service: String,
        /// What it said.
        message: String,
    },
    /// A multicast group cannot be joined on an interface.
    #[error("service {service} cannot join {group} on {interface}: {source}")]
    Group {
        /// The service.
        service: String,
        /// The group.
        group: std::net::IpAddr,
        /// The interface's name.
        interface: String,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A worker process ended or was ended; another takes its place.
    #[error("worker {worker} {reason}; another starts {}", when(*delay))]
    WorkerEnded {
        /// The worker's number.
        worker: usize,
        /// How it ended.
        reason: String,
        /// The pause before the next one is started.
        delay: Duration,
    },
    /// A worker process cannot be started.
    #[error("cannot start worker {worker}: {source}")]
    WorkerStart {
        /// The worker's number.
        worker: usize,
        /// The system's reason.
        source: std::io::Error,
    },
}

/// What a panic said.
pub(crate) fn panic_message(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}

/// What helps against a lack of descriptors.
fn accept_remedy(source: &std::io::Error) -> &'static str {
    match source.raw_os_error() {
        Some(squall_socket::errno::EMFILE) => "; raise the limit (ulimit -n)",
        _ => "",
    }
}

/// When another worker starts, for a sentence.
fn when(delay: Duration) -> String {
    if delay.is_zero() { "at once".to_owned() } else { format!("in {delay:?}") }
}

type Admission = Box<dyn Fn(&Request<'_>) -> bool + Send + Sync>;
type Observer = Box<dyn Fn(&str, &Request<'_>, Verdict) + Send + Sync>;
type ErrorHook = Box<dyn Fn(&ServerError) + Send + Sync>;

#[derive(Default)]
pub(crate) struct Hooks {
    pub(crate) admission: Option<Admission>,
    pub(crate) observer: Option<Observer>,
    pub(crate) error: Option<ErrorHook>,
}

impl Hooks {
    /// Whether `request` may be handled. A hook that panics loses it, as a handler would.
    pub(crate) fn admit(&self, request: &Request<'_>) -> Result<(), Verdict> {
        match self.admission.as_ref().map(|admit| contain(|| admit(request))) {
            None | Some(Ok(true)) => Ok(()),
            Some(Ok(false)) => Err(Verdict::NotAdmitted),
            Some(Err(_)) => Err(Verdict::Panicked),
        }
    }

    pub(crate) fn observe(&self, service: &str, request: &Request<'_>, verdict: Verdict) {
        if let Some(observe) = &self.observer
            && let Err(panic) = contain(|| observe(service, request, verdict))
        {
            let (service, message) = (service.to_owned(), panic_message(&*panic));
            self.report(&ServerError::Panicked { service, message });
        }
    }

    pub(crate) fn report(&self, error: &ServerError) {
        if let Some(report) = &self.error {
            // Whom to tell that telling failed? The panic hook has been told.
            let _ = contain(|| report(error));
        }
    }
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hooks")
            .field("admission", &self.admission.is_some())
            .field("observer", &self.observer.is_some())
            .field("error", &self.error.is_some())
            .finish()
    }
}
