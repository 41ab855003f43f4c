//! X25519 (RFC 7748) with private keys from the seed.

use aws_lc_rs::agreement::{PrivateKey, PublicKey, UnparsedPublicKey, X25519, agree};
use rustls::crypto::{ActiveKeyExchange, SharedSecret, SupportedKxGroup};
use rustls::ffdhe_groups::FfdheGroup;
use rustls::{Error, NamedGroup, PeerMisbehaved};

use super::HostRandom;

const PRIVATE_KEY_BYTES: usize = 32;

#[derive(Debug)]
pub(super) struct SeededX25519(pub(super) HostRandom);

impl SupportedKxGroup for SeededX25519 {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
        let mut secret = [0; PRIVATE_KEY_BYTES];
        self.0.bytes(&mut secret);
        let private = PrivateKey::from_private_key(&X25519, &secret);
        let pair = private.and_then(|private| Ok((private.compute_public_key()?, private)));
        let (public, private) = pair.map_err(|_| Error::General("32 bytes are a private key".into()))?;
        Ok(Box::new(Started { private, public }))
    }

    fn ffdhe_group(&self) -> Option<FfdheGroup<'static>> {
        None
    }

    fn name(&self) -> NamedGroup {
        NamedGroup::X25519
    }
}

struct Started {
    private: PrivateKey,
    public: PublicKey,
}

impl ActiveKeyExchange for Started {
    fn complete(self: Box<Self>, peer: &[u8]) -> Result<SharedSecret, Error> {
        let invalid = Error::PeerMisbehaved(PeerMisbehaved::InvalidKeyShare);
        agree(&self.private, UnparsedPublicKey::new(&X25519, peer), invalid, |secret| Ok(SharedSecret::from(secret)))
    }

    fn ffdhe_group(&self) -> Option<FfdheGroup<'static>> {
        None
    }

    fn group(&self) -> NamedGroup {
        NamedGroup::X25519
    }

    fn pub_key(&self) -> &[u8] {
        self.public.as_ref()
    }
}
