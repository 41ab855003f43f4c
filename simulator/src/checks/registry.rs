//! What a sidecar counts as live is what lives: nothing after it has stopped, and no session without an end.

use super::Case;
use crate::world::record::Fate;

pub(super) fn check(case: &Case) -> Vec<String> {
    let open = case.sidecar_sessions.iter().filter(|session| matches!(session.fate, Fate::Open));
    let mut found = case.left_over.to_vec();
    found.extend(open.map(|session| format!("{} has no end", case.name(session))));
    found
}
