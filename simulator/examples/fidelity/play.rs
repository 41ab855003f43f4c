//! The conversations.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use outrigger::net::{Endpoint, Net};
use outrigger::tls;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc::{Sender, channel};
use tokio::time::{Instant, sleep};

use crate::app::PUSH;
use crate::plan::{Figures, Plan};
use crate::wire::{BINARY, CLOSE, KEY, Wire, read_frame, read_head, wire, write, write_frame};

const SMALL_BYTES: usize = 100;
const WAITING_FIGURES: usize = 64;

/// Where the conversations take place.
pub(crate) trait Place: Clone + Send + Sync + 'static {
    type Net: Net;

    /// The client's network for a connection of this number.
    fn net(&self, number: u32) -> Self::Net;

    /// What the connection is known by to those who count bytes.
    fn key(&self, number: u32, stream: &<Self::Net as Net>::Stream) -> u32;

    /// What it has cost on the wire, up and down.
    fn wire_bytes(&self, key: u32) -> impl Future<Output = io::Result<[u64; 2]>> + Send;

    fn tls(&self) -> ClientConfig;
}

/// What a connection says after its handshakes.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Small,
    /// Echoes of so many kB.
    Large(usize),
    Pushes,
    Polls,
}

/// Has all conversations at the same time, and returns when the last one is over. Targets are plain and TLS.
pub(crate) async fn all<P: Place>(place: &P, plan: Plan, targets: [Endpoint; 2]) -> Figures {
    let (sender, mut told) = channel(WAITING_FIGURES);
    let mut number = 0;
    for (kind, connections) in [
        (Kind::Small, plan.small.0),
        (Kind::Large(plan.large_kb[0]), plan.large.0),
        (Kind::Large(plan.large_kb[1]), plan.large.0),
        (Kind::Pushes, plan.pushes.0),
        (Kind::Polls, plan.polls.0),
    ] {
        for _ in 0..connections {
            for (target, encrypted) in targets.iter().zip([false, true]) {
                number += 1;
                let talk = Talk {
                    place: place.clone(),
                    plan,
                    target: target.clone(),
                    encrypted,
                    number,
                    told: sender.clone(),
                };
                place.net(number).spawn(async move {
                    sleep(talk.plan.stagger() * talk.number).await;
                    if let Err(error) = talk.have(kind).await {
                        eprintln!("connection {} ({kind:?}) failed: {error}", talk.number);
                        talk.tell("failed", vec![1]).await;
                    }
                });
            }
        }
    }
    drop(sender);
    let mut figures = Figures::new();
    while let Some((cell, samples)) = told.recv().await {
        figures.entry(cell).or_default().push(samples);
    }
    figures
}

struct Talk<P> {
    place: P,
    plan: Plan,
    target: Endpoint,
    encrypted: bool,
    number: u32,
    told: Sender<(String, Vec<u64>)>,
}

impl<P: Place> Talk<P> {
    async fn have(&self, kind: Kind) -> io::Result<()> {
        let start = Instant::now();
        let net = self.place.net(self.number);
        let stream = net.connect(&self.target).await?;
        self.tell("connect", vec![since(start)]).await;
        let key = self.place.key(self.number, &stream);
        let mut stream = if self.encrypted {
            let start = Instant::now();
            let name = ServerName::try_from(outrigger_sim::crypto::SERVER_NAME).expect("it is a name");
            let config = Arc::new(self.place.tls());
            let stream = tls::connect(stream, config, name).await.map_err(io::Error::other)?;
            self.tell("TLS handshake", vec![since(start)]).await;
            wire(stream)
        } else {
            wire(stream)
        };
        if !matches!(kind, Kind::Polls) {
            self.upgrade(&mut stream).await?;
        }
        match kind {
            Kind::Small => self.small(&mut stream).await?,
            Kind::Large(kb) => self.large(&mut stream, kb).await?,
            Kind::Pushes => {
                // They come when the count has begun for sure.
                let first = 2 * self.plan.quiet();
                let wish =
                    format!("{PUSH}{} {} {}", self.plan.pushes.1, first.as_millis(), self.plan.spacing().as_millis());
                write_frame(&mut stream, BINARY, wish.as_bytes(), true).await?;
                self.counted("pushes", key, self.pushes(&mut stream)).await?;
            }
            Kind::Polls => self.counted("polls", key, self.polls(&mut stream)).await?,
        }
        if !matches!(kind, Kind::Polls) {
            write_frame(&mut stream, CLOSE, &1000_u16.to_be_bytes(), true).await?;
            read_frame(&mut stream).await?;
        }
        Ok(())
    }

