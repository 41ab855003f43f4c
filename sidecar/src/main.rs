//! The `outrigger` binary: reads the command line, then runs. Exit codes: 0 done, 1 it cannot run, 2 it was told wrongly.

use std::fmt::Display;
use std::future::Future;
use std::io::{self, IsTerminal, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::process::ExitCode;
use std::sync::Arc;

use indicatif::{ProgressBar, ProgressStyle};
use outrigger::cli::ask::Running;
use outrigger::cli::drain::Drain;
use outrigger::cli::{self, Command, Exit};
use outrigger::config::{Config, Finding, Log, LogFormat, Shown};
use outrigger::demo;
use outrigger::descriptors::connections_that_fit;
use outrigger::handover::{self, Claim, HandoverError, Offer};
use outrigger::inherit::systemd::{self, ActivationError};
use outrigger::inherit::{Inherited, Socket};
use outrigger::net::{Listener as _, Net as _, TokioListener, TokioNet};
use outrigger::reload::serve::{RELOADED, Reloader};
use outrigger::reload::source::{Files, Reading, Source};
use outrigger::server::{Server, StartError, Surroundings};
use outrigger::telemetry::otlp::Exporter;
use outrigger::telemetry::{self, Observers};
use outrigger::tls::{Crypto, ServerSide};
use outrigger::webhook;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};

fn main() -> ExitCode {
    #[expect(clippy::disallowed_methods, reason = "the environment is read here, once")]
    let env = std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)));
    let source = Source { args: std::env::args_os().collect(), env: env.collect() };
    let Reading { command, files } = source.read();
    match command {
        Ok(Command::Run { config, warnings, shown }) => run(&config, &warnings, shown, source, files),
        Ok(Command::Demo(settings)) => demo(settings),
        Ok(Command::Drain(settings)) => drain(&settings),
        Ok(Command::Reload(sidecar)) => reload(&sidecar),
        Ok(Command::Manifests(manifests)) => leave(&outrigger::inject::files::run(&manifests, &mut io::stdin())),
        Ok(Command::Webhook(settings)) => webhook(*settings),
        Err(exit) => leave(&exit),
    }
}

fn leave(exit: &Exit) -> ExitCode {
    // Both streams as they are: a closed pipe on the other end is no reason to panic.
    let _ = io::Write::write_all(&mut io::stdout(), exit.out.as_bytes());
    let _ = io::Write::write_all(&mut io::stderr(), exit.err.as_bytes());
    ExitCode::from(exit.code)
}

/// Why there is nothing to run, as the person reads it, and the exit code.
struct Refusal(String, u8);

impl From<StartError> for Refusal {
    fn from(error: StartError) -> Self {
        Self(error.to_string(), if error.is_config() { cli::USAGE } else { 1 })
    }
}

impl From<webhook::StartError> for Refusal {
    fn from(error: webhook::StartError) -> Self {
        Self(error.to_string(), if error.is_config() { cli::USAGE } else { 1 })
    }
}

impl From<ActivationError> for Refusal {
    fn from(error: ActivationError) -> Self {
        Self(error.to_string(), cli::USAGE)
    }
}

impl From<HandoverError> for Refusal {
    fn from(error: HandoverError) -> Self {
        Self(error.to_string(), 1)
    }
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self(error.to_string(), 1)
    }
}

fn run(config: &Config, warnings: &[Finding], shown: Vec<Shown>, source: Source, files: Files) -> ExitCode {
    let level = telemetry::init(config.log);
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    let outcome = systemd::sockets(&source.env, std::process::id()).map_err(Refusal::from).and_then(|given| {
        let runtime = runtime(config.worker_threads)?;
        let outcome = runtime.block_on(async {
            let (stop, hurry, reload) = (interrupted(1)?, interrupted(2)?, signal(SignalKind::hangup())?);
            let Started { server, crypto, exporter } = start(config, given).await?;
            let control = Arc::clone(server.control());
            let export = exporter.map(|exporter| exporter.start(&control));
            control.show_config(shown, &[]);
            control.give_log(level.clone());
            if let Some(requests) = control.reloads().take_requests() {
                let (net, config) = (*control.net(), config.clone());
                let reloader = Reloader { source, control, crypto, level, config, files };
                net.spawn(reloader.serve(requests, reload));
            }
            server.run(stop, hurry).await;
            if let Some(export) = export {
                export.finish().await;
            }
            Ok(())
        });
        // A name that is still being looked up is not waited for.
        runtime.shutdown_background();
        outcome
    });
    exit_code(outcome)
}

