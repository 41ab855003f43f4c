//! All faults come at once, each with its place and what to write instead.

use super::*;

/// What follows the least scenario, and the faults; lines count from 1 after those of [`LEAST`], which has 8.
const TABLE: &[(&str, &[&str])] = &[
    (
        "count = 1 2\n",
        &[
            "s.toml:9:9: is not TOML: string values must be quoted, expected literal string; write `key = \"text\"`, `key = 60`, `key = true` or `key = [\"text\", \"text\"]`, one key on a line",
        ],
    ),
    ("[lnik]\n", &["s.toml:9:2: `lnik` is not a key of the top of the file; did you mean `link`?"]),
    ("count = 0\n", &["s.toml:9:1: `0` is out of range; write a whole number from 1 to 10000, such as count = 1"]),
    (
        "count = 'many'\n",
        &["s.toml:9:1: `many` is not a whole number; write a whole number from 1 to 10000, such as count = 1"],
    ),
    ("count = 1\ncuont = 2\n", &["s.toml:10:1: `cuont` is not a key of [[clients]]; did you mean `count`?"]),
    (
        "region = 'sg'\n",
        &["s.toml:9:1: nothing is called `sg`, and `region` takes the name of a region; write `here`, or add it"],
    ),
    (
        "region = 'edge'\n",
        &["s.toml:9:1: `edge` is a sidecar, and `region` takes the name of a region; write `here`, or add it"],
    ),
    ("target = ['edge', 'edge']\n", &["s.toml:9:19: `edge` is in the list already; name each sidecar once"]),
    (
        "target = 'egde'\n",
        &["s.toml:9:1: nothing is called `egde`, and `target` takes the name of a sidecar; did you mean `edge`?"],
    ),
    (
        "interval = '2s'\n",
        &[
            "s.toml:9:1: `interval` does nothing here: it is for `poller`; remove it, or write another `kind` than `push`",
        ],
    ),
    ("via = ['home-nt']\n", &["s.toml:9:8: there is no hop `home-nt`; did you mean `home-nat`?"]),
    (
        "via = ['corporate-proxy']\n",
        &[
            "s.toml:9:8: there is no hop `corporate-proxy`; write `tencent-clb`, `nginx`, `aws-alb`, `cloudflare`, `envoy`, `gce`, `home-nat` or `mobile-nat`, or add [[hops]] with that name and without `before`",
        ],
    ),
    (
        "tls = 'maybe'\n",
        &["s.toml:9:1: `maybe` is neither true nor false; write `true` or `false`, such as tls = false"],
    ),
    (
        "reads = '10mbit'\n",
        &[
            "s.toml:9:1: `10mbit` is not a size per second; write `off`, or a size per second from 1/s to 1024g/s, such as reads = \"10k/s\"",
        ],
    ),
    (
        "reconnect = { base = '1m' }\n",
        &["s.toml:9:15: the longest wait, `max`, is shorter than the first, `base`; make `max` at least as long"],
    ),
    (
        "reconnect = { base = '1s..1m' }\n",
        &["s.toml:9:15: the longest wait, `max`, is shorter than the first, `base`; make `max` at least as long"],
    ),
    (
        "reconnect = { base = '5s..1s', jitter = 'some', stable_after = 'never' }\n",
        &[
            "s.toml:9:15: `5s..1s` is neither a time nor a range of times; write a time from 0s to 1h, or a range of them as `1s..5s`, such as base = \"1s\"",
            "s.toml:9:32: `some` is not a word for jitter; write `none`, `equal`, `full` or `half`, such as jitter = \"full\"",
            "s.toml:9:49: `never` is not a time; write a time from 0s to 1h, such as stable_after = \"5s\"",
        ],
    ),
    (
        "pick = 'round-robin'\nendpoint_lag = 'never'\n",
        &[
            "s.toml:9:1: `round-robin` is not a word for pick; write `in-order`, `random` or `least-connections`, such as pick = \"in-order\"",
            "s.toml:10:1: `never` is neither a time nor a range of times; write `off`, or a time from 0s to 1h, or a range of them as `1s..5s`, such as endpoint_lag = \"1s\"",
        ],
    ),
    (
        "reconnect = '1s'\n",
        &[
            "s.toml:9:1: reconnect is not a table; write a table with `base`, `factor`, `max`, `jitter` and `stable_after`, such as reconnect = { base = \"1s\", max = \"30s\" }",
        ],
    ),
    ("reconnect = { bsae = '1s' }\n", &["s.toml:9:15: `bsae` is not a key of reconnect; did you mean `base`?"]),
    (
        "kind_of = 'push'\n",
        &[
            "s.toml:9:1: `kind_of` is not a key of [[clients]]; there are `name`, `kind`, `count`, `region`, `target`, `pick`, `endpoint_lag`, `tls`, `via`, `start_spread`, `headers`, `reads`, `connect_timeout`, `reconnect`, `resume`, `ping`, `sends`, `send_size`, `stays`, `interval`, `etag`, `keep_alive` and `timeout`",
        ],
    ),
    (
        "stays = '5m..1m'\n",
        &[
            "s.toml:9:1: `5m..1m` is neither a time nor a range of times; write `off`, or a time from 1s to 1d, or a range of them as `1s..5s`, such as stays = \"1m..10m\"",
        ],
    ),
    (
        "[[clients]]\nkind = 'poller'\n",
        &[
            "s.toml:9:1: this [[clients]] has no `name`; add name = \"web\"",
            "s.toml:9:1: this [[clients]] of kind `poller` has no `interval`; add interval = \"2s\"",
        ],
    ),
    (
        "[[clients]]\nname = 'web'\nkind = 'poler'\n",
        &[
            "s.toml:10:1: `web` is taken by what is at s.toml:7:1; give each region, app, sidecar and group of clients a name of its own",
            "s.toml:11:1: `poler` is not a word for kind; write `push`, `poller`, `long-poller` or `sse`, such as kind = \"push\"",
        ],
    ),
    (
        "[[clients]]\nname = 'requests'\nkind = 'sse'\nping = '30s'\n",
        &[
            "s.toml:10:1: `requests` is the name of a figure in [expect]; give the group another name",
            "s.toml:12:1: `ping` does nothing here: it is for `push`; remove it, or write another `kind` than `sse`",
        ],
    ),
    (
        "[[clients]]\nname = 'a b'\nkind = 'sse'\n",
        &["s.toml:10:1: `a b` is not a name; write a name of letters, digits, `-` and `_`, such as name = \"web\""],
    ),
    (
        "[[clients]]\nname = 'more'\nkind = 'sse'\ncount = 10000\n",
        &["s.toml:12:1: with these there are 10001 clients; make them at most 10000 in all groups together"],
    ),
    (
        "[[apps]]\nname = 'second'\n",
        &[
            "s.toml:4:1: there are several apps, and `upstream` does not say which; add upstream = \"NAME\" with the name of an app",
        ],
    ),
    (
        "[[sidecars]]\nname = 'second'\n",
        &[
            "s.toml:6:1: there are several sidecars, and `target` does not say which; add target = \"NAME\" with the name of a sidecar, or a list of them",
        ],
    ),
    (
        "[link]\nlatency = 'fast'\nbandwidth = '100'\nloss = '60%'\njitter = ['1ms', '2ms']\n",
        &[
            "s.toml:10:1: `fast` is not a time; write a time from 0s to 10s, such as latency = \"20ms\"",
            "s.toml:11:1: `100` is not a bandwidth; write `off`, or a bandwidth from 8kbit to 100gbit, such as bandwidth = \"100mbit\"",
            "s.toml:12:1: `60%` is out of range; write a percentage from 0% to 50%, such as loss = \"0%\"",
            "s.toml:13:1: jitter takes one value, not a list; write a time from 0s to 10s, such as jitter = \"1ms\"",
        ],
    ),
    ("[[links]]\nfrom = 'here'\n", &["s.toml:9:1: this [[links]] has no `to`; add to = \"sg\""]),
    (
        "[[links]]\nfrom = 'here'\nto = 'here'\n[[links]]\nfrom = 'here'\nto = 'here'\n",
        &[
            "s.toml:12:1: s.toml:9:1 says it for `here` to `here` already; keep one of them, or make both `oneway = true`",
        ],
    ),
    (
        "[links]\nfrom = 'here'\n",
        &["s.toml:9:2: `links` is not a list of tables; write each of them under a heading [[links]] of its own"],
    ),
    (
        "[[hops]]\nidle = '60s'\n",
        &[
            "s.toml:9:1: this [[hops]] is on nobody's way; add before = \"NAME\" with a sidecar, or a name for the `via` of clients",
        ],
    ),
    (
        "[[hops]]\nbefore = 'edge'\n",
        &["s.toml:9:1: this [[hops]] cuts nothing; add preset = \"tencent-clb\", idle = \"60s\" or lifetime = \"30s\""],
    ),
    (
        "[[hops]]\nname = 'nginx'\nidle = '60s'\n",
        &["s.toml:10:1: `nginx` is the name of a preset, so a `via` could mean either; give it another name"],
    ),
    (
        "[[hops]]\nbefore = 'edge'\npreset = 'tencent'\ncut = 'hard'\n",
        &[
            "s.toml:11:1: `tencent` is not a word for preset; write `tencent-clb`, `nginx`, `aws-alb`, `cloudflare`, `envoy`, `gce`, `home-nat` or `mobile-nat`, such as preset = \"tencent-clb\"",
            "s.toml:12:1: `hard` is not a word for cut; write `rst`, `fin` or `silence`, such as cut = \"fin\"",
        ],
    ),
    (
        "[workload]\nupdates = 'none'\nrate = '1/s'\n",
        &[
            "s.toml:11:1: `rate` does nothing here: it is for `poisson`, `periodic` or `burst`; remove it, or write another `updates` than `none`",
        ],
    ),
    (
        "[workload]\nrate = '2'\nsize = '0'\nlisteners = '0%'\nburst = 5\n",
        &[
            "s.toml:10:1: `2` is not a rate; write a rate from 1/h to 10000/s, such as rate = \"1/s\"",
            "s.toml:11:1: `0` is out of range; write a size from 1 to 64m, or a range of them as `100..4k`, such as size = \"120\"",
            "s.toml:12:1: `0%` is out of range; write a percentage from 0.01% to 100%, such as listeners = \"100%\"",
            "s.toml:13:1: `burst` does nothing here: it is for `burst`; remove it, or write another `updates` than `poisson`",
        ],
    ),
    (
        "[[faults]]\nkind = 'partition'\nat = '10m'\na = 'web'\nb = 'web'\n",
        &[
            "s.toml:11:1: this is at the end of `duration` (10m) or after it; make it earlier, or `duration` longer",
            "s.toml:13:1: `a` and `b` are the same; name two that differ",
        ],
    ),
    (
        "[[faults]]\nkind = 'kill'\nhost = 'web'\n",
        &[
            "s.toml:9:1: this [[faults]] has no `at`; add at = \"3m\"",
            "s.toml:11:1: `web` is a group of clients, and `host` takes the name of an app or a sidecar; write `feed` or `edge`, or add it",
        ],
    ),
    (
        "[[faults]]\nkind = 'restart'\nat = '9m'\nhost = ['edge', 'feed', 'edge', 'fed']\nevery = '30s'\n",
        &[
            "s.toml:12:25: `edge` is in the list already; name each host once",
            "s.toml:12:33: nothing is called `fed`, and `host` takes the name of an app or a sidecar; did you mean `feed`?",
            "s.toml:13:1: the last of 3 hosts is due at 10m, and `duration` ends at 10m; make it shorter, or `duration` longer",
        ],
    ),
    (
        "[[faults]]\nkind = 'app-stall'\nat = '1m'\nevery = '1m'\n[[faults]]\nkind = 'kill'\nat = '1m'\nhost = []\n",
        &[
            "s.toml:12:1: `every` does nothing here: it is for `kill`, `power-loss`, `restart` or `clock-skew`; remove it, or write another `kind` than `app-stall`",
            "s.toml:16:1: host is an empty list; write the name of an app or a sidecar, such as host = \"edge\"",
        ],
    ),
    (
        "[[faults]]\nkind = 'shutdown'\nat = '1m'\n",
        &[
            "s.toml:10:1: `shutdown` is not a word for kind; write `partition`, `one-way-partition`, `loss-burst`, `latency-spike`, `kill`, `power-loss`, `restart`, `slow-reader`, `app-stall` or `clock-skew`, such as kind = \"partition\"",
        ],
    ),
    (
        "[[faults]]\nat = '1m'\nname = 'x'\nkind = 'app-stall'\n[[faults]]\nat = '2m'\nname = 'x'\nkind = 'slow-reader'\nclients = 'edge'\n",
        &[
            "s.toml:15:1: the fault at s.toml:11:1 is called `x` already; give each fault a name of its own",
            "s.toml:17:1: `edge` is a sidecar, and `clients` takes the name of a group of clients; write `web`, or add it",
        ],
    ),
    (
        "[[faults]]\nkind = 'loss-burst'\nat = '1m'\na = 'edge'\nb = 'feed'\nhost = 'edge'\n",
        &[
            "s.toml:9:1: this [[faults]] of kind `loss-burst` has no `loss`; add loss = \"10%\"",
            "s.toml:14:1: `host` does nothing here: it is for `kill`, `power-loss`, `restart` or `clock-skew`; remove it, or write another `kind` than `loss-burst`",
        ],
    ),
    (
        "[faults_random]\nkinds = ['kil']\nat = '1m..1h'\n",
        &[
            "s.toml:9:2: this [faults_random] has no `count`; add count = 3",
            "s.toml:10:10: `kil` is not a word for kinds; write `partition`, `one-way-partition`, `loss-burst`, `latency-spike`, `kill`, `power-loss`, `restart`, `slow-reader`, `app-stall` or `clock-skew`, such as kinds = [\"partition\", \"kill\"]",
            "s.toml:11:1: this is at the end of `duration` (10m) or after it; make it earlier, or `duration` longer",
        ],
    ),
    (
        "[expect]\nupdate_delay_p95 = '< 1s'\n",
        &[
            "s.toml:10:1: `update_delay_p95` is neither a figure nor a group of clients; did you mean `update_delay_p99`?",
        ],
    ),
    (
        "[expect]\nupdate_delay_p99 = 'fast'\nsessions_lost = '~ 3'\nreconnects = [1]\n",
        &[
            "s.toml:10:1: `fast` is nothing to compare update_delay_p99 with; write a time, alone or after `<`, `<=`, `>`, `>=` or `=`, or a range of them, such as update_delay_p99 = \"< 150ms\"",
            "s.toml:11:1: `~ 3` is nothing to compare sessions_lost with; write a whole number, alone or after `<`, `<=`, `>`, `>=` or `=`, or a range of them, such as sessions_lost = 0",
            "s.toml:12:1: reconnects cannot be a list; write reconnects = 0",
        ],
    ),
    (
        "[expect]\nended_by_cause.idel = 0\nended_by_cause = 3\n",
        &["s.toml:11:1: is not TOML: duplicate key; give each key once"],
    ),
    (
        "[expect]\nended_by_cause.idel = 0\n'close_1006.idle' = 3\nended_by_cause2 = 1\n",
        &[
            "s.toml:10:16: `idel` is not a cause, as ended_by_cause needs after its dot; write ended_by_cause.idle, or another of `close`, `idle`, `keepalive_lost`, `lifetime`, `drain`, `message_too_big`, `too_many_fragments`, `frame_too_big`, `rate_exceeded`, `protocol`, `gone`, `reset`, `stalled`, `eof`, `shutdown`, `operator` and `rebalance`",
            "s.toml:11:1: close_1006 has nothing after a dot; write close_1006 alone",
            "s.toml:12:1: `ended_by_cause2` is neither a figure nor a group of clients; did you mean `ended_by_cause`?",
        ],
    ),
    (
        "[expect]\nbytes_vs.web = '> 5'\n[expect.web]\nbytes_vs.web = '> 5'\n[expect.wbe]\nrequests = 1\n",
        &[
            "s.toml:10:10: bytes_vs compares one group with another; write it under [expect.NAME] with the name of a group",
            "s.toml:12:10: `web` is not another group of clients, as bytes_vs needs after its dot; add a second group",
            "s.toml:13:9: `wbe` is neither a figure nor a group of clients; did you mean `web`?",
        ],
    ),
    (
        "[expect]\nweb = 3\nended_by_cause = 0\n",
        &[
            "s.toml:10:1: `web` is a group of clients, not a figure; write its figures under the heading [expect.web]",
            "s.toml:11:1: ended_by_cause needs a cause after a dot; write ended_by_cause.close, or another of `close`, `idle`, `keepalive_lost`, `lifetime`, `drain`, `message_too_big`, `too_many_fragments`, `frame_too_big`, `rate_exceeded`, `protocol`, `gone`, `reset`, `stalled`, `eof`, `shutdown`, `operator` and `rebalance`",
        ],
    ),
    (
        "[[sweep]]\nkey = 'clients.wbe.count'\nvalues = [1]\n",
        &["s.toml:10:1: `clients.wbe.count` leads nowhere: no [[clients]] is called `wbe`; did you mean `web`?"],
    ),
    (
        "[[sweep]]\nkey = 'clients.web.cuont'\nvalues = [1]\n",
        &["s.toml:10:1: `clients.web.cuont` leads nowhere: [[clients]] has no key `cuont`; did you mean `count`?"],
    ),
    (
        "[[sweep]]\nkey = 'clients.web'\nvalues = [1]\n",
        &["s.toml:10:1: `clients.web` ends before a key; write clients.NAME.KEY"],
    ),
    (
        "[[sweep]]\nkey = 'expect.requests'\nvalues = [1]\n",
        &[
            "s.toml:10:1: `expect.requests` leads nowhere: there is no section `expect` to sweep; begin with `link`, `links`, `lan`, `apps`, `sidecars`, `hops`, `clients`, `workload`, `faults` or `faults_random`, or with a key of the top",
        ],
    ),
    (
        "[[sweep]]\nkey = 'clients.web.count'\nvalues = [1, 'two', 0]\n",
        &[
            "s.toml:11:14: `two` is not a whole number; write a whole number from 1 to 10000, such as count = 1",
            "s.toml:11:21: `0` is out of range; write a whole number from 1 to 10000, such as count = 1",
        ],
    ),
    (
        "[[sweep]]\nkey = 'clients.web.count'\nvalues = []\n[[sweep]]\nvalues = [1]\n[[sweep]]\n",
        &[
            "s.toml:11:1: values is an empty list; write at least one value",
            "s.toml:12:1: this [[sweep]] has no `key`; add key = \"clients.web.interval\"",
            "s.toml:14:1: there are 3 [[sweep]]; keep at most 2",
        ],
    ),
    (
        "[[sweep]]\nkey = 'links.here.hre.loss'\nvalues = [1]\n[[links]]\nfrom = 'here'\nto = 'here'\n",
        &[
            "s.toml:10:1: `links.here.hre.loss` leads nowhere: no [[links]] is called `here.hre`; did you mean `here.here`?",
        ],
    ),
    (
        "[[sweep]]\nkey = 'clients.web.name'\nvalues = ['app']\n",
        &[
            "s.toml:10:1: `clients.web.name` would change what it goes by itself; sweep another key, or give this one a name",
        ],
    ),
    (
        "[[sweep]]\nkey = 'hops.nginx.idle'\nvalues = ['1m']\n",
        &["s.toml:10:1: `hops.nginx.idle` leads nowhere: there is no [[hops]]; add one"],
    ),
    (
        "[[sweep]]\nkey = 'workload.rate.x'\nvalues = ['1/s']\n",
        &["s.toml:10:1: `workload.rate.x` goes on after a key: `x`; end it with the key"],
    ),
    (
        "[[sweep]]\nkey = 'clients.web.count'\nvalues = [1]\n[[sweep]]\nkey = 'clients.web.count'\nvalues = [2]\n",
        &["s.toml:13:1: `clients.web.count` has a sweep already; put all its values into one"],
    ),
    (
        "[prices]\ngib = 'free'\n",
        &["s.toml:10:1: `free` is not a number; write a number from 0 to 1000000000, such as gib = 0.09"],
    ),
    (
        "[prices]\ngib = -1\n",
        &["s.toml:10:1: `-1` is out of range; write a number from 0 to 1000000000, such as gib = 0.09"],
    ),
    (
        "target = 'edge'\n[[sidecars]]\nname = 'x'\nupstream = 'feed'\n[sidecars.config]\nkeepalive = 'never'\nupstream = 'app:80'\n",
        &[
            "s.toml:14:1: `never` is not a duration; write `off`, or a duration from 1s to 1h, such as keepalive = \"25s\"",
            "s.toml:15:1: `upstream` cannot be configured here: `upstream` of [[sidecars]] says which app is behind it; remove it",
        ],
    ),
    (
        "target = 'edge'\n[[sidecars]]\nname = 'x'\nupstream = 'feed'\n[sidecars.config]\n  keepaliv = '25s'\n  proxy_read_timeout = '2d'\n  listen = ['http://localhost:80']\n",
        &[
            "s.toml:14:3: `keepaliv` is not a key; did you mean `keepalive`?",
            "s.toml:15:3: `2d` is out of range; write a duration from 1s to 1d, such as proxy_read_timeout = \"60s\"",
            "s.toml:16:13: `http://localhost:80` names the host `localhost`, and a listener takes an IP address; write `http://127.0.0.1:80`",
        ],
    ),
    (
        "target = 'edge'\n[[sidecars]]\nname = 'x'\nupstream = 'feed'\nconfig = { tls_cert = 'a.crt', ssl_verify_client = 'on' }\n",
        &[
            "s.toml:13:12: `tls_cert` cannot be configured here: a simulation has no files; the simulator has certificates of its own; remove it",
            "s.toml:13:32: `ssl_verify_client` cannot be configured here: simulated clients have no certificates; remove it",
        ],
    ),
    (
        "target = 'edge'\n[[sidecars]]\nname = 'x'\nupstream = 'feed'\nconfig = '25s'\n",
        &[
            "s.toml:13:1: config is not a table; write keys of the sidecar's own configuration, such as config = { keepalive = \"25s\" }",
        ],
    ),
    (
        "target = 'edge'\n[[sidecars]]\nname = 'x'\nupstream = 'feed'\nconfig.listen = ['https://0.0.0.0:443']\n[[clients]]\nname = 'plain'\nkind = 'sse'\ntarget = 'x'\n",
        &[
            "s.toml:17:1: `x` has no http listener for clients with tls = false; write tls = true, or add one to its `listen`",
        ],
    ),
];

