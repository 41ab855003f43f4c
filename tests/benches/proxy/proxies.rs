//! The proxies under comparison: found, configured alike, started, stopped.

use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use outrigger_tests::app::response;
use outrigger_tests::http::get;
use outrigger_tests::sidecar::NAME;
use outrigger_tests::{App, Authority, Identity, PATIENCE, Scratch, Wire};
use rustix::process::{Pid, Signal, kill_process};

use crate::link::{Door, tls_client};
use crate::process::{family, nap, pause};

/// Sessions that a proxy may hold at once, where it wants to be told.
const MAX_SESSIONS: u32 = 8000;
/// Outrigger with nobody who asks, and nothing to say.
const QUIET: [&str; 6] = ["--log-level", "warn", "--access-log", "off", "--admin", "off"];
/// How often metrics are asked for, which is ten times as often as usual.
const SCRAPE_EVERY: Duration = Duration::from_secs(1);
/// The share of messages that get a trace.
const TRACED: &str = "1%";
/// nginx's buffer for each direction, equal to the other proxies' for streams: HAProxy's default is 16 KiB.
const NGINX_BUFFER: &str = "16k";

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// Outrigger with everything off that tells of it.
    Frames,
    /// Outrigger with a line for each session and request, metrics that are scraped, and both metrics and traces exported.
    Observed,
    /// Outrigger with `inspect = "off"`.
    Blind,
    Nginx,
    Haproxy,
}

impl Kind {
    pub(crate) const ALL: [Kind; 5] = [Kind::Frames, Kind::Observed, Kind::Blind, Kind::Nginx, Kind::Haproxy];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Frames => "outrigger",
            Self::Observed => "telemetry",
            Self::Blind => "inspect=off",
            Self::Nginx => "nginx",
            Self::Haproxy => "HAProxy",
        }
    }
}

/// What all proxies have in common: the app behind them, the certificate, and where their executables are.
pub(crate) struct Site {
    outrigger: PathBuf,
    nginx: Option<PathBuf>,
    haproxy: Option<PathBuf>,
    app: SocketAddr,
    authority: Authority,
    identity: Identity,
}

impl Site {
    pub(crate) fn new(outrigger: PathBuf, app: SocketAddr) -> Site {
        let authority = Authority::new();
        let identity = authority.issue(&[NAME, "127.0.0.1"]);
        Site { outrigger, nginx: find("nginx"), haproxy: find("haproxy"), app, authority, identity }
    }

    pub(crate) fn has(&self, kind: Kind) -> bool {
        match kind {
            Kind::Frames | Kind::Observed | Kind::Blind => true,
            Kind::Nginx => self.nginx.is_some(),
            Kind::Haproxy => self.haproxy.is_some(),
        }
    }

    /// What each proxy calls itself, in the order of [`Kind::ALL`]; `None` where it is not installed.
    pub(crate) fn versions(&self) -> [Option<String>; 5] {
        let ask = |path: &Option<PathBuf>, flag: &str| {
            let output = Command::new(path.as_ref()?).arg(flag).output().ok()?;
            let text = [output.stdout, output.stderr].concat();
            Some(String::from_utf8_lossy(&text).lines().next()?.to_owned())
        };
        let own = ask(&Some(self.outrigger.clone()), "--version");
        [own.clone(), own.clone(), own, ask(&self.nginx, "-v"), ask(&self.haproxy, "-v")]
    }

