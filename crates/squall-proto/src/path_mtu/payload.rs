//! What a probe carries, and how it is known again in an answer.

use squall_time::random::SplitMix64;

use super::Matched;

/// The bytes by which a probe is known: the search's nonce and the probe's number.
pub const PROBE_HEADER: usize = 12;

/// The secret of one search: nobody who has not seen one of its probes can answer them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nonce([u8; 8]);

/// What an answer tells of the probe that it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recognised {
    /// It holds the first bytes of the probe of this number.
    Probe(u32),
    /// It says how long the probe was: `Your data was N bytes long`, as the `length` service answers.
    Length(usize),
    /// Nothing.
    Nothing,
}

impl Nonce {
    /// A nonce of 64 bits, which should come from the system's source of randomness.
    pub fn new(bits: u64) -> Self {
        Self(bits.to_be_bytes())
    }

    /// Fills `payload` with the probe of number `id`. Behind the [`PROBE_HEADER`] come bytes that a link
    /// cannot compress, so that the size on the way is the size that is meant. A payload that is shorter
    /// holds as much of it as there is room for.
    pub fn write(&self, id: u32, payload: &mut [u8]) {
        let mut random = SplitMix64::new(u64::from_be_bytes(self.0) ^ u64::from(id));
        let mut header = [0; PROBE_HEADER];
        header[..8].copy_from_slice(&self.0);
        header[8..].copy_from_slice(&id.to_be_bytes());
        let room = payload.len().min(PROBE_HEADER);
        let (front, rest) = payload.split_at_mut(room);
        front.copy_from_slice(&header[..room]);
        for chunk in rest.chunks_mut(8) {
            chunk.copy_from_slice(&random.next_u64().to_be_bytes()[..chunk.len()]);
        }
    }

    /// What `answer` tells: a datagram that came back, or what an ICMP message quotes. The probe may lie
    /// anywhere in it, and its end may be missing.
    pub fn recognise(&self, answer: &[u8]) -> Recognised {
        let header = |window: &[u8]| {
            let id = window.strip_prefix(&self.0)?;
            id.try_into().ok().map(u32::from_be_bytes)
        };
        match answer.windows(PROBE_HEADER).find_map(header) {
            Some(id) => Recognised::Probe(id),
            None => length(answer).map_or(Recognised::Nothing, Recognised::Length),
        }
    }
}

impl Recognised {
    /// Which probe that is.
    pub fn matched(self) -> Matched {
        match self {
            Recognised::Probe(id) => Matched::Id(id),
            Recognised::Length(payload) => Matched::Payload(payload),
            Recognised::Nothing => Matched::Unknown,
        }
    }
}

/// The number in `Your data was N bytes long`, with or without a line end.
fn length(answer: &[u8]) -> Option<usize> {
    let text = answer.strip_prefix(b"Your data was ")?.trim_ascii_end().strip_suffix(b" bytes long")?;
    // Signs and the like are nothing that the service writes.
    if !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use alloc::vec;
    use alloc::vec::Vec;

    use super::*;

    const NONCE: Nonce = Nonce([1, 2, 3, 4, 5, 6, 7, 8]);

    fn probe(id: u32, len: usize) -> Vec<u8> {
        let mut payload = vec![0; len];
        NONCE.write(id, &mut payload);
        payload
    }

    #[test]
    fn a_probe_is_known_again_whole_cut_and_inside_an_answer() {
        let sent = probe(7, 1372);
        assert_eq!(NONCE.recognise(&sent), Recognised::Probe(7));
        assert_eq!(NONCE.recognise(&sent[..12]), Recognised::Probe(7));
        assert_eq!(NONCE.recognise(&sent[..11]), Recognised::Nothing);
        let stamped = [b"[Wed Aug 15 20:35:08 2012] ".as_slice(), &sent].concat();
        assert_eq!(NONCE.recognise(&stamped), Recognised::Probe(7));
        assert_eq!(Nonce::new(1).recognise(&sent), Recognised::Nothing, "of another search");
    }

    #[test]
    fn short_probes_hold_what_fits_and_long_ones_differ() {
        assert_eq!(probe(1, 0), []);
        assert_eq!(probe(1, 3), [1, 2, 3]);
        assert_ne!(probe(1, 40)[12..], probe(2, 40)[12..]);
    }

    #[test]
    fn an_answer_that_tells_the_length_is_read() {
        for (answer, length) in [
            ("Your data was 1472 bytes long", Some(1472)),
            ("Your data was 0 bytes long\r\n", Some(0)),
            ("Your data was  bytes long", None),
            ("Your data was +5 bytes long", None),
            ("Your data was 99999999999999999999999 bytes long", None),
            ("Your data was 5 bytes", None),
            ("", None),
        ] {
            let expected = length.map_or(Recognised::Nothing, Recognised::Length);
            assert_eq!(NONCE.recognise(answer.as_bytes()), expected, "{answer}");
        }
    }
}
