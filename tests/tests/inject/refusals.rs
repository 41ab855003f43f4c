//! Manifests that no sidecar can be put into, and what is said about each.

use outrigger_tests::sidecar::{command, run};
use outrigger_tests::tools::folder;

/// The file, the exit code, and words of the message.
const REFUSED: &[(&str, i32, &[&str])] = &[
    ("another-version.yaml", 1, &["another-version.yaml:1: Pod chat", "0.0.9", "outrigger uninject"]),
    ("bad-indentation.yaml", 2, &["bad-indentation.yaml:5:1"]),
    ("bad-values.yaml", 1, &["outrigger.dev/keepalive: `20 parsecs`", "outrigger.dev/max-fragments: `-1`", "\"25s\""]),
    ("by-hand.yaml", 1, &["containers has `outrigger` already"]),
    ("duplicate-key.yaml", 2, &["duplicate-key.yaml:5:3", "name"]),
    ("empty.yaml", 1, &["no Pod, Deployment"]),
    ("host-network.yaml", 1, &["hostNetwork"]),
    ("job-legacy.yaml", 1, &["a Job does not end"]),
    ("latin-1.yaml", 2, &["latin-1.yaml:4: is not UTF-8"]),
    ("laughs.yaml", 2, &["laughs.yaml:3", "aliases"]),
    ("merged-ports.yaml", 2, &["anchor"]),
    ("misplaced-annotation.yaml", 1, &["outrigger.dev/keepalive", "pod template"]),
    ("no-containers.yaml", 1, &["no containers"]),
    ("no-port.yaml", 1, &["no port found in the container `chat`", "outrigger.dev/app-port"]),
    ("no-such-container.yaml", 1, &["outrigger.dev/container", "`chta`", "chat"]),
    ("no-such-port.yaml", 1, &["outrigger.dev/app-port", "`web`", "3000"]),
    ("no-workload.yaml", 1, &["ConfigMap chat: left alone", "no Pod, Deployment"]),
    ("not-text.yaml", 1, &["outrigger.dev/app-port", "quotes"]),
    ("privileged-port.yaml", 1, &["port 80", "1024"]),
    ("service-of-two.yaml", 1, &["service-of-two.yaml:1: Service chat", "not all have the sidecar"]),
    ("shared-template.yaml", 2, &["shared-template.yaml:21:17", "*template"]),
    ("short-for-its-grace.yaml", 1, &["terminationGracePeriodSeconds: 60", "135"]),
    ("short-termination.yaml", 1, &["terminationGracePeriodSeconds: 10", "40"]),
    ("tab.yaml", 2, &["tab.yaml:4:1", "Tabs"]),
    ("taken-port.yaml", 1, &["3000"]),
    ("tcp-probe-through.yaml", 1, &["livenessProbe.tcpSocket"]),
    ("template.yaml", 2, &["template.yaml:6", "helm template"]),
    ("udp-alone.yaml", 1, &["no port found"]),
    ("unclosed.yaml", 2, &["unclosed.yaml:"]),
    ("unknown-alias.yaml", 2, &["unknown-alias.yaml:4:11", "nowhere"]),
    ("unknown-annotation.yaml", 1, &["outrigger.dev/keep-alive", "`outrigger.dev/keepalive`"]),
    ("unreadable-record.yaml", 1, &["outrigger.dev/injected cannot be read"]),
    ("values.yaml", 2, &["values.yaml:1:1", "no `kind`"]),
    ("which-container.yaml", 1, &["outrigger.dev/container", "chat, other"]),
    ("which-port.yaml", 1, &["outrigger.dev/app-port", "1000 and 2000 (admin)"]),
    ("windows.yaml", 1, &["Windows"]),
];

#[test]
fn each_is_refused_with_its_reason() {
    let dir = folder().join("manifests/refused");
    for (file, code, words) in REFUSED {
        let refused = run(command().arg("inject").arg(dir.join(file))).expect(*code);
        assert_eq!(refused.stdout, "", "{file}");
        for word in *words {
            assert!(refused.stderr.contains(word), "{file}: {word:?} expected in: {}", refused.stderr);
        }
    }
    let there = std::fs::read_dir(dir).expect("it is committed").count();
    assert_eq!(there, REFUSED.len(), "each file is in the table");
}
