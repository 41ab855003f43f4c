//! Writes the named seeds of the corpus: one case per opcode, violation, limit and kind of end.
//! Run it in `shared/fuzz`: `cargo +nightly run --example seeds`.

use std::path::Path;
use std::{fs, io};

use outrigger_shared::close::Side;

use crate::wire::{BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, close, frame, header, ping, pong, text};

#[path = "../../tests/relay/wire.rs"]
#[expect(dead_code, reason = "the tests also read frames with it")]
mod wire;

const FIN: u8 = 0x80;
const RSV1: u8 = 0x40;

fn main() -> io::Result<()> {
    for from in Side::BOTH {
        for (name, deflate, pieces, stream) in streams(from) {
            let choices = (pieces.len() << 4) as u8 | u8::from(deflate) << 1 | u8::from(from == Side::App);
            write("scanner", &format!("{from}-{name}"), &[&[choices], pieces, &stream].concat())?;
        }
    }
    for (name, script) in scripts() {
        write("session", name, &script)?;
    }
    Ok(())
}

fn write(target: &str, name: &str, case: &[u8]) -> io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    fs::create_dir_all(&folder)?;
    fs::write(folder.join(name), case)
}

type Stream = (&'static str, bool, &'static [u8], Vec<u8>);

fn streams(from: Side) -> Vec<Stream> {
    let plain = |name, stream| (name, false, &[][..], stream);
    let long_form = |length: u8, bytes: &[u8]| {
        let mask = if from == Side::Client { 0x80 } else { 0 };
        [&[FIN | BINARY, mask | length][..], bytes, &[1, 2, 3, 4]].concat()
    };
    let unfinished = frame(from, TEXT, b"unfinished");
    let at_limit = frame(from, FIN | BINARY, &vec![1; if from == Side::Client { 4096 - 8 } else { 4096 - 4 }]);
    let message = [
        text(from, b"hello"),
        frame(from, BINARY, b"first"),
        ping(from, b"between"),
        frame(from, CONTINUATION, &[7; 200]),
        pong(from, b"unasked"),
        frame(from, FIN | CONTINUATION, b"last"),
        close(from, 1000, "bye"),
        text(from, b"behind the Close"),
    ]
    .concat();
    vec![
        plain("text", text(from, b"hello")),
        plain("binary", frame(from, FIN | BINARY, &[0; 126])),
        plain("ping", ping(from, b"are you there")),
        plain("pong", pong(from, b"unasked")),
        plain("close", close(from, 1000, "bye")),
        plain("close-empty", frame(from, FIN | CLOSE, b"")),
        plain("fragments", [unfinished.clone(), frame(from, FIN | CONTINUATION, b"")].concat()),
        plain("everything", message.clone()),
        ("everything-by-byte", false, &[0], message.clone()),
        ("everything-in-pieces", false, &[2, 0, 12, 4, 40], message),
        ("held-at-the-limit", false, &[90], at_limit[..1000].to_vec()),
        ("streamed", false, &[90, 128], frame(from, FIN | BINARY, &[1; 4096])),
        ("streamed-cut", false, &[90], frame(from, BINARY, &[1; 4097])[..1000].to_vec()),
        plain("64-bit-length", header(FIN | BINARY, from == Side::Client, 70_000)),
        plain("63-bit-length", long_form(127, &(i64::MAX as u64).to_be_bytes())),
        ("deflate", true, &[], frame(from, FIN | RSV1 | TEXT, b"compressed")),
        ("deflate-fragments", true, &[], [frame(from, RSV1 | BINARY, b"a"), frame(from, FIN, b"b")].concat()),
        plain("reserved-bits", frame(from, FIN | 0x20 | TEXT, b"")),
        plain("rsv1-without-deflate", frame(from, FIN | RSV1 | TEXT, b"")),
        ("rsv1-on-a-ping", true, &[], frame(from, FIN | RSV1 | PING, b"")),
        ("rsv1-on-a-continuation", true, &[], [unfinished.clone(), frame(from, FIN | RSV1, b"")].concat()),
        plain("reserved-opcode", frame(from, FIN | 3, b"")),
        plain("reserved-control-opcode", frame(from, FIN | 11, b"")),
        plain("wrong-mask", text(from.peer(), b"hello")),
        plain("control-too-long", frame(from, FIN | PING, &[0; 126])),
        plain("control-fragmented", frame(from, PONG, b"")),
        plain("stray-continuation", frame(from, FIN | CONTINUATION, b"stray")),
        plain("interleaved-message", [unfinished, text(from, b"new")].concat()),
        plain("length-16-not-minimal", long_form(126, &125u16.to_be_bytes())),
        plain("length-64-not-minimal", long_form(127, &65_535u64.to_be_bytes())),
        plain("length-out-of-range", long_form(127, &(1u64 << 63).to_be_bytes())),
        plain("close-too-short", frame(from, FIN | CLOSE, &[3])),
        plain("close-code-reserved", close(from, 1005, "")),
        plain("close-code-unassigned", close(from, 2999, "")),
        plain("close-reason", frame(from, FIN | CLOSE, b"\x03\xe8\xff")),
    ]
}

