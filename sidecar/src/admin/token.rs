//! The file with the token that lets other hosts change something.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use subtle::ConstantTimeEq as _;

/// A shorter one could be guessed.
const MIN_TOKEN_BYTES: usize = 16;
/// Whatever is longer is another file.
const MAX_TOKEN_BYTES: usize = 4096;
/// Others than the owner and the group may read it.
const WORLD_READABLE: u32 = 0o004;

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    #[error("cannot read {path}: {why}")]
    Read { path: PathBuf, why: io::Error },
    #[error(
        "{path} has a token of {length} characters; write {MIN_TOKEN_BYTES} or more, such as those of `openssl rand -hex 32`"
    )]
    Short { path: PathBuf, length: usize },
    #[error("{path} is longer than the {MAX_TOKEN_BYTES} bytes that a token may have; name the file with the token")]
    Long { path: PathBuf },
    #[error("{path} has more in it than visible ASCII characters in one line; write only the token")]
    Text { path: PathBuf },
}

/// The path of the file. It is read for each request that shows a token, so that it can be changed at any time.
#[derive(Debug, Clone)]
pub(crate) struct TokenFile(PathBuf);

impl TokenFile {
    /// Reads the file once, to see whether it is right.
    pub(crate) fn new(path: &Path) -> Result<Self, TokenError> {
        let file = Self(path.to_owned());
        file.read()?;
        if path.metadata().is_ok_and(|found| found.permissions().mode() & WORLD_READABLE != 0) {
            tracing::warn!(path = %path.display(), "every user of this host can read the admin token; chmod it to 0640 or 0600");
        }
        Ok(file)
    }

    /// Whether this is the token; it takes as long whatever part of it is right.
    pub(super) fn matches(&self, given: &str) -> Result<bool, TokenError> {
        Ok(self.read()?.as_bytes().ct_eq(given.as_bytes()).into())
    }

    fn read(&self) -> Result<String, TokenError> {
        let path = || self.0.clone();
        let mut bytes = Vec::new();
        let limit = MAX_TOKEN_BYTES as u64 + 1;
        let read = File::open(&self.0).and_then(|file| file.take(limit).read_to_end(&mut bytes));
        read.map_err(|why| TokenError::Read { path: path(), why })?;
        if bytes.len() > MAX_TOKEN_BYTES {
            return Err(TokenError::Long { path: path() });
        }
        let text = bytes.trim_ascii();
        if !text.iter().all(u8::is_ascii_graphic) {
            return Err(TokenError::Text { path: path() });
        }
        if text.len() < MIN_TOKEN_BYTES {
            return Err(TokenError::Short { path: path(), length: text.len() });
        }
        Ok(String::from_utf8_lossy(text).into_owned())
    }
}
