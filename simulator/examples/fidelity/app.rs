//! An app that echoes, pushes and answers polls.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use outrigger::net::{Listener as _, Net};
use tokio::time::sleep;

use crate::wire::{ACCEPT, CLOSE, Wire, read_frame, read_head, wire, write, write_frame};

/// Of a push, and of the answer to a poll.
const NEWS: [u8; 100] = [b'n'; 100];
/// A message that asks for pushes begins so; then come their number, and the milliseconds before them and between them.
pub(crate) const PUSH: &str = "push ";

pub(crate) async fn serve<N: Net>(net: N, addr: SocketAddr) -> io::Result<()> {
    let listener = net.bind(addr).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        net.spawn(async move {
            // A client that leaves is no fault of the app.
            let _ = connection(wire(stream)).await;
        });
    }
}

async fn connection(mut stream: Wire) -> io::Result<()> {
    while let Some((head, _)) = read_head(&mut stream).await? {
        if head.to_ascii_lowercase().contains("\r\nupgrade: websocket\r\n") {
            let answer = format!(
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Accept: {ACCEPT}\r\n\r\n"
            );
            write(&mut stream, answer.as_bytes()).await?;
            return session(stream).await;
        }
        let mut answer =
            format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n", NEWS.len())
                .into_bytes();
        answer.extend(NEWS);
        write(&mut stream, &answer).await?;
    }
    Ok(())
}

async fn session(mut stream: Wire) -> io::Result<()> {
    loop {
        let (first, payload) = read_frame(&mut stream).await?;
        if let Some([count, first_ms, spacing_ms]) = wish(&payload) {
            sleep(Duration::from_millis(first_ms)).await;
            for _ in 0..count {
                sleep(Duration::from_millis(spacing_ms)).await;
                write_frame(&mut stream, first, &NEWS, false).await?;
            }
            continue;
        }
        write_frame(&mut stream, first, &payload, false).await?;
        if first == CLOSE {
            return Ok(());
        }
    }
}

fn wish(payload: &[u8]) -> Option<[u64; 3]> {
    let numbers = std::str::from_utf8(payload).ok()?.strip_prefix(PUSH)?.split(' ').map(str::parse);
    numbers.collect::<Result<Vec<_>, _>>().ok()?.try_into().ok()
}
