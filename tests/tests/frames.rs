//! Frames on their way through, black box. The number in a test's name is that of the promise that it keeps.

use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::time::Duration;

use outrigger_tests::ws::{BINARY, CLOSE, CONTINUATION, MASK, PING, PONG, TEXT, upgrade};
use outrigger_tests::{App, End, Frame, Sidecar, Wire};

const MIB: usize = 1 << 20;

/// How a fragment that is not the last differs from a whole message.
fn unfinished(frame: Frame) -> Frame {
    Frame { fin: false, ..frame }
}

/// An app that upgrades, sends these frames once it has got a message, and reads to the end.
fn app_sending(frames: Vec<Vec<u8>>) -> App {
    App::scripted(move |conn| {
        if conn.upgrade(&[]).is_none() {
            return;
        }
        if conn.try_frame().is_ok() {
            conn.send(frames.concat());
        }
        conn.rest();
    })
}

/// An app that upgrades and reads to the end.
fn listening_app() -> App {
    app_sending(Vec::new())
}

fn opened(sidecar: &Sidecar) -> Wire {
    let mut client = sidecar.client();
    client.open("/", &[]);
    client
}

/// Takes frames until the Close, which ends the conversation; gives what came before and its code.
#[track_caller]
fn until_close(client: &mut Wire) -> (Vec<Frame>, u16) {
    let mut before = Vec::new();
    loop {
        let frame = client.frame();
        if frame.opcode == CLOSE {
            let code = frame.close_code().unwrap_or_else(|| panic!("a Close with a code expected: {frame:?}"));
            return (before, code);
        }
        before.push(frame);
    }
}

#[test]
fn b12_a_declared_length_costs_nothing() {
    let app = listening_app();
    let sidecar = Sidecar::before(app.addr()).http().flag("--max-message-size", "off").start();
    let before = sidecar.peak_memory_kib();
    let mut client = opened(&sidecar);
    let mut head = vec![0x82, 0xff];
    head.extend((u64::MAX >> 1).to_be_bytes());
    head.extend(MASK);
    client.send(&head);
    client.send(vec![7; MIB]);
    app.wait("the first MiB of 2^63-1 bytes", |seen| {
        let frame = &seen[0].bytes[seen[0].requests[0].raw.len()..];
        (frame.len() == head.len() + MIB && frame.starts_with(&head)).then_some(())
    });
    let grown = sidecar.peak_memory_kib() - before;
    assert!(grown < 4 * 1024, "the sidecar grew by {grown} KiB");
}

#[test]
fn b13_a_message_at_the_limit_passes_and_one_byte_more_gets_1009() {
    let app = App::echo();
    let sidecar = Sidecar::before(app.addr()).http().flag("--max-message-size", "1k").start();
    let mut client = opened(&sidecar);
    client.send(Frame::client(BINARY, [1; 1024]).bytes());
    assert_eq!(client.frame(), Frame::app(BINARY, [1; 1024]));
    client.send(Frame::client(BINARY, [2; 1025]).bytes());
    client.expect_close(1009);
    app.wait_close();
}

#[test]
fn b13_the_limit_is_over_the_sum_of_the_fragments() {
    let app = listening_app();
    let sidecar = Sidecar::before(app.addr()).http().flag("--max-message-size", "1k").start();
    let mut client = opened(&sidecar);
    let half = unfinished(Frame::client(BINARY, [1; 512]));
    // Twice: the sum starts anew with every message.
    for _ in 0..2 {
        client.send(half.bytes());
        client.send(Frame::client(CONTINUATION, [2; 512]).bytes());
    }
    client.send(half.bytes());
    client.send(Frame::client(CONTINUATION, [3; 513]).bytes());
    client.expect_close(1009);
    let close = app.wait_frame("a Close", |frame| frame.opcode == CLOSE);
    assert!(close.len() >= 5, "the four fragments at the limit were to pass: {close:?}");
}

#[test]
fn b13_the_app_is_under_the_limit_too() {
    let app = app_sending(vec![Frame::app(BINARY, [2; 1025]).bytes()]);
    let sidecar = Sidecar::before(app.addr()).http().flag("--max-message-size", "1k").start();
    let mut client = opened(&sidecar);
    client.send(Frame::client(TEXT, "go on").bytes());
    until_close(&mut client);
    assert_eq!(app.wait_close().close_code(), Some(1009));
}

