//! What a request asks, read from its options once.

use crate::coap::block::{Block, BlockError};
use crate::coap::options::{Field, Options, definition, is_critical, number};

/// The options that the server itself looks at.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Asked<'a> {
    pub(super) observe: Option<u32>,
    pub(super) content_format: Option<u16>,
    pub(super) accept: Option<u16>,
    pub(super) block1: Option<Block>,
    pub(super) block2: Option<Block>,
    pub(super) size1: Option<u32>,
    pub(super) echo: Option<&'a [u8]>,
    pub(super) no_response: u8,
    /// Whether the client has representations already, by their ETags.
    pub(super) has_etag: bool,
    /// Whether it goes to another server by this one.
    pub(super) is_proxied: bool,
    /// A critical option that is not known to the server, or out of form.
    pub(super) unknown: Option<u16>,
    /// A block option of a size that there is not.
    pub(super) is_bad_block: bool,
}

impl<'a> Asked<'a> {
    /// Reads the options.
    pub(super) fn read(options: Options<'a>) -> Self {
        let mut asked = Self::default();
        let mut last = None;
        for field in options {
            let again = last.replace(field.number) == Some(field.number);
            asked.take(field, again);
        }
        asked
    }

    /// Whether nothing in it needs more than the handler's answer.
    pub(super) fn is_simple(&self) -> bool {
        self.observe.is_none()
            && self.block1.is_none()
            && self.block2.is_none()
            && self.no_response == 0
            && !self.has_etag
    }

    /// The block of the payload, where that comes in several.
    pub(super) fn in_blocks(&self) -> Option<Block> {
        self.block1.filter(|block| block.number() > 0 || block.more())
    }

    fn take(&mut self, field: Field<'a>, again: bool) {
        let number = field.number;
        let repeatable = || definition(number).is_none_or(|definition| definition.repeatable);
        if !field.has_valid_length() || again && !repeatable() {
            if is_critical(number) {
                self.unknown.get_or_insert(number);
            }
            return;
        }
        let uint = || field.uint().unwrap_or_default();
        match number {
            number::URI_PATH | number::URI_QUERY | number::URI_HOST | number::URI_PORT => {}
            number::OBSERVE => self.observe = Some(uint()),
            number::CONTENT_FORMAT => self.content_format = Some(uint() as u16),
            number::ACCEPT => self.accept = Some(uint() as u16),
            number::BLOCK1 => self.block1 = self.block(field),
            number::BLOCK2 => self.block2 = self.block(field),
            number::SIZE1 => self.size1 = Some(uint()),
            number::ECHO => self.echo = Some(field.value),
            number::ETAG => self.has_etag = true,
            number::NO_RESPONSE => self.no_response = uint() as u8,
            number::PROXY_URI | number::PROXY_SCHEME => self.is_proxied = true,
            _ if is_critical(number) => {
                self.unknown.get_or_insert(number);
            }
            _ => {}
        }
    }

    fn block(&mut self, field: Field<'_>) -> Option<Block> {
        match Block::parse(field.value) {
            Ok(block) => Some(block),
            Err(BlockError::Size | BlockError::Length(_)) => {
                self.is_bad_block = true;
                None
            }
        }
    }
}

/// The options that make two requests ask for the same or not, for bodies in blocks: all but those for
/// the blocks themselves, and those that are said to make no difference
/// ([RFC 7959 §2.4](https://www.rfc-editor.org/rfc/rfc7959#section-2.4),
/// [RFC 7252 §5.4.6](https://www.rfc-editor.org/rfc/rfc7252#section-5.4.6)).
pub(super) fn identifies(number: u16) -> bool {
    !matches!(number, number::BLOCK1 | number::BLOCK2 | number::OBSERVE)
        && !crate::coap::options::is_no_cache_key(number)
}
