//! The deterministic simulator: worlds of clients, networks and apps around the sidecar's own code, which runs in them
//! unchanged on its network seam.
//!
//! [`engine::run`] is the way in: it builds the hosts of [`engine::Options`], runs a future among them on paused
//! time, and gives back what the future returned together with a digest over every packet. Same options, same seed,
//! same digest, on any thread and in any process.

pub mod actors;
pub mod backend;
pub mod checks;
pub mod cli;
pub mod crypto;
pub mod engine;
pub mod export;
pub mod fault;
pub mod history;
pub mod middlebox;
pub mod net;
pub mod report;
pub mod rng;
pub mod scenario;
pub mod wan;
pub mod world;
