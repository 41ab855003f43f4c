//! The configuration: raw settings from flags, environment and file become one [`Config`] in which a wrong state
//! cannot be written. Everything downstream takes a `Config` and checks nothing again.
//!
//! Text goes in, a `Config` comes out: files and environment are read by the caller.

mod address;
mod file;
mod header;
mod key;
mod keys;
mod parse;
mod print;
mod reader;
mod reference;
mod report;
mod resolve;
mod schema;
mod settings;
mod standard;
mod tls_names;
pub mod units;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue};
use ipnet::IpNet;
use outrigger_shared::choose::Pace;
use outrigger_shared::proxy_protocol;
use toml::de::DeTable;

pub(crate) use self::file::read_text;
pub use self::file::{parse_toml, plain_text};
pub(crate) use self::key::{ANNOTATION_PREFIX, Key};
pub(crate) use self::keys::{GROUPS, all as all_keys};
pub use self::print::{Shown, Value, effective, shown, toml};
use self::reader::Reader;
pub use self::reference::reference;
pub use self::report::{Finding, Place, Report, did_you_mean};
pub use self::schema::schema;
use self::settings::Settings;
pub(crate) use self::settings::{FILE_VARIABLE, is_service_link, split_at_commas};
use crate::telemetry::trace;

/// Reads the bytes of a file that the configuration names.
pub type ReadFile<'a> = &'a dyn Fn(&Path) -> io::Result<Vec<u8>>;

/// Everything that can hold settings. Flags win over variables, variables over the file, the file over defaults.
#[derive(Debug, Clone, Default)]
pub struct Sources<'a> {
    pub file: Option<FileSource<'a>>,
    /// The whole environment; names without the `OUTRIGGER_` prefix are passed over.
    pub env: Vec<(String, String)>,
    /// Key or alias in `snake_case`, and its value; a list has one entry for each value.
    pub flags: Vec<(String, String)>,
}

/// A TOML file that has been read.
#[derive(Debug, Clone, Copy)]
pub struct FileSource<'a> {
    /// As it shall appear in messages.
    pub name: &'a str,
    pub text: &'a str,
}

/// Resolves all settings, or says everything that is wrong with them. On success come the warnings too.
///
/// With `read_file`, files that are named (certificates, keys, authorities) are read, to see whether they can be; what
/// is in them is not looked at.
pub fn resolve(sources: &Sources, read_file: Option<ReadFile>) -> Result<(Config, Vec<Finding>), Report> {
    let mut report = Report::default();
    let Some(settings) = Settings::read(sources, &mut report) else {
        report.sort();
        return Err(report);
    };
    resolve_settings(&settings, read_file, report)
}

/// As [`resolve`], but the keys are in a table of a TOML file that holds other things as well; `sources.file` is that
/// file, and findings bear its places.
pub fn resolve_table(
    sources: &Sources,
    table: &DeTable,
    read_file: Option<ReadFile>,
) -> Result<(Config, Vec<Finding>), Report> {
    let mut report = Report::default();
    let settings = Settings::read_table(sources, table, &mut report);
    resolve_settings(&settings, read_file, report)
}

/// Resolves what the annotations of a pod say, over the variables that its container gets anyway. Names are those of keys
/// without the prefix, with dashes; `others` are known ones that are no keys, to guess at.
pub(crate) fn resolve_annotations(
    annotations: &[(String, String)],
    variables: &[(String, String)],
    others: &[&str],
) -> Result<(Config, Vec<Finding>), Report> {
    let mut report = Report::default();
    let settings = Settings::read_annotations(annotations, variables, others, &mut report);
    resolve_settings(&settings, None, report)
}

/// The admin API alone, for whoever wants to talk to it: what else is wrong in the sources is the sidecar's to say.
pub fn resolve_admin(sources: &Sources, read_file: Option<ReadFile>) -> Result<Option<Admin>, Report> {
    let mut report = Report::default();
    let settings = Settings::read(sources, &mut report).ok_or_else(|| report.clone())?;
    let mut reader = Reader::new(&settings, read_file, Report::default());
    let admin = resolve::admin::admin(&mut reader, &[], &[]);
    if reader.report.faults.is_empty() { Ok(admin) } else { Err(reader.report) }
}

/// How the log is written, for a command that is no proxy. As with [`resolve_admin`], nothing else in the sources matters.
pub(crate) fn resolve_log(sources: &Sources) -> Result<Log, Report> {
    let mut report = Report::default();
    let settings = Settings::read(sources, &mut report).ok_or_else(|| report.clone())?;
    let mut reader = Reader::new(&settings, None, Report::default());
    let log = resolve::log::log(&mut reader);
    if reader.report.faults.is_empty() { Ok(log) } else { Err(reader.report) }
}

