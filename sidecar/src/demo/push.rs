//! The push side: a WebSocket endpoint that sends each update once, as one text message.

use std::io;
use std::pin::pin;
use std::time::Duration;

use fastwebsockets::{Frame, OpCode, Payload, Role, WebSocket, WebSocketError};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, Empty, Join, ReadHalf, Sink, WriteHalf, empty, join, sink, split};
use tokio::select;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use super::app::Upgrade;
use super::feed::Feed;
use super::stop_signal;

/// The app expects control frames and no messages, so it takes nothing longer than a control frame (RFC 6455 §5.5).
const MAX_FRAME_BYTES: usize = 125;
/// Pings that may wait for their pong; past that, the reading waits.
const MAX_WAITING_PINGS: usize = 4;
/// A page that takes no bytes for this long is gone.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long to wait for the other side's Close after ours.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

const GOING_AWAY: u16 = 1001;
const PROTOCOL_ERROR: u16 = 1002;
const INVALID_PAYLOAD: u16 = 1007;
const TOO_BIG: u16 = 1009;

type Reader = WebSocket<Join<ReadHalf<TokioIo<Upgraded>>, Sink>>;
type Writer = WebSocket<Join<Empty, WriteHalf<TokioIo<Upgraded>>>>;

/// How the reading ended.
enum End {
    /// The page sent a Close, with this code or none.
    Closed(Option<u16>),
    /// The page broke the protocol; answer with this code.
    Broken(u16),
    /// The connection is gone.
    Lost,
}

/// Sends the updates after `upgrade.since` until the page closes, breaks the protocol or is gone, or `stopped` becomes
/// true; in each case with one Close, if the connection still takes it.
pub(super) async fn run(upgrade: Upgrade, feed: &Feed, mut stopped: watch::Receiver<bool>) {
    let Ok(upgraded) = upgrade.connection.await else { return };
    let (reader, mut writer) = halves(upgraded);
    let (pings, mut pinged) = mpsc::channel(MAX_WAITING_PINGS);
    // A read that is dropped halfway loses bytes, so one future does all the reading and lives as long as the session.
    let mut reading = pin!(read(reader, pings));
    let mut latest = feed.latest();
    latest.mark_changed();
    let mut sent = upgrade.since;
    let ended = loop {
        let written = select! {
            biased;
            end = &mut reading => break Some(end),
            () = stop_signal(&mut stopped) => break None,
            Some(ping) = pinged.recv() => write(&mut writer, Frame::pong(Payload::Owned(ping))).await,
            Ok(()) = latest.changed() => {
                latest.mark_unchanged();
                let mut written = Ok(());
                for update in feed.since(sent) {
                    sent = update.sequence;
                    upgrade.tally.update(|counts| { counts.messages += 1; counts.updates += 1; });
                    written = write(&mut writer, Frame::text(Payload::Borrowed(update.json.as_bytes()))).await;
                    if written.is_err() { break }
                }
                written
            }
        };
        if written.is_err() {
            return;
        }
    };
    // Whatever goes wrong from here on, the session is over.
    let _ = match ended {
        Some(End::Lost) => Ok(()),
        Some(End::Closed(Some(code)) | End::Broken(code)) => write(&mut writer, Frame::close(code, b"")).await,
        Some(End::Closed(None)) => write(&mut writer, Frame::close_raw(Payload::Borrowed(b""))).await,
        None => {
            let written = write(&mut writer, Frame::close(GOING_AWAY, b"the demo is shutting down")).await;
            let _ = timeout(CLOSE_TIMEOUT, reading).await;
            written
        }
    };
}

/// Reading and writing go on at the same time, so each gets a WebSocket of its own over its half of the connection.
fn halves(upgraded: Upgraded) -> (Reader, Writer) {
    let (read, write) = split(TokioIo::new(upgraded));
    let mut reader = WebSocket::after_handshake(join(read, sink()), Role::Server);
    // The reader has nothing to write to: it hands pings on, and what it answers to a Close goes to the sink.
    reader.set_auto_pong(false);
    reader.set_max_message_size(MAX_FRAME_BYTES + 1);
    (reader, WebSocket::after_handshake(join(empty(), write), Role::Server))
}

/// Reads to the end, handing pings on and ignoring what else a page may say.
async fn read<S: AsyncRead + AsyncWrite + Unpin>(mut reader: WebSocket<S>, pings: mpsc::Sender<Vec<u8>>) -> End {
    loop {
        match reader.read_frame().await {
            Ok(frame) if frame.opcode == OpCode::Close => {
                return End::Closed(frame.payload.first_chunk().map(|code| u16::from_be_bytes(*code)));
            }
            Ok(frame) if frame.opcode == OpCode::Ping => {
                if pings.send(frame.payload.to_vec()).await.is_err() {
                    return End::Lost;
                }
            }
            Ok(_) => {}
            Err(WebSocketError::IoError(_) | WebSocketError::UnexpectedEOF | WebSocketError::ConnectionClosed) => {
                return End::Lost;
            }
            Err(WebSocketError::FrameTooLarge) => return End::Broken(TOO_BIG),
            Err(WebSocketError::InvalidUTF8) => return End::Broken(INVALID_PAYLOAD),
            Err(_) => return End::Broken(PROTOCOL_ERROR),
        }
    }
}

async fn write(writer: &mut Writer, frame: Frame<'_>) -> Result<(), WebSocketError> {
    timeout(WRITE_TIMEOUT, writer.write_frame(frame))
        .await
        .unwrap_or_else(|_| Err(WebSocketError::IoError(io::ErrorKind::TimedOut.into())))
}
