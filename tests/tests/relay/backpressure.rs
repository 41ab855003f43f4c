//! A reader that stalls stops the sender, costs a bounded amount of memory, and slows nobody else (promise 17).

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use outrigger_tests::ws::{BINARY, TEXT};
use outrigger_tests::{Frame, PATIENCE, Side, Wire};
use rustix::process::Signal;
use serde_json::json;

use crate::pair::{Bench, assert_says, peer};

/// One message of a flood.
const MESSAGE_BYTES: usize = 64 * 1024;
/// 256 MiB: far more than the kernel's buffers on the way, which hold up to a few tens.
const MESSAGES: u64 = 4096;

/// A sender that gets rid of nothing for this long is blocked.
const BLOCKED: Duration = Duration::from_millis(500);

/// What a blocked direction may cost the process, whatever was offered.
const BOUNDED_KIB: u64 = 4096;

/// A session beside the stalled one echoes faster than this, also on a busy machine.
const PROMPT: Duration = Duration::from_secs(2);

#[test]
fn b17_an_app_that_floods_a_stalled_client_is_stopped() {
    stalls("http", Side::App);
}

#[test]
fn b17_an_app_that_floods_a_stalled_client_over_tls_is_stopped() {
    stalls("https", Side::App);
}

#[test]
fn b17_a_client_that_floods_a_stalled_app_is_stopped() {
    stalls("http", Side::Client);
}

#[test]
fn b17_a_client_that_floods_a_stalled_app_over_tls_is_stopped() {
    stalls("https", Side::Client);
}

/// Sockets take less at a time than such a buffer holds, so it is never empty while the flood goes on.
#[test]
fn b17_a_large_write_buffer_is_the_bound_that_it_says() {
    let bench = Bench::new(&[("--write-buffer", "8m")]);
    // A vector that grows doubles, and for a moment there are the old and the new one.
    let bounded = BOUNDED_KIB + 3 * 8 * 1024;
    for from in Side::BOTH {
        let mut pair = bench.open("http");
        let before = bench.sidecar.memory_kib();
        let (flooder, reader) = pair.ends(from);
        let (sender, sent) = channel();
        thread::scope(|scope| {
            scope.spawn(move || flood(flooder, from, &sender));
            wait_blocked(&sent);
            take_all(reader, from);
        });
        let grown = bench.sidecar.peak_memory_kib().saturating_sub(before);
        assert!(grown <= bounded, "the process has grown by up to {grown} KiB for a flood from the {}", from.name());
    }
}

#[test]
fn b17_a_reader_that_never_resumes_ends_the_session_as_stalled() {
    thread::scope(|scope| {
        for (scheme, from) in [("http", Side::Client), ("http", Side::App), ("https", Side::App)] {
            scope.spawn(move || ends_as_stalled(scheme, from));
        }
    });
}

/// A container that was throttled finds room that has been there for long: its reader was not slow.
#[test]
fn b17_a_sidecar_that_was_paused_looks_for_room_before_it_calls_a_session_stalled() {
    let bench = Bench::new(&[("--proxy-send-timeout", "4s"), ("--keepalive", "off")]);
    for from in Side::BOTH {
        let mut pair = bench.open("http");
        let (sender, sent) = channel();
        let (flooder, reader) = pair.ends(from);
        let mut answers = Wire::over(Box::new(flooder.second_handle()), None);
        thread::scope(|scope| {
            scope.spawn(move || flood(flooder, from, &sender));
            wait_blocked(&sent);
            bench.sidecar.wait_asleep();
            bench.sidecar.signal(Signal::STOP);
            scope.spawn(move || take_all(reader, from));
            assert!(answers.is_quiet(Duration::from_millis(4500)), "a stopped process speaks");
            bench.sidecar.signal(Signal::CONT);
        });
    }
}

