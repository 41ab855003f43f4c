//! Several upstreams: who gets a connection, and where it goes when one of them is gone. The way out for the app beside the
//! sidecar, and what proxies say of clients.

mod checks;
mod egress;
mod failover;
mod herd;
mod identity;
mod proxy_protocol;