/// Steps as `shared/tests/relay/script.rs` reads them. The lowest bit is the side, the next one delays delivery.
mod step {
    pub const CLIENT: u8 = 0;
    pub const APP: u8 = 1;
    pub const LATER: u8 = 2;
    pub const FRAME: u8 = 0;
    pub const RAW: u8 = 20 << 2;
    pub const DELIVER: u8 = 24 << 2;
    pub const ANSWER_PING: u8 = 32 << 2;
    pub const ANSWER_CLOSE: u8 = 37 << 2;
    pub const PASS: u8 = 40 << 2;
    pub const LATE: u8 = 47 << 2;
    pub const FAIL_WRITE: u8 = 50 << 2;
    pub const BLOCKED: u8 = 51 << 2;
    pub const PROGRESS: u8 = 54 << 2;
    pub const EOF: u8 = 58 << 2;
    pub const FAIL: u8 = 59 << 2;
    pub const CLOSE: u8 = 60 << 2;
    pub const READ_IF_WANTED: u8 = 62 << 2;
}

/// Frames by their place in the script's own list; from [`HELD`] and [`LONG`] the size is counted differently.
mod kind {
    pub const TEXT: u8 = 0;
    pub const BINARY: u8 = 1;
    pub const UNFINISHED: u8 = 2;
    pub const CONTINUATION: u8 = 4;
    pub const LAST: u8 = 5;
    pub const PING: u8 = 6;
    pub const CLOSE: u8 = 8;
    pub const HELD: u8 = 2 << 4;
    pub const LONG: u8 = 3 << 4;
    pub const FLIPPED: u8 = 12 << 4;
}

