//! What a sidecar holds of a session stays within what its limits allow, however slow a side is.
//!
//! It is weighed at the sidecar's sockets (see [`Passed`](crate::world::record::Passed)): bytes that came in and did
//! not go out. A side is read while less than `write_buffer` waits for the other one, so there may be one read more
//! than that; the incomplete start of a frame may be held in front of it.

use outrigger_shared::close::Side;

use super::Case;
use crate::world::record::SidecarSession;

/// Taken from a socket at once.
const READ_BYTES: u64 = 64 * 1024;
/// The start of a frame that is forwarded only whole.
const HELD_FRAME_BYTES: u64 = 4096;
/// A ping and a Close of the sidecar's own, with all that they may carry.
const OWN_FRAMES_BYTES: u64 = 2 * (125 + 14);
/// A record underway in either direction, and a write's worth of encrypted ones that the socket does not take.
const TLS_BYTES: u64 = 2 * 18 * 1024 + 64 * 1024;

pub(super) fn check(case: &Case) -> Vec<String> {
    let sides = case.sidecar_sessions.iter().flat_map(|session| Side::BOTH.map(|side| (session, side)));
    sides.filter_map(|(session, side)| too_much(case, session, side)).collect()
}

fn too_much(case: &Case, session: &SidecarSession, from: Side) -> Option<String> {
    let passed = session.passed.as_ref()?;
    let buffer = case.scenario.sidecars[session.sidecar].config.session.write_buffer as u64;
    let tls = if passed.tls { TLS_BYTES } else { 0 };
    let most = buffer + READ_BYTES + HELD_FRAME_BYTES + OWN_FRAMES_BYTES + tls;
    let held = passed.sides[from as usize].most_held;
    (held > most).then(|| format!("{} held {held} bytes of the {from}; it may hold {most}", case.name(session)))
}
