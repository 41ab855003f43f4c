//! From the configuration's files to rustls' configurations.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use rustls::client::WebPkiServerVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion, version};

use super::validity::{OutOfDate, validity};
use super::verify::{AnyServer, ByServerName};
use crate::config::{CertPair, ClientAuth, TlsFiles, TlsProtocols, Trust, UpstreamTls};
use crate::files;
use crate::net::Net;

/// TLS 1.3 tickets sent after a handshake. One is enough for a client that comes back after a drop; each costs
/// bytes on every connection.
const TICKETS: usize = 1;

/// Where TLS takes its randomness and its time from.
#[derive(Clone)]
pub struct Crypto {
    pub provider: Arc<CryptoProvider>,
    pub time: Arc<dyn TimeProvider>,
}

impl Crypto {
    /// The production provider, with the wall clock of `net`.
    pub fn new<N: Net>(net: N) -> Self {
        Self { provider: Arc::new(rustls::crypto::aws_lc_rs::default_provider()), time: Arc::new(WallClock(net)) }
    }
}

struct WallClock<N>(N);

impl<N> fmt::Debug for WallClock<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WallClock")
    }
}

impl<N: Net> TimeProvider for WallClock<N> {
    fn current_time(&self) -> Option<UnixTime> {
        self.0.wall_clock().duration_since(SystemTime::UNIX_EPOCH).ok().map(UnixTime::since_unix_epoch)
    }
}

/// A file that cannot be used, or files that do not fit together.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("{}: {why}", path.display())]
    Unreadable { path: PathBuf, why: std::io::Error },
    #[error("{}: {why}; write a PEM file that holds {expected}", path.display())]
    NotPem { path: PathBuf, expected: &'static str, why: String },
    #[error("{} does not belong to {}: {why}; give the key that the certificate was made with", key.display(), cert.display())]
    Mismatch { cert: PathBuf, key: PathBuf, why: rustls::Error },
    #[error("{}: {why}", path.display())]
    Authority { path: PathBuf, why: String },
    #[error("ssl_protocols and ssl_ciphers leave nothing to offer: {0}")]
    NothingToOffer(rustls::Error),
    #[error("{name:?} is no name that a certificate can be checked against")]
    Name { name: String },
    #[error("{}: {why}", path.display())]
    OutOfDate { path: PathBuf, why: OutOfDate },
}

/// What listeners show to clients.
#[derive(Clone)]
pub struct ServerSide {
    /// Inside TLS, HTTP/1.1 is spoken and said so by ALPN (RFC 7301).
    pub https: Arc<ServerConfig>,
    /// Nothing is known of what is spoken inside.
    pub raw: Arc<ServerConfig>,
    /// The certificates that came from files.
    leaves: Arc<[Leaf]>,
}

/// A certificate that clients see first of its chain, and where it is from.
#[derive(Debug)]
struct Leaf {
    path: PathBuf,
    der: CertificateDer<'static>,
}

impl ServerSide {
    /// From the configuration's files.
    pub fn load(files: &TlsFiles, crypto: &Crypto) -> Result<Self, LoadError> {
        let provider = Arc::new(with_ciphers(&crypto.provider, files.ciphers.as_deref()));
        let pairs = files.certs.iter();
        let keys: Vec<_> =
            pairs.map(|pair| certified_key(&pair.cert, &pair.key, &provider)).collect::<Result<_, _>>()?;
        let leaf = |(pair, key): (&CertPair, &Arc<CertifiedKey>)| {
            Some(Leaf { path: pair.cert.clone(), der: key.end_entity_cert().ok()?.clone().into_owned() })
        };
        let leaves = files.certs.iter().zip(&keys).filter_map(leaf).collect();
        let builder = ServerConfig::builder_with_details(provider.clone(), crypto.time.clone())
            .with_protocol_versions(&versions(files.protocols))
            .map_err(LoadError::NothingToOffer)?;
        let builder = match &files.client_auth {
            ClientAuth::Off => builder.with_no_client_auth(),
            ClientAuth::Optional(path) | ClientAuth::Required(path) => {
                let verifier = WebPkiClientVerifier::builder_with_provider(roots(path)?, provider);
                let optional = matches!(files.client_auth, ClientAuth::Optional(_));
                let verifier = if optional { verifier.allow_unauthenticated() } else { verifier };
                builder.with_client_cert_verifier(
                    verifier.build().map_err(|e| LoadError::Authority { path: path.clone(), why: e.to_string() })?,
                )
            }
        };
        Ok(Self::new(builder.with_cert_resolver(Arc::new(ByServerName::new(keys))), leaves))
    }

    /// Certificates from files that no client would take at `now`, but for those that `known` shows as well.
    pub fn out_of_date(&self, now: SystemTime, known: Option<&Self>) -> Vec<LoadError> {
        let known = known.map_or(&[][..], |known| &known.leaves);
        let new = self.leaves.iter().filter(|leaf| known.iter().all(|old| old.der != leaf.der));
        new.filter_map(|leaf| {
            let why = validity(&leaf.der)?.judge(now)?;
            Some(LoadError::OutOfDate { path: leaf.path.clone(), why })
        })
        .collect()
    }

