//! Reading the files that a configuration names. Whatever a path leads to: it neither waits for another program nor fills
//! the memory.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use rustix::fs::{Mode, OFlags};

/// Far more than any configuration needs, and than all the authorities that browsers trust.
const MAX_FILE_MIB: u64 = 4;
const MAX_FILE_BYTES: u64 = MAX_FILE_MIB << 20;

/// All that is in a regular file of at most 4 MiB. Anything else is an error, also what could be read once but not again, like
/// a pipe.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    // The open of a FIFO waits for somebody who writes, and that of a terminal may make it this process's own.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    let kind = file.metadata()?.file_type();
    if kind.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if !kind.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    let mut content = Vec::new();
    // What the file system says of the size may be outdated, or no more than a guess as in `/proc`.
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut content)?;
    if content.len() as u64 > MAX_FILE_BYTES {
        let why = format!("larger than {MAX_FILE_MIB} MiB");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, why));
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_may_be_as_large_as_the_limit_and_not_a_byte_larger() {
        let path = std::env::temp_dir().join(format!("outrigger-files-{}", std::process::id()));
        let file = File::create(&path).expect("a file of the test's own");
        file.set_len(MAX_FILE_BYTES).expect("it may grow");
        assert_eq!(read(&path).expect("it is small enough").len() as u64, MAX_FILE_BYTES);
        file.set_len(MAX_FILE_BYTES + 1).expect("it may grow");
        assert_eq!(read(&path).expect_err("too large").to_string(), "larger than 4 MiB");
        std::fs::remove_file(path).expect("it is there");
    }

    #[test]
    fn a_directory_is_named_as_such() {
        let error = read(&std::env::temp_dir()).expect_err("a directory");
        assert_eq!(error.kind(), io::ErrorKind::IsADirectory);
    }
}
