//! Lists of links, `</time>;rt="time";ct=0`: what a server has
//! ([RFC 6690](https://www.rfc-editor.org/rfc/rfc6690)).

use alloc::borrow::Cow;
use alloc::string::String;
use core::fmt::Write as _;

/// Writes a list of links.
///
/// ```
/// use squall_proto::coap::link_format::LinkWriter;
///
/// let mut links = LinkWriter::new();
/// links.link("/time").quoted("title", "The \"time\"").number("ct", 0).flag("obs");
/// links.link("/echo");
/// assert_eq!(links.finish(), r#"</time>;title="The \"time\"";ct=0;obs,</echo>"#);
/// ```
#[derive(Clone, Debug, Default)]
pub struct LinkWriter {
    text: String,
}

impl LinkWriter {
    /// An empty list.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a link to `target`, a URI reference. What could end it, and control characters, are
    /// percent-encoded.
    pub fn link(&mut self, target: &str) -> &mut Self {
        if !self.text.is_empty() {
            self.text.push(',');
        }
        self.text.push('<');
        for character in target.chars() {
            match character {
                '\0'..=' ' | '<' | '>' | '"' | '\x7f' => {
                    let _ = write!(self.text, "%{:02X}", character as u32);
                }
                _ => self.text.push(character),
            }
        }
        self.text.push('>');
        self
    }

    /// Gives the last link an attribute with text for a value. Characters of a name that no attribute
    /// name can have are left out.
    pub fn quoted(&mut self, name: &str, value: &str) -> &mut Self {
        self.name(name);
        self.text.push_str("=\"");
        for character in value.chars() {
            if matches!(character, '"' | '\\') {
                self.text.push('\\');
            }
            self.text.push(character);
        }
        self.text.push('"');
        self
    }

    /// Gives the last link an attribute with a number for a value.
    pub fn number(&mut self, name: &str, value: u64) -> &mut Self {
        self.name(name);
        let _ = write!(self.text, "={value}");
        self
    }

    /// Gives the last link an attribute without a value.
    pub fn flag(&mut self, name: &str) -> &mut Self {
        self.name(name);
        self
    }

    /// The list.
    pub fn finish(self) -> String {
        self.text
    }

    fn name(&mut self, name: &str) {
        self.text.push(';');
        self.text.extend(name.chars().filter(|character| is_name(*character)));
    }
}

/// One link of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link<'a> {
    target: &'a str,
    attributes: &'a str,
    whole: &'a str,
}

/// An attribute of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attribute<'a> {
    name: &'a str,
    value: Option<&'a str>,
}

impl<'a> Attribute<'a> {
    /// The name, `rt`.
    pub fn name(&self) -> &'a str {
        self.name
    }

    /// The value without its quotes; `None` for a flag.
    pub fn value(&self) -> Option<Cow<'a, str>> {
        let value = self.value?;
        let Some(quoted) = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')) else {
            return Some(Cow::Borrowed(value));
        };
        if !quoted.contains('\\') {
            return Some(Cow::Borrowed(quoted));
        }
        let mut plain = String::with_capacity(quoted.len());
        let mut characters = quoted.chars();
        while let Some(character) = characters.next() {
            plain.push(if character == '\\' { characters.next().unwrap_or('\\') } else { character });
        }
        Some(Cow::Owned(plain))
    }
}

