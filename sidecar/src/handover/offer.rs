//! The offer on the wire: a greeting with the version, one label a line, an empty line; the sockets come with it as
//! ancillary data (unix(7), `SCM_RIGHTS`), in the order of the labels.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use tokio::io::{AsyncWriteExt, Interest};
use tokio::net::UnixStream;

use super::Sockets;

/// What the kernel passes at once (`SCM_MAX_FD`).
pub const MAX_SOCKETS: usize = 253;
/// An offer without its sockets: the greeting, and a label of at most 128 bytes for each.
const MAX_OFFER_BYTES: usize = 128 * (MAX_SOCKETS + 1);
/// Bytes taken at once.
const CHUNK_BYTES: usize = 4096;
/// The number goes up when an older process could not understand.
const GREETING: &str = "outrigger handover 1";

/// Why an offer cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OfferError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("it has said nothing for {} s", .0.as_secs())]
    Silent(Duration),
    #[error("it has gone, or is busy with another process")]
    Gone,
    #[error("it greets with {0:?} instead of {GREETING:?}; stop it, and start this one without a handover")]
    Greeting(String),
    #[error("its offer is longer than {MAX_OFFER_BYTES} bytes or {MAX_SOCKETS} sockets")]
    TooLong,
    #[error("it names {labels} sockets and gives {sockets}")]
    Count { labels: usize, sockets: usize },
}

pub(super) async fn send(stream: &mut UnixStream, sockets: &Sockets) -> io::Result<()> {
    let mut text = format!("{GREETING}\n");
    for (label, _) in sockets {
        text.push_str(label);
        text.push('\n');
    }
    text.push('\n');
    let descriptors: Vec<BorrowedFd<'_>> = sockets.iter().map(|(_, socket)| socket.as_fd()).collect();
    let pass = || {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_SOCKETS))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !control.push(SendAncillaryMessage::ScmRights(&descriptors)) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "too many sockets"));
        }
        Ok(sendmsg(&*stream, &[IoSlice::new(text.as_bytes())], &mut control, SendFlags::NOSIGNAL)?)
    };
    let sent = stream.async_io(Interest::WRITABLE, pass).await?;
    stream.write_all(&text.as_bytes()[sent..]).await
}

pub(super) async fn receive(stream: &mut UnixStream) -> Result<Sockets, OfferError> {
    let (mut text, mut sockets) = (Vec::new(), Vec::new());
    while !text.ends_with(b"\n\n") {
        let mut chunk = [0; CHUNK_BYTES];
        let (length, complete) =
            stream.async_io(Interest::READABLE, || receive_chunk(stream, &mut chunk, &mut sockets)).await?;
        if length == 0 {
            return Err(OfferError::Gone);
        }
        text.extend_from_slice(&chunk[..length]);
        if !complete || text.len() > MAX_OFFER_BYTES || sockets.len() > MAX_SOCKETS {
            return Err(OfferError::TooLong);
        }
    }
    let text = String::from_utf8_lossy(&text);
    let mut lines = text.lines();
    let greeting = lines.next().unwrap_or_default();
    if greeting != GREETING {
        return Err(OfferError::Greeting(greeting.to_owned()));
    }
    let labels: Vec<String> = lines.take_while(|line| !line.is_empty()).map(str::to_owned).collect();
    if labels.len() != sockets.len() {
        return Err(OfferError::Count { labels: labels.len(), sockets: sockets.len() });
    }
    Ok(labels.into_iter().zip(sockets).collect())
}

/// One read. Also says whether all the sockets that came with it found room.
fn receive_chunk(stream: &UnixStream, chunk: &mut [u8], sockets: &mut Vec<OwnedFd>) -> io::Result<(usize, bool)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_SOCKETS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = recvmsg(stream, &mut [IoSliceMut::new(chunk)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(descriptors) = message {
            sockets.extend(descriptors);
        }
    }
    Ok((received.bytes, !received.flags.contains(ReturnFlags::CTRUNC)))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn sockets(count: usize) -> (Sockets, Vec<u16>) {
        let listeners: Vec<_> = (0..count).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let ports: Vec<u16> = listeners.iter().map(|listener| listener.local_addr().unwrap().port()).collect();
        let label = |port| format!("https://[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff%4294967295]:{port}");
        let labels = ports.iter().map(label);
        (labels.zip(listeners.into_iter().map(OwnedFd::from)).collect(), ports)
    }

    async fn offered(text: &str) -> OfferError {
        let (mut old, mut new) = UnixStream::pair().unwrap();
        old.write_all(text.as_bytes()).await.unwrap();
        drop(old);
        receive(&mut new).await.unwrap_err()
    }

    #[tokio::test]
    async fn as_many_sockets_as_there_may_be_arrive_in_order() {
        for count in [1, 2, MAX_SOCKETS] {
            let ((mut old, mut new), (sent, ports)) = (UnixStream::pair().unwrap(), sockets(count));
            let (outcome, received) = tokio::join!(send(&mut old, &sent), receive(&mut new));
            outcome.unwrap();
            let received = received.unwrap();
            assert_eq!(received.len(), count);
            for ((label, socket), port) in received.into_iter().zip(ports) {
                assert!(label.ends_with(&format!(":{port}")), "{label}");
                assert_eq!(TcpListener::from(socket).local_addr().unwrap().port(), port);
            }
        }
    }

    #[tokio::test]
    async fn one_more_than_there_may_be_is_not_sent() {
        let ((mut old, _new), (sent, _)) = (UnixStream::pair().unwrap(), sockets(MAX_SOCKETS + 1));
        send(&mut old, &sent).await.unwrap_err();
    }

    #[tokio::test]
    async fn an_offer_that_is_none_is_refused() {
        assert!(matches!(offered("").await, OfferError::Gone));
        assert!(matches!(offered("outrigger handover 1\nhttp://").await, OfferError::Gone));
        assert!(matches!(offered("outrigger handover 2\n\n").await, OfferError::Greeting(_)));
        assert!(matches!(offered("HTTP/1.1 400 Bad Request\r\n\n\n").await, OfferError::Greeting(_)));
        let none_given = offered("outrigger handover 1\nhttp://127.0.0.1:80\n\n").await;
        assert!(matches!(none_given, OfferError::Count { labels: 1, sockets: 0 }));
        assert!(matches!(offered(&"x".repeat(MAX_OFFER_BYTES + 1)).await, OfferError::TooLong));
    }
}
