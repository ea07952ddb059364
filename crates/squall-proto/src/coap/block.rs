//! Bodies in blocks: the value of the options Block1 and Block2
//! ([RFC 7959 §2.2](https://www.rfc-editor.org/rfc/rfc7959#section-2.2)).

use core::fmt;

use super::options::{Options, UintValue};

/// The size of blocks: a power of two from 16 to 1024 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockSize {
    exponent: u8,
}

impl BlockSize {
    /// 16 bytes.
    pub const MIN: BlockSize = BlockSize { exponent: 0 };
    /// 1024 bytes.
    pub const MAX: BlockSize = BlockSize { exponent: 6 };

    /// The largest size of at most `bytes`; 16 for less than that.
    pub fn at_most(bytes: usize) -> Self {
        let exponent = bytes.clamp(Self::MIN.bytes(), Self::MAX.bytes()).ilog2() - SMALLEST;
        Self { exponent: exponent as u8 }
    }

    /// The size in bytes.
    pub const fn bytes(self) -> usize {
        1 << (SMALLEST + self.exponent as u32)
    }

    /// The size exponent on the wire (SZX), 0 to 6.
    pub const fn exponent(self) -> u8 {
        self.exponent
    }
}

impl Default for BlockSize {
    fn default() -> Self {
        Self::MAX
    }
}

impl fmt::Display for BlockSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.bytes())
    }
}

/// Which block of a body a message has, or asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Block {
    number: u32,
    more: bool,
    size: BlockSize,
}

impl Block {
    /// The first block, and the only one.
    pub const fn first(size: BlockSize) -> Self {
        Self { number: 0, more: false, size }
    }

    /// Block `number`; `None` over 2²⁰ − 1.
    pub const fn new(number: u32, more: bool, size: BlockSize) -> Option<Self> {
        if number > MAX_NUMBER { None } else { Some(Self { number, more, size }) }
    }

    /// The block of `size` bytes that begins `offset` bytes into the body; `None` where none does, or its
    /// number is over 2²⁰ − 1.
    pub fn at(offset: usize, more: bool, size: BlockSize) -> Option<Self> {
        let number = u32::try_from(offset / size.bytes()).ok()?;
        if offset.is_multiple_of(size.bytes()) { Self::new(number, more, size) } else { None }
    }

    /// Its place in the body, in blocks of its size.
    pub const fn number(&self) -> u32 {
        self.number
    }

    /// Whether others follow; means nothing in a request for a block of the response.
    pub const fn more(&self) -> bool {
        self.more
    }

    /// The size of the blocks.
    pub const fn size(&self) -> BlockSize {
        self.size
    }

    /// Where it begins in the body, in bytes: less than 2³⁰.
    pub const fn offset(&self) -> usize {
        self.number as usize * self.size.bytes()
    }

    /// The option's value.
    pub const fn value(&self) -> UintValue {
        UintValue::new(self.bits())
    }

    /// The option's value as a number.
    pub(super) const fn bits(&self) -> u32 {
        self.number << 4 | (self.more as u32) << 3 | self.size.exponent as u32
    }

    /// Reads an option's value.
    ///
    /// # Errors
    /// [`BlockError`].
    pub fn parse(value: &[u8]) -> Result<Self, BlockError> {
        if value.len() > 3 {
            return Err(BlockError::Length(value.len()));
        }
        let bits = value.iter().fold(0, |bits, &byte| bits << 8 | u32::from(byte));
        let exponent = (bits & 7) as u8;
        if exponent == RESERVED_EXPONENT {
            return Err(BlockError::Size);
        }
        Ok(Self { number: bits >> 4, more: bits & 8 != 0, size: BlockSize { exponent } })
    }

    /// Reads option `number`, [`BLOCK1`](super::options::number::BLOCK1) or
    /// [`BLOCK2`](super::options::number::BLOCK2), of a message; `None` where it is not there.
    ///
    /// # Errors
    /// [`BlockError`]; a request with such an option gets 4.00.
    pub fn of(options: Options<'_>, number: u16) -> Result<Option<Self>, BlockError> {
        options.get(number).map(Self::parse).transpose()
    }
}

impl fmt::Display for Block {
    /// As the RFC writes it: `3/1/64`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.number, u8::from(self.more), self.size)
    }
}

/// Why a value is no block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BlockError {
    /// It is longer than 3 bytes.
    #[error("block option of {0} bytes")]
    Length(usize),
    /// The size exponent is 7, which UDP may not use.
    #[error("block size exponent 7 is reserved")]
    Size,
}

/// The smallest size is 2⁴.
const SMALLEST: u32 = 4;
const RESERVED_EXPONENT: u8 = 7;
/// 20 bits.
const MAX_NUMBER: u32 = (1 << 20) - 1;

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_are_those_of_the_rfc() {
        let size = BlockSize::at_most(64);
        let block = Block::new(3, true, size).unwrap();
        assert_eq!(&*block.value(), [0x3a]);
        assert_eq!(block.to_string(), "3/1/64");
        assert_eq!(block.offset(), 192);
        assert_eq!(&*Block::first(BlockSize::MIN).value(), [], "0/0/16 is an empty value");
        assert_eq!(Block::parse(&[]), Ok(Block::first(BlockSize::MIN)));
        assert_eq!(Block::parse(&[7]), Err(BlockError::Size));
        assert_eq!(Block::parse(&[0, 0, 0, 1]), Err(BlockError::Length(4)));
    }

    #[test]
    fn sizes_are_powers_of_two_in_bounds() {
        for (bytes, size) in [(0, 16), (16, 16), (31, 16), (32, 32), (1023, 512), (1024, 1024), (9000, 1024)]
        {
            assert_eq!(BlockSize::at_most(bytes).bytes(), size, "{bytes}");
        }
    }

    #[test]
    fn what_has_no_number_is_no_block() {
        assert_eq!(Block::new(1 << 20, false, BlockSize::MIN), None);
        assert_eq!(Block::at(1 << 24, false, BlockSize::MIN), None);
        assert_eq!(Block::at(17, false, BlockSize::MIN), None);
        assert_eq!(Block::at(32, false, BlockSize::MIN).map(|block| block.number()), Some(2));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(number in 0u32..1 << 20, more: bool, bytes in 16usize..=1024) {
            let block = Block::new(number, more, BlockSize::at_most(bytes)).unwrap();
            prop_assert_eq!(Block::parse(&block.value()), Ok(block));
        }
    }
}
