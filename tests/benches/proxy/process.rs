//! What a process costs, as the kernel accounts for it.

use std::fs;
use std::time::{Duration, Instant};

/// How often a condition of another process is looked at: nothing tells us when it comes true.
const LOOK_EVERY: Duration = Duration::from_micros(200);
/// A proxy that used no CPU for this long is done with what it was given.
const QUIET: Duration = Duration::from_millis(5);
/// A long pause: so long that whoever makes it costs nothing.
const NAP: Duration = Duration::from_millis(100);
/// The longest wait for that. A timer of its own may keep a proxy from ever being quiet.
const QUIET_PATIENCE: Duration = Duration::from_secs(2);

/// CPU time of all threads of these processes so far, in nanoseconds.
///
/// From `schedstat`, which counts nanoseconds where `stat` counts ticks of 10 ms. Threads that have ended are not in
/// it; none of the proxies ends any under load.
pub(crate) fn cpu_ns(pids: &[u32]) -> u64 {
    let threads = pids.iter().flat_map(|pid| {
        let path = format!("/proc/{pid}/task");
        fs::read_dir(&path).unwrap_or_else(|e| panic!("{path}: {e}; has the proxy ended?"))
    });
    threads.map(|thread| thread_ns(&thread.expect("a readable directory").path().join("schedstat"))).sum()
}

fn thread_ns(path: &std::path::Path) -> u64 {
    // A thread may end between being listed and being read.
    let Ok(text) = fs::read_to_string(path) else { return 0 };
    text.split_whitespace().next().and_then(|ns| ns.parse().ok()).expect("schedstat starts with nanoseconds")
}

/// Resident memory of these processes, in KiB. Exact, unlike the sums that the kernel keeps for `status`.
pub(crate) fn resident_kib(pids: &[u32]) -> u64 {
    pids.iter().map(|pid| process_kib(*pid)).sum()
}

fn process_kib(pid: u32) -> u64 {
    let path = format!("/proc/{pid}/smaps_rollup");
    let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}; has the proxy ended?"));
    let line = text.lines().find_map(|line| line.strip_prefix("Rss:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    kib.unwrap_or_else(|| panic!("no Rss in {path}"))
}

/// The process and its children.
pub(crate) fn family(pid: u32) -> Vec<u32> {
    let all = fs::read_dir("/proc").expect("procfs").filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let mut family = vec![pid];
    family.extend(all.filter(|child| parent(*child) == Some(pid)));
    family
}

fn parent(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything; the state and the parent follow it.
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

/// Waits until the processes use no CPU any more, so that a sample holds all that its operations have caused.
pub(crate) fn settle(pids: &[u32]) {
    let deadline = Instant::now() + QUIET_PATIENCE;
    let mut last = (cpu_ns(pids), Instant::now());
    while last.1.elapsed() < QUIET && Instant::now() < deadline {
        pause();
        let now = cpu_ns(pids);
        if now != last.0 {
            last = (now, Instant::now());
        }
    }
}

/// Lets a short time pass before a condition is looked at again.
#[expect(clippy::disallowed_methods, reason = "the condition is in another process, which does not tell")]
pub(crate) fn pause() {
    std::thread::sleep(LOOK_EVERY);
}

/// Lets a longer time pass, for whoever must not be noticed by what is measured.
#[expect(clippy::disallowed_methods, reason = "what it waits for is the time")]
pub(crate) fn nap() {
    std::thread::sleep(NAP);
}
