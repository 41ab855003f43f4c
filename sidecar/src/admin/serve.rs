//! The admin API's connections. Each limit here is so small that whoever leans on all of them costs little, and so
//! large that nobody meets one who does not.

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use super::{Admin, call};
use crate::http::{Guard, Limits};
use crate::lifecycle::{Live, Stage};
use crate::listen::ACCEPT_PAUSE;
use crate::net::{Listener as _, Net};

/// Connections at once; whoever comes on top of them is told 503.
const MAX_CONNECTIONS: usize = 128;
/// How long a header block may take.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection is kept for a further request.
const IDLE_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a client may take no byte of its answer.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of a header block.
const MAX_HEADER_BYTES: usize = 16 * 1024;
/// How long one that is turned away has to take the answer.
const FAREWELL: Duration = Duration::from_secs(1);

const ANSWER_FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 1\r\n\
Content-Type: application/json\r\nContent-Length: 76\r\n\r\n{\"error\":\"The admin API has 128 connections already; try again in a second\"}";

/// Answers until the process has stopped, or until another one serves at this address. `listening` is given back when
/// the process stops listening, `answering` when no answer is underway any more.
pub(crate) async fn accept<N: Net>(admin: Arc<Admin<N>>, listener: N::Listener, listening: Live, answering: Arc<Live>) {
    let lifecycle = Arc::clone(admin.control.lifecycle());
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut listening = Some(listening);
    let mut stopping = pin!(lifecycle.reached(Stage::Stopping));
    let mut stopped = pin!(lifecycle.reached(Stage::Stopped));
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut stopped => return,
            () = &mut stopping, if listening.is_some() => {
                if lifecycle.has_successor() {
                    // What comes from now on is for the other process; the socket is closed before anybody is told.
                    drop(listener);
                    return drop(listening);
                }
                listening = None;
                continue;
            }
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => match Arc::clone(&places).try_acquire_owned() {
                Ok(place) => {
                    let (admin, answering) = (Arc::clone(&admin), Arc::clone(&answering));
                    let serving = serve(Arc::clone(&admin), stream, peer);
                    admin.control.proxy().net().spawn(async move {
                        serving.await;
                        drop((place, answering));
                    });
                }
                Err(_) => turn_away(stream).await,
            },
            Err(error) => {
                tracing::warn!(%error, "the admin API cannot accept a connection; trying again");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Serves requests until the connection ends or the process has stopped.
async fn serve<N: Net>(admin: Arc<Admin<N>>, io: N::Stream, peer: SocketAddr) {
    let limits = Limits { header: HEADER_TIMEOUT, idle: IDLE_TIMEOUT, write: WRITE_TIMEOUT };
    let (guard, progress) = Guard::new(io, limits);
    let lifecycle = Arc::clone(admin.control.lifecycle());
    let service = service_fn(move |request: Request<Incoming>| {
        let answering = Arc::new(progress.request());
        let admin = Arc::clone(&admin);
        async move {
            let response = call::answer(&admin, request, peer).await;
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
    let mut over = pin!(async {
        lifecycle.reached(Stage::Stopping).await;
        if !lifecycle.has_successor() {
            lifecycle.reached(Stage::Stopped).await;
        }
    });
    let mut told = false;
    let result = poll_fn(|cx| {
        if !told && over.as_mut().poll(cx).is_ready() {
            told = true;
            connection.as_mut().graceful_shutdown();
        }
        match connection.as_mut().poll(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(result) => Poll::Ready(result),
        }
    })
    .await;
    if let Err(error) = result {
        tracing::debug!(%peer, %error, "a connection to the admin API ended badly");
    }
}

/// Says 503 on a connection for which there is no place. Its socket's buffer is empty, so this takes no time.
async fn turn_away<S: crate::net::Stream>(mut stream: S) {
    let _ = timeout(FAREWELL, async {
        stream.write_all(ANSWER_FULL).await?;
        stream.shutdown().await
    })
    .await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_503_announces_its_own_length_and_limit() {
        let text = std::str::from_utf8(ANSWER_FULL).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}", body.len())), "{} bytes", body.len());
        assert!(body.contains(&MAX_CONNECTIONS.to_string()));
    }
}
