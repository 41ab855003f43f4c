//! What people see of the sidecar from outside: metrics.

mod metrics;
