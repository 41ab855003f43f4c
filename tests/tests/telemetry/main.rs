//! What people see of the sidecar from outside: metrics and logs.

mod access_log;
mod metrics;
mod prometheus;
