//! How many connections the process may hold.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors that are no connections: listeners, the runtime's own, log, files read at a reload.
const RESERVED: u64 = 128;
/// A session needs one for the client and one for the app.
const PER_CONNECTION: u64 = 2;
/// Where the kernel sets no limit.
const UNLIMITED: u64 = 1 << 20;

/// Raises the process's descriptor limit as far as it may without a privilege, and returns the number of client
/// connections that fit.
pub fn connections_that_fit() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    // A container runtime may forbid it; then the lower limit stands.
    let current = if setrlimit(Resource::Nofile, raised).is_ok() { limit.maximum } else { limit.current };
    let descriptors = current.unwrap_or(UNLIMITED).min(UNLIMITED);
    usize::try_from(descriptors.saturating_sub(RESERVED) / PER_CONNECTION).unwrap_or(usize::MAX).max(1)
}

#[cfg(test)]
mod tests {
    #[test]
    fn some_connections_fit() {
        assert!((1..=super::UNLIMITED / super::PER_CONNECTION).contains(&(super::connections_that_fit() as u64)));
    }
}
