//! What the test binaries share that play whole scenarios.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use outrigger_sim::scenario::{self, Scenario};
use outrigger_sim::world::Run;

/// A folder that goes when the test is over.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    /// `name` is no other test's, of this binary or of another.
    pub(crate) fn new(name: &str) -> Self {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn file(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Runs the built program in a folder: its exit code and both its outputs.
pub(crate) fn sim(folder: &Path, args: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_outrigger-sim"));
    let Output { status, stdout, stderr } =
        command.current_dir(folder).args(args).stdin(Stdio::null()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

pub(crate) fn parse(text: &str) -> Scenario {
    let (scenario, _) = scenario::parse("test.toml", text).unwrap_or_else(|report| panic!("{report}"));
    scenario
}

/// Of one group, or of all under the empty name.
#[track_caller]
pub(crate) fn figure(run: &Run, group: &str, metric: &str) -> f64 {
    let found = run.metrics.get(&(group.to_owned(), metric.to_owned()));
    *found.unwrap_or_else(|| panic!("{group} has no {metric}: {:?}", run.metrics.keys()))
}

#[track_caller]
pub(crate) fn assert_good(run: &Run) {
    assert!(run.is_good(), "{:#?}\n{:#?}", run.violations, run.failures);
}

pub(crate) fn scenarios() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../scenarios")
}

/// Four push clients with an update each second, and one fault of 20 s that begins at `at`.
pub(crate) fn one_fault([duration, heal, at]: [&str; 3], fault: &str) -> String {
    format!(
        r#"
name = "one fault"
duration = "{duration}"
heal = "{heal}"
[[apps]]
name = "feed"
[[sidecars]]
name = "edge"
[[clients]]
name = "web"
kind = "push"
count = 4
sends = "20/m"
[workload]
updates = "periodic"
rate = "1/s"
[[faults]]
at = "{at}"
for = "20s"
{fault}
"#
    )
}