    async fn upgrade(&self, stream: &mut Wire) -> io::Result<()> {
        let start = Instant::now();
        let request = format!(
            "GET / HTTP/1.1\r\nHost: app\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: {KEY}\r\n\r\n"
        );
        write(stream, request.as_bytes()).await?;
        match read_head(stream).await? {
            Some((head, _)) if head.starts_with("HTTP/1.1 101 ") => self.tell("upgrade", vec![since(start)]).await,
            head => return Err(io::Error::other(format!("no upgrade but {head:?}"))),
        }
        Ok(())
    }

    async fn small(&self, stream: &mut Wire) -> io::Result<()> {
        let mut times = Vec::new();
        for _ in 0..self.plan.small.1 {
            times.push(self.echo(stream, SMALL_BYTES).await?);
            sleep(self.plan.pause()).await;
        }
        self.tell("echo 100 B", times).await;
        Ok(())
    }

    async fn large(&self, stream: &mut Wire, kb: usize) -> io::Result<()> {
        let cold = self.echo(stream, kb * 1000).await?;
        self.tell(&format!("echo {kb} kB, cold"), vec![cold]).await;
        let mut times = Vec::new();
        for _ in 1..self.plan.large.1 {
            sleep(self.plan.pause()).await;
            times.push(self.echo(stream, kb * 1000).await?);
        }
        self.tell(&format!("echo {kb} kB, warm"), times).await;
        Ok(())
    }

    async fn echo(&self, stream: &mut Wire, bytes: usize) -> io::Result<u64> {
        let sent: Vec<u8> = (0_u8..251).cycle().take(bytes).collect();
        let start = Instant::now();
        write_frame(stream, BINARY, &sent, true).await?;
        let (_, back) = read_frame(stream).await?;
        let took = since(start);
        if back == sent { Ok(took) } else { Err(io::Error::other("the echo is another message")) }
    }

    async fn pushes(&self, stream: &mut Wire) -> io::Result<()> {
        for _ in 0..self.plan.pushes.1 {
            read_frame(stream).await?;
        }
        Ok(())
    }

    async fn polls(&self, stream: &mut Wire) -> io::Result<()> {
        for _ in 0..self.plan.polls.1 {
            write(stream, b"GET /news HTTP/1.1\r\nHost: app\r\nAccept: text/plain\r\n\r\n").await?;
            let Some((_, length)) = read_head(stream).await? else { return Err(io::ErrorKind::UnexpectedEof.into()) };
            stream.read_exact(&mut vec![0; length]).await?;
            sleep(self.plan.spacing()).await;
        }
        Ok(())
    }

    /// What `talk` costs on the wire, with nothing else in flight.
    async fn counted(&self, what: &str, key: u32, talk: impl Future<Output = io::Result<()>>) -> io::Result<()> {
        sleep(self.plan.quiet()).await;
        let before = self.place.wire_bytes(key).await?;
        talk.await?;
        sleep(self.plan.quiet()).await;
        let after = self.place.wire_bytes(key).await?;
        for (way, (after, before)) in ["up", "down"].into_iter().zip(after.into_iter().zip(before)) {
            self.tell(&format!("{what}, bytes {way}"), vec![after - before]).await;
        }
        Ok(())
    }

    async fn tell(&self, cell: &str, samples: Vec<u64>) {
        let layer = if self.encrypted { "TLS" } else { "plain" };
        // Nobody listens any more only when the play is over.
        let _ = self.told.send((format!("{layer}: {cell}"), samples)).await;
    }
}

fn since(start: Instant) -> u64 {
    let took: Duration = start.elapsed();
    u64::try_from(took.as_micros()).unwrap_or(u64::MAX)
}
