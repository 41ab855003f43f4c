//! Both ends of our streams against each other and against rustls' own buffered connection.

use std::io::{self, Read, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex};

use super::{Crypto, HandshakeError, ServerSide, TlsStream, accept, connect};
use crate::net::TokioNet;

fn configs() -> (ServerSide, Arc<ClientConfig>) {
    let crypto = Crypto::new(TokioNet::default());
    let key = KeyPair::generate().unwrap();
    let cert = CertificateParams::new(vec!["localhost".into()]).unwrap().self_signed(&key).unwrap();
    let der = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let server = ServerSide::with_certificate(vec![cert.der().clone()], der, &crypto).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone()).unwrap();
    let client = ClientConfig::builder_with_provider(crypto.provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    (server, Arc::new(client))
}

fn name() -> ServerName<'static> {
    ServerName::try_from("localhost").unwrap()
}

/// Both ends over a wire that gives at most `sip` bytes at a time: 1 splits everything everywhere.
async fn pair(sip: usize) -> (TlsStream<Sips>, TlsStream<Sips>) {
    let (server, client) = configs();
    let (a, b) = duplex(WIRE_BYTES);
    let (a, b) = (Sips { io: a, sip }, Sips { io: b, sip });
    let (client, server) = tokio::join!(connect(a, client, name()), accept(b, server.raw));
    (client.unwrap(), server.unwrap())
}

/// Bytes that a wire takes before its writer must wait: more than a handshake's last words, to which nobody listens.
const WIRE_BYTES: usize = 100_000;

struct Sips {
    io: DuplexStream,
    sip: usize,
}

impl AsyncRead for Sips {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut little = vec![0; self.sip.min(buf.remaining())];
        let mut sip = ReadBuf::new(&mut little);
        ready!(Pin::new(&mut self.io).poll_read(cx, &mut sip))?;
        buf.put_slice(sip.filled());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Sips {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[tokio::test]
async fn bytes_arrive_whole_however_the_records_are_split() {
    for sip in [1, 7, 1_000, 100_000] {
        let (mut client, mut server) = pair(sip).await;
        let sent: Vec<u8> = (0..50_000_u32).map(|i| i.to_le_bytes()[0] ^ i.to_le_bytes()[1]).collect();
        let copy = sent.clone();
        let writer = async {
            client.write_all(&copy).await.unwrap();
            client.shutdown().await.unwrap();
        };
        let mut got = Vec::new();
        let ((), read) = tokio::join!(writer, server.read_to_end(&mut got));
        read.unwrap();
        assert_eq!(got, sent, "{sip}");
    }
}

#[tokio::test]
async fn a_reader_with_little_room_gets_everything_in_turn() {
    let (mut client, mut server) = pair(100_000).await;
    client.write_all(&vec![7; 20_000]).await.unwrap();
    let mut got = 0;
    while got < 20_000 {
        let mut little = [0; 13];
        let n = server.read(&mut little).await.unwrap();
        assert!(n > 0 && little[..n].iter().all(|b| *b == 7));
        got += n;
    }
}

#[tokio::test]
async fn an_end_without_close_notify_is_an_error_only_where_it_matters() {
    for strict in [false, true] {
        let (client, server) = pair(100_000).await;
        let mut server = if strict { server.strict() } else { server };
        drop(client);
        let end = server.read(&mut [0; 10]).await;
        match (strict, end) {
            (false, Ok(0)) => {}
            (true, Err(e)) => assert_eq!(e.kind(), io::ErrorKind::UnexpectedEof),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn close_notify_ends_one_direction_and_leaves_the_other() {
    let (mut client, server) = pair(100_000).await;
    let mut server = server.strict();
    client.shutdown().await.unwrap();
    assert_eq!(server.read(&mut [0; 10]).await.unwrap(), 0);
    server.write_all(b"still here").await.unwrap();
    let mut got = [0; 10];
    client.read_exact(&mut got).await.unwrap();
    assert_eq!(&got, b"still here");
}

/// rustls' own connection as the peer, moved by hand, so that a test can say what it sends.
struct Peer {
    tls: rustls::ClientConnection,
    io: DuplexStream,
}

impl Peer {
    async fn send(&mut self) {
        let mut records = Vec::new();
        while self.tls.wants_write() {
            self.tls.write_tls(&mut records).unwrap();
        }
        self.io.write_all(&records).await.unwrap();
    }

    async fn receive(&mut self) {
        let mut records = [0; 4096];
        let n = self.io.read(&mut records).await.unwrap();
        assert!(n > 0, "the other end left");
        self.tls.read_tls(&mut &records[..n]).unwrap();
        self.tls.process_new_packets().unwrap();
    }
}

/// A peer by rustls itself and a server of ours, shaken hands.
async fn with_peer() -> (Peer, TlsStream<DuplexStream>) {
    let (server, client) = configs();
    let (a, b) = duplex(WIRE_BYTES);
    let mut peer = Peer { tls: rustls::ClientConnection::new(client, name()).unwrap(), io: a };
    let shake = async {
        while peer.tls.is_handshaking() {
            peer.send().await;
            if peer.tls.is_handshaking() {
                peer.receive().await;
            }
        }
        peer.send().await;
        peer
    };
    let (peer, server) = tokio::join!(shake, accept(b, server.raw));
    (peer, server.unwrap())
}

#[tokio::test]
async fn keys_are_updated_when_the_peer_asks() {
    let (mut peer, mut server) = with_peer().await;
    for round in 0..3_u8 {
        peer.tls.refresh_traffic_keys().unwrap();
        peer.tls.writer().write_all(&[round]).unwrap();
        peer.send().await;
        let mut got = [0; 1];
        server.read_exact(&mut got).await.unwrap();
        assert_eq!(got, [round]);
        server.write_all(&[round]).await.unwrap();
        server.flush().await.unwrap();
        while peer.tls.reader().read(&mut got).is_err() {
            peer.receive().await;
        }
        assert_eq!(got, [round]);
    }
}

#[tokio::test]
async fn a_failed_handshake_says_why() {
    let (server, _) = configs();
    let (mut a, b) = duplex(WIRE_BYTES);
    a.write_all(b"GET / HTTP/1.1\r\nHost: plain\r\n\r\n").await.unwrap();
    assert!(matches!(accept(b, server.raw).await, Err(HandshakeError::Tls(_))));
    let mut alert = Vec::new();
    a.read_to_end(&mut alert).await.unwrap();
    assert_eq!(alert.first(), Some(&21), "an alert record (RFC 8446 §5.1), not {alert:?}");
}

#[tokio::test]
async fn garbage_after_the_handshake_is_an_error_with_an_alert_and_no_panic() {
    for garbage in
        [&[0_u8; 40][..], &[23, 3, 3, 0, 20, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20]]
    {
        let (mut peer, mut server) = with_peer().await;
        peer.io.write_all(garbage).await.unwrap();
        let error = server.read(&mut [0; 100]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert_eq!(server.read(&mut [0; 100]).await.unwrap(), 0);
    }
}
