//! The deterministic simulator: the sidecar's own code on hosts, links and clocks that follow a seed.
//!
//! [`engine::run`] is the way in: it builds the hosts of [`engine::Options`], runs a future among them on paused
//! time, and gives back what the future returned together with a digest over every packet. Same options, same seed,
//! same digest, on any thread and in any process.

pub mod crypto;
pub mod engine;
pub mod fault;
pub mod history;
pub mod middlebox;
pub mod net;
pub mod rng;
pub mod wan;
