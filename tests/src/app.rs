//! The app behind the sidecar: it follows a script, and it records every byte of every connection, so that a
//! test can say what did *not* reach it.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::ops::{Deref, DerefMut};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::Instant;

use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, getsockname, listen, socket_with};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::http::{Head, lines};
use crate::wire::{End, Tape, Transport, Wire};
use crate::ws::{CLOSE, Frame, PING, PONG, frames, switching};
use crate::{PATIENCE, show};

/// What one connection brought.
#[derive(Clone, Default)]
pub struct Seen {
    /// Every byte, in order (over TLS: decrypted).
    pub bytes: Vec<u8>,
    /// The heads that the script took as requests.
    pub requests: Vec<Head>,
    /// How the sidecar ended its direction, once it has and the script has read so far.
    pub end: Option<End>,
}

impl std::fmt::Debug for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "connection with {}, end {:?}", show(&self.bytes), self.end)
    }
}

/// A listening app. Drop stops it.
pub struct App {
    addr: SocketAddr,
    record: Arc<Record>,
    stop: Arc<AtomicBool>,
}

#[derive(Default)]
struct Record {
    seen: Mutex<Vec<Seen>>,
    changed: Condvar,
}

impl Record {
    fn lock(&self) -> MutexGuard<'_, Vec<Seen>> {
        self.seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn update(&self, index: usize, change: impl FnOnce(&mut Seen)) {
        change(&mut self.lock()[index]);
        self.changed.notify_all();
    }
}

/// One connection from the sidecar, as the script sees it.
pub struct Conn {
    wire: Wire,
    index: usize,
    record: Arc<Record>,
}

impl App {
    /// An app that runs `script` once per connection, each on a thread of its own. The connection closes when
    /// the script returns.
    pub fn scripted(script: impl Fn(&mut Conn) + Send + Sync + 'static) -> App {
        App::start(None, script)
    }

    /// The same behind TLS.
    pub fn scripted_tls(config: Arc<ServerConfig>, script: impl Fn(&mut Conn) + Send + Sync + 'static) -> App {
        App::start(Some(config), script)
    }

    /// An app with keep-alive that gives `answer(request, body)` to every request.
    pub fn http(answer: impl Fn(&Head, &[u8]) -> String + Send + Sync + 'static) -> App {
        App::scripted(move |conn| conn.serve(&answer))
    }

    /// An app that answers 200 with `ok` and its length to everything.
    pub fn ok() -> App {
        App::http(|_, _| response(200, &[], "ok"))
    }

    /// An app that upgrades and echoes every message; what is no upgrade gets 200.
    pub fn echo() -> App {
        App::scripted(Conn::serve_echo)
    }

    /// An app that answers an upgrade with these bytes, whatever it asked for, and then reads to the end.
    pub fn answering(answer: impl Fn(&Head) -> String + Send + Sync + 'static) -> App {
        App::scripted(move |conn| {
            if let Some(request) = conn.request() {
                conn.send(answer(&request));
                conn.rest();
            }
        })
    }

    /// An app that begins with this listener, for example one of a [`Reserved`] port.
    pub fn on(
        listener: TcpListener,
        tls: Option<Arc<ServerConfig>>,
        script: impl Fn(&mut Conn) + Send + Sync + 'static,
    ) -> App {
        let app = App {
            addr: listener.local_addr().expect("a bound socket"),
            record: Arc::default(),
            stop: Arc::new(AtomicBool::new(false)),
        };
        let (record, stop, script) = (app.record.clone(), app.stop.clone(), Arc::new(script));
        thread::spawn(move || {
            for tcp in listener.incoming() {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(tcp) = tcp else { continue };
                let index = {
                    let mut seen = record.lock();
                    seen.push(Seen::default());
                    seen.len() - 1
                };
                record.changed.notify_all();
                let (record, script, tls) = (record.clone(), script.clone(), tls.clone());
                thread::spawn(move || script(&mut Conn::new(tcp, tls, index, record)));
            }
        });
        app
    }

    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// What every connection has brought so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.record.lock().clone()
    }

    /// Waits until `look` finds what it looks for; fails with all that was seen.
    #[track_caller]
    pub fn wait<T>(&self, what: &str, look: impl Fn(&[Seen]) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        let mut seen = self.record.lock();
        loop {
            if let Some(found) = look(&seen) {
                return found;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "the app waited for {what}, but saw {seen:#?}");
            seen = self.record.changed.wait_timeout(seen, left).expect("no panic under this lock").0;
        }
    }

    /// Waits for the `n`th request (from 0), counted over all connections in the order of arrival per connection.
    #[track_caller]
    pub fn request(&self, n: usize) -> Head {
        self.wait(&format!("request {n}"), |seen| seen.iter().flat_map(|s| &s.requests).nth(n).cloned())
    }

    /// Waits for a frame that reached the app, on its first connection and behind the upgrade; gives all so far.
    #[track_caller]
    pub fn wait_frame(&self, what: &str, matches: impl Fn(&Frame) -> bool) -> Vec<Frame> {
        self.wait(what, |seen| {
            let conn = seen.first()?;
            let frames = frames(conn.bytes.get(conn.requests.first()?.raw.len()..)?);
            frames.iter().any(&matches).then_some(frames)
        })
    }

    /// Waits for the Close that the app is owed, and checks that it is masked as a client's must be.
    #[track_caller]
    pub fn wait_close(&self) -> Frame {
        let frames = self.wait_frame("a Close", |frame| frame.opcode == CLOSE);
        let close = frames.into_iter().find(|frame| frame.opcode == CLOSE).expect("it was just found");
        assert!(close.mask.is_some(), "a frame towards the app must be masked: {close:?}");
        close
    }

    /// Waits until every connection has ended, and there is one at least.
    #[track_caller]
    pub fn wait_all_ended(&self) -> Vec<Seen> {
        self.wait("the end of every connection", |seen| {
            (!seen.is_empty() && seen.iter().all(|s| s.end.is_some())).then(|| seen.to_vec())
        })
    }

    fn start(tls: Option<Arc<ServerConfig>>, script: impl Fn(&mut Conn) + Send + Sync + 'static) -> App {
        App::on(TcpListener::bind("127.0.0.1:0").expect("a free port"), tls, script)
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // Wakes the accepting thread, which then sees the flag.
        let _ = TcpStream::connect(self.addr);
    }
}

