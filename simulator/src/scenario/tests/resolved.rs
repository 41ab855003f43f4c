//! What a file resolves to.

use std::time::Duration;

use outrigger::config::{Scheme, Target};

use super::*;

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

const fn fixed(ms: u64) -> TimeRange {
    TimeRange { from: Duration::from_millis(ms), to: Duration::from_millis(ms) }
}

#[test]
fn defaults() {
    let least = right(LEAST);
    assert_eq!((least.name.as_str(), least.description.as_str()), ("least", ""));
    assert_eq!((least.duration, least.heal, least.seeds), (ms(600_000), ms(60_000), 20));
    assert_eq!(least.regions, [Region { name: "here".to_owned() }]);
    let link = Link { latency: ms(20), jitter: ms(1), bandwidth: Some(100_000_000), loss_ppm: 0 };
    assert_eq!(*least.link(RegionId(0), RegionId(0)), link);
    let micros = Duration::from_micros;
    assert_eq!(
        least.lan,
        Link { latency: micros(50), jitter: micros(150), bandwidth: Some(10_000_000_000), loss_ppm: 0 }
    );
    let app = App {
        name: "feed".to_owned(),
        region: RegionId(0),
        processing: fixed(1),
        hold: ms(25_000),
        history: 1_000,
        ping: None,
        headers: 200,
    };
    assert_eq!(least.apps, [app]);
    let edge = &least.sidecars[0];
    assert_eq!((edge.name.as_str(), edge.region, edge.apps.as_slice()), ("edge", RegionId(0), &[AppId(0)][..]));
    assert_eq!(edge.hops, []);
    let schemes: Vec<_> =
        edge.config.listeners.iter().map(|listener| (listener.scheme, listener.addr.port())).collect();
    assert_eq!(schemes, [(Scheme::Http, 8080), (Scheme::Https, 8443)]);
    assert_eq!(edge.config.upstreams[0].target, Target::Tcp { host: "feed".to_owned(), port: APP_PORT });
    assert_eq!(edge.config.tls.as_ref().unwrap().certs[0].cert.to_str(), Some(CERTIFICATE));
    let web = ClientGroup {
        name: "web".to_owned(),
        count: 1,
        region: RegionId(0),
        targets: vec![SidecarId(0)],
        pick: Pick::InOrder,
        endpoint_lag: Some(fixed(1_000)),
        tls: false,
        via: Vec::new(),
        start_spread: ms(1_000),
        headers: 300,
        reads: None,
        connect_timeout: ms(10_000),
        reconnect: Backoff {
            base: fixed(1_000),
            factor: 2.0,
            max: ms(30_000),
            jitter: Jitter::Full,
            stable_after: ms(5_000),
        },
        kind: ClientKind::Push(Push { resume: true, ping: None, sends: None, stays: None }),
    };
    assert_eq!(least.clients, [web]);
    let updates = Updates::Poisson { every: ms(1_000) };
    let size = SizeRange { from: 120, to: 120 };
    assert_eq!(least.workload, Workload { updates, size, listeners_per_10k: 10_000 });
    assert_eq!((least.faults.len(), least.random_faults, least.prices), (0, None, None));
    assert!(least.expect.all.is_empty() && least.sweeps.is_empty());
}

#[test]
fn every_kind_of_client() {
    for (keys, kind) in [
        (
            "kind = 'push'\nresume = false\nping = '30s'\nsends = '2/m'\nsend_size = '1..4k'\nstays = '1m..2m'",
            ClientKind::Push(Push {
                resume: false,
                ping: Some(ms(30_000)),
                sends: Some(Sends { every: ms(30_000), size: SizeRange { from: 1, to: 4_096 } }),
                stays: Some(TimeRange { from: ms(60_000), to: ms(120_000) }),
            }),
        ),
        (
            "kind = 'poller'\ninterval = '2s'\netag = true\nkeep_alive = false\ntimeout = '3s'",
            ClientKind::Poller(Poller { interval: ms(2_000), etag: true, keep_alive: false, timeout: ms(3_000) }),
        ),
        ("kind = 'long-poller'", ClientKind::LongPoller(LongPoller { keep_alive: true, timeout: ms(60_000) })),
        ("kind = 'sse'\nresume = false", ClientKind::Sse(Sse { resume: false })),
    ] {
        let scenario = right(&format!("{LEAST}[[clients]]\nname = 'x'\n{keys}\n"));
        assert_eq!(scenario.clients[1].kind, kind);
        assert!(keys.starts_with(&format!("kind = '{}'", kind.as_str())));
    }
}

