//! The log of a node.

use std::io::{self, IsTerminal};
use std::sync::Arc;

use clap::ValueEnum;
use squall::coap::message::Message;
use squall::{Peer, Refusal, Request, Verdict, text::sanitize};
use tracing::{error, info};

use super::console::Console;
use crate::output::no_color;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum LogForm {
    /// Lines for people
    Text,
    /// One JSON object a line
    Json,
}

/// Logs to standard error, beside what `console` shows there.
pub(super) fn start(form: LogForm, verbose: u8, console: &Arc<Console>) {
    let console = Arc::clone(console);
    let level = if verbose > 1 { tracing::Level::DEBUG } else { tracing::Level::INFO };
    let builder = tracing_subscriber::fmt()
        .with_max_level(level)
        // It would tell of a log that cannot be written where it cannot be, and panic: a node outlives its terminal.
        .log_internal_errors(false)
        .with_target(false)
        // In a line of what happens in a chat, it would pass for somebody's name.
        .with_thread_names(verbose > 1)
        .with_ansi(io::stderr().is_terminal() && !no_color())
        .with_writer(move || console.log());
    match form {
        LogForm::Text => builder.init(),
        LogForm::Json => builder.json().init(),
    }
    // A handler's panic is a line of the log like any other.
    std::panic::set_hook(Box::new(|panic| error!("{panic}")));
}

/// One line for each request; its parts as fields of their own where a program reads them.
pub(super) fn request(form: LogForm, service: &str, request: &Request<'_>, verdict: Verdict) {
    let transport = request.origin.transport;
    let peer = match request.origin.peer {
        Peer::Ip(address) => format!("{transport}://{address}"),
        Peer::Conn(number) => format!("{transport} peer {number}"),
    };
    let bytes = request.payload.len();
    let said = said(service, request.payload);
    let outcome = match verdict {
        Verdict::Answered(1) => "answered".to_owned(),
        Verdict::Answered(replies) => format!("answered with {replies}"),
        // A member is answered later, if at all, and all of its room with it; who uploads never is.
        Verdict::Silent if matches!(service, "chat" | "files") => "taken".to_owned(),
        Verdict::Silent => "no answer wanted".to_owned(),
        Verdict::Refused(Refusal::Dropped) => "pretending to drop".to_owned(),
        Verdict::Refused(refusal) => format!("refused: {refusal}"),
        Verdict::NotAdmitted => "not admitted".to_owned(),
        Verdict::Panicked => "the handler panicked".to_owned(),
        _ => "the handler took too long".to_owned(),
    };
    match form {
        LogForm::Text => info!("{service} {peer} {bytes} bytes {said}: {outcome}"),
        LogForm::Json if is_coap(service) => info!(service, peer, bytes, coap = said, outcome, "request"),
        LogForm::Json => {
            let payload = sanitize(request.payload).quoted().max_len(200);
            info!(service, peer, bytes, %payload, outcome, "request");
        }
    }
}

/// Whether the datagrams of `service` are CoAP messages.
fn is_coap(service: &str) -> bool {
    service == "coap"
}

/// What a request says: a CoAP message in the words of `squall ask -v`, anything else as it is.
fn said(service: &str, payload: &[u8]) -> String {
    match Message::parse(payload) {
        Ok(message) if is_coap(service) => sanitize(message.to_string().as_bytes()).max_len(1000).to_string(),
        _ => format!("\"{}\"", sanitize(payload).quoted().max_len(200)),
    }
}
