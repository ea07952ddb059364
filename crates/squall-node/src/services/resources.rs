//! The services as CoAP resources.

use std::sync::Arc;
use std::time::Duration;

use squall::Method;
use squall::coap::options::number;
use squall::coap::server::{Access, Resource};

use super::{Echo, FixedReply, Length, Scratch, Stamp, TimeOfDay};

/// What `coap://host/` has: `time`, `length`, `stamp`, `reply`, which answers `text`, `echo`, and
/// `scratch/NAME`, if there `is_scratch`. The same memory is behind all clones.
pub(crate) fn resources(text: Option<&str>, is_scratch: bool) -> Vec<Resource> {
    let second = Duration::from_secs(1);
    let reply = text.map_or_else(FixedReply::default, FixedReply::new);
    let scratch = Arc::new(Scratch::default());
    let list = {
        let scratch = scratch.clone();
        move |_: &squall::Request<'_>, reply: &mut squall::Reply<'_>| scratch.list(reply)
    };
    let mut all = vec![
        Resource::new("time", TimeOfDay)
            .title("The time of day")
            .resource_type("squall.time")
            .text()
            .max_age(second)
            .observable(second),
        Resource::new("length", Length).title("How long the request is").text(),
        Resource::new("stamp", Stamp).title("The request behind a time stamp"),
        Resource::new("reply", reply).title("A fixed text").text(),
        Resource::new("echo", Echo::default()).title("The request"),
    ];
    if is_scratch {
        all.extend([
            Resource::new("scratch", list)
                .title("Small values, to be put under /scratch/NAME")
                .methods(&[Method::Get])
                .format(LINK_FORMAT)
                .access(Access::Trusted),
            Resource::under("scratch", scratch)
                .methods(&[Method::Get, Method::Put, Method::Delete])
                .understands(&[number::IF_MATCH, number::IF_NONE_MATCH])
                .access(Access::Trusted)
                .hidden(),
        ]);
    }
    all
}

/// The Content-Format `application/link-format`.
const LINK_FORMAT: u16 = 40;
