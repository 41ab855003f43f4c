//! `outrigger webhook`: a mutating admission webhook of Kubernetes, which does to pods what `inject` does to manifests.
//!
//! [`review`] is pure: bytes of an `AdmissionReview` in, the answer and its account out. It decides from the object alone, so that
//! nothing here ever calls the API server. `serve` is the HTTPS server around it, `call` one request, and `certificate` puts another
//! one into force when its files change.

mod call;
mod certificate;
pub mod review;
mod serve;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

pub use self::serve::run;
use crate::config::{CertPair, Log};
use crate::tls::LoadError;

/// What `outrigger webhook` was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    pub listen: SocketAddr,
    /// The server's certificate: PEM files, read again when they change.
    pub certificate: CertPair,
    pub policy: review::Policy,
    /// How long connections are still taken once the process is told to stop: as long as others may not know yet that it will.
    pub shutdown_delay: Duration,
    pub log: Log,
}

/// Why it cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Certificate(#[from] LoadError),
    #[error("cannot listen on {addr}: {why}; give another address with --listen")]
    Bind { addr: SocketAddr, why: io::Error },
}

impl StartError {
    /// Whether what it was told is at fault, rather than the world as it is now.
    pub fn is_config(&self) -> bool {
        matches!(self, Self::Certificate(_))
    }
}
