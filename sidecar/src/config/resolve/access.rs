//! Who is let in, and headers on responses.

use ::http::{HeaderName, HeaderValue};
use ipnet::IpNet;

use super::plain;
use crate::config::reader::{Found, Reader};
use crate::config::{Access, Listener, Origin, ResponseHeaders, address, header, parse};

pub(super) fn access(reader: &mut Reader, listeners: &[Found<Listener>]) -> Access {
    let allowed_origins = origins(reader);
    let trusted = reader.many("trusted_proxies", |_, text| address::network(text).map(|network| vec![network]));
    let public = listeners.iter().any(|found| found.value.addr.ip().is_unspecified());
    if let Some(everyone) = trusted.iter().find(|found| found.value.prefix_len() == 0)
        && public
    {
        let problem = format!(
            "{} trusts every peer of a listener on all addresses, so anyone can claim any address",
            everyone.value
        );
        let advice = "give the networks of your own load balancers, or listen on an internal address";
        reader.cross_warn(&everyone.place, problem, advice);
    }
    let speaking = reader.many("proxy_protocol_from", |_, text| address::network(text).map(|network| vec![network]));
    if let Some(everyone) = speaking.iter().find(|found| found.value.prefix_len() == 0)
        && public
    {
        let problem = format!("{} lets every peer of a listener on all addresses say who it is", everyone.value);
        let advice = "give the networks of your own load balancers, or listen on an internal address";
        reader.cross_warn(&everyone.place, problem, advice);
    }
    let proxy_protocol_from = speaking.into_iter().map(|found| found.value).collect();
    let trusted_proxies: Vec<IpNet> = trusted.into_iter().map(|found| found.value).collect();
    Access { allowed_origins, trusted_proxies, proxy_protocol_from }
}

pub(super) fn headers(reader: &mut Reader) -> ResponseHeaders {
    ResponseHeaders { add: header_list(reader, "add_header"), set: header_list(reader, "more_set_headers") }
}

/// `None` takes any origin.
fn origins(reader: &mut Reader) -> Option<Vec<Origin>> {
    let (found, faultless) = reader.faultless(|reader| {
        let any_or = parse::or_word(|_, text| address::origin(text));
        reader.many("allowed_origins", |key, text| any_or(key, text).map(|origin| vec![origin]))
    });
    let place = reader.given("allowed_origins")?;
    if found.is_empty() && faultless {
        let advice = "remove it or write `*` to take any origin, or give the origins of your pages";
        reader.report.fault(place, "is an empty list, so no page could open a session", advice);
    }
    let any = found.iter().find(|found| found.value.is_none());
    if let Some(any) = any
        && found.len() > 1
    {
        let advice = "remove the `*`, or the others";
        reader.report.fault(&any.place, "`*` takes any origin, so the others beside it say nothing", advice);
    }
    if any.is_some() { None } else { Some(found.into_iter().filter_map(|found| found.value).collect()) }
}

fn header_list(reader: &mut Reader, name: &'static str) -> Vec<(HeaderName, HeaderValue)> {
    let found = reader.many(name, plain(|text| header::header(text).map(|header| vec![header])));
    found.into_iter().map(|found| found.value).collect()
}
