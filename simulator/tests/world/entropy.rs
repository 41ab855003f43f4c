//! A run asks the operating system for no randomness but what is listed here, and what is listed here changes nothing.

use std::fs;
use std::process::Command;

use crate::support::{Folder, scenarios};

/// Requests for so many bytes that the process makes once: glibc's allocator has a key of its own to find blocks that are
/// freed twice. It is in no byte that the program sees.
const OF_THE_ALLOCATOR: usize = 8;
/// The same once for each thread that plays a run: `tokio::runtime::Builder::new` draws a seed by way of the standard
/// library's `RandomState`. It decides what an unbiased `select!` polls first and whom a `watch` channel wakes first, and a
/// stable build cannot set it; so the simulator and the sidecar have neither.
const OF_A_RUNTIME: usize = 16;
/// Files that give out randomness too.
const DEVICES: [&str; 2] = ["/dev/random", "/dev/urandom"];

/// Scenarios with TLS, with WebSocket sessions that end in every way, with event streams, and with faults of all kinds.
const PLAYED: [&str; 3] =
    ["polling-vs-push/feed.toml", "polling-vs-push/short-visits.toml", "multi-region/cut-and-heal.toml"];

/// What a traced process drew, and what it printed.
struct Traced {
    /// Lengths, with the bytes as the tracer shows them.
    drawn: Vec<(usize, String)>,
    devices: Vec<String>,
    out: String,
}

impl Traced {
    fn of(&self, length: usize) -> Vec<&str> {
        self.drawn.iter().filter(|(found, _)| *found == length).map(|(_, bytes)| bytes.as_str()).collect()
    }
}

/// `None` where there is no strace; with `OUTRIGGER_TESTS_REQUIRE_TOOLS=1` that is a failure.
#[expect(clippy::disallowed_methods, reason = "whether tools may be missing is said in the environment")]
fn traced(name: &str, args: &[&str]) -> Option<Traced> {
    let folder = Folder::new(name);
    let mut strace = Command::new("strace");
    // A file for each thread, so that no call is cut in two by another thread's.
    strace.args(["--follow-forks", "--output-separately", "--seccomp-bpf", "--quiet=all", "--strings-in-hex=all"]);
    strace.args(["--trace=getrandom,open,openat", "--output"]).arg(folder.0.join("thread"));
    strace.arg(env!("CARGO_BIN_EXE_outrigger-sim")).args(args);
    let output = match strace.output() {
        Ok(output) => output,
        Err(error) => {
            let required = std::env::var_os("OUTRIGGER_TESTS_REQUIRE_TOOLS").is_some_and(|value| value == "1");
            assert!(!required, "strace: {error}; install with: tests/tools/install");
            println!("skipped: strace: {error}");
            return None;
        }
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let files = fs::read_dir(&folder.0).unwrap().map(|file| fs::read_to_string(file.unwrap().path()).unwrap());
    let calls: Vec<String> = files.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>()).collect();
    let (mut drawn, mut devices) = (Vec::new(), Vec::new());
    for line in &calls {
        if let Some((_, call)) = line.split_once("getrandom(") {
            let (bytes, rest) = call.strip_prefix('"').unwrap().split_once('"').unwrap();
            let length = rest.trim_start_matches("...").trim_start_matches(", ").split(',').next().unwrap();
            drawn.push((length.parse().unwrap(), bytes.to_owned()));
        } else {
            let path: String = path(line);
            if DEVICES.contains(&path.as_str()) {
                devices.push(path);
            }
        }
    }
    Some(Traced { drawn, devices, out: String::from_utf8(output.stdout).unwrap() })
}

/// The file of an `openat`, which the tracer spells as `"\x2f\x64…"`.
fn path(line: &str) -> String {
    let quoted = line.split('"').nth(1).unwrap_or_default();
    let bytes = quoted.split("\\x").skip(1).map(|byte| u8::from_str_radix(byte, 16).unwrap());
    String::from_utf8_lossy(&bytes.collect::<Vec<u8>>()).into_owned()
}

#[test]
fn runs_draw_nothing_from_the_system_that_is_not_listed() {
    let mut args = ["run", "--seed", "1", "--no-progress"].map(str::to_owned).to_vec();
    args.extend(PLAYED.map(|file| scenarios().join(file).display().to_string()));
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let Some(traced) = traced("entropy-runs", &args) else { return };
    let last = traced.out.lines().last().unwrap();
    // One run, three cells of a sweep, one run.
    assert_eq!(last, "5 runs, all hold");
    let listed = [OF_THE_ALLOCATOR, OF_A_RUNTIME];
    let others: Vec<_> = traced.drawn.iter().filter(|(length, _)| !listed.contains(length)).collect();
    assert_eq!(others, Vec::<&(usize, String)>::new());
    assert_eq!(traced.devices, Vec::<String>::new());
    assert!(traced.of(OF_THE_ALLOCATOR).len() <= 1, "{:?}", traced.drawn);
    assert_eq!(traced.of(OF_A_RUNTIME).len(), 5, "one for each run, or this test sees nothing: {:?}", traced.drawn);
}

#[test]
fn what_runs_draw_from_the_system_changes_nothing() {
    let file = scenarios().join(PLAYED[2]).display().to_string();
    let play = |name| traced(name, &["digest", &file, "--seed", "1"]);
    let Some((one, other)) = play("entropy-one").zip(play("entropy-other")) else { return };
    assert_ne!(one.of(OF_A_RUNTIME), other.of(OF_A_RUNTIME), "two processes draw what differs");
    assert_eq!(one.out, other.out);
    assert!(one.out.lines().count() > 100);
}
