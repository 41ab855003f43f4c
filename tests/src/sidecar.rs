//! The process under test: found, started, listened to, stopped.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use rustix::process::{Pid, Signal, geteuid, kill_process};
use serde_json::Value;

use crate::certs::Identity;
use crate::samples::{self, Samples};
use crate::scratch::Scratch;
use crate::wire::Wire;
use crate::{Authority, PATIENCE};

/// The name that the tests' certificates carry.
pub const NAME: &str = "localhost";

/// Finds the `outrigger` executable: `OUTRIGGER_BIN`, else the one that cargo built beside the tests.
pub fn binary() -> PathBuf {
    built("outrigger", "OUTRIGGER_BIN")
}

/// The same for `outrigger-sim` and `OUTRIGGER_SIM_BIN`.
pub fn simulator() -> PathBuf {
    built("outrigger-sim", "OUTRIGGER_SIM_BIN")
}

fn built(name: &str, variable: &str) -> PathBuf {
    if let Some(path) = std::env::var_os(variable) {
        return PathBuf::from(path);
    }
    let own = std::env::current_exe().expect("a running test has a path");
    let profile = own.parent().and_then(Path::parent).expect("target/<profile>/deps/<test>");
    let target = profile.parent().expect("target/<profile>");
    let folders = [profile.to_owned(), target.join("debug"), target.join("release")];
    let found = folders.iter().map(|folder| folder.join(name)).find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("no {name} executable; build it with: cargo build -p {name}"))
}

/// A command of the executable with nothing of the caller's settings in its environment.
pub fn command() -> Command {
    let mut command = Command::new(binary());
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("OUTRIGGER_") || name.starts_with("OTEL_")) {
            command.env_remove(name);
        }
    }
    command.env("NO_COLOR", "1").env_remove("RUST_LOG").stdin(Stdio::null());
    command
}

/// Runs a command that ends by itself, like `outrigger check`; fails if it does not.
#[track_caller]
pub fn run(command: &mut Command) -> Finished {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the executable starts");
    let mut process = Process { log: Log::follow(child.stderr.take().expect("piped")), child };
    let mut stdout = process.child.stdout.take().expect("piped");
    let reader = thread::spawn(move || {
        let mut bytes = Vec::new();
        stdout.read_to_end(&mut bytes).map(|_| bytes)
    });
    let status = process.wait_exit();
    let stdout = reader.join().expect("reading does not panic").expect("a pipe can be read");
    let stdout = String::from_utf8_lossy(&stdout).into_owned();
    Finished { code: status.code(), stdout, stderr: process.log.text() }
}

/// What a command that ended by itself left behind.
#[derive(Debug)]
pub struct Finished {
    /// `None` if a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Finished {
    /// Checks the exit code, and that there was no panic.
    #[track_caller]
    pub fn expect(self, code: i32) -> Finished {
        assert_eq!(self.code, Some(code), "{self:#?}");
        assert!(!self.stderr.contains("panicked"), "{self:#?}");
        self
    }
}

/// A sidecar's command line in the making.
pub struct Launch {
    command: Command,
    scratch: Scratch,
    authority: Option<Authority>,
    inherited: Option<OwnedFd>,
}

impl Launch {
    /// `outrigger run` with a JSON log and nothing else.
    pub fn new() -> Launch {
        // Each test has its sidecars, and all of them at once.
        Launch::of("run").env("OUTRIGGER_ADMIN", "127.0.0.1:0")
    }

    /// `outrigger webhook` on a free port, with a JSON log and a certificate for `localhost`; it stops at once when told to. All
    /// of that by variables, so that flags may say otherwise.
    pub fn webhook() -> Launch {
        let authority = Authority::new();
        let Identity { certificate, key } = authority.issue(&[NAME, "127.0.0.1"]);
        let mut launch = Launch::of("webhook");
        launch.authority = Some(authority);
        let (cert, key) = (launch.file("server.pem", &certificate), launch.file("server-key.pem", &key));
        let launch = launch.env("OUTRIGGER_WEBHOOK_TLS_CERT", &cert).env("OUTRIGGER_WEBHOOK_TLS_KEY", &key);
        launch.env("OUTRIGGER_WEBHOOK_LISTEN", "127.0.0.1:0").env("OUTRIGGER_WEBHOOK_SHUTDOWN_DELAY", "0s")
    }

    fn of(subcommand: &str) -> Launch {
        let scratch = Scratch::new();
        let mut command = command();
        command.current_dir(scratch.dir()).args([subcommand, "--log-format", "json"]);
        Launch { command, scratch, authority: None, inherited: None }
    }

