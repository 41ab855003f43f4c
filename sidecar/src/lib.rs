//! The Outrigger sidecar: HTTP and WebSocket in front of one app, as a library that runs on any [`net::Net`].
//!
//! [`server::Server`] is the whole of it; [`config`] is what it is told, [`cli`] how a person tells it.

pub mod admin;
pub mod cli;
pub mod config;
pub mod control;
pub mod demo;
pub mod descriptors;
pub mod drain;
mod drive;
pub mod files;
pub mod handover;
pub mod http;
pub mod inherit;
pub mod inject;
pub mod lifecycle;
mod listen;
pub mod net;
mod rebalance;
pub mod registry;
pub mod reload;
pub mod server;
pub mod session;
pub mod settings;
pub mod telemetry;
pub mod tls;
pub mod transport;
pub mod upstream;
pub mod webhook;
