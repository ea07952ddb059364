//! What a server has.

use alloc::borrow::ToOwned;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use crate::coap::link_format::LinkWriter;
use crate::coap::options::{OptionsBuf, number};
use crate::{Handler, Method, Target};

/// A handler behind a path.
///
/// ```
/// use core::time::Duration;
/// use squall_proto::coap::server::Resource;
/// use squall_proto::{Reply, Request};
///
/// let hello = |_: &Request<'_>, reply: &mut Reply<'_>| reply.write(b"hello");
/// let resource = Resource::new("greetings/en", hello).title("A greeting").text();
/// assert_eq!(resource.path(), "/greetings/en");
/// ```
#[derive(Clone)]
pub struct Resource {
    segments: Vec<String>,
    has_children: bool,
    pub(super) handler: Arc<dyn Handler>,
    methods: u8,
    attributes: Vec<(&'static str, String)>,
    size: Option<u64>,
    pub(super) format: Option<u16>,
    pub(super) takes: Option<Vec<u16>>,
    pub(super) max_age: Option<u32>,
    pub(super) every: Option<Duration>,
    pub(super) access: Access,
    pub(super) understands: Vec<u16>,
    hidden: bool,
    /// The options of every answer, encoded, with the payload marker behind them.
    pub(super) prepared: Vec<u8>,
}

/// Who may ask for a resource.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Access {
    /// Everybody; who is not validated gets no more than three times what it sends.
    #[default]
    Anyone,
    /// Peers that have shown that they are where they say; others get 4.01 with an Echo to do so. For
    /// MAX_LATENCY (100 s) after that each request with effect has to bring an Echo, for it could be a late copy of
    /// one that was told to.
    Validated,
    /// Loopback, and networks that the operator trusts; others get 4.03.
    Trusted,
}

impl Resource {
    /// `handler` behind `path`, segments with slashes between them. It takes `Get`, `Post` and `Fetch`.
    /// Empty segments at both ends are left out; a path is no longer than its options can be.
    pub fn new(path: &str, handler: impl Handler + 'static) -> Self {
        let segments = path.trim_matches('/').split('/').filter(|_| !path.trim_matches('/').is_empty());
        let resource = Self {
            segments: segments.map(ToOwned::to_owned).collect(),
            has_children: false,
            handler: Arc::new(handler),
            methods: mask(&[Method::Get, Method::Post, Method::Fetch]),
            attributes: Vec::new(),
            size: None,
            format: None,
            takes: None,
            max_age: None,
            every: None,
            access: Access::Anyone,
            understands: Vec::new(),
            hidden: false,
            prepared: Vec::new(),
        };
        resource.prepare()
    }

    /// `handler` behind all paths that begin with `path` and go on; it sees the rest in the request's
    /// [`Target`].
    pub fn under(path: &str, handler: impl Handler + 'static) -> Self {
        let mut resource = Self::new(path, handler);
        resource.has_children = true;
        resource
    }

    /// The methods that it takes; others get 4.05.
    pub fn methods(mut self, methods: &[Method]) -> Self {
        self.methods = mask(methods);
        self
    }

    /// What it is, for people.
    pub fn title(self, title: &str) -> Self {
        self.attribute("title", title)
    }

    /// What it is, for programs: the attribute `rt`, words with spaces between them.
    pub fn resource_type(self, words: &str) -> Self {
        self.attribute("rt", words)
    }

    /// How it is used: the attribute `if`.
    pub fn interface(self, words: &str) -> Self {
        self.attribute("if", words)
    }

    /// How long its representation is at most: the attribute `sz`, in bytes.
    pub fn size(mut self, bytes: u64) -> Self {
        self.size = Some(bytes);
        self
    }

    /// The Content-Format of its answers, where the handler says no other; a request that accepts another
    /// gets 4.06.
    pub fn format(mut self, format: u16) -> Self {
        self.format = Some(format);
        self.prepare()
    }

    /// Its answers are text in UTF-8: Content-Format 0.
    pub fn text(self) -> Self {
        self.format(0)
    }

    /// The Content-Formats of payloads that it takes; others get 4.15. Without this it takes any.
    pub fn takes(mut self, formats: &[u16]) -> Self {
        self.takes = Some(formats.to_vec());
        self
    }

    /// How long an answer to a `Get` may be kept, in whole seconds. Without this a client takes a minute.
    pub fn max_age(mut self, age: Duration) -> Self {
        self.max_age = Some(u32::try_from(age.as_secs()).unwrap_or(u32::MAX));
        self.prepare()
    }

    /// It can be observed: it is asked anew after each `every`, at least 10 ms, and who observes it is told
    /// when its answer has changed.
    pub fn observable(mut self, every: Duration) -> Self {
        self.every = Some(every.max(Duration::from_millis(10)));
        self
    }

    /// Who may ask for it: default everybody.
    pub fn access(mut self, access: Access) -> Self {
        self.access = access;
        self
    }

    /// The critical options that its handler looks at itself, such as If-Match, by their numbers. A request
    /// with others than these and those that the server knows gets 4.02.
    pub fn understands(mut self, options: &[u16]) -> Self {
        self.understands = options.to_vec();
        self
    }

    /// Leaves it out of `/.well-known/core`.
    pub fn hidden(mut self) -> Self {
        self.hidden = true;
        self
    }

    /// The path: `/a/b`.
    pub fn path(&self) -> String {
        self.segments.iter().fold(String::new(), |path, segment| path + "/" + segment)
    }

    /// Whether `target` asks for it.
    pub(super) fn is(&self, target: &Target<'_>) -> bool {
        let mut path = target.path();
        self.segments.iter().all(|segment| path.next() == Some(segment.as_bytes()))
            && path.next().is_some() == self.has_children
    }

    pub(super) fn allows(&self, method: Method) -> bool {
        self.methods & mask(&[method]) != 0
    }

    pub(super) fn describe(&self, links: &mut LinkWriter) {
        if self.hidden {
            return;
        }
        let path = self.path();
        links.link(if path.is_empty() { "/" } else { &path });
        for (name, value) in &self.attributes {
            links.quoted(name, value);
        }
        if let Some(format) = self.format {
            links.number("ct", format.into());
        }
        if let Some(size) = self.size {
            links.number("sz", size);
        }
        if self.every.is_some() {
            links.flag("obs");
        }
    }

    fn attribute(mut self, name: &'static str, value: &str) -> Self {
        self.attributes.push((name, value.to_string()));
        self
    }

    fn prepare(mut self) -> Self {
        let mut options = OptionsBuf::new();
        // Both are of a length that they may have, and there once.
        if let Some(format) = self.format {
            let _ = options.push_uint(number::CONTENT_FORMAT, format.into());
        }
        if let Some(age) = self.max_age {
            let _ = options.push_uint(number::MAX_AGE, age);
        }
        self.prepared = options.as_options().encoded().to_vec();
        self.prepared.push(crate::coap::options::PAYLOAD_MARKER);
        self
    }
}

impl fmt::Debug for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resource").field("path", &self.path()).finish_non_exhaustive()
    }
}

fn mask(methods: &[Method]) -> u8 {
    methods.iter().fold(0, |mask, method| mask | 1 << method.code())
}
