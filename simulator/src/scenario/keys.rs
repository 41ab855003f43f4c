//! The one table of keys. Reading, messages, reference and schema all come from it.

use super::key::{Key, Kind, Section, Shape};

const US: u64 = 1;
const MS: u64 = 1_000;
const S: u64 = 1_000 * MS;
const M: u64 = 60 * S;
const H: u64 = 60 * M;
const D: u64 = 24 * H;
const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// A whole, in parts per million.
const ALL: u64 = 1_000_000;

const OFF: &[&str] = &["off"];

/// Every section, in the order of the reference.
pub(super) static SECTIONS: [&Section; 14] = [
    &TOP,
    &LINK,
    &LINKS,
    &LAN,
    &APPS,
    &SIDECARS,
    &HOPS,
    &CLIENTS,
    &WORKLOAD,
    &FAULTS,
    &FAULTS_RANDOM,
    &EXPECT,
    &SWEEP,
    &PRICES,
];

const fn time(from: u64, to: u64) -> Kind {
    Kind::Time { from, to }
}

const fn times(from: u64, to: u64) -> Kind {
    Kind::Times { from, to }
}

const fn count(from: u64, to: u64) -> Kind {
    Kind::Count { from, to }
}

const NAME: Kind = Kind::Name { slash: false };
const LABEL: Kind = Kind::Name { slash: true };
const BYTE_RATE: Kind = Kind::ByteRate { from: 1, to: 1 << 40 };
const RATE: Kind = Kind::Rate { from: 100 * US, to: H };
const BANDWIDTH: Kind = Kind::Bandwidth { from: 8_000, to: 100_000_000_000 };
const LATENCY: Kind = time(0, 10 * S);
const LOSS: Kind = Kind::Percent { from: 0, to: ALL / 2 };
const SIZES: Kind = Kind::Sizes { from: 1, to: 64 * MIB };
const HEADERS: Kind = Kind::Size { from: 0, to: 16 * KIB };
const REGION: Kind = Kind::Ref("a region");
const SIDECAR: Kind = Kind::Ref("a sidecar");
const APP: Kind = Kind::Ref("an app");
const GROUP: Kind = Kind::Ref("a group of clients");
const HOST: Kind = Kind::Ref("an app or a sidecar");
const PEER: Kind = Kind::Ref("a region, an app, a sidecar or a group of clients");

pub(super) static TOP: Section = Section {
    name: "",
    shape: Shape::Top,
    about: "What the scenario is called and how long it takes.",
    keys: &[
        Key::required("name", Kind::Text, "\"polling against push\"", "What it is called, in a few words."),
        Key::unset("description", Kind::Text, "none", "\"what it shows\"", "Shown in reports."),
        Key::new(
            "duration",
            time(S, 7 * D),
            "10m",
            "Virtual time in which clients run, updates are made and faults happen.",
        ),
        Key::new(
            "heal",
            time(0, D),
            "1m",
            "Virtual time after that, without updates and faults: everything has to converge.",
        ),
        Key::new("seeds", count(1, 100_000), "20", "Seeds that a run takes when it is not told how many."),
        Key::new("regions", NAME, "here", "Places between which packets travel.").list().example("[\"hk\", \"sg\"]"),
    ],
};

pub(super) static LINK: Section = Section {
    name: "link",
    shape: Shape::Table,
    about: "Every path between two hosts that neither `[[links]]` nor `[lan]` says more about: between regions, and \
            between hosts within one, each way.",
    keys: &[
        Key::new("latency", LATENCY, "20ms", "One way."),
        Key::new("jitter", LATENCY, "1ms", "Added to the latency: from 0 to this much, drawn for each packet."),
        Key::new("bandwidth", BANDWIDTH, "100mbit", "Shared by all that goes this way.").words(OFF),
        Key::new("loss", LOSS, "0%", "Packets lost, each by itself."),
    ],
};

pub(super) static LINKS: Section = Section {
    name: "links",
    shape: Shape::List,
    about: "The path between two regions, or within one: `from` and `to` may be the same.",
    keys: &[
        Key::required("from", REGION, "\"hk\"", "Where packets leave."),
        Key::required("to", REGION, "\"sg\"", "Where they arrive."),
        Key::unset("latency", LATENCY, "as in `[link]`", "\"18ms\"", "One way."),
        Key::unset("jitter", LATENCY, "as in `[link]`", "\"2ms\"", "As in `[link]`."),
        Key::unset("bandwidth", BANDWIDTH, "as in `[link]`", "\"100mbit\"", "As in `[link]`.").words(OFF),
        Key::unset("loss", LOSS, "as in `[link]`", "\"0.1%\"", "As in `[link]`."),
        Key::new("oneway", Kind::Switch, "off", "Whether this is only the way from `from` to `to`, and not back."),
    ],
};