#[test]
fn every_kind_of_update() {
    for (keys, updates) in [
        ("updates = 'none'", Updates::None),
        ("rate = '30/m'", Updates::Poisson { every: ms(2_000) }),
        ("updates = 'periodic'\nrate = '0.1/s'", Updates::Periodic { every: ms(10_000) }),
        ("updates = 'burst'\nburst = 7", Updates::Burst { every: ms(1_000), count: 7 }),
    ] {
        assert_eq!(right(&format!("{LEAST}[workload]\n{keys}\n")).workload.updates, updates, "{keys}");
    }
    let share = right(&format!("{LEAST}[workload]\nlisteners = '0.05%'\n")).workload.listeners_per_10k;
    assert_eq!(share, 5);
}

#[test]
fn every_kind_of_fault() {
    let (hk, web) = (Peer::Sidecar(SidecarId(0)), Peer::Clients(GroupId(0)));
    let host = Host::Sidecar(SidecarId(0));
    for (keys, kind) in [
        ("kind = 'partition'\na = 'edge'\nb = 'web'", FaultKind::Partition { a: hk, b: web }),
        ("kind = 'one-way-partition'\nfrom = 'edge'\nto = 'web'", FaultKind::OneWayPartition { from: hk, to: web }),
        (
            "kind = 'loss-burst'\na = 'edge'\nb = 'web'\nloss = '2.5%'",
            FaultKind::LossBurst { a: hk, b: web, loss_ppm: 25_000 },
        ),
        (
            "kind = 'latency-spike'\na = 'edge'\nb = 'web'\nlatency = '2s'",
            FaultKind::LatencySpike { a: hk, b: web, latency: ms(2_000) },
        ),
        ("kind = 'kill'\nhost = 'edge'", FaultKind::Kill { host }),
        ("kind = 'power-loss'\nhost = 'feed'", FaultKind::PowerLoss { host: Host::App(AppId(0)) }),
        ("kind = 'restart'\nhost = 'edge'", FaultKind::Restart { host }),
        (
            "kind = 'slow-reader'\nclients = 'web'\nshare = '5%'",
            FaultKind::SlowReader { group: GroupId(0), per_10k: 500, reads: 0 },
        ),
        ("kind = 'app-stall'", FaultKind::AppStall { app: AppId(0) }),
        (
            "kind = 'clock-skew'\nhost = 'edge'\nby = '5s'\nahead = false",
            FaultKind::ClockSkew { host, ahead: false, by: ms(5_000) },
        ),
    ] {
        let scenario = right(&format!("{LEAST}[[faults]]\nat = '1m'\nfor = '2s..3s'\n{keys}\n"));
        let lasts = TimeRange { from: ms(2_000), to: ms(3_000) };
        let (label, later) = ("faults/0".to_owned(), ms(0));
        let fault = Fault { label: label.clone(), drawn_as: label, at: fixed(60_000), later, lasts, kind };
        assert_eq!(scenario.faults, [fault]);
    }
}

#[test]
fn a_list_of_hosts_is_a_fault_for_each() {
    let fault = |label: &str, drawn_as: &str, later: u64, kind| Fault {
        label: label.to_owned(),
        drawn_as: drawn_as.to_owned(),
        at: fixed(60_000),
        later: ms(later),
        lasts: fixed(10_000),
        kind,
    };
    let (feed, edge) = (Host::App(AppId(0)), Host::Sidecar(SidecarId(0)));
    let of = |keys: &str| right(&format!("{LEAST}[[faults]]\nat = '1m'\nname = 'deploy'\n{keys}\n")).faults;
    let restart = |host| FaultKind::Restart { host };
    let expected = [fault("deploy/0", "deploy", 0, restart(edge)), fault("deploy/1", "deploy", 20_000, restart(feed))];
    assert_eq!(of("kind = 'restart'\nhost = ['edge', 'feed']\nevery = '20s'"), expected);
    // Without `every` all at once; a list of one is as good as its one.
    let skew = |host| FaultKind::ClockSkew { host, ahead: true, by: ms(5_000) };
    let expected = [fault("deploy/0", "deploy", 0, skew(feed)), fault("deploy/1", "deploy", 0, skew(edge))];
    assert_eq!(of("kind = 'clock-skew'\nhost = ['feed', 'edge']\nby = '5s'"), expected);
    assert_eq!(of("kind = 'kill'\nhost = ['edge']"), [fault("deploy", "deploy", 0, FaultKind::Kill { host: edge })]);
    let text = format!("{LEAST}[[faults]]\nat = '1m'\nkind = 'kill'\nhost = 'edge'\nevery = '20s'\n");
    let (_, warnings) = parse("s.toml", &text).unwrap();
    let warning = "s.toml:13:1: every has no effect, as there is one host; remove it, or add to `host`";
    assert_eq!(lines(&warnings), [warning]);
}

