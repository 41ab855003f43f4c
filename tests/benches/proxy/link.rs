//! A client's connection, over TLS or not, from the first SYN to the 101.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use outrigger_tests::PATIENCE;
use outrigger_tests::sidecar::NAME;
use outrigger_tests::ws::{CLOSE, Frame, KEY, accept_for, upgrade};
use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{cipher_suite, default_provider, kx_group};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// The longest response head.
const MAX_HEAD_BYTES: usize = 4096;

pub(crate) enum Link {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

/// Where a proxy listens, and how: with TLS if there is a configuration for it.
#[derive(Clone)]
pub(crate) struct Door {
    pub(crate) addr: SocketAddr,
    pub(crate) tls: Option<Arc<ClientConfig>>,
}

impl Door {
    /// Connects, with the TLS handshake done where there is one, and upgrades `target`.
    pub(crate) fn open(&self, target: &str) -> io::Result<Link> {
        let tcp = TcpStream::connect(self.addr)?;
        tcp.set_nodelay(true)?;
        tcp.set_read_timeout(Some(PATIENCE))?;
        tcp.set_write_timeout(Some(PATIENCE))?;
        let mut link = match &self.tls {
            None => Link::Plain(tcp),
            Some(config) => {
                let name = ServerName::try_from(NAME).expect("a DNS name");
                let connection = ClientConnection::new(config.clone(), name).map_err(io::Error::other)?;
                Link::Tls(Box::new(StreamOwned::new(connection, tcp)))
            }
        };
        link.write_all(upgrade(target, &[]).as_bytes())?;
        link.take_101()?;
        Ok(link)
    }
}

impl Link {
    /// Closes in order and waits for the end of the stream.
    pub(crate) fn close(mut self) {
        let payload = Frame::close_payload(1000, "");
        self.write_all(&Frame::client(CLOSE, &payload).bytes()).expect("an open connection");
        let mut answer = Vec::new();
        match self.read_to_end(&mut answer) {
            Ok(_) => {}
            // Some proxies end TLS without close_notify; the Close frame has said it all.
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => {}
            Err(e) => panic!("no end after the Close: {e}"),
        }
        assert_eq!(answer, Frame::app(CLOSE, &payload).bytes(), "the app's Close expected");
    }

    pub(crate) fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(tcp) => tcp,
            Self::Tls(tls) => &tls.sock,
        }
    }

    fn take_101(&mut self) -> io::Result<()> {
        let mut head = [0; MAX_HEAD_BYTES];
        let mut filled = 0;
        while !head[..filled].ends_with(b"\r\n\r\n") {
            match self.read(&mut head[filled..])? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                n => filled += n,
            }
        }
        let text = String::from_utf8_lossy(&head[..filled]);
        let is_101 = text.starts_with("HTTP/1.1 101 ") && text.contains(&accept_for(KEY));
        if is_101 { Ok(()) } else { Err(io::Error::other(format!("a 101 expected, not {text}"))) }
    }
}

impl Read for Link {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(tcp) => tcp.read(buf),
            Self::Tls(tls) => tls.read(buf),
        }
    }
}

impl Write for Link {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(tcp) => tcp.write(buf),
            Self::Tls(tls) => tls.write(buf),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(tcp) => tcp.flush(),
            Self::Tls(tls) => tls.flush(),
        }
    }
}

/// A TLS client that leaves no choice to the server: TLS 1.3, one suite, one group, every handshake a full one. So
/// all proxies do the same cryptography.
pub(crate) fn tls_client(authority_pem: &str) -> Arc<ClientConfig> {
    let provider = CryptoProvider {
        cipher_suites: vec![cipher_suite::TLS13_AES_128_GCM_SHA256],
        kx_groups: vec![kx_group::X25519],
        ..default_provider()
    };
    let mut roots = RootCertStore::empty();
    let authority = CertificateDer::from_pem_slice(authority_pem.as_bytes()).expect("one certificate");
    roots.add(authority).expect("a correct certificate");
    let builder = ClientConfig::builder_with_provider(Arc::new(provider));
    let builder = builder.with_protocol_versions(&[&rustls::version::TLS13]).expect("a suite of that version");
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.resumption = Resumption::disabled();
    Arc::new(config)
}