    /// Starts a proxy and waits until it has served a session through each of its doors. `extra` is for Outrigger.
    pub(crate) fn start(&self, kind: Kind, extra: &[&str]) -> Proxy {
        let started = Instant::now();
        let scratch = Scratch::new();
        let (ws, wss) = (free_addr(), free_addr());
        let (mut command, wss_tls) = match kind {
            Kind::Frames | Kind::Observed | Kind::Blind => self.outrigger(&scratch, ws, wss),
            Kind::Nginx => self.nginx(&scratch, ws, wss),
            Kind::Haproxy => self.haproxy(&scratch, ws, wss),
        };
        let admin = (kind == Kind::Observed).then(free_addr);
        // It takes whatever it is sent, and says so with as little as there is to say.
        let receiver = (kind == Kind::Observed).then(|| App::http(|_, _| response(200, &[], "")));
        match (kind, admin) {
            (_, Some(admin)) => {
                command.args(["--log-level", "info", "--access-log", "all", "--admin", &admin.to_string()]);
                let receiver = receiver.as_ref().expect("there is one where there is an admin API");
                command.args(["--otlp-endpoint", &format!("http://{}", receiver.addr())]);
                command.args(["--trace-messages", TRACED]);
            }
            (Kind::Blind, None) => {
                command.args(QUIET).args(["--inspect", "off"]);
            }
            (Kind::Frames, None) => {
                command.args(QUIET);
            }
            _ => {}
        }
        command.args(extra);
        let log = File::create(scratch.path("log")).expect("a writable folder");
        let stdout = log.try_clone().expect("an open file");
        let prepared = started.elapsed();
        let child = command.stdin(Stdio::null()).stdout(stdout).stderr(log).spawn();
        let child = child.unwrap_or_else(|e| panic!("cannot start {}: {e}", kind.name()));
        let (ws, wss) = (Door { addr: ws, tls: None }, Door { addr: wss, tls: Some(wss_tls) });
        let mut proxy = Proxy {
            child,
            pids: Vec::new(),
            ws,
            wss,
            start_up: Duration::ZERO,
            scratch,
            scraper: None,
            _receiver: receiver,
        };
        proxy.await_session(&proxy.ws, started);
        proxy.start_up = started.elapsed().saturating_sub(prepared);
        proxy.await_session(&proxy.wss, started);
        proxy.pids = family(proxy.child.id());
        proxy.scraper = admin.map(Scraper::start);
        proxy
    }

    fn outrigger(&self, scratch: &Scratch, ws: SocketAddr, wss: SocketAddr) -> Recipe {
        let mut command = command_of(&self.outrigger);
        command
            .args(["run", "--listen", &format!("http://{ws}"), "--listen", &format!("https://{wss}")])
            .args(["--upstream", &self.app.to_string()])
            .args(["--tls-cert", &scratch.write("cert.pem", &self.identity.certificate)])
            .args(["--tls-key", &scratch.write("key.pem", &self.identity.key)]);
        (command, tls_client(&self.authority.pem()))
    }

    fn nginx(&self, scratch: &Scratch, ws: SocketAddr, wss: SocketAddr) -> Recipe {
        let cert = scratch.write("cert.pem", &self.identity.certificate);
        let key = scratch.write("key.pem", &self.identity.key);
        let (app, dir) = (self.app, scratch.dir().display());
        let connections = 2 * MAX_SESSIONS + 100;
        let config = format!(
            "daemon off;\nworker_processes 1;\npid {dir}/pid;\nerror_log stderr crit;\n\
             events {{ worker_connections {connections}; }}\n\
             http {{\n\
             access_log off;\nclient_body_temp_path {dir}/1;\nproxy_temp_path {dir}/2;\n\
             fastcgi_temp_path {dir}/3;\nuwsgi_temp_path {dir}/4;\nscgi_temp_path {dir}/5;\n\
             server {{\n\
             listen {ws} backlog=4096;\nlisten {wss} ssl backlog=4096;\n\
             ssl_certificate {cert};\nssl_certificate_key {key};\nssl_protocols TLSv1.2 TLSv1.3;\n\
             location / {{\n\
             proxy_pass http://{app};\nproxy_http_version 1.1;\nproxy_buffer_size {NGINX_BUFFER};\n\
             proxy_buffers 8 {NGINX_BUFFER};\nproxy_set_header Host $host;\n\
             proxy_set_header Upgrade $http_upgrade;\nproxy_set_header Connection upgrade;\n\
             proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;\n\
             proxy_set_header X-Forwarded-Proto $scheme;\n\
             }}\n}}\n}}\n"
        );
        let path = scratch.write("nginx.conf", &config);
        let mut command = command_of(self.nginx.as_ref().expect("asked for only where it is installed"));
        command.args(["-c", &path, "-p", &dir.to_string(), "-e", "stderr"]);
        (command, tls_client(&self.authority.pem()))
    }

