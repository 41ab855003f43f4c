//! The drain.

use std::time::Duration;

use crate::config::Drain;
use crate::config::reader::Reader;

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
