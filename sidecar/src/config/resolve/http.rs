//! HTTP with clients, and time limits towards the app.

use std::time::Duration;

use super::{to_usize, warn_outside_clb};
use crate::config::reader::{Found, Reader};
use crate::config::{Dial, HttpLimits, Listener, Scheme};

/// CLB advises to stay below this, as whatever sits in front of it seldom waits longer.
const READ_TIMEOUT_ADVISED_BELOW: Duration = Duration::from_mins(15);

pub(super) fn limits(reader: &mut Reader, listeners: &[Found<Listener>]) -> HttpLimits {
    let limits = HttpLimits {
        header_timeout: reader.duration("client_header_timeout"),
        body_timeout: reader.duration("client_body_timeout"),
        max_body: reader.size_or_word("client_max_body_size"),
        max_header: to_usize(reader.size("client_header_buffer_size")),
        keepalive_timeout: Some(reader.duration("keepalive_timeout")).filter(|timeout| !timeout.is_zero()),
        tls_handshake_timeout: reader.duration("tls_handshake_timeout"),
    };
    warn_outside_clb(reader, "client_body_timeout", limits.body_timeout, (30, 120));
    if !listeners.is_empty() && listeners.iter().all(|found| found.value.scheme == Scheme::Tls) {
        let names = [
            "client_header_timeout",
            "client_body_timeout",
            "client_max_body_size",
            "client_header_buffer_size",
            "keepalive_timeout",
            "add_header",
            "more_set_headers",
            "allowed_origins",
            "trusted_proxies",
        ];
        reader.useless(&names, "all listeners are tls:// and pass bytes on as they are");
    }
    limits
}

pub(super) fn dial(reader: &mut Reader) -> Dial {
    let dial = Dial {
        connect_timeout: reader.duration("proxy_connect_timeout"),
        read_timeout: reader.duration("proxy_read_timeout"),
        send_timeout: reader.duration("proxy_send_timeout"),
        upgrade_timeout: reader.duration("upgrade_timeout"),
        idle_connections: to_usize(reader.count("upstream_keepalive")),
        idle_timeout: reader.duration("upstream_keepalive_timeout"),
    };
    warn_outside_clb(reader, "proxy_connect_timeout", dial.connect_timeout, (4, 120));
    warn_outside_clb(reader, "proxy_read_timeout", dial.read_timeout, (30, 3600));
    if dial.read_timeout >= READ_TIMEOUT_ADVISED_BELOW {
        let problem = "proxy_read_timeout is 900 seconds or more, and CLB recommends below 900";
        let advice = "let `keepalive` hold idle sessions open instead; with it a short timeout cuts no live session";
        reader.report.warn(&reader.place("proxy_read_timeout"), problem, advice);
    }
    if dial.idle_connections == 0 {
        reader.useless(&["upstream_keepalive_timeout"], "upstream_keepalive is 0");
    }
    dial
}
