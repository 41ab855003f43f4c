//! Sockets as systemd gives them to a service, and tools that do as it does (`sd_listen_fds(3)`): open from descriptor 3
//! on, and announced in the environment.

use std::io;
use std::net::{SocketAddr, TcpListener};

use listenfd::ListenFd;

use super::{Inherited, listens_at};

/// Sockets taken at most; more is a mistake, not a service.
const MAX_SOCKETS: usize = 253;
/// Where systemd begins to count.
const FIRST_DESCRIPTOR: usize = 3;

/// Why the sockets given to this process cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ActivationError {
    #[error("LISTEN_FDS is {given:?}; it has to be the number of sockets given to this process, at most {MAX_SOCKETS}")]
    Count { given: String },
    #[error(
        "descriptor {descriptor} ({name}), given by LISTEN_FDS, is no listening TCP socket: {why}; write \
         ListenStream=ADDRESS:PORT and Accept=no in the socket unit"
    )]
    Socket { descriptor: usize, name: String, why: io::Error },
    #[error(
        "the socket {addr}, given by LISTEN_FDS, is not wanted by any listener; add --listen http://{addr} (or https://, \
         tls://), or take it out of the socket unit"
    )]
    Unwanted { addr: SocketAddr },
}

/// The sockets that are meant for the process with this number, with their addresses. Call before any thread begins: the
/// variables are taken out of the environment, as they are for nobody else.
pub fn sockets(env: &[(String, String)], pid: u32) -> Result<Vec<(SocketAddr, TcpListener)>, ActivationError> {
    let variable = |name: &str| env.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let Some(count) = variable("LISTEN_FDS") else { return Ok(Vec::new()) };
    let meant = variable("LISTEN_PID").unwrap_or_default();
    if meant != pid.to_string() {
        tracing::warn!(
            pid,
            listen_pid = meant,
            "LISTEN_FDS is set, but LISTEN_PID is not this process; its sockets are left alone"
        );
        return Ok(Vec::new());
    }
    if !count.parse().is_ok_and(|count: usize| count <= MAX_SOCKETS) {
        return Err(ActivationError::Count { given: count.to_owned() });
    }
    let mut names = variable("LISTEN_FDNAMES").unwrap_or_default().split(':');
    let mut given = ListenFd::from_env();
    let mut sockets = Vec::new();
    for index in 0..given.len() {
        let name = names.next().filter(|name| !name.is_empty()).unwrap_or("unnamed").to_owned();
        let fail = |why| ActivationError::Socket { descriptor: FIRST_DESCRIPTOR + index, name, why };
        let taken = given.take_tcp_listener(index).and_then(|listener| {
            let listener = listener.expect("each index is taken once");
            Ok((listens_at(&listener)?, listener))
        });
        sockets.push(taken.map_err(fail)?);
    }
    Ok(sockets)
}

/// An error for the first socket that nobody has taken: whoever connected there would never be answered.
pub fn all_taken<L>(inherited: &Inherited<L>) -> Result<(), ActivationError> {
    let mut given = inherited.left().iter().filter(|socket| socket.shared);
    given.next().map_or(Ok(()), |socket| Err(ActivationError::Unwanted { addr: socket.addr }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PID: u32 = 1234;

    fn read(variables: &[(&str, &str)]) -> Result<usize, ActivationError> {
        let env: Vec<_> = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        sockets(&env, PID).map(|sockets| sockets.len())
    }

    #[test]
    fn what_is_meant_for_others_is_left_alone() {
        for variables in [&[][..], &[("LISTEN_FDS", "1")], &[("LISTEN_FDS", "1"), ("LISTEN_PID", "1235")]] {
            assert_eq!(read(variables).unwrap(), 0, "{variables:?}");
        }
    }

    #[test]
    fn a_count_that_is_none_is_refused() {
        for count in ["", "x", "-1", "254", "4294967296", "99999999999999999999999"] {
            let error = read(&[("LISTEN_FDS", count), ("LISTEN_PID", "1234")]).unwrap_err().to_string();
            assert!(error.contains(&format!("LISTEN_FDS is {count:?}; it has to be")), "{error}");
        }
    }
}
