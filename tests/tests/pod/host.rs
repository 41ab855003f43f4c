//! A host of a test's own, and podman on it, with images, containers, volumes and networks of its own.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use outrigger_tests::Scratch;
use outrigger_tests::sidecar::{Finished, run};
use outrigger_tests::tools::{Tool, missing, on_path};
use serde_json::Value;

use crate::inside::{Inside, control_groups, skip};

/// The network of the containers, which only this test sees.
pub(crate) const NETWORK: &str = "outrigger-tests";
const SUBNET: &str = "10.213.77.0/24";
/// The host's own address in it.
pub(crate) const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 213, 77, 1);
/// The address that a pod may ask for.
pub(crate) const POD: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 213, 77, 10));
/// The sidecar's image, under the name that `outrigger inject` writes.
pub(crate) const IMAGE: &str = concat!("outrigger:", env!("CARGO_PKG_VERSION"));
/// The app's image.
pub(crate) const APP_IMAGE: &str = "localhost/echo:1";
/// How long, in seconds, each step of cleaning up may take.
const CLEANUP_S: &str = "60";

const TOOLS: [&str; 6] = ["podman", "runc", "conmon", "catatonit", "netavark", "iptables"];
/// Where tools are that only podman calls.
const HELPERS: [&str; 2] = ["/usr/lib/podman", "/usr/libexec/podman"];

/// Layers are copied: it takes no file system that stacks.
const STORAGE: &str = r#"
[storage]
driver = "vfs"
graphroot = "{root}"
runroot = "/run/storage"
"#;

/// What podman is told of this place. `default_ulimits`: its own are above what a sandbox may have. `runtime`: crun wants more
/// of the kernel than some sandboxes have. The rest shares nothing with another podman, and asks systemd for nothing.
const CONFIG: &str = r#"
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
log_driver = "k8s-file"
[engine]
cgroup_manager = "cgroupfs"
runtime = "runc"
events_logger = "file"
lock_type = "file"
tmp_dir = "/run/libpod"
[network]
network_backend = "netavark"
network_config_dir = "/run/networks"
"#;

pub(crate) struct Host {
    scratch: Scratch,
    inside: Inside,
}

impl Host {
    /// `None` skips the test: the reason is printed.
    pub(crate) fn new() -> Option<Host> {
        control_groups()?;
        let inside = Inside::new()?;
        for name in TOOLS {
            if on_path(name).is_none() && !HELPERS.iter().any(|dir| Path::new(dir).join(name).is_file()) {
                return missing(&format!("{name} is not installed"));
            }
        }
        let scratch = Scratch::new();
        scratch.write("containers.conf", CONFIG);
        scratch.write("storage.conf", &STORAGE.replace("{root}", &scratch.path("root")));
        fs::create_dir(scratch.path("empty")).expect("the folder is new");
        let host = Host { scratch, inside };
        for (what, probe) in [
            ("network bridges", "ip link add probe type bridge"),
            ("pairs of network interfaces", "ip link add probe-a type veth peer name probe-b"),
            ("address translation", "iptables --table nat --list-rules"),
        ] {
            let probed = run(Command::new("sh").args(["-c", probe]).stdin(Stdio::null()));
            if probed.code != Some(0) {
                return skip(&format!("this kernel has no {what}: {}", probed.stderr.trim()));
            }
        }
        host.podman(&["network", "create", "--disable-dns", "--subnet", SUBNET, NETWORK]);
        Some(host)
    }

    pub(crate) fn scratch(&self) -> &Scratch {
        &self.scratch
    }

    /// Runs podman to a good end.
    #[track_caller]
    pub(crate) fn podman(&self, args: &[&str]) -> Finished {
        must(&mut self.command("podman", args))
    }

    /// Waits until the sidecar in this container says that it is ready, and gives that line.
    #[track_caller]
    pub(crate) fn wait_ready(&self, container: &str) -> Value {
        let log = Tool::start(self.command("sh", &["-c", "exec podman logs --follow \"$0\" 2>&1", container]));
        loop {
            // Between its lines are those of podman itself.
            let line = log.line();
            match serde_json::from_str::<Value>(&line) {
                Ok(line) if line["message"] == "ready" => return line,
                _ => {}
            }
        }
    }

    /// What podman says of one container or image.
    #[track_caller]
    pub(crate) fn inspect(&self, name: &str) -> Value {
        let said = self.podman(&["inspect", name]).stdout;
        let mut objects: Vec<Value> = serde_json::from_str(&said).expect("JSON");
        assert_eq!(objects.len(), 1, "{said}");
        objects.remove(0)
    }