pub(super) static LAN: Section = Section {
    name: "lan",
    shape: Shape::Table,
    about: "The path between an app and its sidecar when both are in the same region.",
    keys: &[
        Key::new("latency", LATENCY, "50us", "One way."),
        Key::new("jitter", LATENCY, "150us", "As in `[link]`."),
        Key::new("bandwidth", BANDWIDTH, "10gbit", "As in `[link]`.").words(OFF),
        Key::new("loss", LOSS, "0%", "As in `[link]`."),
    ],
};

pub(super) static APPS: Section = Section {
    name: "apps",
    shape: Shape::List,
    about: "Servers behind sidecars. Each answers polls and long polls, streams events and pushes over WebSocket; every \
            update exists at every app at the same instant. At least one.",
    keys: &[
        Key::required("name", NAME, "\"feed\"", "No other app, sidecar, group of clients or region has it."),
        Key::unset("region", REGION, "the first region", "\"hk\"", "Where it is."),
        Key::new("processing", times(0, M), "1ms", "From a request to its answer, besides any wait for news."),
        Key::new("hold", time(S, H), "25s", "How long a long poll is held before it is answered without news."),
        Key::new(
            "history",
            count(0, 1_000_000),
            "1000",
            "Updates kept, of 64 MiB at most, for clients that ask for what they missed; older ones are lost to them.",
        ),
        Key::new("ping", time(S, H), "off", "The app's own pings (for event streams: comments) to each client.")
            .words(OFF)
            .example("\"30s\""),
        Key::new("headers", HEADERS, "200", "Bytes of headers in an answer, besides those that HTTP needs."),
    ],
};

pub(super) static SIDECARS: Section = Section {
    name: "sidecars",
    shape: Shape::List,
    about: "Sidecars, each in front of an app, or of several that stand in for each other. They run the real code with the real configuration. At least one.",
    keys: &[
        Key::required("name", NAME, "\"edge\"", "No other app, sidecar, group of clients or region has it."),
        Key::unset(
            "upstream",
            APP,
            "the only app",
            "\"feed\"",
            "The app behind it; needed when there are several. Of a list it chooses as its own `upstream` says: each app is an \
             upstream of that name in the region of that name.",
        )
        .list(),
        Key::unset("region", REGION, "where its first app is", "\"hk\"", "Where it is."),
        Key::unset(
            "config",
            Kind::Config,
            "the sidecar's defaults",
            "{ keepalive = \"25s\" }",
            "Any key of `outrigger`'s own configuration, as it would be in its file. `upstream` and files are the \
             simulator's; `listen` is `[\"http://0.0.0.0:8080\", \"https://0.0.0.0:8443\"]` until it is written.",
        ),
    ],
};

/// Presets for hops; what they mean is in [`super::hops`].
pub(super) const PRESETS: &[&str] =
    &["tencent-clb", "nginx", "aws-alb", "cloudflare", "envoy", "gce", "home-nat", "mobile-nat"];

pub(super) static HOPS: Section = Section {
    name: "hops",
    shape: Shape::List,
    about: "Load balancers and NATs that cut connections. Those before a sidecar are passed in the order of the file, \
            the first is the nearest to the clients; those of a client are named in its `via`.",
    keys: &[
        Key::unset("name", NAME, "the preset", "\"old-lb\"", "For `via`, for sweeps and for reports."),
        Key::unset(
            "before",
            SIDECAR,
            "only where a `via` names it",
            "\"edge\"",
            "The sidecar that it stands in front of.",
        ),
        Key::unset(
            "preset",
            Kind::Choice(PRESETS),
            "none",
            "\"tencent-clb\"",
            "Takes what is not written below from a product that is known.",
        ),
        Key::unset(
            "idle",
            times(MS, 7 * D),
            "of the preset, or `off`",
            "\"60s\"",
            "Cuts after this much silence of both sides; a range is drawn from for each connection.",
        )
        .words(OFF),
        Key::unset("lifetime", time(MS, 7 * D), "of the preset, or `off`", "\"30s\"", "Cuts at this age, idle or not.")
            .words(OFF),
        Key::unset(
            "cut",
            Kind::Choice(&["rst", "fin", "silence"]),
            "of the preset, or `rst`",
            "\"fin\"",
            "What both sides get: an RST, a FIN, or nothing at all while packets vanish.",
        ),
    ],
};

