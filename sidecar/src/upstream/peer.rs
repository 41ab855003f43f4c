//! One upstream: how it is dialled, and its connections that wait for a request.

use std::sync::{Arc, Mutex, PoisonError};

use http::HeaderValue;
use outrigger_shared::choose::PeerId;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;

use super::dial::Dialer;
use super::pool::Pool;
use super::shown::{Dialled, LastDial};
use crate::config::{self, Target};

/// An upstream as it is configured, with what was made of its files.
pub(crate) struct Spec {
    pub(crate) config: config::Upstream,
    /// Present where it is reached over TLS.
    pub(crate) tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
}

pub(super) struct Peer<N> {
    pub(super) id: PeerId,
    pub(super) name: Arc<str>,
    /// What it is called in a `Host` header.
    pub(super) authority: HeaderValue,
    pub(super) dialer: Dialer<N>,
    pub(super) pool: Arc<Pool>,
    /// The dial that ended last.
    pub(super) last_dial: Mutex<Option<Dialled>>,
}

impl<N> Peer<N> {
    /// Whether a connection that it dials is as good as one to this upstream. Over TLS it is as good as the certificates that it
    /// was dialled with, and files may have changed.
    pub(super) fn stays(&self, spec: &Spec) -> bool {
        let Spec { config: config::Upstream { name, target, proxy_protocol, .. }, tls } = spec;
        let plain = self.dialer.tls.is_none() && tls.is_none();
        let here = (&*self.name, &self.dialer.target, &self.dialer.proxy_protocol);
        plain && here == (name.as_str(), target, proxy_protocol)
    }

    pub(super) fn note(&self, dialled: Dialled) {
        *self.last_dial.lock().unwrap_or_else(PoisonError::into_inner) = Some(dialled);
    }

    pub(super) fn last_dial(&self) -> Option<LastDial> {
        self.last_dial.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(Dialled::show)
    }
}

/// `host:port` of the app; a Unix socket has none, so `localhost`, as curl and others say then.
pub(crate) fn authority(target: &Target) -> HeaderValue {
    let text = match target {
        Target::Tcp { .. } => target.to_string(),
        Target::Unix(_) => "localhost".to_owned(),
    };
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("localhost"))
}
