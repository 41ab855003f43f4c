//! Namespaces of a test's own: network, processes, mounts, and the names of the host.

use std::fs;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use outrigger_tests::sidecar::run;
use outrigger_tests::tools::{Tool, missing, on_path};
use rustix::process::geteuid;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// The first process of the namespaces: says which it is, for those outside, and ends when its input does. With it ends
/// all that runs in them, and what is mounted and connected is gone: also when the tests are killed.
const FIRST: &str = "set -e
read -r pid rest </proc/self/stat
mount -t proc proc /proc
mount -t tmpfs tmpfs /run
ip link set lo up
echo \"$pid\"
exec cat";

/// The thread that makes it is in its network until it is dropped, with all that the thread starts.
pub(crate) struct Inside {
    /// The namespaces live as long as this.
    _first: Tool,
    pid: String,
    before: OwnedFd,
}

impl Inside {
    /// `None` skips the test: the reason is printed.
    pub(crate) fn new() -> Option<Inside> {
        if !geteuid().is_root() {
            return skip("a network of the test's own needs root");
        }
        for name in ["unshare", "nsenter", "ip", "mount"] {
            if on_path(name).is_none() {
                return missing(&format!("{name} is not installed"));
            }
        }
        let unshared = run(unshare().arg("true").stdin(Stdio::null()));
        if unshared.code != Some(0) {
            return skip(&format!("no namespaces can be made here: {}", unshared.stderr.trim()));
        }
        let mut first = unshare();
        first.args(["sh", "-c", FIRST]);
        let first = Tool::start_until_told(first);
        let pid = first.line();
        let before = network_of("thread-self");
        enter(&network_of(&pid));
        Some(Inside { _first: first, pid, before })
    }

    /// The root folder as it is inside, with the processes below `proc` under the numbers that they have there.
    pub(crate) fn root(&self) -> PathBuf {
        Path::new("/proc").join(&self.pid).join("root")
    }

    /// A program in all of the namespaces. A thread can only enter the network by itself.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.pid, "--mount", "--net", "--pid", "--ipc", "--uts", program]);
        command.stdin(Stdio::null());
        command
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        enter(&self.before);
    }
}

/// Whether containers can be put into control groups here.
pub(crate) fn control_groups() -> Option<()> {
    let groups = Path::new("/sys/fs/cgroup");
    let groups = if groups.join("cgroup.controllers").exists() { groups.to_owned() } else { groups.join("pids") };
    let probe = groups.join(format!("outrigger-{}-{:?}", std::process::id(), thread::current().id()));
    if let Err(why) = fs::create_dir(&probe).and_then(|()| fs::remove_dir(&probe)) {
        return skip(&format!("no control group can be made in {}: {why}", groups.display()));
    }
    Some(())
}

/// What no tool can mend is no failure, even where all tools are required.
pub(crate) fn skip<T>(why: &str) -> Option<T> {
    println!("skipped: {why}");
    None
}

fn unshare() -> Command {
    let mut command = Command::new("unshare");
    command.args(["--mount", "--net", "--pid", "--ipc", "--uts", "--fork", "--kill-child"]);
    command
}

fn network_of(process: &str) -> OwnedFd {
    let path = Path::new("/proc").join(process).join("ns/net");
    fs::File::open(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display())).into()
}

fn enter(network: &OwnedFd) {
    move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network)).expect("root may enter a network");
}
