//! Which set of upstreams a request is for.

use std::sync::Arc;
use std::time::Duration;

use super::{Held, Shown, Snapshot, Upstream};
use crate::config::{self, Route};
use crate::net::Net;

/// Whose requests a set of upstreams takes.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Way {
    /// Whether they come from the app beside the sidecar.
    pub(crate) egress: bool,
    pub(crate) route: Route,
}

impl Way {
    /// Whether the upstream's own name goes into `Host`: the app names the sidecar, not where it wants to go. A host by
    /// which it was found is what the app means.
    pub(crate) fn has_own_host(&self) -> bool {
        self.egress && self.route.host.is_none()
    }
}

/// All sets of upstreams, of which each can be used for what the others cannot.
pub struct Routes<N> {
    /// What says more comes first: a host before none, a longer path before a shorter one.
    sets: Vec<(Way, Upstream<N>)>,
}

impl<N: Net> Routes<N> {
    pub(crate) fn new(mut sets: Vec<(Way, Upstream<N>)>) -> Self {
        let path = |way: &Way| way.route.path.as_ref().map_or(0, String::len);
        sets.sort_by_key(|(way, _)| (way.route.host.is_none(), usize::MAX - path(way)));
        Self { sets }
    }

    /// The upstreams for this request, if there are any. `host` may have a port.
    pub(crate) fn find(&self, egress: bool, host: &str, path: &str) -> Option<&Upstream<N>> {
        let found = self.sets.iter().find(|(way, _)| way.egress == egress && takes(&way.route, host, path));
        found.map(|(_, upstream)| upstream)
    }

    /// The upstreams that take the requests of this way, and no others.
    pub(crate) fn of(&self, way: &Way) -> Option<&Upstream<N>> {
        self.sets.iter().find(|(known, _)| known == way).map(|(_, upstream)| upstream)
    }

    /// Whether an upstream is there at this target.
    pub(crate) fn has(&self, target: &config::Target) -> bool {
        self.sets.iter().any(|(_, upstream)| upstream.has(target))
    }

    /// The only upstream without scheme and path, for people, or `any` of several.
    pub fn name(&self) -> &str {
        match self.sets.as_slice() {
            [(_, only)] => only.name(),
            _ => "any",
        }
    }

    /// The names of upstreams whose sessions could be where new ones go, for so long by now.
    pub(crate) fn strays(&self, settled: Duration) -> Vec<Arc<str>> {
        self.sets.iter().flat_map(|(_, upstream)| upstream.strays(settled)).collect()
    }

    /// How many upgrades wait for an app now.
    pub fn held(&self) -> usize {
        self.sets.iter().map(|(_, upstream)| upstream.held()).sum()
    }

    /// All upstreams, for people, set by set.
    pub(crate) fn shown(&self) -> Vec<Shown> {
        self.sets.iter().flat_map(|(way, upstream)| upstream.shown().into_iter().map(|shown| shown.on(way))).collect()
    }

    /// The lines of upgrades that wait, as one; `None` where none would.
    pub(crate) fn hold(&self) -> Option<Held> {
        self.sets.iter().filter_map(|(_, upstream)| upstream.hold()).reduce(Held::and)
    }

    /// What is known of all upstreams now.
    pub fn snapshot(&self) -> Vec<Snapshot> {
        self.sets.iter().flat_map(|(_, upstream)| upstream.snapshot()).collect()
    }
}

fn takes(route: &Route, host: &str, path: &str) -> bool {
    let bare = match host.rsplit_once(':') {
        Some((bare, port)) if port.bytes().all(|b| b.is_ascii_digit()) => bare,
        _ => host,
    };
    let host_fits = route.host.as_ref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(bare));
    let path_fits = route.path.as_ref().is_none_or(|start| {
        path.strip_prefix(start.as_str())
            .is_some_and(|rest| rest.is_empty() || start.ends_with('/') || rest.starts_with('/'))
    });
    host_fits && path_fits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(host: Option<&str>, path: Option<&str>, of_host: &str, of_path: &str) -> bool {
        let route = Route { host: host.map(str::to_owned), path: path.map(str::to_owned) };
        takes(&route, of_host, of_path)
    }

    #[test]
    fn a_host_is_compared_as_a_whole_and_a_path_by_its_segments() {
        assert!(fits(None, None, "", "/"));
        assert!(fits(Some("api.example"), None, "API.example:8080", "/"));
        assert!(!fits(Some("api.example"), None, "xapi.example", "/"));
        assert!(!fits(Some("api.example"), None, "", "/"));
        assert!(fits(None, Some("/eu"), "", "/eu"));
        assert!(fits(None, Some("/eu"), "", "/eu/a"));
        assert!(!fits(None, Some("/eu"), "", "/europe"));
        assert!(fits(None, Some("/eu/"), "", "/eu/a"));
        assert!(!fits(None, Some("/eu/"), "", "/eu"));
        assert!(fits(Some("a"), Some("/"), "a", "/x"));
    }
}
