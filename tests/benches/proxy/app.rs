//! The app behind every proxy: one thread, all connections, every byte checked.
//!
//! What a connection does follows from its target: `/echo` echoes messages; `/sink/N` takes N stream frames, says so,
//! and then echoes; `/source/N` sends N stream frames after the first message, and then echoes.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::LazyLock;
use std::thread;

use outrigger_tests::ws::{BINARY, CLOSE, Frame, PING, PONG, TEXT, accept_for};
use rustix::buffer::spare_capacity;
use rustix::event::epoll;

/// Payload bytes of a frame of the stream cells.
pub(crate) const STREAM_PAYLOAD_BYTES: usize = 64 * 1024;
/// Bytes taken from a socket at once.
const READ_BYTES: usize = 256 * 1024;
/// Events taken at once.
const EVENTS: usize = 256;
const LISTENER: u64 = u64::MAX;

/// A stream frame as a client sends it.
pub(crate) static CLIENT_STREAM: LazyLock<Vec<u8>> = LazyLock::new(|| Frame::client(BINARY, stream_payload()).bytes());
/// A stream frame as the app sends it.
pub(crate) static APP_STREAM: LazyLock<Vec<u8>> = LazyLock::new(|| Frame::app(BINARY, stream_payload()).bytes());

fn stream_payload() -> Vec<u8> {
    (0..=250).cycle().take(STREAM_PAYLOAD_BYTES).collect()
}

/// Checks that `bytes` are what stands at `at` in an endless repetition of `frame`.
pub(crate) fn check_stream(frame: &[u8], at: u64, mut bytes: &[u8]) {
    let mut within = usize::try_from(at % frame.len() as u64).expect("less than a frame");
    while !bytes.is_empty() {
        let n = bytes.len().min(frame.len() - within);
        assert!(bytes[..n] == frame[within..within + n], "the stream's bytes have changed on their way");
        (bytes, within) = (&bytes[n..], 0);
    }
}

/// The app's address; it runs until the process ends.
pub(crate) struct App(SocketAddr);

impl App {
    pub(crate) fn start() -> App {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let addr = listener.local_addr().expect("a bound socket");
        thread::spawn(move || {
            // A wrong byte ends the run: no proxy may look good by losing some.
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| serve(&listener)));
            eprintln!("the app has ended: {:?}", outcome.map(|result| result.map(|never| match never {})));
            std::process::exit(1);
        });
        App(addr)
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.0
    }
}

enum Never {}

fn serve(listener: &TcpListener) -> io::Result<Never> {
    listener.set_nonblocking(true)?;
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    epoll::add(&poll, listener, epoll::EventData::new_u64(LISTENER), epoll::EventFlags::IN)?;
    let mut peers: Vec<Option<Peer>> = Vec::new();
    let mut free: Vec<usize> = Vec::new();
    let mut buffer = vec![0; READ_BYTES];
    let mut events = Vec::with_capacity(EVENTS);
    loop {
        epoll::wait(&poll, spare_capacity(&mut events), None)?;
        for event in events.drain(..) {
            if event.data.u64() == LISTENER {
                while let Ok((stream, _)) = listener.accept() {
                    stream.set_nonblocking(true)?;
                    stream.set_nodelay(true)?;
                    let at = free.pop().unwrap_or(peers.len());
                    epoll::add(&poll, &stream, epoll::EventData::new_u64(at as u64), epoll::EventFlags::IN)?;
                    if at == peers.len() {
                        peers.push(None);
                    }
                    peers[at] = Some(Peer::new(stream));
                }
                continue;
            }
            let at = usize::try_from(event.data.u64()).expect("an index of ours");
            let Some(peer) = &mut peers[at] else { continue };
            let wanted = peer.interest();
            if peer.turn(&mut buffer).is_err() {
                // Closing the socket takes it out of the set.
                peers[at] = None;
                free.push(at);
            } else if peer.interest() != wanted {
                epoll::modify(&poll, &peer.stream, event.data, peer.interest())?;
            }
        }
    }
}

enum Mode {
    Handshake,
    Echo,
    Sink { received: u64, end: u64 },
    Source { frames: u64, asked: bool },
    Closed,
}

struct Peer {
    stream: TcpStream,
    mode: Mode,
    input: Vec<u8>,
    output: Vec<u8>,
}

impl Peer {
    fn new(stream: TcpStream) -> Peer {
        Peer { stream, mode: Mode::Handshake, input: Vec::new(), output: Vec::new() }
    }

    fn interest(&self) -> epoll::EventFlags {
        if self.output.is_empty() { epoll::EventFlags::IN } else { epoll::EventFlags::OUT }
    }