impl<'a> Link<'a> {
    /// What it leads to, a URI reference: `/time`.
    pub fn target(&self) -> &'a str {
        self.target
    }

    /// The attributes, in the order of the list.
    pub fn attributes(&self) -> impl Iterator<Item = Attribute<'a>> + use<'a> {
        let mut rest = self.attributes;
        core::iter::from_fn(move || {
            // The list was read to its end before, so that what is here is well-formed.
            let (attribute, after) = read_attribute(rest.strip_prefix(';')?)?;
            rest = after;
            Some(attribute)
        })
    }

    /// The first attribute `name`: its value, which is empty for a flag.
    pub fn attribute(&self, name: &str) -> Option<Cow<'a, str>> {
        let found = self.attributes().find(|attribute| attribute.name == name)?;
        Some(found.value().unwrap_or_default())
    }

    /// The link as it stands in the list.
    pub fn as_str(&self) -> &'a str {
        self.whole
    }

    /// Whether a request with the query argument `filter`, `rt=sensor` or `href=/a*`, wants this link
    /// ([RFC 6690 §4.1](https://www.rfc-editor.org/rfc/rfc6690#section-4.1)). A `*` at the end stands for
    /// whatever follows; of `rt`, `if`, `rel` and `rev` one of the words is enough. An argument without
    /// `=` is no filter and takes every link.
    pub fn matches(&self, filter: &str) -> bool {
        let Some((name, wanted)) = filter.split_once('=') else { return true };
        let is = |value: &str| match wanted.strip_suffix('*') {
            Some(prefix) => value.starts_with(prefix),
            None => value == wanted,
        };
        if name == "href" {
            return is(self.target);
        }
        self.attributes().filter(|attribute| attribute.name == name).any(|attribute| {
            let value = attribute.value().unwrap_or_default();
            let has_words = matches!(name, "rt" | "if" | "rel" | "rev");
            is(&value) || has_words && value.split(' ').any(is)
        })
    }
}

/// A list is not well-formed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no link at byte {at}")]
pub struct LinkError {
    /// Where the link begins that cannot be read, in bytes.
    pub at: usize,
}

/// Reads a list of links, which nothing is allocated for. After an error nothing follows.
///
/// ```
/// use squall_proto::coap::link_format::links;
///
/// let mut found = links(r#"</time>;rt="clock";obs,</echo>"#);
/// let time = found.next().unwrap()?;
/// assert_eq!(time.target(), "/time");
/// assert_eq!(time.attribute("rt").as_deref(), Some("clock"));
/// assert!(found.next().unwrap()?.attribute("obs").is_none());
/// # Ok::<(), squall_proto::coap::link_format::LinkError>(())
/// ```
pub fn links(text: &str) -> Links<'_> {
    Links { text, at: 0, done: text.is_empty() }
}

/// See [`links`].
#[derive(Clone, Debug)]
pub struct Links<'a> {
    text: &'a str,
    at: usize,
    done: bool,
}

impl<'a> Iterator for Links<'a> {
    type Item = Result<Link<'a>, LinkError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let rest = &self.text[self.at..];
        // Spaces and line ends between links are not in the RFC's grammar but in some servers' lists.
        let rest = rest.trim_start();
        let at = self.text.len() - rest.len();
        let Some((link, after)) = read_link(rest) else {
            self.done = true;
            return Some(Err(LinkError { at }));
        };
        match after.trim_start().strip_prefix(',') {
            Some(after) => self.at = self.text.len() - after.len(),
            None => {
                self.done = true;
                if !after.trim_start().is_empty() {
                    return Some(Err(LinkError { at }));
                }
            }
        }
        Some(Ok(link))
    }
}

fn read_link(text: &str) -> Option<(Link<'_>, &str)> {
    let (target, attributes) = text.strip_prefix('<')?.split_once('>')?;
    let mut rest = attributes;
    while let Some(attribute) = rest.strip_prefix(';') {
        rest = read_attribute(attribute)?.1;
    }
    let attributes = &attributes[..attributes.len() - rest.len()];
    Some((Link { target, attributes, whole: &text[..text.len() - rest.len()] }, rest))
}

fn read_attribute(text: &str) -> Option<(Attribute<'_>, &str)> {
    let (name, rest) = text.split_at(text.find(|character| !is_name(character)).unwrap_or(text.len()));
    if name.is_empty() {
        return None;
    }
    let Some(value) = rest.strip_prefix('=') else { return Some((Attribute { name, value: None }, rest)) };
    let length = match value.strip_prefix('"') {
        Some(quoted) => {
            let mut escaped = false;
            let end = quoted.bytes().position(|byte| match byte {
                _ if escaped => {
                    escaped = false;
                    false
                }
                b'\\' => {
                    escaped = true;
                    false
                }
                byte => byte == b'"',
            })?;
            end + 2
        }
        None => value.find([';', ',', '"', ' ', '<', '>']).unwrap_or(value.len()),
    };
    let (value, rest) = value.split_at(length);
    Some((Attribute { name, value: Some(value) }, rest))
}