    pub fn flag(mut self, name: &str, value: impl AsRef<str>) -> Launch {
        self.command.args([name, value.as_ref()]);
        self
    }

    pub fn env(mut self, name: &str, value: &str) -> Launch {
        self.command.env(name, value);
        self
    }

    pub fn upstream(self, addr: SocketAddr) -> Launch {
        self.flag("--upstream", addr.to_string())
    }

    /// A plain listener on a free port.
    pub fn http(self) -> Launch {
        self.flag("--listen", "http://127.0.0.1:0")
    }

    /// An HTTPS listener on a free port, with a certificate for `localhost`.
    pub fn https(self) -> Launch {
        self.flag("--listen", "https://127.0.0.1:0").with_certificate()
    }

    /// A TLS listener for raw bytes on a free port, with a certificate for `localhost`.
    pub fn tls(self) -> Launch {
        self.flag("--listen", "tls://127.0.0.1:0").with_certificate()
    }

    /// `--tls-cert` and `--tls-key` with this identity.
    pub fn identity(self, file: &str, identity: &Identity) -> Launch {
        let cert = self.file(&format!("{file}.pem"), &identity.certificate);
        let key = self.file(&format!("{file}-key.pem"), &identity.key);
        self.flag("--tls-cert", cert).flag("--tls-key", key)
    }

    /// Gives it this descriptor as number 3, and says so as systemd would (`sd_listen_fds(3)`).
    pub fn inheriting(mut self, descriptor: impl Into<OwnedFd>) -> Launch {
        self.inherited = Some(descriptor.into());
        self
    }

    /// Takes the right from it to read what its owner may not read, where this process has it.
    pub fn without_override(mut self) -> Launch {
        if geteuid().is_root() {
            let mut setpriv = Command::new("setpriv");
            setpriv.args(["--bounding-set", "-dac_override,-dac_read_search"]);
            self.run_by(setpriv);
        }
        self
    }

    /// Writes a file beside the process, and gives its path.
    pub fn file(&self, name: &str, content: &str) -> String {
        self.scratch.write(name, content)
    }

    /// The folder that the process will run in.
    pub fn dir(&self) -> &Path {
        self.scratch.dir()
    }

    /// Starts it and waits until every listener is up.
    #[track_caller]
    pub fn start(self) -> Sidecar {
        let sidecar = self.spawn();
        sidecar.wait_log("ready", |line| line["message"] == "ready");
        sidecar
    }

    /// Runs what should not come up to its end.
    #[track_caller]
    pub fn fail(mut self) -> Finished {
        self.pass_on();
        run(&mut self.command)
    }

    fn spawn(mut self) -> Sidecar {
        self.pass_on();
        self.command.stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = self.command.spawn().unwrap_or_else(|e| panic!("cannot start {}: {e}", binary().display()));
        let log = Log::follow(child.stderr.take().expect("piped"));
        Sidecar {
            process: Process { child, log },
            authority: self.authority,
            scratch: self.scratch,
            given: Mutex::default(),
        }
    }

    /// A child has its own number only once it runs, so a shell says it and becomes the process.
    fn pass_on(&mut self) {
        let Some(descriptor) = self.inherited.take() else { return };
        let mut shell = Command::new("sh");
        let script = "exec 3<&0 </dev/null; LISTEN_FDS=${LISTEN_FDS-1} LISTEN_PID=${LISTEN_PID-$$} exec \"$0\" \"$@\"";
        shell.args(["-c", script]);
        self.run_by(shell);
        self.command.stdin(descriptor);
    }

    /// Has this program, with its arguments so far, become the sidecar.
    fn run_by(&mut self, mut program: Command) {
        program.arg(self.command.get_program()).args(self.command.get_args());
        for (name, value) in self.command.get_envs() {
            match value {
                Some(value) => program.env(name, value),
                None => program.env_remove(name),
            };
        }
        program.current_dir(self.scratch.dir()).stdin(Stdio::null());
        self.command = program;
    }

    fn with_certificate(mut self) -> Launch {
        if self.authority.is_some() {
            return self;
        }
        let authority = Authority::new();
        let identity = authority.issue(&[NAME, "127.0.0.1"]);
        self.authority = Some(authority);
        self.identity("server", &identity)
    }
}

impl Default for Launch {
    fn default() -> Self {
        Launch::new()
    }
}