/// Whether a key of this name or alias holds the path of a file.
pub fn names_a_file(name: &str) -> bool {
    keys::find(name).is_some_and(|key| key.kind.is_path())
}

fn resolve_settings(
    settings: &Settings,
    read_file: Option<ReadFile>,
    report: Report,
) -> Result<(Config, Vec<Finding>), Report> {
    let mut reader = Reader::new(settings, read_file, report);
    match resolve::config(&mut reader) {
        Some(config) => Ok((config, reader.report.warnings)),
        None => Err(reader.report),
    }
}

/// Everything the sidecar needs to know, resolved and checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where clients connect, and where the app does that is beside the sidecar; never empty.
    pub listeners: Vec<Listener>,
    /// The app: one upstream, or several that can stand in for each other. Empty only where no listener needs one.
    pub upstreams: Vec<Upstream>,
    /// Where the app beside the sidecar connects to by way of it. No name is twice in here and in `upstreams`.
    pub egress: Vec<Upstream>,
    /// How one of several is chosen.
    pub choice: Choice,
    /// What the sidecar shows to clients over TLS; present whenever a listener's scheme is `https` or `tls`.
    pub tls: Option<TlsFiles>,
    /// How the app's certificate is checked; used only where an upstream has TLS.
    pub upstream_tls: UpstreamTls,
    /// Limits on requests and idle HTTP connections of clients.
    pub http: HttpLimits,
    /// Time limits and idle connections towards the app.
    pub dial: Dial,
    /// What applies to a session once it is upgraded.
    pub session: SessionConfig,
    /// Who may open a session, and whose forwarding headers are believed.
    pub access: Access,
    /// Headers put on HTTP responses.
    pub headers: ResponseHeaders,
    /// Open client connections at once; `None` derives it from the descriptor limit.
    pub max_connections: Option<usize>,
    /// How long what is there may go on after a signal; then it is asked to close.
    pub shutdown_grace: Duration,
    pub drain: Drain,
    /// `None` refuses upgrades at once while the app cannot be reached.
    pub hold: Option<Hold>,
    /// The absolute path of the Unix socket over which listening sockets go to the next process.
    pub handover: Option<PathBuf>,
    /// Whether other processes may bind the listeners' ports as well.
    pub reuse_port: bool,
    /// Whether the configuration is read again when one of its files changes.
    pub watch: bool,
    /// Threads that carry traffic; at least one.
    pub worker_threads: usize,
    pub log: Log,
    pub access_log: AccessLog,
    /// `None` has no admin API.
    pub admin: Option<Admin>,
    /// What of traces is recorded, once there is somebody to take them.
    pub tracing: trace::Plan,
    pub otlp: Otlp,
}

/// One address that clients connect to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listener {
    pub scheme: Scheme,
    /// Whether it is the way out for the app beside the sidecar; then it is on a loopback address, and in the clear.
    pub egress: bool,
    /// Port 0 lets the kernel pick.
    pub addr: SocketAddr,
}

/// What a listener speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// HTTP and WebSocket in the clear.
    Http,
    /// HTTP and WebSocket over TLS, which ends here.
    Https,
    /// Any protocol over TLS, which ends here; the bytes go to the app as they are.
    Tls,
}

impl Scheme {
    /// Whether a certificate is needed.
    pub fn needs_certificate(self) -> bool {
        self != Self::Http
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Tls => "tls",
        }
    }
}

/// Where the app is, or one of the places where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// The address until another one is given.
    pub name: String,
    /// Whether it is reached over TLS; never set with [`Target::Unix`].
    pub tls: bool,
    pub target: Target,
    /// Empty where none is given, which is a region too.
    pub region: String,
    /// Lower ones are tried first.
    pub priority: u16,
    /// At least 1.
    pub weight: u16,
    /// The requests that it is for; those for which no upstream says so go to the ones that say nothing.
    pub route: Route,
    /// The PROXY protocol that it wants.
    pub proxy_protocol: Option<proxy_protocol::Version>,
    pub written: Written,
}

/// The requests that an upstream is for. Upstreams that say the same can stand in for each other.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Route {
    /// In lower case, without a port.
    pub host: Option<String>,
    /// It is this, or begins with it and a `/`.
    pub path: Option<String>,
}

/// Where a value was written, for messages: no part of what the value is.
#[derive(Clone)]
pub struct Written(pub Place);

impl fmt::Debug for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Written")
    }
}

