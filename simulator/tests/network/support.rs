//! What the tests share.

use std::time::Duration;

use outrigger::net::{Endpoint, Listener as _, Net};
use outrigger_sim::engine::{self, HostSpec, Options, Outcome, World};
use outrigger_sim::net::{SimNet, SimStream};
use outrigger_sim::wan::{Link, Place};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

pub(crate) const PORT: u16 = 80;

/// Two regions, `client` in one and `server` in the other.
pub(crate) fn two(seed: u64, link: Link) -> Options {
    Options::new(seed).host(HostSpec::new("client", 0)).host(HostSpec::new("server", 1).lives(3)).link(
        Place::Region(0),
        Place::Region(1),
        link,
    )
}

pub(crate) fn ms(time: u64) -> Duration {
    Duration::from_millis(time)
}

pub(crate) fn run<R: Send, F: Future<Output = R>>(
    options: Options,
    play: impl FnOnce(World) -> F + Send,
) -> Outcome<R> {
    engine::run(options, play).unwrap_or_else(|error| panic!("{error}"))
}

pub(crate) async fn dial(net: &SimNet, world: World) -> SimStream {
    net.connect(&Endpoint::Tcp(world.host("server").addr(PORT))).await.unwrap()
}

/// Sends back every message of this many bytes as soon as it is whole.
pub(crate) async fn echo(net: SimNet, bytes: usize) {
    let listener = net.bind("0.0.0.0:80".parse().unwrap()).await.unwrap();
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        net.spawn(async move {
            let mut message = vec![0; bytes];
            while stream.read_exact(&mut message).await.is_ok() && stream.write_all(&message).await.is_ok() {}
        });
    }
}

/// Starts [`echo`] on the server; done when it listens.
pub(crate) async fn serve_echo(world: World, bytes: usize) {
    let net = world.host("server");
    net.spawn(echo(net.clone(), bytes));
    tokio::task::yield_now().await;
}

/// One echo, and how long it took, in microseconds.
pub(crate) async fn echo_once(world: World, stream: &mut SimStream, bytes: usize) -> u64 {
    let start = world.now();
    let sent: Vec<u8> = (0..bytes).map(|i| u8::try_from(i % 251).unwrap()).collect();
    let mut back = vec![0; bytes];
    let (mut read, mut write) = tokio::io::split(stream);
    let (written, read) = tokio::join!(write.write_all(&sent), read.read_exact(&mut back));
    written.unwrap();
    read.unwrap();
    assert_eq!(sent, back);
    micros(world.now().checked_sub(start).unwrap())
}

pub(crate) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap()
}

/// Within so many per cent of what was measured.
#[track_caller]
pub(crate) fn close_to(found_us: u64, measured_ms: u64, percent: u64) {
    let measured = measured_ms * 1000;
    assert!(found_us.abs_diff(measured) * 100 <= measured * percent, "{found_us} µs, measured {measured_ms} ms");
}
