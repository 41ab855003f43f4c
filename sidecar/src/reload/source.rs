//! Where the configuration comes from: the arguments, the environment, and the files that they name.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};

use crate::cli::{self, Command, Exit};
use crate::files;

/// The arguments and the environment of the process, which stay what they are; files are read anew each time.
#[derive(Debug, Clone)]
pub struct Source {
    /// Beginning with the program's name.
    pub args: Vec<OsString>,
    pub env: Vec<(String, String)>,
}

/// Everything that a [`Source`] said at one time.
#[derive(Debug)]
pub struct Reading {
    pub command: Result<Command, Exit>,
    /// The files that had a part in it, also where it came to nothing.
    pub files: Files,
}

impl Source {
    pub fn read(&self) -> Reading {
        let seen = RefCell::new(Files::default());
        let read_file = |path: &Path| {
            let content = files::read(path);
            seen.borrow_mut().0.insert(path.to_path_buf(), fingerprint(&content));
            content
        };
        let command = cli::parse(self.args.iter().cloned(), self.env.iter().cloned(), &read_file);
        Reading { command, files: seen.into_inner() }
    }
}

/// Files and what was in them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Files(BTreeMap<PathBuf, Fingerprint>);

/// Of the content; `None` of what cannot be read. It tells a change, and hides nothing from an attacker: who can write
/// the files can do worse.
type Fingerprint = Option<u64>;

impl Files {
    /// These, with what is in them now.
    pub(crate) fn of<'a>(paths: impl IntoIterator<Item = &'a Path>) -> Self {
        Self(paths.into_iter().map(|path| (path.to_path_buf(), fingerprint(&files::read(path)))).collect())
    }

    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.0.keys().map(PathBuf::as_path)
    }

    /// Whether something else is in one of them now.
    pub fn have_changed(&self) -> bool {
        self.0.iter().any(|(path, before)| fingerprint(&files::read(path)) != *before)
    }
}

fn fingerprint(content: &io::Result<Vec<u8>>) -> Fingerprint {
    let mut hasher = DefaultHasher::new();
    content.as_ref().ok()?.hash(&mut hasher);
    Some(hasher.finish())
}
