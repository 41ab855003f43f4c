//! The deterministic simulator: worlds of clients, networks and apps around the sidecar's own code, which runs in them
//! unchanged on its network seam.

pub mod actors;
pub mod rng;
pub mod scenario;
