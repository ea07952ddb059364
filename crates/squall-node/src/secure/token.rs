//! The secret of those who may come in.

use std::fmt;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};

use super::PrivateFileError;
use super::private_file::{load_or_make, read_secret};
use crate::places::Kept;

/// A secret of 128 random bits. It is never sent: both sides prove that they have it.
///
/// As text it has 30 letters and digits in groups of five: the bits and a check on mistyping. Case makes no
/// difference, `i` and `l` are read as `1` and `o` as `0`, so that it can also be read out.
#[derive(Clone, PartialEq, Eq)]
pub struct Token([u8; LEN]);

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// The text has not the length of a token.
    #[error(
        "a token has {LETTERS} letters and digits, and this has {0}; passwords of one's own are not taken, since they could be guessed: use the token that the other side shows"
    )]
    Length(usize),
    /// The text has a character that tokens do not have.
    #[error(
        "a token has no {found:?}, which is character {at} here; passwords of one's own are not taken, since they could be guessed: use the token that the other side shows"
    )]
    Letter {
        /// What is there.
        found: char,
        /// Where, from 1.
        at: usize,
    },
    /// The check says that it is mistyped.
    #[error("the token is mistyped: a letter or digit of it is wrong")]
    Mistyped,
    /// The variable or argument is no text.
    #[error("the token is no text")]
    NoText,
    /// What is in the file is no token.
    #[error("{}: {source}", path.display())]
    InFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<TokenError>,
    },
    /// What [`SQUALL_TOKEN`](Token::VARIABLE) says is no token.
    #[error("{variable}: {0}", variable = Token::VARIABLE)]
    InVariable(#[source] Box<TokenError>),
    /// The file that was named is not there.
    #[error("there is no token in {}: the file does not exist", .0.display())]
    NoFile(PathBuf),
    /// The file cannot be used.
    #[error(transparent)]
    File(#[from] PrivateFileError),
    /// The system gives no random numbers.
    #[error("the system gives no random numbers")]
    NoRandom,
}

/// Bytes of a token.
const LEN: usize = 16;

/// Letters of its text: 128 bits and 22 of a check, five a letter.
const LETTERS: usize = 30;

/// Crockford's base 32: without `i`, `l`, `o`, which look like others, and `u`, which makes words.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Bits of the check: one typing error in four million passes.
const CHECK_BITS: usize = LETTERS * 5 - LEN * 8;

impl Token {
    /// The variable of the environment that holds one.
    pub const VARIABLE: &str = "SQUALL_TOKEN";

    /// A new one, from the system's random numbers.
    ///
    /// # Errors
    /// [`TokenError::NoRandom`].
    pub fn generate() -> Result<Self, TokenError> {
        let mut bytes = [0; LEN];
        SystemRandom::new().fill(&mut bytes).map_err(|_| TokenError::NoRandom)?;
        Ok(Self(bytes))
    }

    /// The one in the file at `path`, which nobody else may read.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn load(path: &Path) -> Result<Self, TokenError> {
        let bytes = read_secret(path)?.ok_or_else(|| TokenError::NoFile(path.into()))?;
        Self::in_file(path, &bytes)
    }

    /// The one in the file at `path`. Where there is none it is made, for this user alone; of several that start at
    /// once one makes it.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn load_or_make(path: &Path) -> Result<Self, TokenError> {
        let make = || Ok::<_, TokenError>(format!("{}\n", Self::generate()?.reveal()).into_bytes());
        Self::in_file(path, &load_or_make(path, make)?)
    }

    /// Where a node keeps its own: beside its [identity](super::Identity::default_path).
    pub fn default_path() -> PathBuf {
        Kept::Settings.default_path().join("token")
    }

    /// What a command line says: the token itself, else a file that holds it, else [`SQUALL_TOKEN`](Self::VARIABLE).
    /// An empty variable is none.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn given(text: Option<&str>, file: Option<&Path>) -> Result<Option<Self>, TokenError> {
        if let Some(text) = text {
            return text.parse().map(Some);
        }
        if let Some(file) = file {
            return Self::load(file).map(Some);
        }
        match std::env::var_os(Self::VARIABLE).filter(|text| !text.is_empty()) {
            Some(text) => {
                let token = text.to_str().ok_or(TokenError::NoText).and_then(str::parse);
                token.map(Some).map_err(|error| TokenError::InVariable(error.into()))
            }
            None => Ok(None),
        }
    }

    /// Its text, for the one who may know it.
    pub fn reveal(&self) -> String {
        let mut bits = u128::from_be_bytes(self.0);
        let mut check = check(&self.0);
        let mut letters = [0; LETTERS];
        // From the last letter to the first, five bits each; the check comes last.
        for letter in letters.iter_mut().rev() {
            *letter = ALPHABET[(check & 31) as usize];
            check = check >> 5 | ((bits & 31) as u32) << (CHECK_BITS - 5);
            bits >>= 5;
        }
        let groups = letters.chunks(5).map(|group| group.iter().copied().map(char::from).collect::<String>());
        groups.collect::<Vec<_>>().join("-")
    }

    pub(super) fn secret(&self) -> &[u8] {
        &self.0
    }

    fn in_file(path: &Path, bytes: &[u8]) -> Result<Self, TokenError> {
        let token = str::from_utf8(bytes).map_err(|_| TokenError::NoText).and_then(str::parse);
        token.map_err(|source| TokenError::InFile { path: path.into(), source: Box::new(source) })
    }
}

