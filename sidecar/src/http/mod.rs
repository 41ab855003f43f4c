//! HTTP/1.1 on a client's connection: requests go to the app, opening handshakes become sessions.

mod body;
mod forward;
mod guard;
mod origin;
mod proxy;
mod reply;
mod serve;
mod watch;

pub use body::{BodyFault, RequestBody, ResponseBody};
pub use guard::Guard;
pub(crate) use guard::Limits;
pub use proxy::Proxy;
pub use serve::{Connection, serve};
