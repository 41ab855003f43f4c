//! The one table of what the admin API has. The index, `Allow` and docs/openapi.json follow it.

use http::Method;

/// Something that can be asked for.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) method: Method,
    /// `{id}` stands for a segment.
    pub(super) path: &'static str,
    /// Parameters behind the `?`.
    pub(super) parameters: &'static [&'static str],
    pub(super) endpoint: Endpoint,
    pub(super) about: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Endpoint {
    Index,
    Live,
    Ready,
    Health,
    Metrics,
    Sessions,
    Session,
    CloseSession,
    Config,
    Upstreams,
    DrainProgress,
    Drain,
    Reload,
    Log,
    SetLog,
    Quit,
}

pub(super) static ROUTES: [Route; 17] = [
    route(Method::GET, "/", &[], Endpoint::Index, "What there is"),
    route(Method::GET, "/live", &[], Endpoint::Live, "Whether the process answers"),
    route(Method::GET, "/ready", &[], Endpoint::Ready, "Whether it takes new sessions; 503 with the reason if not"),
    route(Method::GET, "/healthz", &[], Endpoint::Health, "The same in detail, and always 200"),
    route(Method::GET, "/metrics", &[], Endpoint::Metrics, "Figures for Prometheus"),
    route(
        Method::GET,
        "/sessions",
        &["limit", "after", "state", "client", "host"],
        Endpoint::Sessions,
        "The sessions that live, page by page",
    ),
    route(Method::GET, "/sessions/{id}", &[], Endpoint::Session, "One session"),
    route(Method::DELETE, "/sessions/{id}", CLOSE, Endpoint::CloseSession, "End one session"),
    route(Method::POST, "/sessions/{id}/close", CLOSE, Endpoint::CloseSession, "The same, for tools without DELETE"),
    route(Method::GET, "/config", &["format"], Endpoint::Config, "The settings in force and where each came from"),
    route(Method::GET, "/upstreams", &[], Endpoint::Upstreams, "The upstreams, as the sidecar finds them"),
    route(Method::GET, "/drain", &[], Endpoint::DrainProgress, "How far the drain is"),
    route(Method::POST, "/drain", &["window"], Endpoint::Drain, "Drain; the process goes on"),
    route(Method::POST, "/reload", &[], Endpoint::Reload, "Read the configuration again, as SIGHUP does"),
    route(Method::GET, "/log", &[], Endpoint::Log, "The level of the log"),
    route(Method::PUT, "/log", &["level"], Endpoint::SetLog, "Set it until the process ends or a reload changes it"),
    route(Method::POST, "/quitquitquit", &[], Endpoint::Quit, "Stop in order, as SIGTERM does"),
];

const CLOSE: &[&str] = &["code", "reason"];

const fn route(
    method: Method,
    path: &'static str,
    parameters: &'static [&'static str],
    endpoint: Endpoint,
    about: &'static str,
) -> Route {
    Route { method, path, parameters, endpoint, about }
}

impl Route {
    /// Whether it changes something.
    pub(super) fn changes(&self) -> bool {
        self.method != Method::GET
    }

    /// What stands for `{id}` in a path of this form.
    fn fits<'a>(&self, path: &'a str) -> Option<&'a str> {
        let (mut form, mut path) = (self.path.split('/'), path.split('/'));
        let mut id = "";
        loop {
            match (form.next(), path.next()) {
                (None, None) => return Some(id),
                (Some("{id}"), Some(segment)) if !segment.is_empty() => id = segment,
                (Some(wanted), Some(segment)) if wanted == segment => {}
                _ => return None,
            }
        }
    }
}

/// What a path leads to.
pub(super) enum Found<'a> {
    /// And what stands for `{id}`.
    Route(&'static Route, &'a str),
    /// Other methods than this one, as for `Allow`.
    Others(String),
    Nothing,
}

/// HEAD is GET to the table; hyper leaves the body out.
pub(super) fn find<'a>(method: &Method, path: &'a str) -> Found<'a> {
    let method = if method == Method::HEAD { &Method::GET } else { method };
    let mut allowed = Vec::new();
    for route in &ROUTES {
        let Some(id) = route.fits(path) else { continue };
        if route.method == *method {
            return Found::Route(route, id);
        }
        allowed.push(route.method.as_str());
        if route.method == Method::GET {
            allowed.push("HEAD");
        }
    }
    if allowed.is_empty() { Found::Nothing } else { Found::Others(allowed.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_to_their_routes() {
        for (method, path, wanted) in [
            (Method::GET, "/", Some((Endpoint::Index, ""))),
            (Method::HEAD, "/ready", Some((Endpoint::Ready, ""))),
            (Method::GET, "/sessions", Some((Endpoint::Sessions, ""))),
            (Method::GET, "/sessions/17", Some((Endpoint::Session, "17"))),
            (Method::DELETE, "/sessions/17", Some((Endpoint::CloseSession, "17"))),
            (Method::POST, "/sessions/17/close", Some((Endpoint::CloseSession, "17"))),
            (Method::GET, "/sessions/", None),
            (Method::GET, "/ready/", None),
            (Method::GET, "//ready", None),
            (Method::GET, "/Ready", None),
            (Method::GET, "*", None),
        ] {
            let found = match find(&method, path) {
                Found::Route(route, id) => Some((route.endpoint, id)),
                Found::Others(_) | Found::Nothing => None,
            };
            assert_eq!(found, wanted, "{method} {path}");
        }
    }

    #[test]
    fn other_methods_are_told_which_there_are() {
        let Found::Others(allowed) = find(&Method::PUT, "/drain") else { panic!("a path with other methods") };
        assert_eq!(allowed, "GET, HEAD, POST");
    }

    #[test]
    fn the_openapi_file_has_each_route_with_its_parameters_and_no_other() {
        let file: serde_json::Value = serde_json::from_str(include_str!("../../../docs/openapi.json")).unwrap();
        let mut described = Vec::new();
        for (path, methods) in file["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
                let in_query = parameters.iter().filter(|parameter| parameter["in"] == "query");
                let mut names: Vec<String> = in_query.map(|p| p["name"].as_str().unwrap().to_owned()).collect();
                names.sort_unstable();
                let guarded = operation["security"].is_array();
                described.push((path.clone(), method.to_uppercase(), names, guarded));
            }
        }
        let mut there: Vec<_> = ROUTES
            .iter()
            .map(|route| {
                let mut names: Vec<String> = route.parameters.iter().map(|name| (*name).to_owned()).collect();
                names.sort_unstable();
                (route.path.to_owned(), route.method.to_string(), names, route.changes())
            })
            .collect();
        described.sort_unstable();
        there.sort_unstable();
        assert_eq!(described, there);
    }
}
