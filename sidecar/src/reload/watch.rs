//! Hears that files change. Directories are watched, not files: editors and Kubernetes put new files in the place of
//! the old ones, the latter by turning a symbolic link.

use std::collections::BTreeSet;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::source::Files;

/// A certificate and its key come one after the other: it has to be as quiet for this long.
const QUIET: Duration = Duration::from_millis(300);
/// Files that never rest are looked at after this time all the same.
const MAX_UNREST: Duration = Duration::from_secs(3);
/// Symbolic links on the way to a file: as many as Linux follows.
const MAX_LINKS: usize = 40;

/// Files that are watched.
#[derive(Debug)]
pub struct Watch {
    files: Files,
    armed: Armed,
}

#[derive(Debug)]
struct Armed {
    events: mpsc::Receiver<()>,
    /// Until it is dropped there are events.
    _watcher: RecommendedWatcher,
}

impl Watch {
    /// From here on, what is not any more as in `files` is heard of.
    pub fn new(files: Files) -> Result<Self, notify::Error> {
        let armed = Armed::new(&files)?;
        Ok(Self { files, armed })
    }

    /// Done once one of the files is not what it was, and it is quiet around them. It is right to drop this before it is done
    /// if the files are read then.
    pub async fn changed(&mut self) -> Result<(), notify::Error> {
        loop {
            // A change just before the directories were watched has no event.
            if self.files.have_changed() {
                return Ok(());
            }
            if self.armed.events.recv().await.is_none() {
                return Err(notify::Error::generic("the watcher has stopped"));
            }
            let latest = Instant::now() + MAX_UNREST;
            while let Ok(Some(())) = timeout_at(latest.min(Instant::now() + QUIET), self.armed.events.recv()).await {}
            // Links may lead elsewhere now, and directories may be new ones.
            self.armed = Armed::new(&self.files)?;
            tracing::debug!("something was done to files of the configuration");
        }
    }
}

impl Armed {
    fn new(files: &Files) -> Result<Self, notify::Error> {
        let mut way = Way::default();
        for path in files.paths() {
            way.add(path)?;
        }
        let Way { directories, steps } = way;
        // One event that waits says as much as many.
        let (heard, events) = mpsc::channel(1);
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let matters = event.map_or(true, |event| {
                let read_only =
                    matches!(event.kind, EventKind::Access(kind) if kind != AccessKind::Close(AccessMode::Write));
                !read_only && (event.need_rescan() || event.paths.iter().any(|path| steps.contains(path)))
            });
            if matters {
                // Full: there is one that waits.
                let _ = heard.try_send(());
            }
        })?;
        for directory in &directories {
            watcher.watch(directory, RecursiveMode::NonRecursive)?;
        }
        tracing::debug!(?directories, "files of the configuration are watched");
        Ok(Self { events, _watcher: watcher })
    }
}

/// The directory entries over which files are reached.
#[derive(Debug, Default, PartialEq, Eq)]
struct Way {
    /// What to watch: those that hold a symbolic link or a file.
    directories: BTreeSet<PathBuf>,
    /// The entries that matter, directories among them.
    steps: BTreeSet<PathBuf>,
}

impl Way {
    fn add(&mut self, path: &Path) -> io::Result<()> {
        let mut path = std::path::absolute(path)?;
        for _ in 0..MAX_LINKS {
            let Some(further) = self.walk(&path) else { break };
            path = further;
        }
        Ok(())
    }

    /// Goes along `path` to its first symbolic link, and says where to go on; `None` at the end.
    fn walk(&mut self, path: &Path) -> Option<PathBuf> {
        let mut at = PathBuf::new();
        let mut components = path.components();
        while let Some(component) = components.next() {
            if component == Component::ParentDir {
                at.pop();
                continue;
            }
            at.push(component);
            self.steps.insert(at.clone());
            let kind = at.symlink_metadata().map(|metadata| metadata.file_type());
            let is_directory = kind.as_ref().is_ok_and(std::fs::FileType::is_dir);
            if is_directory {
                continue;
            }
            let holder = at.parent()?.to_path_buf();
            self.directories.insert(holder.clone());
            // What is missing may come: then there is more to walk.
            let target = kind.ok().filter(std::fs::FileType::is_symlink).and_then(|_| at.read_link().ok())?;
            return Some(holder.join(target).join(components.as_path()));
        }
        None
    }
}

#[cfg(test)]
mod tests;
