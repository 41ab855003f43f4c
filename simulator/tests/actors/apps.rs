//! The app, spoken to in raw bytes.

use outrigger::net::{Endpoint, Net as _};
use outrigger_sim::actors::{AppOptions, WritePattern};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

use crate::memory::MemoryNet;
use crate::world::World;

async fn world(options: AppOptions) -> (World<MemoryNet>, DuplexStream) {
    let world = World::new(MemoryNet::default(), options).await;
    let stream = world.net.connect(&Endpoint::Tcp(world.app)).await.unwrap();
    (world, stream)
}

async fn ask(stream: &mut DuplexStream, path: &str, headers: &str) -> String {
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: app\r\n{headers}\r\n").as_bytes()).await.unwrap();
    piece(stream).await
}

/// What one read gives, which in memory is what was written before the reader's turn.
async fn piece(stream: &mut DuplexStream) -> String {
    let mut bytes = vec![0; 64 * 1024];
    let length = stream.read(&mut bytes).await.unwrap();
    bytes.truncate(length);
    String::from_utf8(bytes).unwrap()
}

#[tokio::test(start_paused = true)]
async fn header_and_body_come_together() {
    let (world, mut stream) = world(AppOptions::default()).await;
    world.feed.publish(50);
    let answer = ask(&mut stream, "/updates?since=0", "").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.ends_with("\"}]}"), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn header_and_body_come_apart() {
    let (world, mut stream) = world(AppOptions { write: WritePattern::Apart, ..AppOptions::default() }).await;
    world.feed.publish(50);
    let header = ask(&mut stream, "/updates?since=0", "").await;
    assert!(header.ends_with("\r\n\r\n"), "{header}");
    let body = piece(&mut stream).await;
    assert!(header.contains(&format!("content-length: {}\r\n", body.len())), "{header}");
    assert!(body.starts_with("{\"latest\":1,\"updates\":[{\"seq\":1,\"at\":0,\"pad\":\"xxx"), "{body}");
    assert_eq!(body.len(), "{\"latest\":1,\"updates\":[]}".len() + 50);
}

#[tokio::test(start_paused = true)]
async fn takes_its_time() {
    let processing = (Duration::from_millis(20), Duration::from_millis(30));
    let (world, mut stream) = world(AppOptions { processing, ..AppOptions::default() }).await;
    for _ in 0..20 {
        let began = world.clock.now_us();
        ask(&mut stream, "/updates?since=0", "").await;
        let took = (world.clock.now_us() - began) / 1000;
        assert!((20..=31).contains(&took), "{took}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_etag_belongs_to_what_it_came_with() {
    let (world, mut stream) = world(AppOptions::default()).await;
    let answer = ask(&mut stream, "/updates?since=0", "").await;
    assert!(answer.contains("etag: \"0\"\r\n"), "{answer}");
    let answer = ask(&mut stream, "/updates?since=0", "if-none-match: \"0\"\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 304 ") && answer.ends_with("\r\n\r\n"), "{answer}");
    world.feed.publish(50);
    let answer = ask(&mut stream, "/updates?since=0", "if-none-match: \"0\"\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("etag: \"1\"\r\n"), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn a_silent_event_stream_gets_comments_and_resumes_where_told() {
    let (world, mut stream) = world(AppOptions::default()).await;
    for _ in 0..3 {
        world.feed.publish(40);
    }
    let header = ask(&mut stream, "/events?since=0", "last-event-id: 2\r\n").await;
    assert!(header.contains("content-type: text/event-stream\r\n"), "{header}");
    let update = "id: 3\ndata: {\"seq\":3,\"at\":0,\"pad\":\"";
    let first = if header.ends_with("\r\n\r\n") { piece(&mut stream).await } else { header };
    assert!(first.contains(update) && !first.contains("id: 2"), "{first}");
    let comment = piece(&mut stream).await;
    assert!(comment.contains("\n:\n\n"), "{comment:?}");
    assert_eq!(world.clock.now_us() / 1_000_000, 15);
}

#[tokio::test(start_paused = true)]
async fn refuses_what_it_does_not_know() {
    let (_world, mut stream) = world(AppOptions::default()).await;
    for (path, status) in [("/other", 404), ("/updates?since=x", 400), ("/ws", 426)] {
        let answer = ask(&mut stream, path, "").await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{path}: {answer}");
    }
}
