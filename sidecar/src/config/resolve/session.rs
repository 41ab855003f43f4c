//! WebSocket sessions.

use std::time::Duration;

use outrigger_shared::close::CloseCode;

use super::to_usize;
use crate::config::parse;
use crate::config::reader::Reader;
use crate::config::{CloseCodes, Inspect, Keepalive, Lifetime, MessageRate, OverRate, Rates, SessionConfig};

/// Keys that need frames to be read.
const FRAME_KEYS: [&str; 17] = [
    "keepalive",
    "keepalive_client",
    "keepalive_app",
    "pong_timeout",
    "max_message_size",
    "max_frame_size",
    "max_fragments",
    "message_rate",
    "message_burst",
    "close_timeout",
    "close_code_idle",
    "close_code_lifetime",
    "close_code_rate",
    "close_code_app_gone",
    "close_code_app_silent",
    "close_code_drain",
    "close_code_shutdown",
];

pub(super) fn session(reader: &mut Reader, read_timeout: Duration, holds: bool) -> SessionConfig {
    let inspect = if reader.choice("inspect") == "off" { Inspect::Off } else { Inspect::Frames };
    let keepalive = keepalive(reader);
    let rates = rates(reader);
    let lifetime = lifetime(reader);
    let session = SessionConfig {
        inspect,
        keepalive,
        max_message: reader.size_or_word("max_message_size"),
        max_frame: reader.size_or_word("max_frame_size"),
        max_fragments: reader.count_or_word("max_fragments").map(to_u32),
        rates,
        lifetime,
        write_buffer: to_usize(reader.size("write_buffer")),
        close_timeout: reader.duration("close_timeout"),
        close_codes: close_codes(reader, holds),
    };
    if inspect == Inspect::Off {
        reader.useless(&FRAME_KEYS, "inspect is off");
    } else {
        warn_late_pings(reader, keepalive, read_timeout);
        warn_unused(reader, &session);
    }
    session
}

fn keepalive(reader: &mut Reader) -> Keepalive {
    let both = reader.duration_or_word("keepalive");
    Keepalive {
        client: reader.one("keepalive_client", parse::or_word(parse::duration)).unwrap_or(both),
        app: reader.one("keepalive_app", parse::or_word(parse::duration)).unwrap_or(both),
        pong_timeout: reader.duration("pong_timeout"),
    }
}

fn rates(reader: &mut Reader) -> Rates {
    let per_second = reader.count_or_word("message_rate").map(to_u32);
    let burst = reader.one("message_burst", parse::number).map(to_u32);
    Rates {
        messages: per_second.map(|per_second| MessageRate { per_second, burst: burst.unwrap_or(per_second) }),
        bytes: reader.size_or_word("byte_rate"),
        over: if reader.choice("over_rate") == "close" { OverRate::Close } else { OverRate::Slow },
    }
}

fn lifetime(reader: &mut Reader) -> Option<Lifetime> {
    let max = reader.duration_or_word("max_lifetime");
    let jitter = u8::try_from(reader.count("lifetime_jitter")).expect("the table's range fits");
    max.map(|max| Lifetime { max, jitter_percent: jitter })
}

fn close_codes(reader: &mut Reader, holds: bool) -> CloseCodes {
    // An app that is waited for is expected back: to its clients that is a restart.
    let mut gone = |name, code| {
        reader.one(name, parse::close_code).unwrap_or(if holds { CloseCode::SERVICE_RESTART.0 } else { code })
    };
    let app_gone = gone("close_code_app_gone", CloseCode::INTERNAL.0);
    let app_silent = gone("close_code_app_silent", CloseCode::BAD_GATEWAY.0);
    CloseCodes {
        idle: reader.close_code("close_code_idle"),
        lifetime: reader.close_code("close_code_lifetime"),
        rate: reader.close_code("close_code_rate"),
        app_gone,
        app_silent,
        drain: reader.close_code("close_code_drain"),
        shutdown: reader.close_code("close_code_shutdown"),
    }
}

/// The idle limit counts from the last byte, so a ping that is due later never comes.
fn warn_late_pings(reader: &mut Reader, keepalive: Keepalive, read_timeout: Duration) {
    let late = |interval: Option<Duration>| interval.is_some_and(|interval| interval >= read_timeout);
    let (sides, first) = match (late(keepalive.client), late(keepalive.app)) {
        (false, false) => return,
        (true, false) => ("the client", "keepalive_client"),
        (false, true) => ("the app", "keepalive_app"),
        (true, true) => ("either side", "keepalive"),
    };
    let names = [first, "keepalive", "keepalive_client", "proxy_read_timeout"];
    let given = names.into_iter().find(|name| reader.given(name).is_some());
    let place = reader.place(given.unwrap_or(first));
    let problem = format!("the first ping to {sides} comes no sooner than proxy_read_timeout cuts the session");
    let advice = "make it at most half of proxy_read_timeout, or write `keepalive` as `off` if the cut is wanted";
    reader.cross_warn(&place, problem, advice);
}

fn warn_unused(reader: &mut Reader, session: &SessionConfig) {
    let Rates { messages, bytes, over } = session.rates;
    if session.keepalive.client.is_none() && session.keepalive.app.is_none() {
        reader.useless(&["pong_timeout"], "keepalive is off");
    }
    if session.keepalive.app.is_none() {
        reader.useless(&["close_code_app_silent"], "keepalive of the app is off");
    }
    if messages.is_none() {
        reader.useless(&["message_burst"], "message_rate is off");
    }
    if messages.is_none() && bytes.is_none() {
        reader.useless(&["over_rate", "close_code_rate"], "message_rate and byte_rate are off");
    } else if over == OverRate::Slow {
        reader.useless(&["close_code_rate"], "over_rate is slow");
    }
    if session.lifetime.is_none() {
        reader.useless(&["lifetime_jitter", "close_code_lifetime"], "max_lifetime is off");
    }
}

/// The table keeps these at or below 2^31.
fn to_u32(count: u64) -> u32 {
    u32::try_from(count).expect("the table's range fits")
}
