//! The app over loopback, spoken to in raw bytes, so that the test's own count is the truth the figures are held to.

use std::future::pending;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use super::*;

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
const CLOSE: u8 = 0x88;
const TEXT: u8 = 0x81;
const PONG: u8 = 0x8a;

fn wall_clock() -> SystemTime {
    UNIX_EPOCH + Duration::from_micros(1_700_000_000_000_001)
}

fn links() -> Links {
    Links { http: "http://127.0.0.1:8080".into(), https: "https://127.0.0.1:8443".into() }
}

/// The app without its generator: updates come when the test publishes them.
struct Demo {
    app: Arc<App>,
    address: SocketAddr,
    connections: JoinSet<io::Result<()>>,
    shutdown: Option<oneshot::Sender<()>>,
}

impl Demo {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let app = Arc::new(App::new(links(), wall_clock));
        let (shutdown, asked) = oneshot::channel();
        let mut connections = JoinSet::new();
        let asked = async {
            let _ = asked.await;
        };
        connections.spawn(accept(listener, Arc::clone(&app), asked));
        Self { app, address, connections, shutdown: Some(shutdown) }
    }

    fn publish(&self, updates: usize) {
        for _ in 0..updates {
            self.app.feed.publish(wall_clock());
        }
    }

    async fn get(&self, path: &str) -> Answer {
        Peer::connect(self.address).await.get(path).await
    }

    async fn stats(&self, client: &str) -> Value {
        self.get(&format!("/api/stats?client={client}")).await.json()
    }

    async fn stop(mut self) {
        let _ = self.shutdown.take().expect("not stopped yet").send(());
        self.connections.join_next().await.expect("the accept loop").expect("no panic").expect("no error");
    }
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.body);
        serde_json::from_str(&self.body).expect("JSON")
    }
}

/// One raw connection that counts what it sent and received.
struct Peer {
    socket: TcpStream,
    sent: usize,
    received: usize,
}

impl Peer {
    async fn connect(address: SocketAddr) -> Self {
        Self { socket: TcpStream::connect(address).await.expect("the app listens"), sent: 0, received: 0 }
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).await.expect("the app reads");
        self.sent += bytes.len();
    }

    async fn receive(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.socket.read_exact(&mut bytes).await.expect("the app goes on");
        self.received += length;
        bytes
    }

    async fn head(&mut self) -> (u16, String) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.extend(self.receive(1).await);
        }
        let head = String::from_utf8(head).expect("ASCII");
        (head[9..12].parse().expect("a status"), head)
    }

    async fn request(&mut self, text: &str) -> Answer {
        self.send(text.as_bytes()).await;
        let (status, head) = self.head().await;
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length = length.map_or(0, |length| length.parse().expect("a length"));
        let body = String::from_utf8(self.receive(length).await).expect("UTF-8");
        Answer { status, head, body }
    }

    async fn get(&mut self, path: &str) -> Answer {
        self.request(&format!("GET {path} HTTP/1.1\r\nHost: demo\r\n\r\n")).await
    }

    async fn open_websocket(&mut self, path: &str) {
        self.send(
            format!(
                "GET {path} HTTP/1.1\r\nHost: demo\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\
                 Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n"
            )
            .as_bytes(),
        )
        .await;
        let (status, head) = self.head().await;
        assert_eq!(status, 101, "{head}");
        assert!(head.contains(&format!("sec-websocket-accept: {ACCEPT}\r\n")), "{head}");
    }

    /// A short masked frame; the mask of zeros leaves the payload readable.
    async fn send_frame(&mut self, first_byte: u8, payload: &[u8]) {
        let length = u8::try_from(payload.len()).expect("short");
        self.send(&[&[first_byte, 0x80 | length, 0, 0, 0, 0], payload].concat()).await;
    }

    /// The next frame's first byte and payload.
    async fn frame(&mut self) -> (u8, Vec<u8>) {
        let head = self.receive(2).await;
        assert!(head[1] <= 125, "short and unmasked");
        (head[0], self.receive(head[1].into()).await)
    }

    async fn update(&mut self) -> Value {
        let (first_byte, payload) = self.frame().await;
        assert_eq!(first_byte, TEXT);
        serde_json::from_slice(&payload).expect("JSON")
    }

    async fn end(&mut self) {
        let mut rest = Vec::new();
        self.socket.read_to_end(&mut rest).await.expect("an orderly end");
        assert!(rest.is_empty(), "{rest:?}");
    }

    fn bytes(&self) -> Value {
        json!([self.sent, self.received])
    }
}

