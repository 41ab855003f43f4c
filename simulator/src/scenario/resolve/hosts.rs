//! Apps, sidecars with their real configuration, and the hops before them.

use std::collections::BTreeMap;

use outrigger::config::{self, Config, Place, Sources};
use toml::de::{DeTable, DeValue};

use super::names::{Names, app, region, sidecar};
use crate::scenario::fields::{Fields, Reading};
use crate::scenario::model::{
    APP_PORT, App, AppId, CERTIFICATE, CERTIFICATE_KEY, Cut, Hop, Peer, RegionId, Sidecar, SidecarId,
};
use crate::scenario::source::{entry, in_order};
use crate::scenario::values::{self, or_word};
use crate::scenario::{hops as presets, keys};

/// What a sidecar listens on when its configuration does not say.
const LISTEN: [&str; 2] = ["http://0.0.0.0:8080", "https://0.0.0.0:8443"];

/// Keys of the sidecar's configuration that ask clients for certificates, which simulated ones do not have.
const CLIENT_CERTIFICATES: [&str; 2] = ["tls_client_auth", "ssl_verify_client"];

/// Keys that to a sidecar without a collector mean nothing, and here hold for what `replay` exports.
const EXPORTED: [&str; 2] = ["resource_attributes", "metric_export_interval"];

/// The apps; `None` stands for one with a fault that leaves it without a name.
pub(super) fn apps(reading: &Reading, names: &Names) -> Vec<Option<App>> {
    let app = |(i, fields): (usize, &Fields)| {
        let name = names.name(Peer::App(AppId(i))).to_owned();
        let app = App {
            region: names.one(fields, "region", region).unwrap_or(RegionId(0)),
            processing: fields.value("processing", values::times),
            hold: fields.value("hold", values::time),
            history: fields.value("history", values::small),
            ping: fields.value("ping", or_word(values::time)),
            headers: fields.value("headers", values::small),
            name,
        };
        (!app.name.is_empty()).then_some(app)
    };
    reading.list(&keys::APPS).iter().enumerate().map(app).collect()
}

/// The sidecars; `None` stands for one with a fault. `before` has the hops before each.
pub(super) fn sidecars(
    reading: &Reading,
    names: &Names,
    apps: &[Option<App>],
    mut before: BTreeMap<SidecarId, Vec<Hop>>,
) -> Vec<Option<Sidecar>> {
    let mut sidecar = |(i, fields): (usize, &Fields)| {
        let upstreams = upstreams(fields, names);
        let own_region = names.one(fields, "region", region);
        let of_app = |app: &AppId| {
            let region = apps.get(app.0)?.as_ref()?.region;
            Some((names.name(Peer::App(*app)), names.name(Peer::Region(region))))
        };
        let config = configuration(fields, &upstreams.iter().filter_map(of_app).collect::<Vec<_>>());
        let first = upstreams.first()?;
        let region = own_region.or_else(|| Some(apps.get(first.0)?.as_ref()?.region))?;
        let hops = before.remove(&SidecarId(i)).unwrap_or_default();
        let name = names.name(Peer::Sidecar(SidecarId(i))).to_owned();
        Some(Sidecar { name, region, apps: upstreams, config: config?, hops })
    };
    reading.list(&keys::SIDECARS).iter().enumerate().map(&mut sidecar).collect()
}

/// The apps behind a sidecar; empty with a fault.
fn upstreams(fields: &Fields, names: &Names) -> Vec<AppId> {
    let Some(written) = fields.many("upstream", values::text) else {
        return only_app(fields, "upstream", names).into_iter().collect();
    };
    let mut apps = Vec::new();
    for name in &written {
        let Some(found) = names.resolve(fields, "upstream", name, app) else { continue };
        if apps.contains(&found) {
            let problem = format!("`{}` is in the list already", name.value);
            fields.reading.fault(&name.place, problem, "name each app once");
        }
        apps.push(found);
    }
    apps
}

/// The app that a key names, or the only one.
pub(super) fn only_app(fields: &Fields, key: &'static str, names: &Names) -> Option<AppId> {
    if fields.written_at(key).is_some() {
        return names.one(fields, key, app);
    }
    if names.app_count() > 1 {
        let problem = format!("there are several apps, and `{key}` does not say which");
        fields.reading.fault(&fields.place, problem, format!("add {key} = \"NAME\" with the name of an app"));
    }
    (names.app_count() == 1).then_some(AppId(0))
}

/// Hops by name, with their places.
pub(super) type NamedHops = BTreeMap<String, (Hop, Place)>;

/// The hops that a `via` may name, and those before each sidecar.
pub(super) fn hops(reading: &Reading, names: &Names) -> (NamedHops, BTreeMap<SidecarId, Vec<Hop>>) {
    let mut for_clients = BTreeMap::new();
    let mut before: BTreeMap<SidecarId, Vec<Hop>> = BTreeMap::new();
    for fields in reading.list(&keys::HOPS) {
        let hop = hop(&fields);
        if fields.written_at("before").is_some() {
            if let Some(sidecar) = names.one(&fields, "before", sidecar) {
                before.entry(sidecar).or_default().push(hop);
            }
        } else if fields.written_at("name").is_none() {
            let advice = "add before = \"NAME\" with a sidecar, or a name for the `via` of clients";
            reading.fault(&fields.place, "this [[hops]] is on nobody's way", advice);
        } else if presets::preset(&hop.name).is_some() {
            let problem = format!("`{}` is the name of a preset, so a `via` could mean either", hop.name);
            reading.fault(&fields.place("name"), problem, "give it another name");
        } else if let Some((again, (_, place))) = for_clients.get_key_value(&hop.name) {
            let problem = format!("`{again}` is taken by the hop at {place}");
            reading.fault(&fields.place("name"), problem, "give each hop a name of its own");
        } else {
            for_clients.insert(hop.name.clone(), (hop, fields.place.clone()));
        }
    }
    (for_clients, before)
}