impl PartialEq for Written {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Written {}

/// The address, with its scheme.
impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        match &self.target {
            Target::Tcp { host, port } if host.contains(':') => write!(f, "{scheme}://[{host}]:{port}"),
            Target::Tcp { host, port } => write!(f, "{scheme}://{host}:{port}"),
            Target::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// How one of several upstreams is chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// `None` checks none.
    pub check: Option<Check>,
    /// Failures in a row after which one is ejected; at least 1.
    pub fails: u32,
    /// How long it is out the first time.
    pub backoff: Duration,
    /// And at most.
    pub backoff_max: Duration,
    /// `None` lets all dials begin at once. It holds for a single upstream, too.
    pub pace: Option<Pace>,
    /// Over how long sessions are brought to where new ones go; `None` leaves them where they are.
    pub rebalance: Option<Duration>,
}

/// How upstreams are checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    pub kind: CheckKind,
    /// From one to the next.
    pub every: Duration,
}

/// What a check does, and with that sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckKind {
    /// It connects.
    Tcp,
    /// It asks for this path, and wants 200 to 399.
    Http(PathAndQuery),
    /// It opens a session at this path, and wants a pong.
    WebSocket(PathAndQuery),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// `host` is a name or an address without brackets; `port` is not 0.
    Tcp { host: String, port: u16 },
    /// The absolute path of a stream socket.
    Unix(PathBuf),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Files and rules for TLS with clients. The files are not parsed here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// Never empty; the first pair answers clients whose server name matches none.
    pub certs: Vec<CertPair>,
    pub client_auth: ClientAuth,
    pub protocols: TlsProtocols,
    /// Suites offered, in this order; `None` is everything that rustls offers.
    pub ciphers: Option<Vec<rustls::CipherSuite>>,
}

/// A PEM chain, leaf first, and the PEM key of its leaf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertPair {
    pub cert: PathBuf,
    pub key: PathBuf,
}

/// Whether clients show a certificate; the path is a PEM file of the authorities that may have signed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientAuth {
    Off,
    /// Checked if shown.
    Optional(PathBuf),
    /// The handshake fails without one.
    Required(PathBuf),
}

/// TLS versions spoken with clients; older ones than 1.2 do not exist here (RFC 8996).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsProtocols {
    Both,
    OnlyTls12,
    OnlyTls13,
}

/// TLS towards the app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamTls {
    pub trust: Trust,
    /// What the sidecar shows of itself, if anything.
    pub identity: Option<CertPair>,
    /// Server name sent and checked instead of the upstream's host.
    pub name: Option<String>,
}

/// Who may have signed the app's certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// The Mozilla roots built into the program.
    BuiltInRoots,
    /// The authorities in this PEM file, and no others.
    File(PathBuf),
    /// Any certificate is taken: encrypted, but anyone can be at the other end.
    Anyone,
}

/// Limits on what clients send over HTTP, the upgrade request included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpLimits {
    /// From accept (or from the first byte of a further request) to the end of the header block; then 408.
    pub header_timeout: Duration,
    /// Longest silence between two reads of a body; then 408.
    pub body_timeout: Duration,
    /// Bytes of a request body, `None` for no limit; then 413.
    pub max_body: Option<u64>,
    /// Bytes of a header block; then 431.
    pub max_header: usize,
    /// How long an idle connection is kept for a further request; `None` closes after each answer.
    pub keepalive_timeout: Option<Duration>,
    /// From accept to the end of the TLS handshake.
    pub tls_handshake_timeout: Duration,
}

/// Towards the app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dial {
    /// For TCP alone, TLS excluded.
    pub connect_timeout: Duration,
    /// Longest silence of the app while an answer is awaited, and the idle limit of an upgraded session.
    pub read_timeout: Duration,
    /// Longest wait for the app to take more bytes.
    pub send_timeout: Duration,
    /// From the start of the dial to the app's answer to an upgrade request.
    pub upgrade_timeout: Duration,
    /// Idle connections kept for further requests.
    pub idle_connections: usize,
    /// How long each of them is kept.
    pub idle_timeout: Duration,
}

/// What applies to a session after the 101. Its idle limit is [`Dial::read_timeout`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionConfig {
    pub inspect: Inspect,
    pub keepalive: Keepalive,
    /// Payload bytes of a message, summed over its fragments; `None` for no limit.
    pub max_message: Option<u64>,
    /// Payload bytes of one frame; `None` for no limit.
    pub max_frame: Option<u64>,
    /// Fragments of one message; `None` for no limit.
    pub max_fragments: Option<u32>,
    pub rates: Rates,
    /// `None` lets sessions live as long as they like.
    pub lifetime: Option<Lifetime>,
    /// Bytes held per direction for a side that does not read; then the other side is not read either.
    pub write_buffer: usize,
    /// How long the answer to a Close is awaited.
    pub close_timeout: Duration,
    pub close_codes: CloseCodes,
}

/// Whether frames are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inspect {
    /// Frame headers are read; keepalive, limits, figures and Close frames work.
    Frames,
    /// A blind tunnel: only byte counts, byte rates, the idle limit and the lifetime work.
    Off,
}

