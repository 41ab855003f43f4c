//! The access log: one line for each session, and if wanted for each request.

mod capture;
mod line;

use std::io::{Write as _, stderr};
use std::time::Duration;

use outrigger_shared::event::Event;
use outrigger_shared::relay::Relay;

pub use capture::Asked;
pub(crate) use capture::Capture;

use self::line::Line;
use super::{Exchange, Notice, Observer, log};
use crate::config::{self, AccessLines};
use crate::session::Who;

/// Writes lines to stderr, beside those of the log and in their form, at any level of the log.
#[derive(Debug, Clone, Copy)]
pub struct AccessLog {
    lines: AccessLines,
    json: bool,
}

impl AccessLog {
    pub fn new(config: &config::AccessLog) -> Self {
        Self { lines: config.lines, json: log::is_json(config.format) }
    }

    fn write(self, line: &Line<'_>) {
        // One write, so that no other line comes in between; there is nobody to tell that it has failed.
        let _ = stderr().lock().write_all(line.render(self.json, &line::now()).as_bytes());
    }

    fn wants(self, exchange: &Exchange) -> bool {
        match self.lines {
            AccessLines::Off => false,
            // Of a session that has come about there is a line at its end.
            AccessLines::Sessions => exchange.upgrade && !exchange.has_session(),
            AccessLines::All => !exchange.has_session(),
        }
    }
}

impl Observer for AccessLog {
    fn event(&self, _: &Who, _: &Event) {}

    fn ended(&self, who: &Who, lived: Duration, relay: &Relay) {
        if self.lines != AccessLines::Off
            && let Some(line) = Line::of_session(who, lived, relay)
        {
            self.write(&line);
        }
    }

    fn cut(&self, who: &Who) {
        if self.lines != AccessLines::Off {
            self.write(&Line::of_cut(who));
        }
    }

    fn notice(&self, notice: &Notice<'_>) {
        if let Notice::Answered(exchange) = notice
            && self.wants(exchange)
        {
            self.write(&Line::of_request(exchange));
        }
    }
}
