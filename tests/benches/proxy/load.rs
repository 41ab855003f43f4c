//! The clients' side of every cell. Frames are built beforehand and every byte that comes back is compared.

use std::io::{self, Read, Write};
use std::thread;
use std::time::Instant;

use outrigger_tests::PATIENCE;
use outrigger_tests::ws::{BINARY, Frame, PING, PONG, TEXT};
use rustix::buffer::spare_capacity;
use rustix::event::epoll;
use rustix::time::Timespec;

use crate::app::{APP_STREAM, CLIENT_STREAM, check_stream, parse};
use crate::link::{Door, Link};

/// Clients that open idle sessions at once: enough to overlap their handshakes, few enough to stay a bounded rate.
const OPENERS: usize = 16;
/// Bytes read at once of a stream.
const READ_BYTES: usize = 256 * 1024;

/// Sends `turns` times `at_once` messages of `size` bytes on every link, and each time awaits all their echoes.
pub(crate) fn echo(links: &mut [Link], size: usize, at_once: usize, turns: usize) {
    let payload: Vec<u8> = (b'a'..=b'z').cycle().take(size).collect();
    let question = Frame::client(BINARY, &payload).bytes().repeat(at_once);
    let expected = Frame::app(BINARY, &payload).bytes().repeat(at_once);
    let mut answer = vec![0; expected.len()];
    for _ in 0..turns {
        for link in &mut *links {
            link.write_all(&question).expect("an open connection");
        }
        for link in &mut *links {
            link.read_exact(&mut answer).expect("as many bytes as were sent");
            assert!(answer == expected, "an echo has changed on its way");
        }
    }
}

/// Sends `frames` stream frames and waits until the app has taken and checked them.
pub(crate) fn upload(door: &Door, frames: usize) {
    let mut link = door.open(&format!("/sink/{frames}")).expect("a session");
    for _ in 0..frames {
        link.write_all(&CLIENT_STREAM).expect("an open connection");
    }
    let expected = Frame::app(TEXT, "taken").bytes();
    let mut answer = vec![0; expected.len()];
    link.read_exact(&mut answer).expect("the app's word that it took all");
    assert_eq!(answer, expected);
    link.close();
}

/// Asks the app for `frames` stream frames and checks them.
pub(crate) fn download(door: &Door, frames: usize) {
    let mut link = door.open(&format!("/source/{frames}")).expect("a session");
    link.write_all(&Frame::client(TEXT, "go").bytes()).expect("an open connection");
    let end = (frames * APP_STREAM.len()) as u64;
    let mut buffer = vec![0; READ_BYTES];
    let mut received = 0;
    while received < end {
        let n = link.read(&mut buffer).expect("an open connection");
        assert!(n > 0, "the stream ended early");
        check_stream(&APP_STREAM, received, &buffer[..n]);
        received += n as u64;
    }
    assert_eq!(received, end, "more bytes than the app has sent");
    link.close();
}

/// Opens `count` sessions that then say nothing.
pub(crate) fn idle(door: &Door, count: usize) -> Vec<Link> {
    let openers: Vec<_> = (0..OPENERS)
        .map(|opener| {
            let share = count / OPENERS + usize::from(opener < count % OPENERS);
            let door = door.clone();
            thread::spawn(move || -> Vec<Link> { (0..share).map(|_| door.open("/echo").expect("a session")).collect() })
        })
        .collect();
    openers.into_iter().flat_map(|opener| opener.join().expect("all sessions opened")).collect()
}

/// Answers pings until every session has had `each` of them.
pub(crate) fn answer_pings(links: &mut [Link], each: usize) {
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC).expect("a descriptor");
    for (at, link) in links.iter().enumerate() {
        link.socket().set_nonblocking(true).expect("an open socket");
        let data = epoll::EventData::new_u64(at as u64);
        epoll::add(&poll, link.socket(), data, epoll::EventFlags::IN).expect("an open socket");
    }
    let mut pings = vec![0; links.len()];
    let mut short_of = links.len();
    let mut events = Vec::with_capacity(256);
    let started = Instant::now();
    let look_again = Timespec { tv_sec: 1, tv_nsec: 0 };
    while short_of > 0 {
        assert!(started.elapsed() < PATIENCE, "{short_of} sessions were not pinged {each} times within {PATIENCE:?}");
        epoll::wait(&poll, spare_capacity(&mut events), Some(&look_again)).expect("a set of our own");
        for event in events.drain(..) {
            let at = usize::try_from(event.data.u64()).expect("an index of ours");
            for _ in 0..answer_ready(&mut links[at]) {
                pings[at] += 1;
                short_of -= usize::from(pings[at] == each);
            }
        }
    }
}

/// Answers the pings that are there, and says how many they were.
fn answer_ready(link: &mut Link) -> usize {
    let mut buffer = [0; 1024];
    let filled = match link.read(&mut buffer) {
        Ok(0) => panic!("an idle session was ended"),
        Ok(n) => n,
        // A TLS record without plaintext, e.g. a session ticket.
        Err(e) if e.kind() == io::ErrorKind::WouldBlock => return 0,
        Err(e) => panic!("an idle session was ended: {e}"),
    };
    let (mut at, mut count) = (0, 0);
    while let Some((frame, len)) = parse(&buffer[at..filled]) {
        assert_eq!(frame.opcode, PING, "only pings come unasked");
        link.write_all(&Frame::client(PONG, &frame.payload).bytes()).expect("room for a pong");
        at += len;
        count += 1;
    }
    assert_eq!(at, filled, "a ping is written at once");
    count
}
