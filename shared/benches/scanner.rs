//! What frame awareness costs: bytes through `receive`, in reads of 64 KiB.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use outrigger_shared::close::Side;
use outrigger_shared::limits::Policy;
use outrigger_shared::relay::{Negotiated, Received, Relay};
use outrigger_shared::time::Micros;

const READ: usize = 64 << 10;

/// As many masked binary messages with `payload` bytes each as fit one read. The payload is below 64 KiB.
fn messages(payload: u16) -> Vec<u8> {
    let mut one = vec![0x82];
    if payload < 126 {
        one.push(0x80 | payload.to_be_bytes()[1]);
    } else {
        one.push(0x80 | 0x7e);
        one.extend(payload.to_be_bytes());
    }
    one.extend([0x37, 0xfa, 0x21, 0x3d]);
    one.resize(one.len() + usize::from(payload), 0x55);
    one.repeat(READ / one.len())
}

fn relay() -> Relay {
    let policy = Policy { max_message_size: None, ..Policy::default() };
    Relay::websocket(Arc::new(policy), Negotiated::default(), 1, Micros(0))
}

fn forward_all(relay: &mut Relay, read: &[u8], now: Micros) {
    let received = relay.receive(Side::Client, black_box(read), now, &mut |_| {});
    assert_eq!(received, Received::Forward(read.len()));
}

fn scanner(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("receive");
    for (name, payload) in [("64 B messages", 64), ("1 KiB messages", 1024), ("16 KiB messages", 16 << 10)] {
        let read = messages(payload);
        let mut relay = relay();
        let mut now = 0;
        group.throughput(Throughput::Bytes(read.len() as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                now += 1;
                forward_all(&mut relay, &read, Micros(now));
            });
        });
    }

    let mut endless = vec![0x82, 0x80 | 0x7f];
    endless.extend(i64::MAX.to_be_bytes());
    endless.extend([0; 4]);
    let mut relay = relay();
    forward_all(&mut relay, &endless, Micros(0));
    let read = vec![0x55; READ];
    group.throughput(Throughput::Bytes(READ as u64));
    group.bench_function("one long frame", |bencher| {
        bencher.iter(|| forward_all(&mut relay, &read, Micros(1)));
    });

    let one = &messages(64)[..70];
    let mut relay = self::relay();
    group.throughput(Throughput::Elements(1));
    group.bench_function("one 64 B message per read, with its deadline", |bencher| {
        bencher.iter(|| {
            forward_all(&mut relay, one, Micros(1));
            black_box(relay.deadline());
        });
    });
    group.finish();
}

criterion_group!(benches, scanner);
criterion_main!(benches);
