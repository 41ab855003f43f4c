//! Deploys, black box: what clients notice while a sidecar or its app is replaced.

mod drain;
mod flood;
mod handover;
mod hold;
mod inherited;
mod measure;
mod reload;
mod reuseport;
