//! Drain, hold and restart.

use std::path::PathBuf;
use std::time::Duration;

use super::to_usize;
use crate::config::parse::Problem;
use crate::config::reader::Reader;
use crate::config::{Drain, Hold};

/// What the kernel takes as the path of a socket, its closing zero not counted (`sun_path` of unix(7)), less the process
/// number that stands behind it until the socket takes its place (`handover::Claim`).
const MAX_SOCKET_PATH_BYTES: usize = 107 - ".4194304".len();

pub(super) fn drain(reader: &mut Reader, grace: Duration) -> Drain {
    let drain = Drain {
        window: reader.duration_or_word("drain_window"),
        jitter_percent: u8::try_from(reader.count("drain_jitter")).expect("the table's range fits"),
        quiet: reader.duration("drain_quiet"),
    };
    let Some(window) = drain.window else {
        reader.useless(&["drain_jitter", "drain_quiet", "close_code_drain"], "drain_window is off");
        return drain;
    };
    // The default gives way to a short grace without a word.
    if let Some(place) = reader.given("drain_window")
        && window + drain.quiet > grace
    {
        let problem = "drain_window and drain_quiet are longer than shutdown_grace together, so a signal shortens them";
        reader.cross_warn(place, problem, "make shutdown_grace at least as long as both together");
    }
    drain
}

pub(super) fn hold(reader: &mut Reader) -> Option<Hold> {
    let patience = reader.duration_or_word("hold");
    let max = to_usize(reader.count("hold_max"));
    if patience.is_none() {
        reader.useless(&["hold_max"], "hold is off");
    }
    patience.map(|patience| Hold { patience, max })
}

pub(super) fn socket_path(text: &str) -> Result<PathBuf, Problem> {
    let path = PathBuf::from(text);
    if !path.is_absolute() {
        return Err(Problem::new(format!("`{text}` is not an absolute path")));
    }
    if text.len() > MAX_SOCKET_PATH_BYTES {
        let what = format!("`{text}` is longer than the {MAX_SOCKET_PATH_BYTES} bytes that a socket's path may have");
        return Err(Problem::new(what));
    }
    Ok(path)
}