/// Pings that the sidecar sends after this much silence of a side; `None` sends none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keepalive {
    pub client: Option<Duration>,
    pub app: Option<Duration>,
    /// How long a ping may stay unanswered before the peer counts as dead.
    pub pong_timeout: Duration,
}

/// Rate limits, each for one session and one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rates {
    pub messages: Option<MessageRate>,
    /// Bytes per second.
    pub bytes: Option<u64>,
    pub over: OverRate,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageRate {
    pub per_second: u32,
    /// Messages that may come at once after a silence.
    pub burst: u32,
}

/// What happens to a sender above its rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OverRate {
    /// It is read more slowly; nothing is lost.
    Slow,
    /// Its session is closed with [`CloseCodes::rate`].
    Close,
}

/// How long a session may live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetime {
    pub max: Duration,
    /// Each session ends up to this many per cent earlier, so that they do not all come back at once; 0 to 50.
    pub jitter_percent: u8,
}

/// Codes of the Close frames that the sidecar sends of its own accord (RFC 6455 section 7.4, IANA registry).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CloseCodes {
    pub idle: u16,
    pub lifetime: u16,
    pub rate: u16,
    /// The app's connection ended without a Close, or it answered no ping.
    pub app_gone: u16,
    /// The same, or no ping answered, of an app that has not sent a byte since its 101.
    pub app_silent: u16,
    pub drain: u16,
    pub shutdown: u16,
}

/// How sessions are closed when the process drains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drain {
    /// Over how long their Closes are spread; `None` waits for the end of the grace.
    pub window: Option<Duration>,
    /// How much of its share of the window each is moved by chance; 0 to 100.
    pub jitter_percent: u8,
    /// How long each may wait for a quiet moment.
    pub quiet: Duration,
}

/// Upgrades that wait for an app that cannot be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hold {
    /// How long each may wait.
    pub patience: Duration,
    /// How many may wait at once.
    pub max: usize,
}

/// Who is let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// Origins that may open a session; `None` takes any, and a request without one.
    pub allowed_origins: Option<Vec<Origin>>,
    /// Peers whose `Forwarded` and `X-Forwarded-*` headers are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Peers whose connections begin with a PROXY header.
    pub proxy_protocol_from: Vec<IpNet>,
}

/// A web origin (RFC 6454): lower case, the port written out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// `http` or `https`.
    pub scheme: &'static str,
    /// A name, an IPv4 address, or an IPv6 address in brackets.
    pub host: String,
    pub port: u16,
}

/// Headers for HTTP responses, 101 included; none is hop-by-hop or `Sec-WebSocket-*`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResponseHeaders {
    /// Appended to what the app sent.
    pub add: Vec<(HeaderName, HeaderValue)>,
    /// Put in place of what the app sent.
    pub set: Vec<(HeaderName, HeaderValue)>,
}

/// The listener of the admin API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admin {
    /// Port 0 lets the kernel pick.
    pub addr: SocketAddr,
    /// A file with the token that lets others than this host change something.
    pub token_file: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Log {
    pub format: LogFormat,
    pub level: tracing::Level,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, JSON otherwise.
    Auto,
    Text,
    Json,
}

/// What is written of sessions and requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessLog {
    pub lines: AccessLines,
    pub format: LogFormat,
    /// Whether queries are in it.
    pub query: bool,
    /// Headers of requests that are in it.
    pub headers: Vec<HeaderName>,
    /// Parts of names whose values are hidden, in lower case.
    pub redact: Vec<String>,
}

/// What there is a line for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccessLines {
    Off,
    /// Sessions, and requests for one that came to nothing.
    Sessions,
    /// Plain requests too.
    All,
}

/// What goes to collectors of OpenTelemetry.
#[derive(Debug, Clone, PartialEq)]
pub struct Otlp {
    /// `None` exports none.
    pub traces: Option<Export>,
    pub metrics: Option<Export>,
    /// What is said of this process, `service.name` among it; no name is there twice.
    pub resource: Vec<(String, String)>,
    /// Spans that wait at most; at least 1.
    pub queue: usize,
    /// How long a span waits for others to go with it.
    pub span_interval: Duration,
    /// From one export of the metrics to the next.
    pub metric_interval: Duration,
}

/// The way to one collector.
#[derive(Debug, Clone, PartialEq)]
pub struct Export {
    pub to: Collector,
    pub protocol: OtlpProtocol,
    /// Their values are marked as sensitive.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// For one attempt, from the dial to the answer.
    pub timeout: Duration,
    /// Who may have signed the collector's certificate.
    pub trust: Trust,
}

/// Where a collector is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collector {
    pub tls: bool,
    /// A name, or an address without brackets.
    pub host: String,
    pub port: u16,
    /// It begins with a slash.
    pub path: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OtlpProtocol {
    Grpc,
    /// Protobuf in the bodies of HTTP/1.1 requests.
    Http,
}

#[cfg(test)]
mod tests;