impl Conn {
    fn new(tcp: TcpStream, tls: Option<Arc<ServerConfig>>, index: usize, record: Arc<Record>) -> Conn {
        let io: Box<dyn Transport> = match tls {
            None => Box::new(tcp),
            Some(config) => {
                Box::new(StreamOwned::new(ServerConnection::new(config).expect("a correct configuration"), tcp))
            }
        };
        let shared = record.clone();
        let tape: Tape = Box::new(move |what| {
            shared.update(index, |seen| match what {
                Ok(bytes) => seen.bytes.extend_from_slice(bytes),
                Err(end) => seen.end = Some(end),
            });
        });
        Conn { wire: Wire::over(io, Some(tape)), index, record }
    }

    /// Which connection this is, from 0 in the order of accepting.
    pub fn index(&self) -> usize {
        self.index
    }

    /// Takes a request's head and records it; `None` once the sidecar has closed.
    pub fn request(&mut self) -> Option<Head> {
        let head = self.wire.try_head().ok()?;
        self.record.update(self.index, |seen| seen.requests.push(head.clone()));
        Some(head)
    }

    /// Takes a request, upgrades it with these extra response lines, and gives its head.
    pub fn upgrade(&mut self, extra: &[&str]) -> Option<Head> {
        let request = self.request()?;
        self.send(switching(&request, extra));
        Some(request)
    }

    /// Keep-alive: every request gets `answer(request, body)` until the sidecar closes.
    pub fn serve(&mut self, answer: impl Fn(&Head, &[u8]) -> String) {
        while let Some(request) = self.request() {
            if request.has_token("expect", "100-continue") {
                self.send("HTTP/1.1 100 Continue\r\n\r\n");
            }
            let Ok(body) = self.try_request_body(&request) else { return };
            self.send(answer(&request, &body));
        }
    }

    /// Upgrades, echoes messages and answers pings until a Close, which it answers; a plain request gets 200.
    pub fn serve_echo(&mut self) {
        while let Some(request) = self.request() {
            if request.get("upgrade").is_none() {
                self.send(response(200, &[], "ok"));
                continue;
            }
            self.send(switching(&request, &[]));
            while let Ok(frame) = self.try_frame() {
                match frame.opcode {
                    PONG => continue,
                    PING => self.send(Frame::app(PONG, &frame.payload).bytes()),
                    _ => self.send(Frame { mask: None, ..frame.clone() }.bytes()),
                }
                if frame.opcode == CLOSE {
                    self.finish();
                    break;
                }
            }
            self.rest();
        }
    }
}

impl Deref for Conn {
    type Target = Wire;
    fn deref(&self) -> &Wire {
        &self.wire
    }
}

impl DerefMut for Conn {
    fn deref_mut(&mut self) -> &mut Wire {
        &mut self.wire
    }
}

/// A port on which nobody listens, and which nobody else gets while this lives.
pub struct Reserved {
    socket: OwnedFd,
    addr: SocketAddr,
}

impl Reserved {
    pub fn new() -> Reserved {
        let socket = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None);
        let socket = socket.expect("a file descriptor is free");
        bind(&socket, &SocketAddr::from(([127, 0, 0, 1], 0))).expect("a port is free");
        let addr = getsockname(&socket).expect("a bound socket").try_into().expect("an address of IPv4");
        Reserved { socket, addr }
    }

    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// From now on somebody listens.
    pub fn listen(self) -> TcpListener {
        listen(&self.socket, 128).expect("a bound socket");
        TcpListener::from(self.socket)
    }
}

impl Default for Reserved {
    fn default() -> Self {
        Reserved::new()
    }
}

/// A response with a body and its length.
pub fn response(status: u16, extra: &[&str], body: &str) -> String {
    format!("HTTP/1.1 {status} Status\r\nContent-Length: {}\r\n{}\r\n{body}", body.len(), lines(extra))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ws::TEXT;

    #[test]
    fn an_echoing_app_echoes_and_records() {
        let app = App::echo();
        let mut client = Wire::plain(app.addr());
        client.open("/a", &[]);
        client.echo("straight to the app");
        client.send(Frame::client(CLOSE, Frame::close_payload(1000, "bye")).bytes());
        client.expect_close(1000);
        drop(client);
        let seen = app.wait_all_ended();
        assert_eq!(seen[0].requests[0].target(), "/a");
        let message = Frame::client(TEXT, "straight to the app").bytes();
        assert!(crate::http::find(&seen[0].bytes, &message).is_some(), "{seen:?}");
    }

    #[test]
    fn keep_alive_is_one_connection() {
        let app = App::ok();
        let mut client = Wire::plain(app.addr());
        for _ in 0..2 {
            let response = client.ask("POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi").expect(200);
            assert_eq!(response.text(), "ok");
        }
        assert_eq!(app.seen().len(), 1);
        assert_eq!(app.request(1).method(), "POST");
    }
}