/// A running sidecar. Drop kills it, and fails the test if it has panicked.
pub struct Sidecar {
    process: Process,
    authority: Option<Authority>,
    scratch: Scratch,
    /// Sessions whose account a test has had.
    given: Mutex<BTreeSet<u64>>,
}

impl Sidecar {
    /// The start of a command line for a sidecar in front of this app.
    pub fn before(app: SocketAddr) -> Launch {
        Launch::new().upstream(app)
    }

    /// Where the first listener of this scheme is.
    #[track_caller]
    pub fn addr(&self, scheme: &str) -> SocketAddr {
        let lines = self.process.log.lines();
        let listening = lines.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let mut of_scheme = listening.filter(|line| line["message"] == "listening" && line["scheme"] == scheme);
        let line = of_scheme.next().unwrap_or_else(|| panic!("no {scheme} listener in {lines:#?}"));
        let addr = line["addr"].as_str().and_then(|addr| addr.parse().ok());
        addr.unwrap_or_else(|| panic!("an address expected in {line}"))
    }

    /// A new connection to the `http` listener.
    #[track_caller]
    pub fn client(&self) -> Wire {
        Wire::plain(self.addr("http"))
    }

    /// A session over the `http` listener, with an echoing app.
    #[track_caller]
    pub fn session(&self) -> Wire {
        Wire::session(self.addr("http"))
    }

    /// A new connection to the listener of this scheme; over TLS with the handshake done.
    #[track_caller]
    pub fn connect(&self, scheme: &str) -> Wire {
        if scheme == "http" {
            return self.client();
        }
        let config = self.authority().client().build();
        Wire::tls(self.addr(scheme), config, NAME).unwrap_or_else(|e| panic!("the TLS handshake failed: {e}"))
    }

    /// A new connection to the admin API.
    #[track_caller]
    pub fn admin(&self) -> Wire {
        Wire::plain(self.addr("admin"))
    }

    /// What the admin API answers with this status to a request from this host.
    #[track_caller]
    pub fn admin_json(&self, method: &str, path: &str, status: u16) -> Value {
        let addr = self.addr("admin");
        let request = format!("{method} {path} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n\r\n");
        let answer = Wire::plain(addr).ask(&request).expect(status);
        serde_json::from_slice(&answer.body).unwrap_or_else(|_| panic!("JSON expected, not {:?}", answer.text()))
    }

    /// The figures now.
    #[track_caller]
    pub fn metrics(&self) -> Samples {
        let request = format!("GET /metrics HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.addr("admin"));
        Samples::parse(&self.admin().ask(&request).expect(200).text())
    }

    /// Waits for figures that are as they are to be.
    #[track_caller]
    pub fn wait_metrics(&self, what: &str, matches: impl Fn(&Samples) -> bool) -> Samples {
        samples::wait(what, || self.metrics(), matches)
    }

    /// Who signed the certificate of the TLS listeners.
    pub fn authority(&self) -> &Authority {
        self.authority.as_ref().expect("a launch with https() or tls()")
    }

    /// The signing certificate as a file, for other people's clients.
    pub fn authority_file(&self) -> String {
        self.scratch.write("authority.pem", &self.authority().pem())
    }

    /// The folder that the process runs in.
    pub fn folder(&self) -> &Scratch {
        &self.scratch
    }

    /// Waits for a line of the log.
    #[track_caller]
    pub fn wait_log(&self, what: &str, matches: impl Fn(&Value) -> bool) -> Value {
        self.process.log.wait(what, matches)
    }

    /// Waits for the account of a session's end.
    #[track_caller]
    pub fn session_ended(&self) -> Value {
        self.wait_log("session ended", |line| line["message"] == "session ended")
    }

    /// Waits for the account of the end of the session of this client, and gives it once: the next call is about the
    /// next session, since the system hands out the same client port again.
    #[track_caller]
    pub fn session_of(&self, client: SocketAddr) -> Value {
        let client = client.to_string();
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        let line = self.wait_log("session ended", |line| {
            let id = line["session"].as_u64();
            let ended = line["message"] == "session ended" && line["client"] == *client;
            ended && id.is_some_and(|id| !given.contains(&id))
        });
        given.insert(line["session"].as_u64().expect("a session has a number"));
        line
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process.child), signal).expect("a child that was not yet waited for");
    }

    /// Waits until the process ends by itself.
    #[track_caller]
    pub fn wait_exit(&mut self) -> ExitStatus {
        self.process.wait_exit()
    }

    /// Waits until the process waits for something to happen.
    pub fn wait_asleep(&self) {
        let path = format!("/proc/{}/stat", self.process.child.id());
        let deadline = Instant::now() + PATIENCE;
        // The state comes behind the name, which is in parentheses (proc_pid_stat(5)).
        while !std::fs::read_to_string(&path).is_ok_and(|stat| stat.contains(") S ")) {
            assert!(Instant::now() < deadline, "the process never sleeps");
            thread::yield_now();
        }
    }

    /// Whether the process still runs.
    pub fn is_running(&mut self) -> bool {
        self.process.child.try_wait().expect("a child of ours").is_none()
    }

    /// The most memory that the process has held so far, in KiB (`VmHWM`).
    pub fn peak_memory_kib(&self) -> u64 {
        self.memory("VmHWM")
    }

    /// The memory that the process holds now, in KiB (`VmRSS`).
    pub fn memory_kib(&self) -> u64 {
        self.memory("VmRSS")
    }

    fn memory(&self, field: &str) -> u64 {
        let path = format!("/proc/{}/status", self.process.child.id());
        let status = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
        let line = status.lines().find(|line| line.starts_with(field)).expect("Linux reports it");
        line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number of KiB")
    }

    /// The log so far.
    pub fn log(&self) -> Vec<String> {
        self.process.log.lines()
    }
}