fn bytes(counts: &Value) -> Value {
    json!([counts["bytes_in"], counts["bytes_out"]])
}

#[tokio::test]
async fn a_poll_returns_the_updates_since_n() {
    let demo = Demo::start().await;
    demo.publish(5);
    let polled = demo.get("/api/updates?since=3&client=a").await;
    assert!(polled.head.contains("cache-control: no-store\r\n"), "{}", polled.head);
    let polled = polled.json();
    assert_eq!(polled["latest"], 5);
    assert_eq!(polled["updates"].as_array().map(Vec::len), Some(2));
    assert_eq!(polled["updates"][0]["sequence"], 4);
    assert_eq!(polled["updates"][1]["sequence"], 5);
    assert_eq!(polled["updates"][1]["created_us"], 1_700_000_000_000_001_u64);

    let empty = demo.get("/api/updates?since=5&client=a").await.json();
    assert_eq!(empty, json!({"latest": 5, "updates": []}));
    let before_a_restart = demo.get("/api/updates?since=9&client=b").await.json();
    assert_eq!(before_a_restart, json!({"latest": 5, "updates": []}));
    let polling = &demo.stats("a").await["polling"];
    assert_eq!(
        (&polling["requests"], &polling["messages"], &polling["updates"], &polling["empty"]),
        (&json!(2), &json!(2), &json!(2), &json!(1))
    );
}

#[tokio::test]
async fn who_polls_too_late_gets_what_is_kept() {
    let demo = Demo::start().await;
    demo.publish(feed::MAX_HISTORY + 7);
    let polled = demo.get("/api/updates?client=a").await.json();
    assert_eq!(polled["updates"].as_array().map(Vec::len), Some(feed::MAX_HISTORY));
    assert_eq!(polled["updates"][0]["sequence"], 8);
}

#[tokio::test]
async fn the_bytes_of_a_poll_are_those_on_the_wire() {
    let demo = Demo::start().await;
    demo.publish(3);
    let mut peer = Peer::connect(demo.address).await;
    // Requests that are not counted go over the same connection before, between and after.
    peer.get("/api/time").await;
    peer.get("/").await;
    let (sent, received) = (peer.sent, peer.received);
    peer.get("/api/updates?client=a&since=1").await;
    let poll = json!([peer.sent - sent, peer.received - received]);
    peer.get("/api/info").await;
    peer.get("/api/updates?client=b").await;
    assert_eq!(bytes(&demo.stats("a").await["polling"]), poll);
    peer.get("/api/updates?client=a&since=1").await;
    let stats = demo.stats("a").await;
    assert_eq!(stats["polling"]["bytes_in"].as_u64(), poll[0].as_u64().map(|once| 2 * once));
    assert_eq!(stats["polling"]["bytes_out"].as_u64(), poll[1].as_u64().map(|once| 2 * once));
    assert_eq!(
        stats["push"],
        json!({"requests": 0, "messages": 0, "updates": 0, "empty": 0, "bytes_in": 0, "bytes_out": 0})
    );
}

