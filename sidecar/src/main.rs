//! The `outrigger` binary: reads the command line, then runs. Exit codes: 0 done, 1 it cannot run, 2 it was told wrongly.

use std::future::Future;
use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::sync::Arc;

use outrigger::cli::{self, Command};
use outrigger::config::{Config, Finding, Log, LogFormat};
use outrigger::demo;
use outrigger::descriptors::connections_that_fit;
use outrigger::net::TokioNet;
use outrigger::server::{Server, Surroundings};
use outrigger::telemetry;
use outrigger::tls::{Crypto, ServerSide};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};

fn main() -> ExitCode {
    #[expect(clippy::disallowed_methods, reason = "the environment is read here, once")]
    let env = std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)));
    match cli::parse(std::env::args_os(), env, &|path| std::fs::read(path)) {
        Ok(Command::Run { config, warnings }) => run(&config, &warnings),
        Ok(Command::Demo(settings)) => demo(settings),
        Err(exit) => {
            // Both streams as they are: a closed pipe on the other end is no reason to panic.
            let _ = io::Write::write_all(&mut io::stdout(), exit.out.as_bytes());
            let _ = io::Write::write_all(&mut io::stderr(), exit.err.as_bytes());
            ExitCode::from(exit.code)
        }
    }
}

fn run(config: &Config, warnings: &[Finding]) -> ExitCode {
    telemetry::init(config.log);
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    let net = TokioNet;
    let crypto = Crypto::new(net);
    let outcome = runtime(config.worker_threads).and_then(|runtime| {
        let outcome = runtime.block_on(async {
            let (stop, hurry) = (interrupted(1)?, interrupted(2)?);
            let started = async {
                let tls = config.tls.as_ref().map(|files| ServerSide::load(files, &crypto)).transpose()?;
                let max_connections = connections_that_fit();
                let observer = Arc::new(telemetry::Log);
                Server::start(net, config, Surroundings { crypto, tls, max_connections, observer }).await
            };
            match started.await {
                Ok(server) => {
                    server.run(stop, hurry).await;
                    Ok(ExitCode::SUCCESS)
                }
                Err(error) => {
                    tracing::error!("{error}");
                    Ok(ExitCode::from(if error.is_config() { cli::USAGE } else { 1 }))
                }
            }
        });
        // A name that is still being looked up is not waited for.
        runtime.shutdown_background();
        outcome
    });
    outcome.unwrap_or_else(|error| {
        tracing::error!("the runtime cannot start: {error}");
        ExitCode::FAILURE
    })
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