    /// Writes what waits, then reads once. Any error means that the connection is over.
    fn turn(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        if !self.output.is_empty() {
            return self.flush();
        }
        match self.stream.read(buffer) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => self.receive(&buffer[..n])?,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            Err(e) => return Err(e),
        }
        self.flush()
    }

    /// Writes until all is out or the socket is full. A source puts its next frame behind the last.
    fn flush(&mut self) -> io::Result<()> {
        loop {
            while !self.output.is_empty() {
                match self.stream.write(&self.output) {
                    Ok(n) => drop(self.output.drain(..n)),
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                    Err(e) => return Err(e),
                }
            }
            match &mut self.mode {
                Mode::Source { frames: 0, asked: true } => self.mode = Mode::Echo,
                Mode::Source { frames, asked: true } => {
                    *frames -= 1;
                    self.output.extend_from_slice(&APP_STREAM);
                }
                Mode::Closed => return self.stream.shutdown(std::net::Shutdown::Write),
                _ => return Ok(()),
            }
        }
    }

    fn receive(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Mode::Sink { received, end } = &mut self.mode {
            check_stream(&CLIENT_STREAM, *received, bytes);
            *received += bytes.len() as u64;
            assert!(*received <= *end, "more bytes than were sent");
            if received == end {
                self.output = Frame::app(TEXT, "taken").bytes();
                self.mode = Mode::Echo;
            }
            return Ok(());
        }
        self.input.extend_from_slice(bytes);
        if matches!(self.mode, Mode::Handshake) {
            let Some(end) = self.input.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(()) };
            let head = String::from_utf8_lossy(&self.input[..end]).into_owned();
            self.input.drain(..end + 4);
            self.answer(&head)?;
        }
        let mut taken = 0;
        while let Some((frame, len)) = parse(&self.input[taken..]) {
            taken += len;
            self.message(&frame);
        }
        self.input.drain(..taken);
        if self.input.is_empty() {
            self.input = Vec::new();
        }
        Ok(())
    }

    fn answer(&mut self, head: &str) -> io::Result<()> {
        let header = |name: &str| {
            let lines = head.lines().filter_map(|line| line.split_once(':'));
            lines.into_iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned())
        };
        let Some(key) = header("sec-websocket-key") else { return Err(io::ErrorKind::InvalidData.into()) };
        self.output = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {}\r\n\r\n",
            accept_for(&key)
        )
        .into_bytes();
        let target = head.split(' ').nth(1).unwrap_or_default();
        let count = |count: &str| count.parse::<u64>().map_err(|_| io::Error::from(io::ErrorKind::InvalidData));
        self.mode = match target.trim_start_matches('/').split_once('/') {
            Some(("sink", n)) => Mode::Sink { received: 0, end: count(n)? * CLIENT_STREAM.len() as u64 },
            Some(("source", n)) => Mode::Source { frames: count(n)?, asked: false },
            _ => Mode::Echo,
        };
        Ok(())
    }

    fn message(&mut self, frame: &Frame) {
        assert!(frame.mask.is_some(), "a client's frame has come without a mask");
        let opcode = if frame.opcode == PING { PONG } else { frame.opcode };
        match &mut self.mode {
            Mode::Closed => return,
            Mode::Source { asked, .. } if opcode <= BINARY => {
                *asked = true;
                return;
            }
            _ => {}
        }
        self.output.extend(Frame { opcode, mask: None, ..frame.clone() }.bytes());
        if opcode == CLOSE {
            self.mode = Mode::Closed;
        }
    }
}

/// The frame at the front of `bytes` and its length on the wire, if it is whole.
pub(crate) fn parse(bytes: &[u8]) -> Option<(Frame, usize)> {
    let (first, second) = (*bytes.first()?, *bytes.get(1)?);
    let (length, mut at) = match second & 0x7f {
        126 => (usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?)), 4),
        127 => (usize::try_from(u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)).ok()?, 10),
        short => (usize::from(short), 2),
    };
    let mut mask = None;
    if second & 0x80 != 0 {
        mask = Some(bytes.get(at..at + 4)?.try_into().ok()?);
        at += 4;
    }
    let mut payload = bytes.get(at..at + length)?.to_vec();
    if let Some::<[u8; 4]>(key) = mask {
        payload.iter_mut().zip(key.iter().cycle()).for_each(|(byte, key)| *byte ^= key);
    }
    let frame = Frame { fin: first & 0x80 != 0, rsv: first >> 4 & 7, opcode: first & 0xf, mask, payload };
    Some((frame, at + length))
}
