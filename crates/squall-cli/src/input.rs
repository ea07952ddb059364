//! Lines that somebody types, or sends.

use std::io::{self, BufRead, Read};

/// A line, with its end; none at the end. A line that is too long, or no text, is told instead.
pub(crate) fn line(from: &mut impl BufRead) -> io::Result<Option<Result<String, &'static str>>> {
    let mut bytes = Vec::new();
    if from.by_ref().take(LONGEST).read_until(b'\n', &mut bytes)? == 0 {
        return Ok(None);
    }
    if bytes.last() != Some(&b'\n') && bytes.len() as u64 == LONGEST {
        // The rest of it is no order of its own.
        loop {
            let mut rest = Vec::new();
            let count = from.by_ref().take(LONGEST).read_until(b'\n', &mut rest)?;
            if count == 0 || rest.last() == Some(&b'\n') {
                return Ok(Some(Err("the line is too long")));
            }
        }
    }
    Ok(Some(String::from_utf8(bytes).map_err(|_| "the line is no text")))
}

/// Bytes of a line.
const LONGEST: u64 = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_one_by_one_and_what_is_too_long_is_passed_over() {
        let mut text = b"one\ntwo".to_vec();
        let mut from = text.as_slice();
        assert_eq!(line(&mut from).unwrap(), Some(Ok("one\n".into())));
        assert_eq!(line(&mut from).unwrap(), Some(Ok("two".into())));
        assert_eq!(line(&mut from).unwrap(), None);
        for len in [LONGEST, LONGEST + 1, 5 * LONGEST] {
            text = vec![b'x'; len as usize];
            text.extend_from_slice(b"\n\xff\nlast\n");
            from = text.as_slice();
            assert_eq!(line(&mut from).unwrap(), Some(Err("the line is too long")), "{len}");
            assert_eq!(line(&mut from).unwrap(), Some(Err("the line is no text")));
            assert_eq!(line(&mut from).unwrap(), Some(Ok("last\n".into())));
        }
    }
}
