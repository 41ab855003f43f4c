//! TLS whose every byte follows from the seed: randomness and key exchange from the host's entropy, time from its
//! wall clock, and a checked-in certificate. Secrets of a simulation are none.

mod exchange;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use outrigger::net::Net;
use outrigger::tls::{Crypto, ServerSide};
use rustls::crypto::{CryptoProvider, GetRandomFailed, SecureRandom, SupportedKxGroup};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use self::exchange::SeededX25519;
use crate::backend;

/// The name in the test certificate; also `*.outrigger.test`.
pub const SERVER_NAME: &str = "outrigger.test";
/// Signed by itself with Ed25519, whose signatures have one length and no randomness; valid for the hundred years from 2020.
pub const CERTIFICATE_PEM: &str = include_str!("test-cert.pem");
pub const KEY_PEM: &str = include_str!("test-key.pem");

/// What the sidecar on this host does TLS with; `host` is its place in [`crate::engine::Options::hosts`].
pub fn crypto<N: Net>(net: &N, host: u16) -> Crypto {
    let host = seeded(host);
    let real = Crypto::new(net.clone());
    let provider = CryptoProvider {
        secure_random: &host.random,
        kx_groups: vec![&host.exchange as &dyn SupportedKxGroup],
        ..(*real.provider).clone()
    };
    Crypto { provider: Arc::new(provider), time: real.time }
}

/// What a server shows: the test certificate.
pub fn server_side(crypto: &Crypto) -> ServerSide {
    let key = PrivateKeyDer::from_pem_slice(KEY_PEM.as_bytes()).expect("the test key is a key");
    ServerSide::with_certificate(vec![certificate()], key, crypto).expect("the test certificate fits its key")
}

/// For clients that trust the test certificate and nothing else.
pub fn client_config(crypto: &Crypto) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(certificate()).expect("the test certificate can be an anchor");
    ClientConfig::builder_with_details(crypto.provider.clone(), crypto.time.clone())
        .with_protocol_versions(rustls::DEFAULT_VERSIONS)
        .expect("the provider has suites for both versions")
        .with_root_certificates(roots)
        .with_no_client_auth()
}

fn certificate() -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(CERTIFICATE_PEM.as_bytes()).expect("the test certificate is one")
}

/// rustls wants references for ever, so these are made once for each host number and kept.
struct Seeded {
    random: HostRandom,
    exchange: SeededX25519,
}

fn seeded(host: u16) -> &'static Seeded {
    static ALL: Mutex<BTreeMap<u16, &'static Seeded>> = Mutex::new(BTreeMap::new());
    let mut all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
    all.entry(host).or_insert_with(|| {
        Box::leak(Box::new(Seeded { random: HostRandom(host), exchange: SeededX25519(HostRandom(host)) }))
    })
}

/// A host's entropy in the run of the calling thread.
#[derive(Debug, Clone, Copy)]
struct HostRandom(u16);

impl HostRandom {
    fn bytes(self, out: &mut [u8]) {
        backend::entropy(self.0, out);
    }
}

impl SecureRandom for HostRandom {
    fn fill(&self, out: &mut [u8]) -> Result<(), GetRandomFailed> {
        self.bytes(out);
        Ok(())
    }
}