const PUSH: &[&str] = &["push"];
const POLLER: &[&str] = &["poller"];
const POLLERS: &[&str] = &["poller", "long-poller"];
const STREAMS: &[&str] = &["push", "sse"];

pub(super) static CLIENTS: Section = Section {
    name: "clients",
    shape: Shape::List,
    about: "Groups of clients that are alike. At least one.",
    keys: &[
        Key::required("name", NAME, "\"web\"", "No other app, sidecar, group of clients or region has it."),
        Key::required(
            "kind",
            Kind::Choice(&["push", "poller", "long-poller", "sse"]),
            "\"push\"",
            "`push`: WebSocket, reconnects. `poller`: a request each `interval`. `long-poller`: the app holds each \
             request until there is news. `sse`: server-sent events, reconnects.",
        ),
        Key::new("count", count(1, 10_000), "1", "How many."),
        Key::unset("region", REGION, "the first region", "\"sg\"", "Where they are."),
        Key::unset(
            "target",
            SIDECAR,
            "the only sidecar",
            "\"edge\"",
            "Where they connect; of a list, as `pick` says. Needed when there are several sidecars.",
        )
        .list(),
        Key::new(
            "pick",
            Kind::Choice(&["in-order", "random", "least-connections"]),
            "in-order",
            "Which of several targets an attempt goes to. `in-order`: the first, after a failure the next. `random`, \
             `least-connections`: one that a load balancer in front of them takes for ready.",
        ),
        Key::new(
            "endpoint_lag",
            times(0, H),
            "1s",
            "How long that balancer takes to learn that a sidecar drains, is gone, or is ready again; drawn for each \
             attempt. `off`: it never learns. While it takes none for ready, it picks from all.",
        )
        .words(OFF),
        Key::new("tls", Kind::Switch, "off", "Whether they use TLS: WSS and HTTPS."),
        Key::unset(
            "via",
            Kind::Ref("a preset or a hop"),
            "none",
            "[\"home-nat\"]",
            "Boxes on the clients' side, the first is the nearest to the client: presets, or hops by name.",
        )
        .list(),
        Key::new("start_spread", time(0, D), "1s", "They start spread at random over this much time."),
        Key::new(
            "headers",
            HEADERS,
            "300",
            "Bytes of headers in a request, besides those needed: cookies, user agent.",
        ),
        Key::new("reads", BYTE_RATE, "off", "Most bytes per second that a client reads.")
            .words(OFF)
            .example("\"10k/s\""),
        Key::new("connect_timeout", time(MS, H), "10s", "For TCP and TLS; then the attempt has failed."),
        Key::unset(
            "reconnect",
            Kind::Table(&RECONNECT),
            "as below",
            "{ base = \"1s\", max = \"30s\" }",
            "Waits between attempts to connect, or between requests that fail.",
        ),
        Key::new("resume", Kind::Switch, "on", "Whether a client asks for what it missed after a reconnect.")
            .only(STREAMS),
        Key::new(
            "ping",
            time(S, H),
            "off",
            "A client's own pings after this much silence; no answer for as long ends it.",
        )
        .words(OFF)
        .example("\"30s\"")
        .only(PUSH),
        Key::new("sends", RATE, "off", "Messages that a client sends, evenly; the app does not answer them.")
            .words(OFF)
            .example("\"2/m\"")
            .only(PUSH),
        Key::new("send_size", SIZES, "100", "Payload of each of them.").only(PUSH),
        Key::new(
            "stays",
            times(S, D),
            "off",
            "How long a client stays before it closes (1000) and comes back at once; drawn each time.",
        )
        .words(OFF)
        .example("\"1m..10m\"")
        .only(PUSH),
        Key::required("interval", time(MS, D), "\"2s\"", "From the start of one request to the start of the next.")
            .only(POLLER),
        Key::new("etag", Kind::Switch, "off", "Whether requests carry the last ETag: 304 when there is no news.")
            .only(POLLER),
        Key::new("keep_alive", Kind::Switch, "on", "Whether the connection is kept between requests.").only(POLLERS),
        Key::new("timeout", time(MS, H), "60s", "For one answer; then the request has failed.").only(POLLERS),
    ],
};

