//! The sidecar's own code on simulated hosts.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use outrigger::config::{self, Sources};
use outrigger::net::{Endpoint, Listener as _, Net};
use outrigger::server::{Server, Surroundings};
use outrigger::tls::{self};
use outrigger_sim::crypto;
use outrigger_sim::engine::{HostSpec, Options, World};
use outrigger_sim::history::Digest;
use outrigger_sim::middlebox::{End, Hop};
use outrigger_sim::net::SimNet;
use outrigger_sim::wan::{Link, Place};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{sleep, timeout};

use crate::support::{ms, run};

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
const PING: u8 = 0x89;
const PONG: u8 = 0x8a;

fn options(seed: u64) -> Options {
    Options::new(seed)
        .host(HostSpec::new("client", 0))
        .host(HostSpec::new("edge", 1))
        .host(HostSpec::new("app", 1))
        .link(Place::Region(0), Place::Region(1), Link::latency(20_000))
}

/// An app that upgrades and then sends every byte back, unmasked frames for masked ones of the same size.
async fn app(net: SimNet) {
    let listener = net.bind("0.0.0.0:3000".parse().unwrap()).await.unwrap();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let tasks = net.clone();
        let service = service_fn(move |request| {
            let answer = upgrade(request, &tasks);
            async move { Ok::<_, Infallible>(answer) }
        });
        net.spawn(async move {
            let serving = hyper::server::conn::http1::Builder::new()
                .auto_date_header(false)
                .serve_connection(TokioIo::new(stream), service);
            let _ = serving.with_upgrades().await;
        });
    }
}

fn upgrade(request: Request<Incoming>, net: &SimNet) -> Response<Empty<Bytes>> {
    assert_eq!(request.headers()[SEC_WEBSOCKET_KEY], KEY);
    net.spawn(async move {
        let mut socket = TokioIo::new(hyper::upgrade::on(request).await.unwrap());
        while let Ok((opcode, payload)) = read_frame(&mut socket).await {
            let opcode = if opcode == PING { PONG } else { opcode };
            if opcode != PONG || !payload.is_empty() {
                let mut frame = vec![opcode, u8::try_from(payload.len()).unwrap()];
                frame.extend(payload);
                if socket.write_all(&frame).await.is_err() {
                    return;
                }
            }
        }
    });
    let answer = Response::builder().status(StatusCode::SWITCHING_PROTOCOLS).header(SEC_WEBSOCKET_ACCEPT, ACCEPT);
    answer.header(UPGRADE, "websocket").header(CONNECTION, "Upgrade").body(Empty::new()).unwrap()
}

/// First byte and unmasked payload of a frame of less than 126 bytes.
async fn read_frame(stream: &mut (impl AsyncRead + Unpin)) -> std::io::Result<(u8, Vec<u8>)> {
    let mut head = [0; 2];
    stream.read_exact(&mut head).await?;
    let mut mask = [0; 4];
    if head[1] & 0x80 != 0 {
        stream.read_exact(&mut mask).await?;
    }
    let mut payload = vec![0; usize::from(head[1] & 0x7f)];
    stream.read_exact(&mut payload).await?;
    payload.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
    Ok((head[0], payload))
}

/// Sends a frame with a mask of zeros.
async fn write_frame(stream: &mut (impl AsyncWrite + Unpin), opcode: u8, payload: &[u8]) {
    let mut frame = vec![opcode, 0x80 | u8::try_from(payload.len()).unwrap(), 0, 0, 0, 0];
    frame.extend(payload);
    stream.write_all(&frame).await.unwrap();
}

/// Starts app and sidecar.
async fn start(world: World, listen: &str, keepalive: &str) {
    let (app_net, edge) = (world.host("app"), world.host("edge"));
    app_net.spawn(app(app_net.clone()));
    let setting = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let flags = vec![setting("upstream", "app:3000"), setting("listen", listen), setting("keepalive", keepalive)];
    let mut sources = Sources { flags, ..Sources::default() };
    if listen.starts_with("https") {
        sources.flags.push(setting("tls_cert", "test-cert.pem"));
        sources.flags.push(setting("tls_key", "test-key.pem"));
    }
    let (config, _) = config::resolve(&sources, None).unwrap_or_else(|report| panic!("{report}"));
    let crypto = crypto::crypto(&edge, edge.index());
    let tls = Some(crypto::server_side(&crypto));
    let observer = Arc::new(outrigger::telemetry::Log);
    let surroundings = Surroundings { crypto, tls, max_connections: 1000, observer, tracer: None, metrics: false };
    let server = Server::start(edge.clone(), &config, surroundings).await.unwrap();
    edge.spawn(server.run(std::future::pending(), std::future::pending()));
}

