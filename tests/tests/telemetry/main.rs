//! What people see of the sidecar from outside: metrics, logs, and traces at a collector.

mod access_log;
mod hostile_collector;
mod metrics;
mod outage;
mod prometheus;
mod simulated;
mod traces;
