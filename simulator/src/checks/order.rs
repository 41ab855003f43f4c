//! Updates arrive in the order in which they were made, none twice and none left out in one session, with the times
//! and sizes with which they were made. It is watched while the run goes on; here it is only told.

use super::Case;

pub(super) fn check(case: &Case) -> Vec<String> {
    case.problems.to_vec()
}