/// The first bits of a hash.
fn check(token: &[u8; LEN]) -> u32 {
    let hash = digest(&SHA256, token);
    let first = [0, 1, 2, 3].map(|index| hash.as_ref()[index]);
    u32::from_be_bytes(first) >> (32 - CHECK_BITS)
}

impl FromStr for Token {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        let mut values = Vec::with_capacity(LETTERS);
        let mut len = 0;
        for (index, letter) in text.trim().chars().enumerate() {
            if letter == '-' || letter == ' ' {
                continue;
            }
            len += 1;
            let plain = match letter.to_ascii_lowercase() {
                'i' | 'l' => '1',
                'o' => '0',
                other => other,
            };
            match ALPHABET.iter().position(|&of_ours| char::from(of_ours) == plain) {
                Some(value) if len <= LETTERS => values.push(value as u128),
                Some(_) => {}
                None => return Err(TokenError::Letter { found: letter, at: index + 1 }),
            }
        }
        if len != LETTERS {
            return Err(TokenError::Length(len));
        }
        // 25 letters are 125 bits; the next one has the last three and the first two of the check.
        let bits = values[..25].iter().fold(0, |bits, value| bits << 5 | value) << 3 | values[25] >> 2;
        let told = values[26..].iter().fold(values[25] & 3, |bits, value| bits << 5 | value);
        let token = Self(bits.to_be_bytes());
        if told != u128::from(check(&token.0)) {
            return Err(TokenError::Mistyped);
        }
        Ok(token)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(not shown)")
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        self.0.fill(0);
        // So that the compiler does not leave it out, as far as safe code can ask for that.
        black_box(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_token_reads_as_it_is_shown_and_as_people_type_it() {
        for bytes in [[0; LEN], [255; LEN], std::array::from_fn(|index| index as u8 * 17)] {
            let token = Token(bytes);
            let text = token.reveal();
            assert_eq!(text.len(), 35, "{text}");
            assert_eq!(text.parse::<Token>().unwrap(), token);
            let typed = text.to_uppercase().replace('-', " ").replace('0', "O").replace('1', "l");
            assert_eq!(format!(" {typed}\n").parse::<Token>().unwrap(), token, "{typed}");
            assert_eq!(text.replace('-', "").parse::<Token>().unwrap(), token);
        }
        // SHA-256 of 16 zero bytes begins with 374708ff.
        assert_eq!(Token([0; LEN]).reveal(), "00000-00000-00000-00000-00000-0vme2");
    }

    #[test]
    fn tokens_are_random() {
        let tokens: Vec<_> = (0..64).map(|_| Token::generate().unwrap().reveal()).collect();
        for (index, token) in tokens.iter().enumerate() {
            assert!(!tokens[..index].contains(token));
        }
    }

    #[test]
    fn every_mistyped_letter_and_every_swap_is_told() {
        let text = Token(std::array::from_fn(|index| (index as u8).wrapping_mul(31))).reveal();
        let mut wrong = 0;
        for at in (0..text.len()).filter(|at| text.as_bytes()[*at] != b'-') {
            let mut typed = text.clone().into_bytes();
            typed[at] = if typed[at] == b'7' { b'8' } else { b'7' };
            let typed = String::from_utf8(typed).unwrap();
            assert!(matches!(typed.parse::<Token>(), Err(TokenError::Mistyped)), "{typed}");
            wrong += 1;
        }
        assert_eq!(wrong, LETTERS);
        for at in 1..text.len() {
            let mut swapped = text.clone().into_bytes();
            swapped.swap(at - 1, at);
            let typed = String::from_utf8(swapped).unwrap();
            if typed.replace('-', "") != text.replace('-', "") {
                assert!(matches!(typed.parse::<Token>(), Err(TokenError::Mistyped)), "{typed}");
            }
        }
    }

    #[test]
    fn a_password_is_refused_with_the_reason_and_not_repeated() {
        for text in ["", "correct horse battery staple", "hunter2", &"q".repeat(31), "geheim!"] {
            let told = text.parse::<Token>().unwrap_err().to_string();
            assert!(told.contains("could be guessed"), "{told}");
            assert!(text.is_empty() || !told.contains(text), "{told}");
        }
        let thirty = "a".repeat(30).parse::<Token>().unwrap_err();
        assert!(matches!(thirty, TokenError::Mistyped), "{thirty}");
    }

    #[test]
    fn a_nodes_own_token_stays_and_is_for_its_user_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("squall/token");
        let none = Token::load(&path).unwrap_err();
        assert!(matches!(none, TokenError::NoFile(_)), "{none}");
        let made = Token::load_or_make(&path).unwrap();
        assert_eq!(Token::load_or_make(&path).unwrap(), made);
        assert_eq!(Token::given(None, Some(&path)).unwrap(), Some(made.clone()));
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{}\n", made.reveal()));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(Token::load(&path).unwrap_err().to_string().contains("chmod 600"));
    }

    #[test]
    fn what_is_in_a_file_and_no_token_is_told_with_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        load_or_make(&path, || Ok::<_, TokenError>(b"hunter2\n".to_vec())).unwrap();
        let told = Token::load_or_make(&path).unwrap_err().to_string();
        assert!(told.starts_with(&format!("{}: ", path.display())) && !told.contains("hunter2"), "{told}");
    }

    #[test]
    fn debugging_never_shows_a_token() {
        assert_eq!(format!("{:?}", Token([7; LEN])), "Token(not shown)");
    }
}
