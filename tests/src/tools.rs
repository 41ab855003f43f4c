//! Clients and servers that other people wrote: Node, Python, curl and Chromium, started as processes.
//!
//! A script prints one JSON object per line on stdout. The first of a server is `{"port": …}`.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::sidecar::binary;

/// How long a whole conversation of a foreign client may take; a browser starts slowly on a busy machine.
pub const TOOL_PATIENCE: Duration = Duration::from_mins(2);

/// The folder `tests/`.
pub fn folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Where `script` of `tests/node` can run, the command that runs it. `None` skips the test, or fails it where
/// `OUTRIGGER_TESTS_REQUIRE_TOOLS=1`.
pub fn node(script: &str) -> Option<Command> {
    let node = on_path("node").or_else(|| missing("node is not installed"))?;
    if !folder().join("node/node_modules/ws").is_dir() {
        return missing("the packages of tests/node are not installed");
    }
    let mut command = Command::new(node);
    command.arg(folder().join("node").join(script));
    Some(command)
}

/// The same for `tests/python`.
pub fn python(script: &str) -> Option<Command> {
    let python = folder().join(".venv/bin/python");
    if !python.is_file() {
        return missing("tests/.venv is not installed");
    }
    let mut command = Command::new(python);
    command.arg(folder().join("python").join(script));
    Some(command)
}

/// The same for a script that needs this package besides the first ones.
pub fn python_package(script: &str, package: &str) -> Option<Command> {
    let command = python(script)?;
    let packages = std::fs::read_dir(folder().join(".venv/lib")).ok()?.filter_map(Result::ok);
    if !packages.into_iter().any(|python| python.path().join("site-packages").join(package).is_dir()) {
        return missing(&format!("{package} is not installed in tests/.venv"));
    }
    Some(command)
}

/// The same for `ShellCheck`, of the same environment as the scripts of `tests/python`.
pub fn shellcheck() -> Option<Command> {
    let path = folder().join(".venv/bin/shellcheck");
    if path.is_file() { Some(Command::new(path)) } else { missing("shellcheck is not installed in tests/.venv") }
}

/// The same for curl, which fails on an HTTP error only when told to.
pub fn curl() -> Option<Command> {
    let mut command = Command::new(on_path("curl").or_else(|| missing("curl is not installed"))?);
    command.args(["--silent", "--show-error", "--noproxy", "*", "--max-time", "60"]);
    Some(command)
}

/// The same for another command, which `tests/tools/install` installs.
pub fn installed(name: &str) -> Option<Command> {
    on_path(name).or_else(|| missing(&format!("{name} is not installed"))).map(Command::new)
}

/// The same for `tests/autobahn/run`, against the executable under test.
pub fn autobahn() -> Option<Command> {
    node("ws-server.mjs")?;
    if !folder().join(".venv27").is_dir() {
        // No package brings a Python 2.7, so not even CI can insist on one.
        println!("skipped: there is no Python 2.7 here, for which the Autobahn|Testsuite is written");
        return None;
    }
    if !folder().join(".venv27/installed").is_file() {
        return missing("the Autobahn|Testsuite could not be installed into tests/.venv27");
    }
    let mut command = Command::new(folder().join("autobahn/run"));
    command.env("OUTRIGGER_BIN", binary());
    Some(command)
}

/// The same for Prometheus, or its `promtool`.
pub fn prometheus(command: &str) -> Option<Command> {
    Some(Command::new(on_path(command).or_else(|| missing(&format!("{command} is not installed")))?))
}

/// The path of Chromium.
pub fn chromium() -> Option<String> {
    let path = on_path("chromium").or_else(|| missing("chromium is not installed"))?;
    Some(path.to_str().expect("a path in UTF-8").to_owned())
}

/// A process of somebody else's software, killed on drop.
pub struct Tool {
    child: Child,
    name: String,
    lines: Receiver<String>,
}

impl Tool {
    #[track_caller]
    pub fn start(command: Command) -> Tool {
        Tool::spawn(command, Stdio::null())
    }

    /// One that goes on until [`Tool::finish`].
    #[track_caller]
    pub fn start_until_told(command: Command) -> Tool {
        Tool::spawn(command, Stdio::piped())
    }

    /// Ends its stdin: it is to come to an end.
    pub fn finish(&mut self) {
        self.child.stdin = None;
    }

    #[track_caller]
    fn spawn(mut command: Command, stdin: Stdio) -> Tool {
        let name = format!("{command:?}");
        command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = command.spawn().unwrap_or_else(|e| panic!("cannot start {name}: {e}"));
        let stdout = child.stdout.take().expect("piped");
        let (sender, lines) = channel();
        thread::spawn(move || {
            let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
            lines.try_for_each(|line| sender.send(line).ok())
        });
        Tool { child, name, lines }
    }

    /// The next line of stdout.
    #[track_caller]
    pub fn line(&self) -> String {
        match self.lines.recv_timeout(TOOL_PATIENCE) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) => panic!("nothing in {TOOL_PATIENCE:?} from {}", self.name),
            Err(RecvTimeoutError::Disconnected) => panic!("no more lines from {}", self.name),
        }
    }

    /// The first word of stdout that starts so, for example with `http://`.
    #[track_caller]
    pub fn word(&self, start: &str) -> String {
        loop {
            if let Some(word) = self.line().split_whitespace().find(|word| word.starts_with(start)) {
                return word.to_owned();
            }
        }
    }

    /// Waits until its stdout ends.
    #[track_caller]
    pub fn wait_end(&self) {
        loop {
            match self.lines.recv_timeout(TOOL_PATIENCE) {
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => panic!("no end in {TOOL_PATIENCE:?} of {}", self.name),
            }
        }
    }

    /// The next line of stdout as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        let line = self.line();
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("JSON expected of {}, not {line:?}", self.name))
    }

    /// Where a server script listens: its first line.
    #[track_caller]
    pub fn addr(&self) -> SocketAddr {
        let line = self.json();
        let port = line["port"].as_u64().and_then(|port| u16::try_from(port).ok());
        SocketAddr::from(([127, 0, 0, 1], port.unwrap_or_else(|| panic!("a port expected, not {line}"))))
    }
}

impl Drop for Tool {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Says why a test is skipped, or fails it where the tools are required.
pub fn missing<T>(why: &str) -> Option<T> {
    let required = std::env::var("OUTRIGGER_TESTS_REQUIRE_TOOLS").is_ok_and(|value| value == "1");
    assert!(!required, "{why}; install with: tests/tools/install");
    println!("skipped: {why}");
    None
}

/// Where a program of this name is.
pub fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(name)).find(|candidate| candidate.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_node_lock_pins_digests_and_names_no_registry() {
        let path = folder().join("node/package-lock.json");
        let lock: Value = serde_json::from_slice(&std::fs::read(path).expect("it is committed")).expect("it is JSON");
        let packages = lock["packages"].as_object().expect("lock version 3");
        for (name, package) in packages.iter().filter(|(name, _)| !name.is_empty()) {
            assert!(package["integrity"].is_string(), "{name} has no digest");
            assert!(package["resolved"].is_null(), "{name} names where it came from: {package}");
        }
    }
}