#[test]
fn every_way_to_pick_a_target() {
    for (keys, pick, lag) in [
        ("", Pick::InOrder, Some(fixed(1_000))),
        ("pick = 'random'\nendpoint_lag = 'off'\n", Pick::Random, None),
        (
            "pick = 'least-connections'\nendpoint_lag = '1s..2s'\n",
            Pick::LeastConnections,
            Some(TimeRange { from: ms(1_000), to: ms(2_000) }),
        ),
    ] {
        let [web] = right(&format!("{LEAST}{keys}")).clients.try_into().unwrap();
        assert_eq!((web.pick, web.endpoint_lag), (pick, lag), "{keys}");
    }
    let (_, warnings) = parse("s.toml", &format!("{LEAST}endpoint_lag = '2s'\n")).unwrap();
    let warning = "s.toml:9:1: endpoint_lag has no effect, as no balancer picks; remove it, or add pick = \"random\"";
    assert_eq!(lines(&warnings), [warning]);
}

/// As the reference shows them.
#[test]
fn back_off_as_browsers_libraries_do_it() {
    let reconnect = |keys: &str| right(&format!("{LEAST}reconnect = {{ {keys} }}\n")).clients[0].reconnect;
    assert_eq!(
        reconnect("base = '1s', max = '5s', jitter = 'half', stable_after = '0s'"),
        Backoff { base: fixed(1_000), factor: 2.0, max: ms(5_000), jitter: Jitter::Half, stable_after: ms(0) }
    );
    assert_eq!(
        reconnect("base = '1s..5s', factor = 1.3, max = '10s', jitter = 'none'"),
        Backoff {
            base: TimeRange { from: ms(1_000), to: ms(5_000) },
            factor: 1.3,
            max: ms(10_000),
            jitter: Jitter::None,
            stable_after: ms(5_000)
        }
    );
}

#[test]
fn every_preset_of_a_hop() {
    let minute = Some(fixed(60_000));
    for (name, idle, lifetime, cut) in [
        ("tencent-clb", minute, None, Cut::Rst),
        ("nginx", minute, None, Cut::Fin),
        ("aws-alb", minute, None, Cut::Rst),
        ("cloudflare", Some(fixed(100_000)), None, Cut::Fin),
        ("envoy", Some(fixed(300_000)), None, Cut::Fin),
        ("gce", None, Some(ms(30_000)), Cut::Fin),
        ("home-nat", Some(fixed(300_000)), None, Cut::Silence),
        ("mobile-nat", Some(TimeRange { from: ms(30_000), to: ms(60_000) }), None, Cut::Silence),
    ] {
        let hop = Hop { name: name.to_owned(), idle, lifetime, cut };
        let before = right(&format!("{LEAST}[[hops]]\nbefore = 'edge'\npreset = '{name}'\n"));
        assert_eq!(before.sidecars[0].hops, std::slice::from_ref(&hop));
        let via = right(&format!("{LEAST}via = '{name}'\n"));
        assert_eq!(via.clients[0].via, [hop]);
    }
}

