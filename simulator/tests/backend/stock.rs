//! What turmoil does by itself, and why its links are used as they are. When one of these no longer holds, see what
//! can be played by turmoil's own means.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;
use turmoil::net::{TcpListener, TcpStream};
use turmoil::{Builder, Sim};

const LATENCY: Duration = Duration::from_millis(50);

/// A client that sends a byte every 100 ms; the number of bytes that have come.
fn stream() -> (Sim<'static>, Arc<AtomicU64>) {
    let mut builder = Builder::new();
    builder.rng_seed(1).simulation_duration(Duration::from_mins(1));
    let mut sim = builder.build();
    let came = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&came);
    sim.host("server", move || {
        let counter = Arc::clone(&counter);
        async move {
            let listener = TcpListener::bind("0.0.0.0:80").await?;
            let (mut stream, _) = listener.accept().await?;
            let mut buf = [0; 64];
            loop {
                let read = stream.read(&mut buf).await?;
                counter.fetch_add(read as u64, Ordering::Relaxed);
            }
        }
    });
    sim.host("client", || async {
        let mut stream = TcpStream::connect("server:80").await?;
        loop {
            tokio::time::sleep(Duration::from_millis(100)).await;
            stream.write_all(b"x").await?;
        }
    });
    sim.set_link_latency("client", "server", LATENCY);
    (sim, came)
}

fn pass(sim: &mut Sim<'static>, time: Duration) {
    let until = sim.elapsed() + time;
    while sim.elapsed() < until {
        sim.step().unwrap();
    }
}

fn came_after(cut: impl Fn(&Sim<'static>), mend: impl Fn(&Sim<'static>)) -> u64 {
    let (mut sim, came) = stream();
    pass(&mut sim, Duration::from_secs(1));
    cut(&sim);
    pass(&mut sim, Duration::from_secs(1));
    mend(&sim);
    let before = came.load(Ordering::Relaxed);
    assert!(before > 0);
    pass(&mut sim, Duration::from_secs(10));
    came.load(Ordering::Relaxed) - before
}

#[test]
fn a_partition_of_a_second_stops_a_stream_for_good() {
    let came = came_after(|sim| sim.partition("client", "server"), |sim| sim.repair("client", "server"));
    assert_eq!(came, 0);
    let one_way = |sim: &Sim<'static>| sim.partition_oneway("client", "server");
    assert_eq!(came_after(one_way, |sim| sim.repair_oneway("client", "server")), 0);
}

#[test]
fn a_link_that_was_held_gives_everything_back() {
    let came = came_after(|sim| sim.hold("client", "server"), |sim| sim.release("client", "server"));
    assert!(came >= 105, "ten seconds at ten a second, and those of the second before: {came}");
}

#[test]
fn its_loss_stops_a_stream_for_good() {
    let (mut sim, came) = stream();
    sim.set_link_fail_rate("client", "server", 0.5);
    pass(&mut sim, Duration::from_secs(5));
    let before = came.load(Ordering::Relaxed);
    sim.set_link_fail_rate("client", "server", 0.0);
    pass(&mut sim, Duration::from_secs(10));
    assert_eq!(came.load(Ordering::Relaxed), before);
}

#[test]
fn a_connect_takes_one_way() {
    let mut sim = Builder::new().rng_seed(1).build();
    sim.host("server", || async {
        let listener = TcpListener::bind("0.0.0.0:80").await?;
        loop {
            listener.accept().await?;
        }
    });
    sim.client("client", async {
        let began = Instant::now();
        TcpStream::connect("server:80").await?;
        let took = began.elapsed();
        assert!(took < LATENCY + Duration::from_millis(5), "{took:?}");
        Ok(())
    });
    sim.set_link_latency("client", "server", LATENCY);
    sim.run().unwrap();
}

#[test]
fn more_syns_than_its_capacity_are_a_panic() {
    const CAPACITY: usize = 4;
    let mut sim = Builder::new().rng_seed(1).tcp_capacity(CAPACITY).build();
    sim.host("server", || async {
        let _listener = TcpListener::bind("0.0.0.0:80").await?;
        std::future::pending().await
    });
    sim.client("client", async {
        let mut dials = tokio::task::JoinSet::new();
        for _ in 0..=CAPACITY {
            dials.spawn(TcpStream::connect("server:80"));
        }
        while let Some(dialled) = dials.join_next().await {
            dialled??;
        }
        Ok(())
    });
    let ran = catch_unwind(AssertUnwindSafe(|| sim.run().map_err(|error| error.to_string())));
    assert!(ran.is_err(), "{ran:?}");
}
