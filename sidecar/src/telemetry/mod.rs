//! What people see: the log. It is made from the one `Event` enum.

mod log;

pub use log::init;
pub(crate) use log::{session_ended, session_event};
