//! The wide area between hosts: links with latency, jitter, bandwidth and loss, and a model of the TCP that crosses
//! them.
//!
//! The simulated kernels (turmoil-net) have the addresses, ports, listeners, backlogs, handshakes and closing states of each
//! host; what lies between two kernels is ours. What an application writes goes to the connection's own sender, which has
//! a congestion window, a retransmission timer and a peer with a receive window, and decides when the bytes arrive and
//! what is counted on the wire. So windows go beyond the kernel's 64 KiB, and loss delays instead of breaking order.

mod acks;
mod buffers;
mod congestion;
mod conn;
mod conns;
mod handshake;
mod link;
mod receive;
mod reset;
mod send;
mod traffic;

pub(crate) use self::congestion::INITIAL_WINDOW;
pub(crate) use self::conn::{Addr, Conn, Side};
pub(crate) use self::conns::Conns;
pub(crate) use self::link::Links;
pub use self::link::{Link, Place};
pub(crate) use self::traffic::TrafficTable;
pub use self::traffic::{Counter, Traffic};

/// Largest payload of a segment, in bytes: Ethernet's 1500 less IPv4 and TCP headers with timestamps.
pub const MSS: usize = 1448;
/// IPv4 and TCP headers with the timestamp option; a pure ACK, a FIN.
pub const HEADER_BYTES: u32 = 52;
/// The same with the options of a SYN.
pub const SYN_BYTES: u32 = 60;
/// A RST carries no options.
pub const RST_BYTES: u32 = 40;
/// A duplicate ACK with one SACK block.
pub(crate) const SACK_BYTES: u32 = 64;

/// Largest backlog of a listener: SYNs above it are dropped.
pub(crate) const BACKLOG: usize = 4096;
