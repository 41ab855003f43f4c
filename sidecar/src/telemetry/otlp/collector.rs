//! The way to a collector: one connection at most, and one request at a time.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::{BufMut as _, Bytes, BytesMut};
use http::header::{CONTENT_TYPE, HOST, HeaderValue, TE, USER_AGENT};
use http::{HeaderMap, Method, Request, Uri, Version};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::answer::{self, Answer, GRPC_STATUS};
use super::tally::Signal;
use crate::config::{Export, OtlpProtocol, UpstreamTls};
use crate::net::{Endpoint, Net};
use crate::tls::{self, Crypto, LoadError};
use crate::transport::Transport;

/// Bytes of an answer that are read. A collector's are a few dozen.
const MAX_ANSWER_BYTES: usize = 64 * 1024;
/// Bytes of an answer's header that are read over HTTP/2; hyper's own limit over HTTP/1 is 100 lines and 400 KiB.
const MAX_HEADER_BYTES: u32 = 16 * 1024;
const AGENT: HeaderValue = HeaderValue::from_static(concat!("outrigger/", env!("CARGO_PKG_VERSION")));
const PROTOBUF: HeaderValue = HeaderValue::from_static("application/x-protobuf");
const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");

/// Why no answer came.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("cannot connect: {0}")]
    Connect(#[from] io::Error),
    #[error("TLS failed: {0}")]
    Tls(#[from] tls::HandshakeError),
    #[error("no answer: {0}")]
    Http(#[from] hyper::Error),
}

/// A collector for one signal.
pub(super) struct Collector<N: Net> {
    net: N,
    export: Export,
    uri: Uri,
    /// `None` where the URI has it, as in HTTP/2.
    host: Option<HeaderValue>,
    tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    connection: Option<Connection>,
}

/// A connection that is kept. With it its driver ends.
struct Connection {
    sender: Sender,
    _alive: oneshot::Sender<()>,
}

enum Sender {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

impl Sender {
    fn is_closed(&self) -> bool {
        match self {
            Self::Http1(sender) => sender.is_closed(),
            Self::Http2(sender) => sender.is_closed(),
        }
    }
}

impl<N: Net> Collector<N> {
    /// Fails if the authorities of its certificate cannot be read.
    pub(super) fn new(net: N, export: &Export, signal: Signal, crypto: &Crypto) -> Result<Self, LoadError> {
        let to = &export.to;
        let grpc = export.protocol == OtlpProtocol::Grpc;
        let scheme = if to.tls { "https" } else { "http" };
        let authority = if to.host.contains(':') {
            format!("[{}]:{}", to.host, to.port)
        } else {
            format!("{}:{}", to.host, to.port)
        };
        let path = match signal {
            _ if !grpc => to.path.as_str(),
            Signal::Traces => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
            Signal::Metrics => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
        };
        let whole = if grpc { format!("{scheme}://{authority}{path}") } else { path.to_owned() };
        let tls = to.tls.then(|| client_config(export, crypto)).transpose()?;
        let name = ServerName::try_from(to.host.clone()).map_err(|_| LoadError::Name { name: to.host.clone() });
        Ok(Self {
            net,
            uri: whole.parse().expect("it was taken out of a URI"),
            host: (!grpc).then(|| HeaderValue::from_str(&authority).expect("it was taken out of a URI")),
            tls: tls.map(|tls| Ok::<_, LoadError>((tls, name?))).transpose()?,
            export: export.clone(),
            connection: None,
        })
    }

    /// Hands a request to the collector, once, and says what came of it. Takes the configured timeout at most.
    pub(super) async fn hand_over(&mut self, message: &Bytes) -> Answer {
        let limit = self.export.timeout;
        let reused = self.connection.as_ref().is_some_and(|connection| !connection.sender.is_closed());
        let answer = timeout(limit, async {
            match self.ask(message).await {
                // The collector may have closed it just now, which says nothing of whether it is there.
                Err(Fault::Http(_)) if reused => self.ask(message).await,
                outcome => outcome,
            }
        });
        match answer.await {
            Ok(Ok(answer)) => answer,
            Ok(Err(fault)) => {
                self.connection = None;
                Answer::later(&fault)
            }
            Err(_) => {
                self.connection = None;
                Answer::later(&format!("no answer within {limit:?}"))
            }
        }
    }

    async fn ask(&mut self, message: &Bytes) -> Result<Answer, Fault> {
        // Whatever happens to this request, a connection with half of it underway is no good for another one.
        let connection = self.connection.take().filter(|connection| !connection.sender.is_closed());
        let mut connection = match connection {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        let request = self.request(message);
        let response = match &mut connection.sender {
            Sender::Http1(sender) => {
                sender.ready().await?;
                sender.send_request(request).await?
            }
            Sender::Http2(sender) => {
                sender.ready().await?;
                sender.send_request(request).await?
            }
        };
        let (parts, body) = response.into_parts();
        let status = parts.status.as_u16();
        let Ok(collected) = Limited::new(body, MAX_ANSWER_BYTES).collect().await else {
            return Ok(answer_cut(status));
        };
        self.connection = Some(connection);
        let trailers = collected.trailers().cloned();
        let body = collected.to_bytes();
        Ok(match self.export.protocol {
            OtlpProtocol::Http => answer::http(status, &parts.headers, &body, self.seconds()),
            // With nothing else to say, the status is in the header ("Trailers-Only").
            OtlpProtocol::Grpc => {
                let trailers = trailers.filter(|trailers| trailers.contains_key(GRPC_STATUS));
                answer::grpc(status, trailers.as_ref().unwrap_or(&parts.headers), &body)
            }
        })
    }

    fn request(&self, message: &Bytes) -> Request<Full<Bytes>> {
        let mut headers = HeaderMap::new();
        headers.extend(self.export.headers.iter().cloned());
        headers.insert(USER_AGENT, AGENT);
        let (body, version) = match self.export.protocol {
            OtlpProtocol::Http => {
                headers.insert(CONTENT_TYPE, PROTOBUF);
                (message.clone(), Version::HTTP_11)
            }
            OtlpProtocol::Grpc => {
                headers.insert(CONTENT_TYPE, GRPC);
                headers.insert(TE, HeaderValue::from_static("trailers"));
                (framed(message), Version::HTTP_2)
            }
        };
        if let Some(host) = &self.host {
            headers.insert(HOST, host.clone());
        }
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        *request.version_mut() = version;
        *request.headers_mut() = headers;
        request
    }

    async fn connect(&self) -> Result<Connection, Fault> {
        let to = &self.export.to;
        let mut outcome = Err(io::ErrorKind::NotFound.into());
        for address in self.net.resolve(&to.host, to.port).await? {
            outcome = self.net.connect(&Endpoint::Tcp(address)).await;
            if outcome.is_ok() {
                break;
            }
        }
        let transport = match &self.tls {
            None => Transport::Plain(outcome?),
            Some((config, name)) => {
                Transport::Tls(Box::new(tls::connect(outcome?, Arc::clone(config), name.clone()).await?))
            }
        };
        let io = TokioIo::new(transport);
        let (alive, ended) = oneshot::channel();
        let sender = match self.export.protocol {
            OtlpProtocol::Http => {
                let (sender, connection) = http1::handshake(io).await?;
                self.net.spawn(drive(connection, ended));
                Sender::Http1(sender)
            }
            OtlpProtocol::Grpc => {
                let mut builder = http2::Builder::new(Spawn(Arc::new(self.net.clone())));
                builder.timer(TokioTimer::new()).max_header_list_size(MAX_HEADER_BYTES);
                let (sender, connection) = builder.handshake(io).await?;
                self.net.spawn(drive(connection, ended));
                Sender::Http2(sender)
            }
        };
        Ok(Connection { sender, _alive: alive })
    }

    pub(super) fn wall_clock(&self) -> SystemTime {
        self.net.wall_clock()
    }

    fn seconds(&self) -> u64 {
        self.wall_clock().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
    }
}

/// An answer whose body broke off, or did not end where it should have.
fn answer_cut(status: u16) -> Answer {
    let why = format!("status {status}, and a body that breaks off or is over {MAX_ANSWER_BYTES} bytes");
    // Of an error nothing but the status is needed.
    match answer::http(status, &HeaderMap::new(), b"?", 0) {
        Answer::Later { after, .. } => Answer::Later { after, why },
        Answer::Refused { .. } => Answer::Refused { why },
        Answer::Accepted { .. } | Answer::Nonsense { .. } => Answer::Nonsense { why },
    }
}

/// A message of gRPC: not compressed, its length, and itself.
fn framed(message: &Bytes) -> Bytes {
    let mut framed = BytesMut::with_capacity(5 + message.len());
    framed.put_u8(0);
    framed.put_u32(u32::try_from(message.len()).expect("a batch is far below 4 GiB"));
    framed.extend_from_slice(message);
    framed.freeze()
}

/// Runs a connection until it ends, or nobody wants it any more.
async fn drive(connection: impl Future<Output = hyper::Result<()>>, mut unwanted: oneshot::Receiver<()>) {
    tokio::pin!(connection);
    tokio::select! {
        biased;
        // What is wrong with it is told to whoever asked.
        _ = &mut connection => {}
        _ = &mut unwanted => {}
    }
}

/// Runs hyper's tasks on the host.
#[derive(Clone)]
struct Spawn<N>(Arc<N>);

impl<N: Net, F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for Spawn<N> {
    fn execute(&self, task: F) {
        self.0.spawn(task);
    }
}

fn client_config(export: &Export, crypto: &Crypto) -> Result<Arc<ClientConfig>, LoadError> {
    let tls = UpstreamTls { trust: export.trust.clone(), identity: None, name: None };
    let mut config = tls::client_config(&tls, crypto)?;
    if export.protocol == OtlpProtocol::Grpc {
        config.alpn_protocols = vec![b"h2".to_vec()];
    }
    Ok(Arc::new(config))
}