#[test]
fn b13_the_number_of_fragments_is_limited() {
    let app = listening_app();
    let sidecar = Sidecar::before(app.addr()).http().flag("--max-fragments", "3").start();
    let mut client = opened(&sidecar);
    let last = Frame::client(CONTINUATION, "");
    let message = [unfinished(Frame::client(TEXT, "a")), unfinished(last.clone()), last.clone()];
    client.send(message.iter().flat_map(Frame::bytes).collect::<Vec<u8>>());
    app.wait_frame("all three fragments", |frame| frame.opcode == CONTINUATION && frame.fin);
    let too_many = [unfinished(Frame::client(TEXT, "b")), unfinished(last.clone()), unfinished(last.clone()), last];
    client.send(too_many.iter().flat_map(Frame::bytes).collect::<Vec<u8>>());
    client.expect_close(1009);
    app.wait_close();
}

#[test]
fn b14_what_a_client_must_not_send_is_a_protocol_error() {
    let bad_close = |code: u16| Frame::client(CLOSE, Frame::close_payload(code, "")).bytes();
    let cases = [
        ("an unmasked frame", Frame::app(TEXT, "x").bytes()),
        ("RSV1", Frame { rsv: 4, ..Frame::client(TEXT, "x") }.bytes()),
        ("RSV3", Frame { rsv: 1, ..Frame::client(TEXT, "x") }.bytes()),
        ("a reserved data opcode", Frame::client(3, "x").bytes()),
        ("a reserved control opcode", Frame::client(11, "x").bytes()),
        ("a ping of 126 bytes", Frame::client(PING, [0; 126]).bytes()),
        ("a fragmented ping", unfinished(Frame::client(PING, "x")).bytes()),
        ("a stray continuation", Frame::client(CONTINUATION, "x").bytes()),
        ("a message inside a message", {
            [unfinished(Frame::client(TEXT, "x")).bytes(), Frame::client(TEXT, "y").bytes()].concat()
        }),
        ("a Close of one byte", Frame::client(CLOSE, [3]).bytes()),
        ("Close 999", bad_close(999)),
        ("Close 1005", bad_close(1005)),
        ("Close 1006", bad_close(1006)),
        ("Close 1015", bad_close(1015)),
        ("Close 5000", bad_close(5000)),
        ("a Close reason that is not UTF-8", Frame::client(CLOSE, [3, 232, 0xff, 0xfe]).bytes()),
    ];
    for (what, bytes) in cases {
        let app = listening_app();
        // The app of this test answers no Close.
        let sidecar = Sidecar::before(app.addr()).http().flag("--close-timeout", "200ms").start();
        let mut client = opened(&sidecar);
        client.send(bytes);
        assert_eq!(until_close(&mut client), (vec![], 1002), "{what}");
        client.expect_end();
        app.wait_close();
        let line = sidecar.session_ended();
        assert!(line["by"] == "client" || line["side"] == "client", "{what}: {line}");
    }
}

#[test]
fn b14_what_an_app_must_not_send_is_a_protocol_error() {
    let cases = [
        ("a masked frame", Frame::client(TEXT, "x").bytes()),
        ("RSV2", Frame { rsv: 2, ..Frame::app(TEXT, "x") }.bytes()),
        ("a reserved opcode", Frame::app(5, "x").bytes()),
        ("a fragmented pong", unfinished(Frame::app(PONG, "x")).bytes()),
        ("a stray continuation", Frame::app(CONTINUATION, "x").bytes()),
        ("Close 1004", Frame::app(CLOSE, Frame::close_payload(1004, "")).bytes()),
    ];
    for (what, bytes) in cases {
        let app = app_sending(vec![bytes]);
        let sidecar = Sidecar::before(app.addr()).http().start();
        let mut client = opened(&sidecar);
        client.send(Frame::client(TEXT, "go on").bytes());
        let (before, _) = until_close(&mut client);
        assert_eq!(before, [], "{what}");
        assert_eq!(app.wait_close().close_code(), Some(1002), "{what}");
    }
}