pub(super) static RECONNECT: Section = Section {
    name: "reconnect",
    shape: Shape::Nested,
    about: "In `[[clients]]`: after the first failure a client waits `base`, after each further one `factor` times as \
            long, at most `max`; success starts over. socket.io 4 does `{ base = \"1s\", max = \"5s\", jitter = \"half\", \
            stable_after = \"0s\" }`, and reconnecting-websocket 4 `{ base = \"1s..5s\", factor = 1.3, max = \"10s\", \
            jitter = \"none\" }`, unless they are told otherwise.",
    keys: &[
        Key::new("base", times(0, H), "1s", "The first wait; a range is drawn from once for each client."),
        Key::new("factor", Kind::Number { from: 1.0, to: 10.0 }, "2", "From one wait to the next."),
        Key::new("max", time(0, D), "30s", "The longest wait."),
        Key::new(
            "jitter",
            Kind::Choice(&["none", "equal", "full", "half"]),
            "full",
            "Of a wait of w: `none` waits w, `equal` from w/2 to w, `full` from 0 to w, `half` from w/2 to 3w/2, and \
             only then at most `max`.",
        ),
        Key::new("stable_after", time(0, H), "5s", "A session that lived this long was no failure: `base` comes next."),
    ],
};

pub(super) static WORKLOAD: Section = Section {
    name: "workload",
    shape: Shape::Table,
    about: "What the apps have to tell.",
    keys: &[
        Key::new(
            "updates",
            Kind::Choice(&["none", "poisson", "periodic", "burst"]),
            "poisson",
            "`poisson`: independent of each other. `periodic`: evenly. `burst`: several at once, the bursts evenly.",
        ),
        Key::new("rate", RATE, "1/s", "Updates (or bursts) per second, minute or hour.")
            .only(&["poisson", "periodic", "burst"]),
        Key::new("burst", count(1, 100_000), "10", "Updates of one burst.").only(&["burst"]),
        Key::new("size", SIZES, "120", "Bytes of one update.").only(&["poisson", "periodic", "burst"]),
        Key::new(
            "listeners",
            Kind::Percent { from: 100, to: ALL },
            "100%",
            "How many clients an update is for, on average: each client draws for each update, by itself.",
        )
        .only(&["poisson", "periodic", "burst"]),
    ],
};

/// Kinds of faults, in the order of [`super::FaultWord::ALL`].
const FAULT_KINDS: &[&str] = &[
    "partition",
    "one-way-partition",
    "loss-burst",
    "latency-spike",
    "kill",
    "power-loss",
    "restart",
    "slow-reader",
    "app-stall",
    "clock-skew",
];

const PAIRS: &[&str] = &["partition", "loss-burst", "latency-spike"];
const ONE_WAY: &[&str] = &["one-way-partition"];
const HOSTS: &[&str] = &["kill", "power-loss", "restart", "clock-skew"];
const SKEW: &[&str] = &["clock-skew"];
const SLOW: &[&str] = &["slow-reader"];