/// The flooder is on a plain connection: it reads and writes at once, over two handles of its socket.
fn ends_as_stalled(scheme: &str, from: Side) {
    let bench = Bench::new(&[("--proxy-send-timeout", "1s"), ("--close-timeout", "1s")]);
    let mut pair = bench.open(scheme);
    let flooder = pair.end(from);
    let mut inbound = Wire::over(Box::new(flooder.second_handle()), None);
    let mut outbound = Wire::over(Box::new(flooder.second_handle()), None);
    let (sender, sent) = channel();
    thread::scope(|scope| {
        scope.spawn(move || flood(&mut outbound, from, &sender));
        wait_blocked(&sent);
        let start = Instant::now();
        // The flooder is told, though its peer cannot be: the stream there stands inside a frame.
        let code = inbound.frame().close_code().expect("a Close with a code");
        assert_eq!(code, if from == Side::Client { 1011 } else { 1001 }, "to the {}", from.name());
        assert!(start.elapsed() < PATIENCE / 2, "ended after {:?} only", start.elapsed());
        inbound.send(Frame::close(from, code).bytes());
        inbound.expect_end();
        inbound.cut();
    });
    let line = bench.account(&pair);
    assert_says(&line, &json!({ "by": "sidecar", "cause": "stalled", "side": peer(from).name() }));
}

fn stalls(scheme: &str, from: Side) {
    let bench = Bench::new(&[]);
    let mut pair = bench.open(scheme);
    let mut other = bench.open(scheme);
    pair.passes(from, &Frame::of(from, BINARY, vec![0; MESSAGE_BYTES]));
    other.passes(Side::Client, &Frame::client(TEXT, "warm"));
    let before = bench.sidecar.memory_kib();

    let (sender, sent) = channel();
    let (flooder, reader) = pair.ends(from);
    thread::scope(|scope| {
        scope.spawn(move || flood(flooder, from, &sender));
        let through = wait_blocked(&sent);
        let grown = bench.sidecar.memory_kib().saturating_sub(before);
        assert!(grown <= BOUNDED_KIB, "{through} messages, and the process has grown by {grown} KiB");

        let start = Instant::now();
        for _ in 0..10 {
            other.passes(Side::Client, &Frame::client(TEXT, "are you there?"));
            other.passes(Side::App, &Frame::app(TEXT, "I am"));
        }
        assert!(start.elapsed() < PROMPT, "the session beside it took {:?}", start.elapsed());

        take_all(reader, from);
        // The peak: a reader that keeps up badly must cost no more than one that stands still.
        let grown = bench.sidecar.peak_memory_kib().saturating_sub(before);
        assert!(grown <= BOUNDED_KIB, "the process has grown by up to {grown} KiB while the flood went through");
    });
}

/// Sends all messages, and says so of each.
fn flood(wire: &mut Wire, from: Side, sent: &Sender<u64>) {
    let mut message = Message::new(from);
    for number in 0..MESSAGES {
        if !wire.try_send(message.numbered(number)) {
            return;
        }
        // The test may have seen enough.
        let _ = sent.send(number);
    }
}

/// Every message arrives, in order and unchanged.
fn take_all(reader: &mut Wire, from: Side) {
    let mut expected = Message::new(from);
    for number in 0..MESSAGES {
        let bytes = reader.take(expected.bytes.len());
        assert!(bytes == expected.numbered(number), "message {number} came changed or out of order");
    }
}

/// Waits until the flood is stopped, and says how many messages got through before.
fn wait_blocked(sent: &Receiver<u64>) -> u64 {
    let mut last = 0;
    loop {
        match sent.recv_timeout(BLOCKED) {
            Ok(number) => last = number,
            Err(RecvTimeoutError::Timeout) => return last,
            Err(RecvTimeoutError::Disconnected) => panic!("nothing stopped the flood: {last} messages were taken"),
        }
    }
}

/// A message on the wire with a place for its number; built once, since floods are long.
struct Message {
    bytes: Vec<u8>,
    number_at: usize,
}

impl Message {
    fn new(from: Side) -> Message {
        let payload: Vec<u8> = (0..=250).cycle().take(MESSAGE_BYTES).collect();
        let bytes = Frame::of(from, BINARY, payload).bytes();
        let number_at = bytes.len() - MESSAGE_BYTES;
        Message { bytes, number_at }
    }

    fn numbered(&mut self, number: u64) -> &[u8] {
        self.bytes[self.number_at..self.number_at + 8].copy_from_slice(&number.to_be_bytes());
        &self.bytes
    }
}
