//! The app, and TLS with it.

use super::plain;
use crate::config::parse::Problem;
use crate::config::reader::Reader;
use crate::config::{Target, Trust, Upstream, UpstreamTls, address};

pub(super) fn upstream(reader: &mut Reader) -> Option<Upstream> {
    let upstream = reader.one("upstream", plain(address::upstream));
    if upstream.is_none() && reader.given("upstream").is_none() {
        let advice = format!("write {}, with the port of your app", reader.spell("upstream", "localhost:3000"));
        reader.report.fault(&reader.place("upstream"), "is missing, so there is nothing to proxy to", advice);
    }
    upstream
}

pub(super) fn tls(reader: &mut Reader, upstream: Option<&Upstream>) -> UpstreamTls {
    let ca = reader.path("upstream_tls_ca");
    let name = reader.one("upstream_tls_name", |_, text| server_name(text));
    let verify = reader.switch("upstream_tls_verify");
    if let Some(upstream) = upstream
        && !upstream.tls
    {
        let because = match upstream.target {
            Target::Unix(_) => "the upstream is a Unix socket",
            Target::Tcp { .. } => "the upstream is not https:// or wss://",
        };
        reader.useless(&["upstream_tls_ca", "upstream_tls_name", "upstream_tls_verify"], because);
    } else if !verify {
        reader.useless(&["upstream_tls_ca"], "upstream_tls_verify is off");
        let advice = "give the app's authority with `upstream_tls_ca` instead, and its name with `upstream_tls_name`";
        let problem = "upstream_tls_verify is off, so anyone on the way can pose as the app";
        reader.report.warn(&reader.place("upstream_tls_verify"), problem, advice);
    }
    let trust = match (verify, ca) {
        (false, _) => Trust::Anyone,
        (true, None) => Trust::BuiltInRoots,
        (true, Some(ca)) => Trust::File(ca),
    };
    UpstreamTls { trust, name }
}

/// A DNS name or an IP address, as certificates carry them.
fn server_name(text: &str) -> Result<String, Problem> {
    match rustls::pki_types::ServerName::try_from(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err(Problem::new(format!("`{text}` is not a host name"))),
    }
}