#[test]
fn faults_say_where_what_and_what_to_write() {
    for (text, expected) in TABLE {
        assert_eq!(wrong(&format!("{LEAST}{text}")), *expected, "{text}");
    }
}

#[test]
fn what_is_missing_is_said_with_what_to_write() {
    let nothing = [
        "s.toml:1:1: the scenario has no `name`; add name = \"polling against push\"",
        "s.toml:1:1: the scenario has no [[apps]]; add one: [[apps]] name = \"feed\"",
        "s.toml:1:1: the scenario has no [[sidecars]]; add one: [[sidecars]] name = \"edge\"",
        "s.toml:1:1: the scenario has no [[clients]]; add one: [[clients]] name = \"web\"",
    ];
    assert_eq!(wrong(""), nothing);
    assert_eq!(wrong("apps = 3\nsidecars = [1]\n").len(), 6);
}

#[test]
fn the_top_is_checked_like_the_rest() {
    let text = LEAST.replace("name = 'least'\n", "name = ' '\nduration = '0s'\nregions = []\nseeds = 1.5\n");
    let expected = [
        "s.toml:1:1: is empty; write text, such as name = \"polling against push\"",
        "s.toml:2:1: `0s` is out of range; write a time from 1s to 7d, such as duration = \"10m\"",
        "s.toml:3:1: regions is an empty list; write a name of letters, digits, `-` and `_`, such as regions = [\"hk\", \"sg\"]",
        "s.toml:4:1: `1.5` is not a whole number; write a whole number from 1 to 100000, such as seeds = 20",
    ];
    assert_eq!(wrong(&text), expected);
}