/// What attribute names are made of: RFC 5987's `attr-char`, and the `*` at their end.
fn is_name(character: char) -> bool {
    character.is_ascii_alphanumeric() || "!#$&+-.^_`|~*".contains(character)
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    /// The example of RFC 6690 §5.
    const SENSORS: &str = "</sensors>;ct=40;title=\"Sensor Index\",</sensors/temp>;rt=\"temperature-c\";if=\"sensor\",\
        </sensors/light>;rt=\"light-lux other\";if=\"sensor\",\
        <http://www.example.com/sensors/t123>;anchor=\"/sensors/temp\";rel=\"describedby\",\
        </t>;anchor=\"/sensors/temp\";rel=\"alternate\"";

    fn wanted(filter: &str) -> Vec<&'static str> {
        links(SENSORS)
            .map(Result::unwrap)
            .filter(|link| link.matches(filter))
            .map(|link| link.target())
            .collect()
    }

    #[test]
    fn filters_pick_links() {
        let all = links(SENSORS).count();
        assert_eq!(all, 5);
        assert_eq!(wanted("rt=light-lux"), ["/sensors/light"]);
        assert_eq!(wanted("rt=other"), ["/sensors/light"]);
        assert_eq!(wanted("rt=light-lux other"), ["/sensors/light"]);
        assert_eq!(wanted("rt=light"), [""; 0]);
        assert_eq!(wanted("rt=temp*"), ["/sensors/temp"]);
        assert_eq!(wanted("if=sensor"), ["/sensors/temp", "/sensors/light"]);
        assert_eq!(wanted("href=/sensors*"), ["/sensors", "/sensors/temp", "/sensors/light"]);
        assert_eq!(wanted("href=/t"), ["/t"]);
        assert_eq!(wanted("ct=40"), ["/sensors"]);
        assert_eq!(wanted("title=Sensor"), [""; 0], "a title is one value, not words");
        assert_eq!(wanted("no=such"), [""; 0]);
        assert_eq!(wanted("rt").len(), all);
    }

    #[test]
    fn what_is_no_list_says_where() {
        for (text, at) in [
            ("x", 0),
            ("</a", 0),
            ("</a>x", 0),
            ("</a>,", 5),
            ("</a>,</b>;", 5),
            ("</a>;t=\"x", 0),
            ("</a>;t=\"x\\\"", 0),
            ("</a>;=x", 0),
        ] {
            assert_eq!(links(text).last(), Some(Err(LinkError { at })), "{text}");
        }
        assert_eq!(links("").next(), None);
        assert_eq!(links("</a> ,\n </b>\r\n").filter(Result::is_ok).count(), 2);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(titles in prop::collection::vec(any::<String>(), 1..4), size: u64) {
            let mut writer = LinkWriter::new();
            for title in &titles {
                writer.link("/a b>").quoted("title", title).number("sz", size).flag("obs");
            }
            let text = writer.finish();
            let read: Vec<_> = links(&text).map(Result::unwrap).collect();
            prop_assert_eq!(read.len(), titles.len());
            for (link, title) in read.iter().zip(&titles) {
                prop_assert_eq!(link.target(), "/a%20b%3E");
                prop_assert_eq!(link.attribute("title").unwrap(), title.as_str());
                prop_assert_eq!(link.attribute("sz").unwrap().parse(), Ok(size));
                prop_assert!(link.attribute("obs").is_some());
            }
        }

        #[test]
        fn no_text_upsets_the_reader(text: String) {
            for link in links(&text).flatten() {
                link.attributes().for_each(|attribute| drop(attribute.value()));
                link.matches(&text);
            }
        }
    }
}