#[tokio::test]
async fn each_update_arrives_once_as_a_message_and_every_byte_is_counted() {
    let demo = Demo::start().await;
    demo.publish(2);
    let mut peer = Peer::connect(demo.address).await;
    peer.open_websocket("/ws?client=a&since=1").await;
    assert_eq!(peer.update().await["sequence"], 2);
    demo.publish(2);
    assert_eq!(peer.update().await["sequence"], 3);
    assert_eq!(peer.update().await["sequence"], 4);
    let push = demo.stats("a").await["push"].clone();
    assert_eq!((&push["requests"], &push["messages"], &push["updates"]), (&json!(1), &json!(3), &json!(3)));
    assert_eq!(bytes(&push), peer.bytes());

    peer.send_frame(0x89, b"are you there").await;
    assert_eq!(peer.frame().await, (PONG, b"are you there".to_vec()));
    peer.send_frame(CLOSE, &1000_u16.to_be_bytes()).await;
    assert_eq!(peer.frame().await, (CLOSE, 1000_u16.to_be_bytes().to_vec()));
    peer.end().await;
    let stats = demo.stats("a").await;
    assert_eq!(bytes(&stats["push"]), peer.bytes());
    assert_eq!(stats["polling"]["requests"], 0);
}

#[tokio::test]
async fn a_close_without_a_code_is_answered_without_one() {
    let demo = Demo::start().await;
    let mut peer = Peer::connect(demo.address).await;
    peer.open_websocket("/ws?client=a").await;
    peer.send_frame(CLOSE, b"").await;
    assert_eq!(peer.frame().await, (CLOSE, vec![]));
    peer.end().await;
}

#[tokio::test]
async fn what_breaks_the_protocol_is_closed_with_its_code() {
    let demo = Demo::start().await;
    let oversized = [&[0x82, 0xfe, 0xff, 0xff][..], &[0; 4]].concat();
    let cases: [(&[u8], u16); 5] = [
        (&[0xc1, 0x80, 0, 0, 0, 0], 1002),             // a reserved bit without an extension
        (&[0x83, 0x80, 0, 0, 0, 0], 1002),             // a reserved opcode
        (&[0x88, 0x82, 0, 0, 0, 0, 0x03, 0xed], 1002), // a close code that must not be sent, 1005
        (&[0x81, 0x81, 0, 0, 0, 0, 0xff], 1007),       // text that is not UTF-8
        (&oversized, 1009),
    ];
    for (frame, code) in cases {
        let mut peer = Peer::connect(demo.address).await;
        peer.open_websocket("/ws?client=a").await;
        peer.send(frame).await;
        assert_eq!(peer.frame().await, (CLOSE, code.to_be_bytes().to_vec()), "{frame:x?}");
        peer.end().await;
    }
}

#[tokio::test]
async fn malformed_queries_get_400() {
    let demo = Demo::start().await;
    let long = format!("/api/updates?client={}", "a".repeat(clients::MAX_CLIENT_ID + 1));
    for path in [
        "/api/updates",
        "/api/updates?since=1",
        "/api/updates?client=",
        "/api/updates?client=a%20b",
        "/api/updates?client=a&client=b",
        "/api/updates?client=a&since=",
        "/api/updates?client=a&since=-1",
        "/api/updates?client=a&since=+1",
        "/api/updates?client=a&since=18446744073709551616",
        "/api/updates?client=a&since=1&since=2",
        "/api/updates?client=a&sinse=1",
        "/api/updates?client=a&since",
        "/api/stats",
        "/ws",
        &long,
    ] {
        assert_eq!(demo.get(path).await.status, 400, "{path}");
    }
    assert_eq!(demo.get("/api/updates?client=a&since=18446744073709551615").await.json()["updates"], json!([]));
}

#[tokio::test]
async fn an_upgrade_that_is_none_is_refused_and_http_goes_on() {
    let demo = Demo::start().await;
    let mut peer = Peer::connect(demo.address).await;
    let refused = peer.get("/ws?client=a").await;
    assert_eq!(refused.status, 426);
    assert!(refused.head.contains("upgrade: websocket\r\n"), "{}", refused.head);
    let ask = "GET /ws?client=a HTTP/1.1\r\nHost: demo\r\nConnection: upgrade\r\nUpgrade: websocket\r\n";
    let refused = peer.request(&format!("{ask}Sec-WebSocket-Version: 8\r\nSec-WebSocket-Key: {KEY}\r\n\r\n")).await;
    assert_eq!(refused.status, 426);
    assert!(refused.head.contains("sec-websocket-version: 13\r\n"), "{}", refused.head);
    let refused = peer.request(&format!("{ask}Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: short\r\n\r\n")).await;
    assert_eq!(refused.status, 400);
    assert_eq!(demo.stats("a").await["push"]["requests"], 0);
    assert_eq!(peer.get("/api/time").await.json(), json!({"now_us": 1_700_000_000_000_001_u64}));
}