#[test]
fn b14_the_text_of_messages_is_the_endpoints_matter() {
    let app = App::echo();
    let sidecar = Sidecar::before(app.addr()).http().start();
    let mut client = opened(&sidecar);
    client.send(Frame::client(TEXT, [0xff, 0xfe]).bytes());
    assert_eq!(client.frame(), Frame::app(TEXT, [0xff, 0xfe]));
}

#[test]
fn b15_the_sidecar_s_pings_are_its_own_and_the_peers_pings_pass() {
    // The app answers every ping, whoever sent it, and is pinged by the sidecar as well.
    let app = App::scripted(|conn| {
        conn.upgrade(&[]);
        while let Ok(frame) = conn.try_frame() {
            if frame.opcode == PING {
                conn.send(Frame::app(PONG, frame.payload).bytes());
            }
        }
    });
    let sidecar = Sidecar::before(app.addr()).http().flag("--keepalive", "1s").start();
    let mut client = opened(&sidecar);
    let ping = client.frame();
    assert_eq!((ping.opcode, ping.mask), (PING, None), "the sidecar's ping expected: {ping:?}");
    client.send(Frame::client(PONG, &ping.payload).bytes());
    let frames = app.wait_frame("the sidecar's ping", |frame| frame.opcode == PING);
    assert!(frames.iter().all(|frame| frame.mask.is_some()), "{frames:?}");

    client.send(Frame::client(PING, "mine").bytes());
    loop {
        let frame = client.frame();
        match frame.opcode {
            PING => client.send(Frame::client(PONG, frame.payload).bytes()),
            PONG => break assert_eq!(frame.payload, b"mine", "a pong that answers no ping of the client"),
            _ => panic!("a pong expected: {frame:?}"),
        }
    }
    // An unsolicited pong is a client's right (RFC 6455 section 5.5.3), and passes.
    client.send(Frame::client(PONG, "heartbeat").bytes());
    let frames = app.wait_frame("the client's own pong", |frame| frame.payload == b"heartbeat");
    let pongs = frames.iter().filter(|frame| frame.opcode == PONG).count();
    assert_eq!(pongs, 1, "pongs to the sidecar's own pings reached the app: {frames:?}");
}

#[test]
fn b15_pings_do_not_split_a_message() {
    let app = listening_app();
    let sidecar = Sidecar::before(app.addr()).http().flag("--keepalive-app", "1s").flag("--keepalive", "off").start();
    let mut client = opened(&sidecar);
    let message = Frame::client(BINARY, vec![9; 1000]).bytes();
    // The client stalls inside a frame for longer than the ping's interval; a ping may come before or behind it.
    let (start, rest) = message.split_at(500);
    client.send(start);
    assert!(client.is_quiet(Duration::from_millis(2500)), "nothing was to come: {:?}", client.frame());
    client.send(rest);
    let frames = app.wait_frame("the whole message", |frame| frame.opcode == BINARY);
    assert!(frames.contains(&Frame::client(BINARY, vec![9; 1000])), "{frames:?}");
}

#[test]
fn b15_a_peer_that_answers_no_ping_is_reaped() {
    let app = App::echo();
    let launch = Sidecar::before(app.addr()).http().flag("--keepalive-client", "1s").flag("--keepalive-app", "off");
    let sidecar = launch.flag("--pong-timeout", "1s").start();
    let mut client = opened(&sidecar);
    assert_eq!(client.frame().opcode, PING);
    // No pong.
    app.wait_close();
    let line = sidecar.session_ended();
    assert!(line["by"] == "client" || line["side"] == "client", "{line}");
}