/// Of a process that has run until it was told to stop, or could not start.
fn exit_code(outcome: Result<(), Refusal>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Refusal(why, code)) => {
            tracing::error!("{why}");
            ExitCode::from(code)
        }
    }
}

/// A server that is ready to run, and what belongs to it.
struct Started {
    server: Server<TokioNet>,
    crypto: Crypto,
    exporter: Option<Exporter<TokioNet>>,
}

/// Its listeners are those of the process before where there was one.
async fn start(config: &Config, given: Vec<(SocketAddr, TcpListener)>) -> Result<Started, Refusal> {
    let net = TokioNet { reuse_port: config.reuse_port };
    let crypto = Crypto::new(net);
    let tls =
        config.tls.as_ref().map(|files| ServerSide::load(files, &crypto)).transpose().map_err(StartError::from)?;
    for wrong in tls.iter().flat_map(|tls| tls.out_of_date(net.wall_clock(), None)) {
        tracing::warn!("{wrong}");
    }
    let mut inherited = Inherited::none();
    for (addr, listener) in given {
        let listener = TokioListener::adopt(listener)?;
        inherited.add(Socket { service: None, addr, listener, shared: true });
    }
    let (mut offer, mut claim) = (None, None);
    if let Some(path) = &config.handover {
        offer = Offer::ask(path).await?;
        claim = Some(Claim::new(path)?);
    }
    for socket in offer.iter_mut().flat_map(Offer::take_sockets) {
        let listener = TokioListener::adopt(socket.listener)?;
        inherited.add(Socket { service: Some(socket.service), addr: socket.addr, listener, shared: false });
    }
    let max_connections = connections_that_fit();
    let access_log = telemetry::AccessLog::new(&config.access_log);
    let observer = Arc::new(Observers(vec![Arc::new(telemetry::Log), Arc::new(access_log)]));
    let exporter = Exporter::new(net, config, &crypto).map_err(StartError::from)?;
    let tracer = exporter.as_ref().and_then(Exporter::tracer).cloned();
    let surroundings = Surroundings { crypto: crypto.clone(), tls, max_connections, observer, tracer, metrics: false };
    let server = Server::start_on(net, config, surroundings, &mut inherited).await?;
    systemd::all_taken(&inherited)?;
    for socket in inherited.left() {
        tracing::info!(addr = %socket.addr, "a listener of the old process is not wanted any more");
    }
    drop(inherited);
    let sockets = handed_over(&server)?;
    if let Some(offer) = offer {
        // From here on the old process is on its way out, and this one has to serve, whatever comes.
        offer.ready().await?;
    }
    match claim.map(Claim::publish) {
        Some(Ok(keeper)) => net.spawn(keeper.keep(sockets, Arc::clone(server.control()))),
        Some(Err(error)) => tracing::error!("{error}"),
        None => {}
    }
    Ok(Started { server, crypto, exporter })
}

/// The listening sockets with their labels, for the next process.
fn handed_over(server: &Server<TokioNet>) -> Result<handover::Sockets, Refusal> {
    let mut sockets = Vec::new();
    let admin = server.admin_listener().map(|listener| ("admin", listener));
    let listeners = server.listeners().map(|(scheme, listener)| (scheme.as_str(), listener));
    for (service, listener) in listeners.chain(admin) {
        sockets.push((handover::label(service, listener.local_addr()?), listener.duplicate()?));
    }
    Ok(sockets)
}

/// One thread is cheaper than several that share work, and enough beside one app; more are for those who ask.
fn runtime(threads: usize) -> io::Result<Runtime> {
    let mut builder = if threads == 1 { Builder::new_current_thread() } else { Builder::new_multi_thread() };
    builder.worker_threads(threads.max(1)).enable_all().build()
}

