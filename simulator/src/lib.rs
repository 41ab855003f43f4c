//! A deterministic simulator that runs the sidecar's own code: same scenario, same seed, same history.

pub mod rng;
pub mod scenario;