/// Whatever a file holds, it is a scenario or there is a fault; nothing panics.
#[test]
fn no_file_is_too_strange() {
    let base = include_str!("../../../../scenarios/multi-region/cut-and-heal.toml");
    let mut stream = crate::rng::Stream::new(1, "strange");
    let lines: Vec<&str> = base.lines().collect();
    let odd = ["1", "'x'", "[]", "true", "1979-05-27", "{}", "-1", "[[1]]", "{ a = 1 }", "99999999999999999999", "nan"];
    for _ in 0..400 {
        let mut lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        for _ in 0..=stream.below(3) {
            let at = usize::try_from(stream.below(lines.len() as u64)).unwrap();
            match (stream.below(3), lines[at].split_once('=')) {
                (0, _) => drop(lines.remove(at)),
                (1, Some((key, _))) => lines[at] = format!("{key} = {}", stream.pick(&odd)),
                _ => {
                    let other = stream.pick(&lines).clone();
                    lines[at] = other;
                }
            }
        }
        let text = lines.join("\n");
        match parse("s.toml", &text) {
            Ok((scenario, _)) => assert!(variants(&scenario).iter().all(|(_, cell)| !schedule(cell, 1).is_empty())),
            Err(report) => assert!(!report.faults.is_empty(), "{text}"),
        }
    }
}
