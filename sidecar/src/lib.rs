//! The Outrigger sidecar.

pub mod cli;
pub mod config;