    /// The folder of a volume.
    #[track_caller]
    pub(crate) fn volume(&self, name: &str) -> String {
        self.podman(&["volume", "inspect", "--format", "{{.Mountpoint}}", name]).stdout.trim().to_owned()
    }

    /// The path of a running container's first process, below `/proc`.
    #[track_caller]
    pub(crate) fn process(&self, container: &str) -> PathBuf {
        let pid = self.inspect(container)["State"]["Pid"].as_u64().expect("a number");
        // As the host numbers it, in whose own /proc it is.
        self.inside.root().join(format!("proc/{pid}"))
    }

    /// The image of the sidecar, as `deploy/image/build` has made it, loaded under [`IMAGE`].
    pub(crate) fn load(&self) -> Option<()> {
        let image = built()?;
        let loaded = self.podman(&["load", "--input", image.to_str().expect("UTF-8")]);
        assert!(loaded.stdout.contains(IMAGE), "{loaded:?}");
        Some(())
    }

    /// The image of an app: `echo` of these tests with its libraries, under [`APP_IMAGE`].
    pub(crate) fn make_app(&self) {
        let echo = env!("CARGO_BIN_EXE_echo");
        let root = PathBuf::from(self.scratch.path("app"));
        fs::create_dir(&root).expect("the folder is new");
        let libraries = must(Command::new("ldd").arg(echo)).stdout;
        for word in libraries.split_whitespace().filter(|word| word.starts_with('/')) {
            let to = root.join(word.trim_start_matches('/'));
            fs::create_dir_all(to.parent().expect("a file is in a folder")).expect("the folder is ours");
            fs::copy(word, to).unwrap_or_else(|e| panic!("{word}: {e}"));
        }
        fs::copy(echo, root.join("echo")).unwrap_or_else(|e| panic!("{echo}: {e}"));
        let recipe = "FROM scratch\nCOPY . /\nUSER 1000:1000\nENTRYPOINT [\"/echo\"]\nCMD [\"0.0.0.0:3000\"]\n";
        let recipe = self.scratch.write("Containerfile", recipe);
        let context = self.scratch.path("app");
        self.podman(&["build", "--isolation", "chroot", "--tag", APP_IMAGE, "--file", &recipe, &context]);
    }

    /// A program inside, whose podman is that of this place. Its folder is empty: `kube play` would build a folder that is
    /// called as an image is.
    pub(crate) fn command(&self, program: &str, args: &[&str]) -> Command {
        let mut command = self.inside.command("env");
        command.arg(format!("--chdir={}", self.scratch.path("empty")));
        command.arg(format!("CONTAINERS_CONF={}", self.scratch.path("containers.conf")));
        command.arg(format!("CONTAINERS_STORAGE_CONF={}", self.scratch.path("storage.conf")));
        command.arg(program).args(args);
        command
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let mut left = Vec::new();
        for step in [
            &["pod", "rm", "--all", "--force", "--time", "0"][..],
            &["rm", "--all", "--force", "--time", "0"],
            &["system", "reset", "--force"],
        ] {
            let mut command = self.command("timeout", &[&[CLEANUP_S, "podman"], step].concat());
            let output = command.output().expect("it could be started before");
            if !output.status.success() {
                left.push(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)));
            }
        }
        if thread::panicking() {
            for why in left {
                eprintln!("{why}");
            }
        } else {
            assert!(left.is_empty(), "something is left behind: {left:#?}");
        }
    }
}

/// The archive that `deploy/image/build --debug` has made, or the one that `OUTRIGGER_IMAGE` names; the executable is beside it.
pub(crate) fn built() -> Option<PathBuf> {
    if let Some(image) = std::env::var_os("OUTRIGGER_IMAGE") {
        return Some(image.into());
    }
    let target = Path::new(env!("CARGO_BIN_EXE_echo")).ancestors().nth(2).expect("target/<profile>/echo");
    let image = target.join("image/outrigger-debug.tar");
    if !image.is_file() {
        return missing("there is no image of the sidecar: run deploy/image/build --debug, as tests/run does");
    }
    Some(image)
}

/// Runs a command that has to succeed.
#[track_caller]
pub(crate) fn must(command: &mut Command) -> Finished {
    let finished = run(command.stdin(Stdio::null()));
    assert_eq!(finished.code, Some(0), "{command:?}: {finished:#?}");
    finished
}