    /// From one certificate that is no file.
    pub fn with_certificate(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
        crypto: &Crypto,
    ) -> Result<Self, rustls::Error> {
        let builder = ServerConfig::builder_with_details(crypto.provider.clone(), crypto.time.clone())
            .with_protocol_versions(&versions(TlsProtocols::Both))?;
        Ok(Self::new(builder.with_no_client_auth().with_single_cert(chain, key)?, Arc::default()))
    }

    fn new(mut raw: ServerConfig, leaves: Arc<[Leaf]>) -> Self {
        raw.send_tls13_tickets = TICKETS;
        let mut https = raw.clone();
        https.alpn_protocols = super::ALPN.iter().map(|p| p.to_vec()).collect();
        Self { https: Arc::new(https), raw: Arc::new(raw), leaves }
    }
}

/// For an upstream.
pub fn client_config(tls: &UpstreamTls, crypto: &Crypto) -> Result<ClientConfig, LoadError> {
    let builder = ClientConfig::builder_with_details(crypto.provider.clone(), crypto.time.clone())
        .with_protocol_versions(&versions(TlsProtocols::Both))
        .map_err(LoadError::NothingToOffer)?;
    let roots = match &tls.trust {
        Trust::File(path) => roots(path)?,
        Trust::BuiltInRoots | Trust::Anyone => {
            Arc::new(RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() })
        }
    };
    let builder = if tls.trust == Trust::Anyone {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyServer(crypto.provider.clone())))
    } else {
        let verifier = WebPkiServerVerifier::builder_with_provider(roots, crypto.provider.clone())
            .build()
            .expect("the roots are not empty and there are no revocation lists");
        builder.with_webpki_verifier(verifier)
    };
    let mut config = match &tls.identity {
        None => builder.with_no_client_auth(),
        Some(pair) => {
            let shown = certified_key(&pair.cert, &pair.key, &crypto.provider)?;
            builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from((*shown).clone())))
        }
    };
    config.alpn_protocols = vec![super::ALPN[0].to_vec()];
    Ok(config)
}

fn versions(protocols: TlsProtocols) -> Vec<&'static SupportedProtocolVersion> {
    match protocols {
        TlsProtocols::Both => vec![&version::TLS13, &version::TLS12],
        TlsProtocols::OnlyTls12 => vec![&version::TLS12],
        TlsProtocols::OnlyTls13 => vec![&version::TLS13],
    }
}

/// Keeps the suites that were asked for, in that order. As in nginx, a list that names no TLS 1.3 suite speaks of
/// TLS 1.2 alone.
fn with_ciphers(provider: &CryptoProvider, ciphers: Option<&[rustls::CipherSuite]>) -> CryptoProvider {
    let mut provider = provider.clone();
    let Some(wanted) = ciphers else { return provider };
    let all = provider.cipher_suites.clone();
    let mut kept: Vec<_> =
        wanted.iter().filter_map(|want| all.iter().copied().find(|suite| suite.suite() == *want)).collect();
    if !kept.iter().any(|suite| suite.tls13().is_some()) {
        kept.extend(all.iter().copied().filter(|suite| suite.tls13().is_some()));
    }
    provider.cipher_suites = kept;
    provider
}

fn read(path: &Path) -> Result<Vec<u8>, LoadError> {
    files::read(path).map_err(|why| LoadError::Unreadable { path: path.to_path_buf(), why })
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, LoadError> {
    let bad = |why| LoadError::NotPem { path: path.to_path_buf(), expected: "one or more CERTIFICATE sections", why };
    let found: Vec<_> = CertificateDer::pem_slice_iter(&read(path)?)
        .collect::<Result<_, _>>()
        .map_err(|e| bad(format!("not a PEM file ({e})")))?;
    if found.is_empty() { Err(bad("no certificate in it".into())) } else { Ok(found) }
}

fn certified_key(cert: &Path, key: &Path, provider: &CryptoProvider) -> Result<Arc<CertifiedKey>, LoadError> {
    let chain = certificates(cert)?;
    let der = PrivateKeyDer::from_pem_slice(&read(key)?).map_err(|e| LoadError::NotPem {
        path: key.to_path_buf(),
        expected: "one PRIVATE KEY section, not encrypted",
        why: format!("no private key in it ({e})"),
    })?;
    CertifiedKey::from_der(chain, der, provider).map(Arc::new).map_err(|why| LoadError::Mismatch {
        cert: cert.to_path_buf(),
        key: key.to_path_buf(),
        why,
    })
}

fn roots(path: &Path) -> Result<Arc<RootCertStore>, LoadError> {
    let mut store = RootCertStore::empty();
    for cert in certificates(path)? {
        store.add(cert).map_err(|e| LoadError::Authority {
            path: path.to_path_buf(),
            why: format!("a certificate in it cannot be used as an authority: {e}"),
        })?;
    }
    Ok(Arc::new(store))
}