/// Done at the so many-th SIGTERM or SIGINT after this call.
fn interrupted(times: u32) -> io::Result<impl Future<Output = ()>> {
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        for _ in 0..times {
            tokio::select! {
                biased;
                _ = term.recv() => {}
                _ = int.recv() => {}
            }
        }
    })
}

/// Shows how far it is: a bar on a terminal, a line each time that less is left elsewhere.
fn drain(settings: &Drain) -> ExitCode {
    let bar = io::stderr().is_terminal().then(|| ProgressBar::new(0));
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} sessions have ended, {msg}");
    if let (Some(bar), Ok(style)) = (&bar, style) {
        bar.set_style(style);
    }
    let mut said = None;
    let tell = |progress: &cli::drain::Progress| {
        let cli::drain::Progress { sessions, sessions_left, seconds_left } = progress;
        let left = seconds_left.map_or_else(String::new, |left| format!(", {left:.0} s of the window left"));
        if let Some(bar) = &bar {
            // Those that began in the meantime are more than there were.
            bar.set_length(*sessions.max(sessions_left) as u64);
            bar.set_position(sessions.saturating_sub(*sessions_left) as u64);
            bar.set_message(format!("{sessions_left} left{left}"));
        } else if said != Some(*sessions_left) {
            said = Some(*sessions_left);
            // Nobody has to read it.
            let _ = writeln!(io::stderr(), "draining: {sessions_left} of {sessions} sessions left{left}");
        }
    };
    let outcome = asked(async |net| cli::drain::run(net, settings, tell).await);
    if let Some(bar) = bar {
        bar.finish();
    }
    done(outcome)
}

fn reload(sidecar: &Running) -> ExitCode {
    let outcome = asked(async |net| cli::reload::run(net, sidecar).await);
    done(outcome.map(|cli::reload::Reloaded { warnings, needs_restart }| {
        let restart =
            needs_restart.iter().map(|key| format!("{key} keeps its old value until the sidecar starts anew"));
        for line in warnings.iter().map(|warning| format!("warning: {warning}")).chain(restart) {
            let _ = writeln!(io::stderr(), "{line}");
        }
        let _ = writeln!(io::stdout(), "{RELOADED}");
    }))
}

/// Runs a command that asks another process for something.
fn asked<T, E: Display>(question: impl AsyncFnOnce(&TokioNet) -> Result<T, E>) -> Result<T, String> {
    let runtime = runtime(1).map_err(|error| format!("the runtime cannot start: {error}"))?;
    runtime.block_on(question(&TokioNet::default())).map_err(|error| error.to_string())
}

fn done(outcome: Result<(), String>) -> ExitCode {
    let Err(why) = outcome else { return ExitCode::SUCCESS };
    let _ = writeln!(io::stderr(), "error: {why}");
    ExitCode::FAILURE
}

fn webhook(settings: webhook::Settings) -> ExitCode {
    telemetry::init(settings.log);
    let outcome = runtime(1).map_err(Refusal::from).and_then(|runtime| {
        let outcome = runtime.block_on(async {
            let (stop, hurry, reload) = (interrupted(1)?, interrupted(2)?, signal(SignalKind::hangup())?);
            webhook::run(TokioNet::default(), settings, stop, hurry, reload).await?;
            Ok(())
        });
        // A file that is being read is not waited for.
        runtime.shutdown_background();
        outcome
    });
    exit_code(outcome)
}

/// The demo warns and fails like the real thing, but says little else: the page is what there is to see.
fn demo(mut settings: cli::Demo) -> ExitCode {
    settings.color &= io::stdout().is_terminal();
    telemetry::init(Log { format: LogFormat::Auto, level: tracing::Level::WARN });
    let outcome = runtime(1).and_then(|runtime| {
        runtime.block_on(async {
            let (stop, hurry) = (interrupted(1)?, interrupted(2)?);
            Ok(demo::run(settings, &mut io::stdout(), stop, hurry).await)
        })
    });
    match outcome {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
        Err(error) => {
            tracing::error!("the runtime cannot start: {error}");
            ExitCode::FAILURE
        }
    }
}