    fn haproxy(&self, scratch: &Scratch, ws: SocketAddr, wss: SocketAddr) -> Recipe {
        let both = format!("{}{}", self.identity.certificate, self.identity.key);
        let (cert, app) = (scratch.write("both.pem", &both), self.app);
        let config = format!(
            "global\n nbthread 1\n maxconn {MAX_SESSIONS}\n ssl-default-bind-options ssl-min-ver TLSv1.2\n\
             defaults\n mode http\n timeout connect 4s\n timeout client 60s\n timeout server 60s\n timeout tunnel 1h\n\
             frontend clients\n bind {ws} backlog 4096\n bind {wss} ssl crt {cert} alpn http/1.1 backlog 4096\n \
             option forwardfor\n default_backend app\n\
             backend app\n server app {app}\n"
        );
        let path = scratch.write("haproxy.cfg", &config);
        let mut command = command_of(self.haproxy.as_ref().expect("asked for only where it is installed"));
        command.args(["-db", "-q", "-f", &path]);
        (command, tls_client(&self.authority.pem()))
    }
}

type Recipe = (Command, Arc<rustls::ClientConfig>);

/// A running proxy. Drop stops it.
pub(crate) struct Proxy {
    child: Child,
    /// The process and, for nginx, its worker.
    pub(crate) pids: Vec<u32>,
    pub(crate) ws: Door,
    pub(crate) wss: Door,
    /// From the start of the process to the 101 of its first session.
    pub(crate) start_up: Duration,
    scratch: Scratch,
    scraper: Option<Scraper>,
    _receiver: Option<App>,
}

/// Asks for metrics as Prometheus does, over one connection, until it is dropped.
struct Scraper {
    stop: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Scraper {
    /// The first page has come when this is done.
    fn start(admin: SocketAddr) -> Scraper {
        let stop = Arc::new(AtomicBool::new(false));
        let mut connection = Wire::plain(admin);
        let accept = "Accept: application/openmetrics-text;version=1.0.0";
        let mut scrape = move || connection.ask(&get("/metrics", &[accept])).expect(200);
        assert!(scrape().text().ends_with("# EOF\n"), "a page that is whole");
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut last = Instant::now();
            while !stopped.load(Ordering::Relaxed) {
                if last.elapsed() >= SCRAPE_EVERY {
                    scrape();
                    last = Instant::now();
                }
                nap();
            }
        });
        Scraper { stop, thread: Some(thread) }
    }
}

impl Drop for Scraper {
    /// It has stopped when this is done, so that it never asks a process that is being ended.
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            assert!(thread.join().is_ok() || thread::panicking(), "metrics were not scraped to the end");
        }
    }
}

impl Proxy {
    fn await_session(&self, door: &Door, started: Instant) {
        loop {
            match door.open("/echo") {
                Ok(link) => return link.close(),
                Err(_) if started.elapsed() < PATIENCE => pause(),
                Err(e) => {
                    let log = std::fs::read_to_string(self.scratch.path("log")).unwrap_or_default();
                    panic!("no session through the proxy within {PATIENCE:?}: {e}\n{log}");
                }
            }
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        drop(self.scraper.take());
        // nginx's worker ends with its master only if that is asked to end. HAProxy and nginx stop at once; Outrigger
        // would wait for its sessions, and is alone.
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let deadline = Instant::now() + Duration::from_secs(2);
        while Instant::now() < deadline && self.pids.len() > 1 && matches!(self.child.try_wait(), Ok(None)) {
            pause();
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A command with nothing of the caller's settings for Outrigger in its environment.
fn command_of(path: &std::path::Path) -> Command {
    let mut clean = Command::new(path);
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("OUTRIGGER_") || name.starts_with("OTEL_")) {
            clean.env_remove(name);
        }
    }
    clean
}

/// An executable on the path, or where Debian keeps servers.
fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    dirs.map(|dir| dir.join(name)).find(|candidate| candidate.is_file())
}

/// An address that was free a moment ago, for programs that cannot pick their own port and say which.
fn free_addr() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    listener.local_addr().expect("a bound socket")
}
