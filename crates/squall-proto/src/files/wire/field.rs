//! Numbers and bytes in a message.

use alloc::vec::Vec;

use super::WireError;
use crate::files::{HASH, Hash};

/// The largest that [`put_varint`] can write: 62 bits.
pub(super) const MAX_VARINT: u64 = (1 << 62) - 1;

/// Reads one field after the other.
#[derive(Clone, Debug)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(super) fn position(&self) -> usize {
        self.at
    }

    pub(super) fn bytes(&mut self, length: usize, what: &'static str) -> Result<&'a [u8], WireError> {
        let end = self.at.checked_add(length);
        let taken = end.and_then(|end| self.bytes.get(self.at..end));
        let taken = taken.ok_or(WireError::Cut { what, at: self.bytes.len() })?;
        self.at += length;
        Ok(taken)
    }

    pub(super) fn byte(&mut self, what: &'static str) -> Result<u8, WireError> {
        Ok(self.bytes(1, what)?[0])
    }

    /// <https://www.rfc-editor.org/rfc/rfc9000#section-16>
    pub(super) fn varint(&mut self, what: &'static str) -> Result<u64, WireError> {
        let first = self.byte(what)?;
        let rest = self.bytes((1 << (first >> 6)) - 1, what)?;
        let start = u64::from(first & 0x3f);
        Ok(rest.iter().fold(start, |value, byte| value << 8 | u64::from(*byte)))
    }

    /// A number of at most `limit`.
    pub(super) fn number(&mut self, limit: u64, what: &'static str) -> Result<u64, WireError> {
        let value = self.varint(what)?;
        if value > limit { Err(WireError::Range { what, value }) } else { Ok(value) }
    }

    /// Bytes behind their length.
    pub(super) fn block(&mut self, limit: usize, what: &'static str) -> Result<&'a [u8], WireError> {
        let length = self.varint(what)?;
        match usize::try_from(length) {
            Ok(length) if length <= limit => self.bytes(length, what),
            _ => Err(WireError::TooLong { what, limit }),
        }
    }

    pub(super) fn hash(&mut self, what: &'static str) -> Result<Hash, WireError> {
        let mut hash = [0; HASH];
        hash.copy_from_slice(self.bytes(HASH, what)?);
        Ok(hash)
    }

    pub(super) fn end(&self, what: &'static str) -> Result<(), WireError> {
        match self.bytes.len() - self.at {
            0 => Ok(()),
            extra => Err(WireError::Extra { what, extra }),
        }
    }
}

/// How many bytes [`put_varint`] takes.
pub(super) fn varint_len(value: u64) -> usize {
    match value {
        0..0x40 => 1,
        0x40..0x4000 => 2,
        0x4000..0x4000_0000 => 4,
        _ => 8,
    }
}

/// Appends a number; what is above [`MAX_VARINT`] becomes that.
pub(super) fn put_varint(out: &mut Vec<u8>, value: u64) {
    let value = value.min(MAX_VARINT);
    let length = varint_len(value);
    let tagged = value | (length.trailing_zeros() as u64) << (8 * length - 2);
    out.extend_from_slice(&tagged.to_be_bytes()[8 - length..]);
}

/// Appends bytes behind their length.
pub(super) fn put_block(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_quic() {
        // RFC 9000, appendix A.1.
        for (bytes, value) in [
            (&[0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c][..], 151_288_809_941_952_652),
            (&[0x9d, 0x7f, 0x3e, 0x7d], 494_878_333),
            (&[0x7b, 0xbd], 15_293),
            (&[0x25], 37),
        ] {
            assert_eq!(Reader::new(bytes).varint("it"), Ok(value));
            let mut out = Vec::new();
            put_varint(&mut out, value);
            assert_eq!(out, bytes);
        }
        for value in [0, 63, 64, 16_383, 16_384, (1 << 30) - 1, 1 << 30, MAX_VARINT] {
            let mut out = Vec::new();
            put_varint(&mut out, value);
            assert_eq!((out.len(), Reader::new(&out).varint("it")), (varint_len(value), Ok(value)));
            assert!(Reader::new(&out[..out.len() - 1]).varint("it").is_err());
        }
    }
}
