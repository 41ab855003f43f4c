//! Time and life, black box: timeouts, what the client hears when the app fails, TLS, plain HTTP on the way,
//! and the end of the process. The number in a test's name is that of the promise that it keeps.

mod addresses;
mod exchanges;
mod failures;
mod http;
mod shutdown;
mod timeouts;
mod tls;
