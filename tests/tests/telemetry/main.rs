//! What people see of the sidecar from outside: metrics, and traces at a collector.

mod hostile_collector;
mod metrics;
mod outage;
mod traces;