pub(super) static FAULTS: Section = Section {
    name: "faults",
    shape: Shape::List,
    about: "What goes wrong, and when.",
    keys: &[
        Key::unset("name", LABEL, "`faults/N`, counted from 0", "\"cut\"", "For reports; its randomness hangs on it."),
        Key::required(
            "kind",
            Kind::Choice(FAULT_KINDS),
            "\"partition\"",
            "`partition`: nothing passes between `a` and `b`. `one-way-partition`: nothing from `from` to `to`. \
             `loss-burst`, `latency-spike`: `loss` or `latency` more between `a` and `b`. `kill`: the process of `host` \
             dies and its sockets are reset. `power-loss`: its machine dies and says nothing. `restart`: SIGTERM, so a \
             sidecar drains. `slow-reader`: a `share` of `clients` reads slowly. `app-stall`: `app` does nothing, its \
             sockets stay. `clock-skew`: the wall clock of `host` is off.",
        ),
        Key::required("at", times(0, 7 * D), "\"3m\"", "When; a range is drawn from by the seed."),
        Key::new(
            "for",
            times(0, 7 * D),
            "10s",
            "How long, cut at the end of `duration`; whoever died comes back then.",
        ),
        Key::required("a", PEER, "\"hk\"", "One end.").only(PAIRS),
        Key::required("b", PEER, "\"sg\"", "The other end.").only(PAIRS),
        Key::required("from", PEER, "\"hk\"", "Where packets leave.").only(ONE_WAY),
        Key::required("to", PEER, "\"sg\"", "Where none arrives.").only(ONE_WAY),
        Key::required("loss", Kind::Percent { from: 1, to: ALL }, "\"10%\"", "On top of that of the link.")
            .only(&["loss-burst"]),
        Key::required("latency", time(US, M), "\"200ms\"", "On top of that of the link, one way.")
            .only(&["latency-spike"]),
        Key::required("host", HOST, "\"edge\"", "Whom it hits; of a list, one after the other, each `every` later.")
            .list()
            .only(HOSTS),
        Key::new("every", time(0, D), "0s", "From one host of a list to the next: a rolling deploy with `restart`.")
            .only(HOSTS),
        Key::required("clients", GROUP, "\"web\"", "Whom it hits.").only(SLOW),
        Key::new("share", Kind::Percent { from: 100, to: ALL }, "100%", "How many of them, drawn; at least one.")
            .only(SLOW),
        Key::new("reads", Kind::ByteRate { from: 0, to: 1 << 40 }, "0/s", "Bytes per second that each of them reads.")
            .only(SLOW),
        Key::unset("app", APP, "the only app", "\"feed\"", "Whom it hits.").only(&["app-stall"]),
        Key::required("by", time(MS, 30 * D), "\"5s\"", "How far the clock is off.").only(SKEW),
        Key::new("ahead", Kind::Switch, "on", "Whether it is ahead; otherwise it is behind.").only(SKEW),
    ],
};

pub(super) static FAULTS_RANDOM: Section = Section {
    name: "faults_random",
    shape: Shape::Table,
    about: "Faults drawn from the seed: what, whom, when and how long. `outrigger-sim shrink` writes them out.",
    keys: &[
        Key::required("count", count(1, 1_000), "3", "How many."),
        Key::unset(
            "kinds",
            Kind::Choice(FAULT_KINDS),
            "all",
            "[\"partition\", \"kill\"]",
            "Which, as in `[[faults]]`.",
        )
        .list(),
        Key::unset("at", times(0, 7 * D), "from a tenth to eight tenths of `duration`", "\"1m..5m\"", "When."),
        Key::new("for", times(0, 7 * D), "1s..30s", "How long."),
    ],
};

pub(super) static EXPECT: Section = Section {
    name: "expect",
    shape: Shape::Table,
    about: "Figures that must hold for all clients together; under `[expect.NAME]`, for one group. A number must be met \
            exactly; a text compares: `\"< 150ms\"`, `\"<= 2\"`, `\"> 1k\"`, `\">= 0.5\"`, `\"= 3\"`, `\"1..3\"`.",
    keys: &[],
};

pub(super) static SWEEP: Section = Section {
    name: "sweep",
    shape: Shape::List,
    about: "Runs the scenario once for each value, or, with two of them, for each pair.",
    keys: &[
        Key::required(
            "key",
            Kind::Text,
            "\"clients.web.interval\"",
            "The way to a key: section, name (for `links`: `from.to`), key, as in `workload.rate`, `hops.nginx.idle` or \
             `sidecars.edge.config.keepalive`.",
        ),
        Key::required("values", Kind::Any, "[\"1s\", \"2s\", \"5s\"]", "What it is set to.").list(),
    ],
};

const PRICE: Kind = Kind::Number { from: 0.0, to: 1e9 };

pub(super) static PRICES: Section = Section {
    name: "prices",
    shape: Shape::Table,
    about: "What things cost you. With any of them, reports say what each group costs for one client and 30 days, and where \
            two ways of getting updates break even. `--price-requests`, `--price-connections`, `--price-gib` and \
            `--currency` of `run` stand above these.",
    keys: &[
        Key::new("currency", Kind::Text, "USD", "Printed after amounts."),
        Key::unset("million_requests", PRICE, "not counted", "0.4", "For a million requests."),
        Key::unset("connection_hour", PRICE, "not counted", "0.000015", "For one connection that is open for an hour."),
        Key::unset("gib", PRICE, "not counted", "0.09", "For 2^30 bytes sent to clients."),
    ],
};
