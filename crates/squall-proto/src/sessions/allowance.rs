//! How much may be sent to a peer that could be anybody.

use crate::Refusal;

/// The bytes that a peer without a validated address may still be sent: three times what came from it,
/// headers counted ([RFC 9000 §8.1](https://www.rfc-editor.org/rfc/rfc9000#section-8.1)).
///
/// Anybody can forge another sender's address in a datagram. Without this bound a small forged one
/// would start a long conversation with somebody who never asked for it.
///
/// ```
/// use squall_proto::sessions::Allowance;
///
/// let mut allowance = Allowance::new(false);
/// allowance.receive(100);
/// assert!(allowance.send(300).is_ok());
/// assert!(allowance.send(1).is_err());
/// allowance.validate();
/// assert!(allowance.send(1).is_ok());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// `None` once the address is validated.
    rest: Option<u64>,
}

impl Allowance {
    /// Nothing may be sent yet to a peer that is not `validated`, anything to one that is.
    pub fn new(validated: bool) -> Self {
        Self { rest: (!validated).then_some(0) }
    }

    /// Whether the address is validated.
    pub fn is_validated(&self) -> bool {
        self.rest.is_none()
    }

    /// Lifts the bound: the peer has shown that it receives what is sent to its address.
    pub fn validate(&mut self) {
        self.rest = None;
    }

    /// Counts a datagram of `bytes` from the peer, headers included.
    pub fn receive(&mut self, bytes: usize) {
        if let Some(rest) = &mut self.rest {
            *rest = rest.saturating_add(FACTOR * bytes as u64);
        }
    }

    /// Takes a datagram of `bytes` to the peer, headers included, from the allowance.
    ///
    /// # Errors
    /// [`Refusal::Amplification`] when it is more than is left; nothing is taken then.
    pub fn send(&mut self, bytes: usize) -> Result<(), Refusal> {
        if let Some(rest) = &mut self.rest {
            *rest = rest.checked_sub(bytes as u64).ok_or(Refusal::Amplification)?;
        }
        Ok(())
    }
}

/// What RFC 9000 takes.
const FACTOR: u64 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unvalidated_peer_is_sent_three_times_what_came_from_it() {
        let mut allowance = Allowance::new(false);
        assert_eq!(allowance.send(1), Err(Refusal::Amplification), "nothing came yet");
        allowance.receive(28);
        allowance.receive(2);
        assert_eq!(allowance.send(91), Err(Refusal::Amplification));
        assert_eq!(allowance.send(60), Ok(()), "a refused send costs nothing");
        assert_eq!(allowance.send(30), Ok(()));
        assert_eq!(allowance.send(1), Err(Refusal::Amplification));
    }

    #[test]
    fn a_validated_peer_has_no_bound() {
        let mut allowance = Allowance::new(true);
        assert_eq!(allowance.send(usize::MAX), Ok(()));
        let mut allowance = Allowance::new(false);
        allowance.validate();
        assert!(allowance.is_validated());
        assert_eq!(allowance.send(usize::MAX), Ok(()));
    }
}