#[test]
fn hops_of_ones_own() {
    let scenario = right(&format!(
        "{LEAST}via = ['office', 'nginx']\n\
         [[hops]]\nname = 'office'\nidle = '10s..20s'\ncut = 'silence'\n\
         [[hops]]\nbefore = 'edge'\npreset = 'tencent-clb'\nidle = '900s'\nname = 'clb'\n\
         [[hops]]\nbefore = 'edge'\nlifetime = '1h'\n"
    ));
    let office = Hop {
        name: "office".to_owned(),
        idle: Some(TimeRange { from: ms(10_000), to: ms(20_000) }),
        lifetime: None,
        cut: Cut::Silence,
    };
    assert_eq!((&scenario.clients[0].via[0], scenario.clients[0].via[1].name.as_str()), (&office, "nginx"));
    let clb = Hop { name: "clb".to_owned(), idle: Some(fixed(900_000)), lifetime: None, cut: Cut::Rst };
    let own = Hop { name: "hop".to_owned(), idle: None, lifetime: Some(ms(3_600_000)), cut: Cut::Rst };
    assert_eq!(scenario.sidecars[0].hops, [clb, own]);
    let (_, warnings) = parse("s.toml", &format!("{LEAST}[[hops]]\nname = 'x'\nidle = '1s'\n")).unwrap();
    assert_eq!(lines(&warnings), ["s.toml:9:1: no `via` names the hop `x`; name it in one, or remove it"]);
}

#[test]
fn links_go_both_ways_unless_told_otherwise() {
    let scenario = right(&format!(
        "regions = ['a', 'b', 'c']\n{LEAST}\
         [link]\nlatency = '10ms'\n\
         [[links]]\nfrom = 'a'\nto = 'b'\nlatency = '30ms'\nloss = '0.1%'\n\
         [[links]]\nfrom = 'b'\nto = 'c'\noneway = true\nbandwidth = 'off'\n\
         [[links]]\nfrom = 'c'\nto = 'c'\nlatency = '1ms'\n"
    ));
    let link = |from, to| *scenario.link(RegionId(from), RegionId(to));
    assert_eq!((link(0, 1).latency, link(0, 1).loss_ppm, link(0, 1).jitter), (ms(30), 1_000, ms(1)));
    assert_eq!(link(1, 0), link(0, 1));
    assert_eq!((link(1, 2).bandwidth, link(1, 2).latency), (None, ms(10)));
    assert_eq!(link(2, 1), link(0, 2));
    assert_eq!((link(2, 2).latency, link(0, 0).latency), (ms(1), ms(10)));
}

#[test]
fn the_sidecar_is_configured_by_its_own_code() {
    let text = format!("{LEAST}[[clients]]\nname = 'x'\nkind = 'sse'\n").replace(
        "name = 'edge'\n",
        "name = 'edge'\nconfig = { keepalive = '10s', proxy_read_timeout = '20m', listen = ['http://0.0.0.0:80'] }\n",
    );
    let (scenario, warnings) = parse("s.toml", &text).unwrap();
    let config = &scenario.sidecars[0].config;
    assert_eq!(config.session.keepalive.client, Some(ms(10_000)));
    assert_eq!(config.dial.read_timeout, ms(1_200_000));
    assert_eq!((config.listeners.len(), config.tls.is_none()), (1, true));
    let [warning] = warnings.as_slice() else { panic!("{warnings:?}") };
    assert!(warning.to_string().starts_with("s.toml:6:31: proxy_read_timeout "), "{warning}");
}

#[test]
fn prices_are_the_users() {
    let prices = right(&format!("{LEAST}[prices]\nmillion_requests = 0.4\ncurrency = 'CNY'\n")).prices;
    let expected = Prices { currency: "CNY".to_owned(), million_requests: Some(0.4), connection_hour: None, gib: None };
    assert_eq!(prices, Some(expected));
}

#[test]
fn a_sidecar_may_have_an_app_in_each_region() {
    let world = "name = 'x'\nregions = ['hk', 'sg']\n[[apps]]\nname = 'near'\nregion = 'sg'\n[[apps]]\nname = 'far'\n\
                 [[clients]]\nname = 'web'\nkind = 'push'\n[[sidecars]]\nname = 'edge'\n";
    let scenario = right(&format!("{world}upstream = ['far', 'near']"));
    let edge = &scenario.sidecars[0];
    assert_eq!((edge.region, edge.apps.as_slice()), (RegionId(0), &[AppId(1), AppId(0)][..]));
    let upstreams = edge.config.upstreams.iter();
    let upstreams: Vec<_> = upstreams.map(|upstream| (upstream.name.as_str(), upstream.region.as_str())).collect();
    assert_eq!(upstreams, [("far", "hk"), ("near", "sg")]);
    assert_eq!(
        wrong(&format!("{world}upstream = ['far', 'far']"))[0],
        "s.toml:13:20: `far` is in the list already; name each app once"
    );
}