#[test]
fn b16_an_app_that_dies_leaves_the_client_its_data_and_a_close() {
    for reset in [false, true] {
        let app = App::scripted(move |conn| {
            conn.upgrade(&[]);
            if !reset {
                let _ = conn.try_frame();
            }
            conn.send(Frame::app(TEXT, "last words").bytes());
            if reset {
                // Closing with bytes unread makes the kernel send RST; so wait until they are there, unread.
                let _ = conn.second_handle().peek(&mut [0]);
            }
        });
        let sidecar = Sidecar::before(app.addr()).http().start();
        let mut client = opened(&sidecar);
        if reset {
            // With a reset the kernel may drop what was not read yet, so the words are read first.
            assert_eq!(client.frame(), Frame::app(TEXT, "last words"));
        }
        client.send(Frame::client(TEXT, "hello").bytes());
        let (before, code) = until_close(&mut client);
        assert!((1011..=1014).contains(&code), "reset {reset}: Close {code}");
        if !reset {
            assert_eq!(before, [Frame::app(TEXT, "last words")]);
        }
        let line = sidecar.session_ended();
        assert_eq!(line["by"], "app", "reset {reset}: {line}");
    }
}

#[test]
fn b16_there_is_exactly_one_close_each_way() {
    let app = App::echo();
    let sidecar = Sidecar::before(app.addr()).http().https().start();
    for scheme in ["http", "https"] {
        let mut client = sidecar.connect(scheme);
        client.open("/", &[]);
        client.send(Frame::client(CLOSE, Frame::close_payload(4001, "bye")).bytes());
        let close = client.frame();
        assert_eq!(close, Frame::app(CLOSE, Frame::close_payload(4001, "bye")));
        assert_eq!(client.expect_end(), End::Clean);
    }
    for conn in app.wait_all_ended() {
        let frames = outrigger_tests::ws::frames(&conn.bytes[conn.requests[0].raw.len()..]);
        assert_eq!(frames, [Frame::client(CLOSE, Frame::close_payload(4001, "bye"))]);
    }
}

#[test]
fn b17_a_client_that_does_not_read_stops_its_app_and_nobody_else() {
    const FRAMES: usize = 1024;
    const FRAME_BYTES: usize = 64 * 1024;
    let (sent_sender, sent) = channel();
    let sent_sender = Mutex::new(sent_sender);
    let app = App::scripted(move |conn| {
        if conn.index() > 0 {
            return conn.serve_echo();
        }
        conn.upgrade(&[]);
        let frame = Frame::app(BINARY, vec![5; FRAME_BYTES]).bytes();
        for _ in 0..FRAMES {
            conn.send(&frame);
        }
        let _ = sent_sender.lock().expect("no panic under this lock").send(());
        conn.rest();
    });
    let sidecar = Sidecar::before(app.addr()).http().flag("--proxy-send-timeout", "60s").start();
    let before = sidecar.peak_memory_kib();
    let mut stalled = opened(&sidecar);
    assert!(sent.recv_timeout(Duration::from_secs(2)).is_err(), "64 MiB went to a client that reads nothing");
    let mut other = opened(&sidecar);
    other.echo("not held up");
    let grown = sidecar.peak_memory_kib() - before;
    assert!(grown < 4 * 1024, "the sidecar grew by {grown} KiB");
    // Once it reads, all arrives in order and nothing is missing.
    let mut frames = 0;
    while frames < FRAMES {
        let frame = stalled.frame();
        if frame.opcode == BINARY {
            assert_eq!(frame.payload.len(), FRAME_BYTES);
            frames += 1;
        }
    }
}

#[test]
fn b17_bytes_pass_verbatim_at_any_split() {
    let app = App::echo();
    let sidecar = Sidecar::before(app.addr()).http().start();
    let mut client = sidecar.client();
    client.send(upgrade("/", &[]));
    client.response("GET").expect(101);
    let messages: Vec<Frame> = [0, 1, 125, 126, 127, 65_535, 65_536, 100_000]
        .map(|length| Frame::client(BINARY, (0..=255).cycle().take(length).collect::<Vec<u8>>()))
        .to_vec();
    let bytes: Vec<u8> = messages.iter().flat_map(Frame::bytes).collect();
    for (n, piece) in bytes.chunks(997).enumerate() {
        client.send(piece);
        assert!(n < 1000, "the chunks end");
    }
    for message in &messages {
        assert_eq!(client.frame().payload, message.payload);
    }
    let frames = app.wait_frame("the last message", |frame| frame.payload.len() == 100_000);
    assert_eq!(frames, messages, "masks and all");
}
