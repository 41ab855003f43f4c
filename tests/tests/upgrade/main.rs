//! The upgrade hop, black box: one or more tests per promise. The number in a test's name is that of the
//! promise in the list of what a best-in-class WebSocket sidecar does.

mod headers;
mod refusals;
mod requests;
