//! The log and the access log.

use ::http::HeaderName;

use super::plain;
use crate::config::parse::{self, Problem};
use crate::config::reader::Reader;
use crate::config::{AccessLines, AccessLog, Log, LogFormat};

/// Headers of a request that are in a line of the access log at most.
const MAX_HEADERS: usize = 16;

/// Headers that are never in the access log, whatever their values.
const NEVER: [&str; 4] = ["authorization", "cookie", "proxy-authorization", "set-cookie"];

pub(in crate::config) fn log(reader: &mut Reader) -> Log {
    let format = match reader.choice("log_format") {
        "text" => LogFormat::Text,
        "json" => LogFormat::Json,
        _ => LogFormat::Auto,
    };
    let level = reader.choice("log_level").parse().expect("tracing has the same levels");
    Log { format, level }
}

/// `format` is what holds where the access log has none of its own.
pub(super) fn access_log(reader: &mut Reader, format: LogFormat) -> AccessLog {
    let lines = match reader.choice("access_log") {
        "off" => AccessLines::Off,
        "all" => AccessLines::All,
        _ => AccessLines::Sessions,
    };
    let format = match reader.one("access_log_format", parse::choice) {
        Some("text") => LogFormat::Text,
        Some(_) => LogFormat::Json,
        None => format,
    };
    let query = reader.switch("access_log_query");
    let found = reader.many("access_log_headers", plain(|text| header(text).map(|name| vec![name])));
    if let Some(over) = found.get(MAX_HEADERS) {
        let problem = format!("is one more than the {MAX_HEADERS} headers that a line can have");
        reader.report.fault(&over.place, problem, "leave those that you need");
    }
    let headers = found.into_iter().map(|found| found.value).collect();
    // Subprotocols go by it in the admin API too, so it is of use without an access log.
    let found = reader.many("access_log_redact", plain(|text| word(text).map(|word| vec![word])));
    let redact = found.into_iter().map(|found| found.value).collect();
    if lines == AccessLines::Off {
        reader.useless(&["access_log_format", "access_log_query", "access_log_headers"], "access_log is off");
    }
    AccessLog { lines, format, query, headers, redact }
}

fn header(text: &str) -> Result<HeaderName, Problem> {
    let name = HeaderName::from_bytes(text.as_bytes());
    let name = name.map_err(|_| Problem::new(format!("`{text}` is not the name of a header")))?;
    if NEVER.contains(&name.as_str()) {
        let problem = Problem::new(format!("`{text}` is a secret as a whole, and never in a log"));
        return Err(problem.advise("remove it"));
    }
    Ok(name)
}

fn word(text: &str) -> Result<String, Problem> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_') {
        return Err(Problem::new(format!("`{text}` is not such a word")));
    }
    Ok(text.to_ascii_lowercase())
}