fn scripts() -> Vec<(&'static str, Vec<u8>)> {
    use step::{
        ANSWER_CLOSE, ANSWER_PING, APP, BLOCKED, CLIENT, CLOSE, DELIVER, EOF, FAIL, FAIL_WRITE, FRAME, LATE, LATER,
        PASS, PROGRESS, RAW, READ_IF_WANTED,
    };
    // A script begins with a byte of choices and sixteen bits of policy, then what those bits ask for.
    const DEFAULTS: [u8; 3] = [0, 0, 0];
    const RAW_BYTES: [u8; 3] = [7, 0, 0];
    let with = |bit: u32, values: &[u8]| [&[0][..], &(1u16 << bit).to_le_bytes(), values].concat();
    let script = |start: &[u8], steps: &[&[u8]]| [start, &steps.concat()].concat();
    let hello = |side: u8| [FRAME | side, kind::TEXT, 5];
    let say_close = |side: u8| [FRAME | side, kind::CLOSE, 2, 10];
    let (half_a_minute, a_minute) = ([PASS, 79], [PASS, 109]);
    let long = |side: u8| [FRAME | LATER | side, kind::LONG | kind::BINARY, 100];
    let part = |side: u8| [DELIVER | side, 200];
    vec![
        ("messages", script(&DEFAULTS, &[&hello(CLIENT), &hello(APP), &hello(CLIENT)])),
        ("close-by-client", script(&DEFAULTS, &[&say_close(CLIENT), &[ANSWER_CLOSE | APP], &[EOF | APP]])),
        ("close-by-app", script(&DEFAULTS, &[&say_close(APP), &[ANSWER_CLOSE | CLIENT], &[EOF | CLIENT]])),
        ("close-both-at-once", script(&DEFAULTS, &[&say_close(CLIENT), &say_close(APP), &[EOF | APP, EOF]])),
        ("client-gone", script(&DEFAULTS, &[&hello(CLIENT), &[EOF | CLIENT], &[ANSWER_CLOSE | APP]])),
        ("app-gone", script(&DEFAULTS, &[&hello(APP), &[EOF | APP], &[ANSWER_CLOSE | CLIENT]])),
        ("app-silent", script(&DEFAULTS, &[&[EOF | APP]])),
        ("client-reset", script(&DEFAULTS, &[&hello(CLIENT), &[FAIL | CLIENT], &hello(APP)])),
        ("app-reset", script(&DEFAULTS, &[&hello(APP), &[FAIL | APP], &hello(CLIENT)])),
        ("app-takes-no-more", script(&DEFAULTS, &[&[FAIL_WRITE | APP], &hello(APP), &[EOF | APP]])),
        ("client-takes-no-more-and-says-why", script(&DEFAULTS, &[&[FAIL_WRITE], &say_close(CLIENT), &[EOF]])),
        ("gone-inside-a-long-frame", script(&DEFAULTS, &[&long(APP), &part(APP), &[FAIL | APP]])),
        ("ping-answered", script(&DEFAULTS, &[&half_a_minute, &[ANSWER_PING, ANSWER_PING | APP], &half_a_minute])),
        ("ping-inside-a-long-frame", script(&DEFAULTS, &[&long(APP), &part(APP), &half_a_minute, &[DELIVER | 2 | APP, 255]])),
        ("keepalive-lost", script(&DEFAULTS, &[&half_a_minute, &[ANSWER_PING | APP], &a_minute])),
        ("idle", script(&[0, 0xe0, 0], &[&hello(CLIENT), &a_minute, &[ANSWER_CLOSE]])),
        ("drain", script(&DEFAULTS, &[&hello(CLIENT), &[CLOSE, 0, 0], &[ANSWER_CLOSE, ANSWER_CLOSE | APP, EOF | APP]])),
        ("drain-at-a-quiet-moment", script(&DEFAULTS, &[&[FRAME, kind::UNFINISHED, 9], &[CLOSE | LATER, 0, 59], &[FRAME, kind::LAST, 3]])),
        ("drain-inside-a-long-frame", script(&DEFAULTS, &[&long(APP), &part(APP), &[CLOSE, 0, 0], &[PASS, 54], &[DELIVER | 2 | APP, 255]])),
        ("shutdown", script(&DEFAULTS, &[&[CLOSE, 2, 0]])),
        ("lifetime", script(&with(14, &[59, 10]), &[&hello(CLIENT), &half_a_minute, &[ANSWER_CLOSE]])),
        ("violation-by-client", script(&DEFAULTS, &[&hello(CLIENT), &[FRAME, kind::FLIPPED, 5, 4], &hello(CLIENT)])),
        ("violation-by-app", script(&DEFAULTS, &[&[FRAME | APP, kind::FLIPPED, 5, 15], &[ANSWER_CLOSE]])),
        ("violation-while-draining", script(&DEFAULTS, &[&[CLOSE, 0, 0], &[FRAME, kind::FLIPPED, 5, 4]])),
        ("garbage", script(&DEFAULTS, &[&[RAW, 8], b"GET / HT"])),
        ("message-too-big", script(&with(8, &[2]), &[&[FRAME, kind::UNFINISHED, 100], &[FRAME, kind::LAST, 100], &say_close(CLIENT)])),
        ("frame-too-big", script(&with(9, &[1]), &[&[FRAME | APP, kind::BINARY, 65], &say_close(APP)])),
        ("too-many-fragments", script(&with(10, &[2]), &[&[FRAME, kind::UNFINISHED, 1], &[FRAME, kind::CONTINUATION, 1], &[FRAME, kind::LAST, 1]])),
        ("message-rate-slow", script(&with(11, &[1, 1]), &[&hello(CLIENT), &hello(CLIENT), &[READ_IF_WANTED, 0], &half_a_minute])),
        ("message-rate-close", script(&[0, 0, 0x28, 1, 1], &[&hello(CLIENT), &hello(CLIENT)])),
        ("byte-rate-slow", script(&with(12, &[1, 1]), &[&[FRAME, kind::BINARY, 255], &[PASS, 55], &hello(CLIENT)])),
        ("byte-rate-close", script(&[0, 0, 0x30, 1, 1], &[&long(CLIENT), &part(CLIENT), &[DELIVER | 2, 255]])),
        ("stalled", script(&DEFAULTS, &[&hello(CLIENT), &[BLOCKED | APP], &a_minute, &a_minute])),
        ("slow-reader", script(&DEFAULTS, &[&hello(CLIENT), &[BLOCKED | APP], &half_a_minute, &[PROGRESS | LATER | APP, 9], &half_a_minute, &[PROGRESS | APP]])),
        ("slow-reader-at-the-end", script(&DEFAULTS, &[&[BLOCKED | APP], &say_close(CLIENT), &[PASS, 52], &[PROGRESS | LATER | APP, 9], &[EOF | APP]])),
        ("held-frame-cut", script(&DEFAULTS, &[&[FRAME | LATER, kind::HELD | kind::BINARY, 90], &part(CLIENT), &[EOF]])),
        ("late-wake-up", script(&DEFAULTS, &[&hello(CLIENT), &[LATE, 109], &[LATE, 255], &hello(APP)])),
        ("forwarded-ping", script(&DEFAULTS, &[&[FRAME, kind::PING, 8], &[ANSWER_PING | APP], &half_a_minute, &[ANSWER_PING | APP]])),
        ("raw", script(&RAW_BYTES, &[&hello(CLIENT), &hello(APP), &[EOF], &hello(APP), &[EOF | APP]])),
        ("raw-reset", script(&RAW_BYTES, &[&hello(CLIENT), &[FAIL | APP], &hello(CLIENT)])),
        ("raw-takes-no-more", script(&RAW_BYTES, &[&hello(CLIENT), &[FAIL_WRITE | APP], &hello(CLIENT), &[EOF | APP]])),
        ("raw-idle", script(&RAW_BYTES, &[&hello(CLIENT), &a_minute])),
        ("raw-slow-reader", script(&RAW_BYTES, &[&[BLOCKED | APP], &[EOF, EOF | APP], &[PASS, 52], &[PROGRESS | APP]])),
    ]
}
