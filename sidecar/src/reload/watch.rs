//! Hears that files change. Directories are watched more than files: editors and Kubernetes put new files in the place of
//! the old ones, the latter by turning a symbolic link. Not every change has an event (network file systems, a directory
//! further up that is moved), and not every system has watches left: files are looked at now and then as well.

use std::collections::BTreeSet;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::event::{AccessKind, AccessMode};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, timeout_at};

use super::source::Files;

/// A certificate and its key come one after the other: it has to be as quiet for this long.
const QUIET: Duration = Duration::from_millis(300);
/// Files that never rest are looked at after this time all the same.
const MAX_UNREST: Duration = Duration::from_secs(3);
/// The longest time that a change without an event goes unnoticed.
const LOOK_ANYWAY: Duration = Duration::from_secs(30);
/// Symbolic links on the way to a file: as many as Linux follows.
const MAX_LINKS: usize = 40;

/// Files that are watched.
#[derive(Debug)]
pub struct Watch {
    files: Arc<Files>,
    /// `None` where the system does not let them be watched.
    armed: Option<Armed>,
    /// Whether it was said that they are not.
    told: bool,
}

#[derive(Debug)]
struct Armed {
    events: mpsc::Receiver<()>,
    /// Until it is dropped there are events.
    _watcher: RecommendedWatcher,
}

impl Watch {
    pub fn new(files: Files) -> Self {
        Self { files: Arc::new(files), armed: None, told: false }
    }

    /// Done once one of the files is not what it was, and it is quiet around them: so never sooner than [`QUIET`] after
    /// the call, which is a limit to how often files that change all the time are read. It is right to drop this before it
    /// is done if the files are read then.
    pub async fn changed(&mut self) {
        let mut touched = false;
        loop {
            // Links may lead elsewhere now, and directories may be new ones.
            self.arm().await;
            if touched {
                tracing::debug!("something was done to files of the configuration");
            }
            // A change just before the directories were watched has no event.
            if self.have_changed().await {
                // It may be half written, or empty before it is written again.
                self.rest().await;
                if self.have_changed().await {
                    return;
                }
                touched = true;
                continue;
            }
            touched = tokio::select! {
                biased;
                () = heard(&mut self.armed) => true,
                () = sleep(LOOK_ANYWAY) => false,
            };
            if touched {
                self.rest().await;
            }
        }
    }

    async fn rest(&mut self) {
        let latest = Instant::now() + MAX_UNREST;
        while timeout_at(latest.min(Instant::now() + QUIET), heard(&mut self.armed)).await.is_ok() {}
    }

    async fn arm(&mut self) {
        let files = Arc::clone(&self.files);
        let armed = off_the_runtime(move || {
            // What was there when the way was looked for may be gone when it is to be watched.
            Armed::new(&files).or_else(|_| Armed::new(&files))
        })
        .await;
        self.armed = armed.inspect_err(|error| self.not_watched(error)).ok();
    }

    /// Said once: it may stay so for long.
    fn not_watched(&mut self, error: &notify::Error) {
        if !std::mem::replace(&mut self.told, true) {
            let every_s = LOOK_ANYWAY.as_secs();
            tracing::warn!(
                every_s,
                "files of the configuration cannot be watched: {error}; they are looked at every {every_s} s instead, \
                 and SIGHUP has them read at once"
            );
        }
    }

    async fn have_changed(&self) -> bool {
        let files = Arc::clone(&self.files);
        off_the_runtime(move || files.have_changed()).await
    }
}

/// Files may be far away, and other tasks must not wait for them.
pub(crate) async fn off_the_runtime<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    spawn_blocking(work).await.expect("reading files does not panic, and nobody aborts it")
}

/// Done when there was an event; never where nothing is watched.
async fn heard(armed: &mut Option<Armed>) {
    if let Some(watching) = armed
        && watching.events.recv().await.is_some()
    {
        return;
    }
    std::future::pending::<()>().await;
}

impl Armed {
    fn new(files: &Files) -> Result<Self, notify::Error> {
        let mut way = Way::default();
        for path in files.paths() {
            way.add(path)?;
        }
        let Way { watched, steps } = way;
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
        for path in &watched {
            watcher.watch(path, RecursiveMode::NonRecursive)?;
        }
        tracing::debug!(?watched, "files of the configuration are watched");
        Ok(Self { events, _watcher: watcher })
    }
}

/// The directory entries over which files are reached.
#[derive(Debug, Default, PartialEq, Eq)]
struct Way {
    /// What to watch: directories that hold a symbolic link or a file, and the file itself, which may be written under
    /// another name, as where it alone is mounted into a container.
    watched: BTreeSet<PathBuf>,
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
            self.watched.insert(holder.clone());
            if kind.as_ref().is_ok_and(std::fs::FileType::is_file) {
                self.watched.insert(at);
                return None;
            }
            // What is missing may come: then there is more to walk.
            let target = kind.ok().filter(std::fs::FileType::is_symlink).and_then(|_| at.read_link().ok())?;
            return Some(holder.join(target).join(components.as_path()));
        }
        None
    }
}

#[cfg(test)]
mod tests;
