//! The pure part of Outrigger: what a WebSocket session is, as bytes and time in, verdicts out.
//!
//! Nothing in here opens a socket, reads a clock or the environment, or draws a random number: `now` is a parameter and
//! entropy is a seed. That is what lets the sidecar and the simulator run the very same machine.
//!
//! * [`relay`] joins the two byte streams of one session: start there.
//! * [`frame`] reads frame headers and writes the few frames that a relay injects.
//! * [`close`] has the words for the end of a session: codes, who, why.
//! * [`handshake`] checks the request and the answer that open a session; [`trace_context`] its `traceparent`.
//! * [`limits`] is what an operator can set.
//! * [`event`] is the account of what happened.
//! * [`proxy_protocol`] says who really connects.
//! * [`choose`] picks one of several upstreams.
//! * [`time`] is the one unit of time; [`entropy`] draws numbers from a seed.

pub mod choose;
pub mod close;
pub mod entropy;
pub mod event;
pub mod frame;
pub mod handshake;
pub mod limits;
pub mod proxy_protocol;
pub mod relay;
pub mod time;
pub mod trace_context;
