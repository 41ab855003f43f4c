//! The HTTPS server: its listener, its connections, its end. Its clients are the cluster's API servers, which keep a few connections
//! each, and the kubelet's probes.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::signal::unix::Signal;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};

use super::call::{self, MAX_HELD_KIB};
use super::certificate::{self, Loaded};
use super::review::Policy;
use super::{Settings, StartError};
use crate::http::{Guard, Limits};
use crate::lifecycle::{Lifecycle, Live, Stage};
use crate::listen::ACCEPT_PAUSE;
use crate::net::{Listener as _, Net};
use crate::tls::{self, Crypto, ServerSide};

/// Connections at once. Who comes on top of them waits in the kernel's queue: an API server that is turned away asks no second time.
const MAX_CONNECTIONS: usize = 128;
/// How long a TLS handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a header block may take.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection is kept for a further request: longer than API servers keep theirs, which is 90 s.
const IDLE_TIMEOUT: Duration = Duration::from_mins(2);
/// How long a client may take no byte of its answer.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of a header block.
const MAX_HEADER_BYTES: usize = 16 * 1024;
/// How long reviews that are underway may still take once nothing new is accepted: as long as an API server waits, unless told
/// otherwise.
const GRACE: Duration = Duration::from_secs(10);

/// What the server's tasks share.
pub(super) struct Hook<N: Net> {
    pub(super) net: N,
    pub(super) policy: Policy,
    pub(super) lifecycle: Arc<Lifecycle>,
    pub(super) tls: ArcSwap<ServerSide>,
    /// KiB of bodies that may be held, over all connections.
    pub(super) held_kib: Arc<Semaphore>,
}

/// Serves until `shutdown` is done, goes on for the delay that was asked for, and lets what is underway finish. `hurry` done ends either
/// early. Each of `signals` has the certificate read again.
pub async fn run<N: Net>(
    net: N,
    settings: Settings,
    shutdown: impl Future<Output = ()>,
    hurry: impl Future<Output = ()>,
    signals: Signal,
) -> Result<(), StartError> {
    let crypto = Crypto::new(net.clone());
    let Loaded { files, tls } = certificate::load(&settings.certificate, &crypto);
    let tls = tls?;
    for wrong in tls.out_of_date(net.wall_clock(), None) {
        tracing::warn!("{wrong}");
    }
    let fail = |why| StartError::Bind { addr: settings.listen, why };
    let listener = net.bind(settings.listen).await.map_err(fail)?;
    let addr = listener.local_addr().map_err(fail)?;
    let hook = Arc::new(Hook {
        net,
        policy: settings.policy,
        lifecycle: Lifecycle::new(),
        tls: ArcSwap::from_pointee(tls),
        held_kib: Arc::new(Semaphore::new(MAX_HELD_KIB)),
    });
    tracing::info!(scheme = "https", %addr, "listening");
    let listening = hook.lifecycle.enter();
    hook.net.spawn(accept(Arc::clone(&hook), listener, listening));
    hook.net.spawn(certificate::renew(Arc::clone(&hook), settings.certificate, crypto, files, signals));
    tracing::info!("ready");

    let mut hurry = pin!(hurry);
    shutdown.await;
    let delay_ms = u64::try_from(settings.shutdown_delay.as_millis()).unwrap_or(u64::MAX);
    tracing::info!(delay_ms, "told to stop: not ready any more");
    hook.lifecycle.advance(Stage::Draining);
    let hurried = tokio::select! {
        biased;
        () = &mut hurry => true,
        () = sleep(settings.shutdown_delay) => false,
    };
    hook.lifecycle.advance(Stage::Stopping);
    if !hurried {
        tokio::select! {
            biased;
            () = hook.lifecycle.emptied() => {}
            () = hurry => {}
            () = sleep(GRACE) => {}
        }
    }
    hook.lifecycle.advance(Stage::Stopped);
    tracing::info!("stopped");
    Ok(())
}

/// Accepts until the process stops; `listening` is given back then.
async fn accept<N: Net>(hook: Arc<Hook<N>>, listener: N::Listener, listening: Live) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut stopping = pin!(hook.lifecycle.reached(Stage::Stopping));
    loop {
        let next = async {
            let place = Arc::clone(&places).acquire_owned().await.expect("the semaphore is never closed");
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            biased;
            () = &mut stopping => break,
            next = next => next,
        };
        match accepted {
            Ok((stream, peer)) => take(&hook, stream, peer, place),
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection; trying again");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    // Nobody else will: what the kernel has queued would be reset.
    while let Ok(place) = Arc::clone(&places).try_acquire_owned() {
        let Some((stream, peer)) = listener.accept_queued() else { break };
        take(&hook, stream, peer, place);
    }
    drop((listener, listening));
}

/// Serves a connection as a task of its own.
fn take<N: Net>(hook: &Arc<Hook<N>>, stream: N::Stream, peer: SocketAddr, place: OwnedSemaphorePermit) {
    let (hook_of_task, live) = (Arc::clone(hook), hook.lifecycle.enter());
    hook.net.spawn(async move {
        serve(hook_of_task, stream, peer).await;
        drop((live, place));
    });
}

/// Serves requests until the connection ends or the process has stopped.
async fn serve<N: Net>(hook: Arc<Hook<N>>, stream: N::Stream, peer: SocketAddr) {
    let config = Arc::clone(&hook.tls.load().https);
    // Boxed: the handshake's buffers must not be room in a task that lives as long as its connection.
    let stream = match timeout(HANDSHAKE_TIMEOUT, Box::pin(tls::accept(stream, config))).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return tracing::debug!(%peer, %error, "TLS handshake failed"),
        Err(_) => return tracing::debug!(%peer, "TLS handshake took too long"),
    };
    let limits = Limits { header: HEADER_TIMEOUT, idle: IDLE_TIMEOUT, write: WRITE_TIMEOUT };
    let (guard, progress) = Guard::new(stream, limits);
    let lifecycle = Arc::clone(&hook.lifecycle);
    let service = service_fn(move |request: Request<Incoming>| {
        let answering = Arc::new(progress.request());
        let hook = Arc::clone(&hook);
        async move {
            let response = call::answer(&hook, request, peer).await;
            Ok::<_, Infallible>(response.map(|body| body.answering(answering)))
        }
    });
    let mut connection = pin!(
        http1::Builder::new()
            .auto_date_header(false)
            .header_read_timeout(None)
            .max_header_size(MAX_HEADER_BYTES)
            .max_buf_size(MAX_HEADER_BYTES)
            .serve_connection(TokioIo::new(guard), service)
    );
    let result = tokio::select! {
        biased;
        result = connection.as_mut() => result,
        () = lifecycle.reached(Stage::Stopping) => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                biased;
                result = connection.as_mut() => result,
                () = lifecycle.reached(Stage::Stopped) => Ok(()),
            }
        }
    };
    if let Err(error) = result {
        tracing::debug!(%peer, %error, "a connection ended badly");
    }
}