/// A child process with its stderr, killed on drop.
struct Process {
    child: Child,
    log: Arc<Log>,
}

impl Process {
    #[track_caller]
    fn wait_exit(&mut self) -> ExitStatus {
        // The end of stderr is the condition to wait for; the exit follows at once.
        let closed = self.log.wait_closed();
        assert!(closed, "the process did not end within {PATIENCE:?}; stderr: {}", self.log.text());
        self.child.wait().expect("a child of ours")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let log = self.log.text_at_end();
        if thread::panicking() {
            eprintln!("log of the process:\n{log}");
        } else {
            assert!(!log.contains("panicked"), "the process panicked:\n{log}");
        }
    }
}

/// The lines that a process writes to stderr, as they come.
#[derive(Default)]
struct Log {
    state: Mutex<LogState>,
    changed: Condvar,
}

#[derive(Default)]
struct LogState {
    lines: Vec<String>,
    closed: bool,
}

impl Log {
    fn follow(stderr: impl Read + Send + 'static) -> Arc<Log> {
        let log = Arc::new(Log::default());
        let shared = log.clone();
        thread::spawn(move || {
            for line in BufReader::new(stderr).split(b'\n').map_while(Result::ok) {
                let mut state = shared.state.lock().expect("no panic under this lock");
                state.lines.push(String::from_utf8_lossy(&line).into_owned());
                drop(state);
                shared.changed.notify_all();
            }
            shared.state.lock().expect("no panic under this lock").closed = true;
            shared.changed.notify_all();
        });
        log
    }

    #[track_caller]
    fn wait(&self, what: &str, matches: impl Fn(&Value) -> bool) -> Value {
        let mut checked = 0;
        let found = self.wait_for(|state| {
            let new = &state.lines[checked..];
            checked = state.lines.len();
            let found = new.iter().filter_map(|line| serde_json::from_str(line).ok()).find(|line| matches(line));
            found.map(Some).or(state.closed.then_some(None))
        });
        match found {
            Some(Some(line)) => line,
            Some(None) => panic!("the process ended before {what:?} in its log:\n{}", self.text()),
            None => panic!("no {what:?} within {PATIENCE:?} in the log:\n{}", self.text()),
        }
    }

    fn wait_closed(&self) -> bool {
        self.wait_for(|state| state.closed.then_some(())).is_some()
    }

    fn wait_for<T>(&self, mut look: impl FnMut(&LogState) -> Option<T>) -> Option<T> {
        let deadline = Instant::now() + PATIENCE;
        let mut state = self.state.lock().expect("no panic under this lock");
        loop {
            if let Some(found) = look(&state) {
                return Some(found);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            state = self.changed.wait_timeout(state, left).expect("no panic under this lock").0;
        }
    }

    fn lines(&self) -> Vec<String> {
        self.state.lock().expect("no panic under this lock").lines.clone()
    }

    fn text(&self) -> String {
        self.lines().iter().fold(String::new(), |mut text, line| {
            let _ = writeln!(text, "{line}");
            text
        })
    }

    /// All of it, once the process has ended.
    fn text_at_end(&self) -> String {
        self.wait_closed();
        self.text()
    }
}
