//! What `advise` says of a configuration behind hops.

use crate::common::{Folder, sim};
use crate::put;

fn advise(folder: &Folder, hops: &str, config: &str) -> (i32, String, String) {
    let file = put(folder, "outrigger.toml", config);
    sim(&folder.0, &["advise", "--hops", hops, "--config", &file])
}

#[test]
fn what_will_be_cut_is_told_with_the_lines_that_prevent_it() {
    let folder = Folder::new("advise");
    let config = "# ours\nupstream = \"127.0.0.1:3000\"\nkeepalive = \"90s\"\nproxy_read_timeout = \"20s\"\ntls_cert = \"a.pem\"\ntls_key = \"a.key\"\n";
    let (code, out, err) = advise(&folder, "tencent-clb,home-nat", &config.replace("20s", "10m"));
    assert_eq!((code, err.as_str()), (1, ""));
    for told in [
        "outrigger.toml behind tencent-clb, then home-nat\n",
        "- tencent-clb: idle limit 1m, with RST\n",
        "- `tls_cert` is left out: ",
        "| tencent-clb | tencent-clb | after 1m of silence | a reset (1006) |\n",
        "| home-nat | nobody | | |\n",
        "| all of them | tencent-clb | after 1m of silence | a reset (1006) |\n",
        "    keepalive = \"25s\"    # line 3, was \"90s\"\n",
        "With that, over 5 runs:\n\n| on the way | who cuts | when | clients see |\n|---|---|---|---|\n| all of them | nobody | | |\n",
    ] {
        assert!(out.contains(told), "{told}\n{out}");
    }
    // Two lines: the sidecar itself is less patient than its pings are frequent.
    let (code, out, _) = advise(&folder, "envoy", config);
    assert_eq!(code, 1, "{out}");
    assert!(out.contains("| envoy | the sidecar (idle) | after 20s | a Close with code and cause |"), "{out}");
    assert!(out.contains("    keepalive = \"25s\"    # line 3, was \"90s\"\n    proxy_read_timeout = \"1m\"    # line 4, was \"20s\"\n"), "{out}");
    // What it says, done, is enough.
    let (code, out, _) =
        advise(&folder, "envoy", "upstream = \"127.0.0.1:3000\"\nkeepalive = \"25s\"\nproxy_read_timeout = \"1m\"\n");
    assert!(code == 0 && out.ends_with("Nothing to change.\n"), "{out}");
}

#[test]
fn a_limit_on_age_needs_an_end_of_the_sidecars_own() {
    let folder = Folder::new("advise-age");
    let (code, out, err) = advise(&folder, "gce", "keepalive = \"10s\"\n");
    assert_eq!((code, err.as_str()), (1, ""));
    assert!(out.contains("| gce | gce | after 30s, idle or not | "), "{out}");
    assert!(out.contains("    max_lifetime = \"25s\"    # not there yet\n"), "{out}");
    assert!(out.contains("| all of them | the sidecar (lifetime) | after "), "{out}");
}

#[test]
fn defaults_are_safe_behind_every_idle_limit_that_is_known() {
    let folder = Folder::new("advise-defaults");
    for hops in ["tencent-clb,nginx,aws-alb,cloudflare,envoy,home-nat,mobile-nat", "tencent-clb=30m"] {
        let (code, out, err) = advise(&folder, hops, "# all defaults\n");
        assert_eq!((code, err.as_str()), (0, ""), "{out}");
    }
    let (code, out, _) = advise(&folder, "mobile-nat=20s", "");
    assert!(code == 1 && out.contains("    keepalive = \"10s\"    # not there yet\n"), "{out}");
}

#[test]
fn wrong_hops_and_configurations_are_2() {
    let folder = Folder::new("advise-wrong");
    let (code, out, err) = advise(&folder, "home-nat", "\n\nkeepalive = \"soon\"\n");
    assert!((code, out.as_str()) == (2, "") && err.contains("outrigger.toml:3:"), "{err}");
    assert_eq!(advise(&folder, "a-box", "").0, 2);
    assert_eq!(advise(&folder, "envoy=soon", "").0, 2);
    assert_eq!(sim(&folder.0, &["advise", "--hops", "envoy", "--config", "nowhere.toml"]).0, 2);
}
