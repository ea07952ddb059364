//! What is checked of a request before it is run.

use super::Server;
use super::asked::Asked;
use super::resource::Access;
use super::response::Exchange;
use super::serve::LINK_FORMAT;
use crate::coap::message::{Code, Message, Type};
use crate::coap::options::number;
use crate::{Effect, Method, Status, Target};

impl Server {
    /// The resource, `None` for `/.well-known/core`, and the method that are asked for.
    pub(super) fn admit(
        &self,
        exchange: &Exchange,
        asked: &Asked<'_>,
        message: &Message<'_>,
    ) -> Result<(Option<usize>, Method), Rejected> {
        let options = message.options();
        let method = match message.code() {
            Code::Request(method) => Some(method),
            _ => None,
        };
        let target = Target::new(method.unwrap_or_default(), options);
        let found = self.resources.iter().position(|resource| resource.is(&target));
        if asked.unknown.is_some() {
            let understands: &[u16] = found.map_or(&[], |found| &self.resources[found].understands);
            let unknown = options
                .unrecognized_critical(|number| KNOWN.contains(&number) || understands.contains(&number));
            if unknown.is_some() {
                // RFC 7252 §5.4.1: a non-confirmable one is rejected.
                let confirmable = message.message_type() == Type::Confirmable;
                return Err(if confirmable { Status::BAD_OPTION.into() } else { Rejected::Reset });
            }
        }
        if asked.is_proxied {
            return Err(Status::PROXYING_NOT_SUPPORTED.into());
        }
        if asked.is_bad_block {
            return Err(Status::BAD_REQUEST.into());
        }
        let Some(found) = found else {
            let is_directory = target.path_is(&[".well-known", "core"]);
            return match method {
                _ if !is_directory => Err(Status::NOT_FOUND.into()),
                Some(Method::Get) if asked.accept.is_none_or(|format| format == LINK_FORMAT) => {
                    Ok((None, Method::Get))
                }
                Some(Method::Get) => Err(Status::NOT_ACCEPTABLE.into()),
                _ => Err(Status::METHOD_NOT_ALLOWED.into()),
            };
        };
        let resource = &self.resources[found];
        let Some(method) = method.filter(|method| resource.allows(*method)) else {
            return Err(Status::METHOD_NOT_ALLOWED.into());
        };
        match resource.access {
            Access::Trusted if !exchange.origin.validated => return Err(Status::FORBIDDEN.into()),
            Access::Validated if !exchange.validated => return Err(Status::UNAUTHORIZED.into()),
            // A request that was told to bring an Echo is not remembered. Once the peer is validated, late copies
            // of it would be run beside the one that brought it; they have no Echo still.
            Access::Validated
                if exchange.lately
                    && resource.handler.effect(method) == Effect::Once
                    && asked.block1.is_none_or(|block| block.number() == 0) =>
            {
                return Err(Status::UNAUTHORIZED.into());
            }
            _ => {}
        }
        if let (Some(takes), Some(format)) = (&resource.takes, asked.content_format)
            && !takes.contains(&format)
        {
            return Err(Status::UNSUPPORTED_CONTENT_FORMAT.into());
        }
        if let (Some(gives), Some(wanted)) = (resource.format, asked.accept)
            && gives != wanted
        {
            return Err(Status::NOT_ACCEPTABLE.into());
        }
        Ok((Some(found), method))
    }
}

/// Why a request is not run.
pub(super) enum Rejected {
    /// The response says why.
    With(Status),
    /// The message means nothing here.
    Reset,
}

impl From<Status> for Rejected {
    fn from(status: Status) -> Self {
        Rejected::With(status)
    }
}

/// The critical options that the server knows; others are those of a resource.
const KNOWN: [u16; 9] = [
    number::URI_HOST,
    number::URI_PORT,
    number::URI_PATH,
    number::URI_QUERY,
    number::ACCEPT,
    number::BLOCK1,
    number::BLOCK2,
    number::PROXY_URI,
    number::PROXY_SCHEME,
];
