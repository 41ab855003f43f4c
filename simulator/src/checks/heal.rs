//! Once faults and updates are over, everything converges within the scenario's `heal`: machines run, clients are
//! connected and have every update that they can ask for.

use super::Case;

pub(super) fn check(case: &Case) -> Vec<String> {
    case.unconverged.to_vec()
}