#[tokio::test]
async fn the_page_is_one_file_that_may_fetch_nothing_else() {
    let demo = Demo::start().await;
    let page = demo.get("/").await;
    assert_eq!(page.status, 200);
    assert!(page.head.contains("content-security-policy: default-src 'none';"), "{}", page.head);
    for hook in [
        "push-updates",
        "poll-updates",
        "push-bytes",
        "poll-bytes",
        "push-requests",
        "poll-requests",
        "push-delay-p50",
        "poll-delay-p50",
        "transport",
        "state",
    ] {
        assert_eq!(page.body.matches(&format!("id=\"{hook}\"")).count(), 1, "{hook}");
    }
    for fetch in ["<script src", "<link rel=\"stylesheet", "@import", "url("] {
        assert!(!page.body.contains(fetch), "{fetch}");
    }
}

#[tokio::test]
async fn other_paths_and_methods_are_refused() {
    let demo = Demo::start().await;
    assert_eq!(demo.get("/favicon.ico").await.status, 404);
    let mut peer = Peer::connect(demo.address).await;
    let refused = peer.request("POST / HTTP/1.1\r\nHost: demo\r\nContent-Length: 2\r\n\r\nhi").await;
    assert_eq!(refused.status, 405);
    assert!(refused.head.contains("allow: GET\r\n"), "{}", refused.head);
    assert_eq!(peer.get("/api/info").await.json(), json!({"links": links(), "latest": 0}));
}

#[tokio::test]
async fn connections_over_the_limit_wait_for_a_place() {
    let demo = Demo::start().await;
    let mut peers = Vec::new();
    for _ in 0..MAX_CONNECTIONS {
        let mut peer = Peer::connect(demo.address).await;
        assert_eq!(peer.get("/api/time").await.status, 200);
        peers.push(peer);
    }
    let mut late = Peer::connect(demo.address).await;
    late.send(b"GET /api/time HTTP/1.1\r\nHost: demo\r\n\r\n").await;
    // The app answers those it serves, and has had every chance to take the late one.
    assert_eq!(peers[0].get("/api/time").await.status, 200);
    let mut byte = [0];
    assert_eq!(late.socket.try_read(&mut byte).map_err(|error| error.kind()), Err(io::ErrorKind::WouldBlock));
    drop(peers.pop());
    assert_eq!(late.head().await.0, 200);
}

#[tokio::test]
async fn a_shutdown_closes_websockets_with_1001_and_ends() {
    let demo = Demo::start().await;
    let mut peer = Peer::connect(demo.address).await;
    peer.open_websocket("/ws?client=a").await;
    let mut idle = Peer::connect(demo.address).await;
    idle.get("/api/time").await;
    let stopping = tokio::join!(demo.stop(), async {
        let (first_byte, payload) = peer.frame().await;
        assert_eq!((first_byte, &payload[..2]), (CLOSE, &1001_u16.to_be_bytes()[..]));
        peer.send_frame(CLOSE, &1001_u16.to_be_bytes()).await;
        peer.end().await;
        idle.end().await;
    });
    assert_eq!(stopping, ((), ()));
}

#[tokio::test]
async fn serve_makes_updates_of_its_own() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let mut serving = JoinSet::new();
    serving.spawn(serve(listener, links(), wall_clock, pending()));
    let mut peer = Peer::connect(address).await;
    peer.open_websocket("/ws?client=a").await;
    assert_eq!(peer.update().await["sequence"], 1);
    assert_eq!(peer.update().await["sequence"], 2);
    let polled = peer_poll(address).await;
    assert_eq!(polled["updates"][1]["sequence"], 2);
}

async fn peer_poll(address: SocketAddr) -> Value {
    Peer::connect(address).await.get("/api/updates?client=a").await.json()
}
