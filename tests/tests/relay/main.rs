//! The core of a session, black box: what happens to frames, pings, Closes, slow peers and time after the 101.
//! The number in a test's name is that of the promise that it keeps.

mod account;
mod backpressure;
mod closing;
mod injected;
mod keepalive;
mod limits;
mod pair;
mod raw;
mod shutdown;
mod streaming;
mod timing;
mod violations;
