//! One upstream: how it is dialled, and its connections that wait for a request.

use std::sync::Arc;

use outrigger_shared::choose::PeerId;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;

use super::dial::Dialer;
use super::pool::Pool;
use crate::config;

/// An upstream as it is configured, with what was made of its files.
pub(crate) struct Spec {
    pub(crate) config: config::Upstream,
    /// Present where it is reached over TLS.
    pub(crate) tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
}

pub(super) struct Peer<N> {
    pub(super) id: PeerId,
    pub(super) name: Arc<str>,
    pub(super) dialer: Dialer<N>,
    pub(super) pool: Arc<Pool>,
}