async fn dial(world: World, port: u16) -> outrigger_sim::net::SimStream {
    world.host("client").connect(&Endpoint::Tcp(world.host("edge").addr(port))).await.unwrap()
}

async fn open(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) {
    let request = format!(
        "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: {KEY}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(stream.read_u8().await.unwrap());
    }
    assert!(answer.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&answer));
}

async fn echo(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) {
    write_frame(stream, 0x82, b"hello").await;
    assert_eq!(read_frame(stream).await.unwrap(), (0x82, b"hello".to_vec()));
}

#[test]
fn the_sidecar_upgrades_echoes_and_pings_after_25_seconds_of_silence() {
    let outcome = run(options(1), |world| async move {
        start(world, "http://0.0.0.0:8080", "25s").await;
        let mut stream = dial(world, 8080).await;
        open(&mut stream).await;
        echo(&mut stream).await;
        let silent_since = world.now();
        let (opcode, _) = read_frame(&mut stream).await.unwrap();
        (opcode, world.now().checked_sub(silent_since).unwrap())
    });
    let (opcode, after) = outcome.result;
    assert_eq!(opcode, PING);
    assert!((ms(24_900)..ms(25_200)).contains(&after), "{after:?}");
}

/// Whether a session that says nothing for three minutes still echoes, behind a hop that cuts after one.
fn survives(keepalive: &'static str) -> bool {
    let mut options = options(1);
    options.hosts[1] = options.hosts[1].clone().hop(Hop::new("clb").idle(Duration::from_mins(1), End::Rst));
    let outcome = run(options, move |world| async move {
        start(world, "http://0.0.0.0:8080", keepalive).await;
        let mut stream = dial(world, 8080).await;
        open(&mut stream).await;
        let quiet_until = world.now() + Duration::from_mins(3);
        loop {
            match timeout(quiet_until.saturating_sub(world.now()), read_frame(&mut stream)).await {
                Ok(Ok((PING, payload))) => write_frame(&mut stream, PONG, &payload).await,
                Ok(Ok(frame)) => panic!("{frame:?}"),
                Ok(Err(_)) => return false,
                Err(_) => break,
            }
        }
        echo(&mut stream).await;
        true
    });
    assert_eq!(outcome.result, outcome.cuts.is_empty());
    outcome.result
}

#[test]
fn keepalive_carries_a_session_through_a_hop_that_cuts_idle_connections() {
    assert!(survives("25s"));
    assert!(!survives("off"));
}

/// Two echoes over TLS, and the digest over all packets.
fn encrypted(seed: u64) -> Digest {
    let outcome = run(options(seed), |world| async move {
        start(world, "https://0.0.0.0:8443", "25s").await;
        let client = world.host("client");
        let config = crypto::client_config(&crypto::crypto(&client, client.index()));
        let name = ServerName::try_from(crypto::SERVER_NAME).unwrap();
        for _ in 0..2 {
            let socket = dial(world, 8443).await;
            let mut stream = tls::connect(socket, Arc::new(config.clone()), name.clone()).await.unwrap();
            open(&mut stream).await;
            echo(&mut stream).await;
            echo(&mut stream).await;
            sleep(ms(100)).await;
        }
    });
    outcome.digest
}

#[test]
fn encrypted_packets_repeat_to_the_byte_on_other_threads() {
    let here = encrypted(1);
    let there = std::thread::spawn(|| encrypted(1)).join().unwrap();
    assert_eq!(here, there);
    assert_ne!(here.total, encrypted(2).total);
}

/// Set for a process that shall only say its digest.
const CHILD: &str = "OUTRIGGER_SIM_TEST_CHILD";

#[test]
#[expect(clippy::disallowed_methods, reason = "the test talks to itself in another process")]
fn encrypted_packets_repeat_to_the_byte_in_other_processes() {
    let total = encrypted(7).total;
    if std::env::var_os(CHILD).is_some() {
        println!("digest {total:016x}");
        return;
    }
    let own_name = "sidecar::encrypted_packets_repeat_to_the_byte_in_other_processes";
    let child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", own_name, "--nocapture"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(said.contains(&format!("digest {total:016x}")), "{said}");
}
