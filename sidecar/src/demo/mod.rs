//! The app behind `outrigger demo`: one source of updates, read by the same page in two ways, by polling and by push,
//! with what each way cost in requests, bytes and delay.
//!
//! Map: `feed` makes the updates and keeps the latest; `app` answers requests; `push` speaks WebSocket (RFC 6455);
//! `meter` counts bytes where they enter and leave the app; `clients` keeps the counts per page; `run` puts the real sidecar
//! in front.

mod app;
mod clients;
mod feed;
mod meter;
mod push;
mod run;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::future::{Future, ready};
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Serialize;
use tokio::net::{TcpListener, TcpStream};
use tokio::select;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use app::{App, Exchange};
use meter::MeteredStream;
pub use run::{DemoError, run};

/// Connections that the app serves at once; further ones wait in the kernel's backlog.
const MAX_CONNECTIONS: usize = 256;
/// How long a connection may take over a request's header or lie idle between two requests. Longer than the 75 s after
/// which proxies give up idle connections, so that the app is not the one that closes under a request on its way.
const HEADER_TIMEOUT: Duration = Duration::from_secs(90);
/// The largest request header block, in bytes.
const MAX_HEADER_BYTES: usize = 32 * 1024;
/// How long connections get to end after the shutdown began.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);
/// `accept` fails for a moment when descriptors run out: wait this long, and give up after so many in a row.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);
const MAX_ACCEPT_FAILURES: u32 = 100;

/// The origins at which the page can be reached, for example `http://127.0.0.1:8080`; without a trailing slash. The
/// page links from each to the other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Links {
    pub http: String,
    pub https: String,
}

/// Serves the demo's page and its endpoints on `listener` until `shutdown` completes, then closes WebSockets with 1001
/// and returns within two seconds. `wall_clock` stamps the updates. All tasks end with the returned future, also
/// when it is dropped. Fails only when `accept` keeps failing.
pub async fn serve(
    listener: TcpListener,
    links: Links,
    wall_clock: fn() -> SystemTime,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let app = Arc::new(App::new(links, wall_clock));
    let mut generator = JoinSet::new();
    generator.spawn({
        let app = Arc::clone(&app);
        async move { app.feed.generate(wall_clock).await }
    });
    accept(listener, app, shutdown).await
}

/// The accept loop: one task per connection, all owned by this future.
async fn accept(listener: TcpListener, app: Arc<App>, shutdown: impl Future<Output = ()>) -> io::Result<()> {
    let (stop, stopped) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut failures = 0;
    let mut shutdown = pin!(shutdown);
    loop {
        select! {
            biased;
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept(), if connections.len() < MAX_CONNECTIONS => match accepted {
                Ok((stream, _)) => {
                    failures = 0;
                    connections.spawn(connection(stream, Arc::clone(&app), stopped.clone()));
                }
                Err(error) => {
                    failures += 1;
                    if failures == MAX_ACCEPT_FAILURES {
                        return Err(error);
                    }
                    sleep(ACCEPT_RETRY).await;
                }
            },
        }
    }
    drop(listener);
    stop.send_replace(true);
    // What is still open after the timeout is cut when the set is dropped.
    let _ = timeout(DRAIN_TIMEOUT, async { while connections.join_next().await.is_some() {} }).await;
    Ok(())
}

/// One connection's story: requests, and then perhaps a WebSocket.
async fn connection(stream: TcpStream, app: Arc<App>, mut stopped: watch::Receiver<bool>) {
    // A push is one small write that nothing follows: Nagle would hold it back for an acknowledgement.
    let _ = stream.set_nodelay(true);
    let stream = MeteredStream::new(stream);
    let exchange = Arc::new(Exchange::new(app, stream.meter()));
    let service = service_fn({
        let exchange = Arc::clone(&exchange);
        move |request| ready(Ok::<_, Infallible>(exchange.answer(request)))
    });
    let mut http = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIMEOUT)
            .max_header_size(MAX_HEADER_BYTES)
            // hyper would ask the system's clock; the app has none but the one it was given.
            .auto_date_header(false)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades()
    );
    // An error here is a peer that left or sent no HTTP: the demo has nobody to tell but the peer, and hyper did.
    select! {
        biased;
        () = stop_signal(&mut stopped) => {
            http.as_mut().graceful_shutdown();
            let _ = http.await;
        }
        _ = http.as_mut() => {}
    }
    if let Some(upgrade) = exchange.take_upgrade() {
        push::run(upgrade, &exchange.app.feed, stopped).await;
    }
}

/// Completes when the demo is shutting down.
async fn stop_signal(stopped: &mut watch::Receiver<bool>) {
    // An error means that the accept loop is gone, which is the same news.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}