fn hop(fields: &Fields) -> Hop {
    let preset = fields.one("preset", values::choice).and_then(presets::preset);
    let idle = fields.one("idle", or_word(values::times));
    let lifetime = fields.one("lifetime", or_word(values::time));
    let cut = fields.one("cut", values::choice).and_then(|word| Cut::ALL.into_iter().find(|cut| cut.as_str() == word));
    let written = ["idle", "lifetime"].iter().any(|key| fields.written_at(key).is_some());
    if preset.is_none() && !written && fields.written_at("preset").is_none() {
        let advice = "add preset = \"tencent-clb\", idle = \"60s\" or lifetime = \"30s\"";
        fields.reading.fault(&fields.place, "this [[hops]] cuts nothing", advice);
    }
    let base = preset.unwrap_or(Hop { name: "hop".to_owned(), idle: None, lifetime: None, cut: Cut::Rst });
    Hop {
        name: fields.one("name", values::name).unwrap_or(base.name),
        idle: idle.unwrap_or(base.idle),
        lifetime: lifetime.unwrap_or(base.lifetime),
        cut: cut.unwrap_or(base.cut),
    }
}

/// Resolves the sidecar's own configuration by its own code; what it finds bears the places of this file.
fn configuration(fields: &Fields, apps: &[(&str, &str)]) -> Option<Config> {
    let reading = fields.reading;
    let mut table = DeTable::default();
    let mut refused = false;
    for (name, value) in fields.raw_table("config").map(in_order).unwrap_or_default() {
        match may_be_configured(name.get_ref()) {
            Ok(()) => {
                table.insert(name.clone(), value.clone());
            }
            Err(because) => {
                let place = reading.source.place(name.span().start);
                reading.fault(
                    &place,
                    format!("`{}` cannot be configured here: {because}", name.get_ref()),
                    "remove it",
                );
                refused = true;
            }
        }
    }
    let sources = Sources { file: Some(reading.source.file()), env: Vec::new(), flags: own_settings(&table, apps) };
    // `replay` exports what the sidecar itself has no collector for.
    let exported = |problem: &str| EXPORTED.iter().any(|key| problem.starts_with(&format!("{key} has no effect")));
    let ours = |finding: &config::Finding| matches!(finding.place, Place::File { .. }) && !exported(&finding.problem);
    let (config, report) = match config::resolve_table(&sources, &table, None) {
        Ok((config, warnings)) => (Some(config), config::Report { faults: Vec::new(), warnings }),
        Err(report) => (None, report),
    };
    let mut all = reading.report.borrow_mut();
    all.faults.extend(report.faults);
    all.warnings.extend(report.warnings.into_iter().filter(ours));
    config.filter(|_| !refused)
}

/// Whether a key of the sidecar's configuration is the scenario's to set; if not, why.
pub(in crate::scenario) fn may_be_configured(key: &str) -> Result<(), &'static str> {
    match key {
        "upstream" => Err("`upstream` of [[sidecars]] says which app is behind it"),
        key if config::names_a_file(key) => Err("a simulation has no files; the simulator has certificates of its own"),
        key if CLIENT_CERTIFICATES.contains(&key) => Err("simulated clients have no certificates"),
        _ => Ok(()),
    }
}

/// Settings that are the simulator's.
fn own_settings(table: &DeTable<'static>, apps: &[(&str, &str)]) -> Vec<(String, String)> {
    let flag = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let mut flags = match apps {
        // With a fault in its name the app is called anything.
        [] => vec![flag("upstream", &format!("http://app:{APP_PORT}"))],
        [(app, _)] => vec![flag("upstream", &format!("http://{app}:{APP_PORT}"))],
        several => {
            let one = |(app, region): &(&str, &str)| format!("http://{app}:{APP_PORT};name={app};region={region}");
            several.iter().map(|app| flag("upstream", &one(app))).collect()
        }
    };
    if entry(table, "admin").is_none() {
        // Nobody asks, and a listener that nobody needs is a packet that nobody can explain.
        flags.push(flag("admin", "off"));
    }
    let tls = match entry(table, "listen") {
        None => {
            flags.extend(LISTEN.map(|address| flag("listen", address)));
            true
        }
        Some((_, value)) => needs_certificate(value.get_ref()),
    };
    if tls {
        flags.extend([flag("tls_cert", CERTIFICATE), flag("tls_key", CERTIFICATE_KEY)]);
    }
    flags
}

fn needs_certificate(listen: &DeValue) -> bool {
    match listen {
        DeValue::String(text) => text.starts_with("https:") || text.starts_with("tls:"),
        DeValue::Array(items) => items.iter().any(|item| needs_certificate(item.get_ref())),
        _ => false,
    }
}
