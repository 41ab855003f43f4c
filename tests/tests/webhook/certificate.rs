//! The certificate, which others renew while the webhook serves.

use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use outrigger_tests::{Identity, Launch, PATIENCE, Sidecar, Wire};
use rustix::process::Signal;

use super::{ask, recorded};

/// The certificate that is shown to a new connection.
fn shown(webhook: &Sidecar) -> Vec<u8> {
    let config = webhook.authority().client().build();
    Wire::tls_details(webhook.addr("https"), config, "localhost").expect("a handshake").1.leaf
}

/// Waits until a new connection is shown this certificate.
#[track_caller]
fn wait_shown(webhook: &Sidecar, identity: &Identity) {
    let deadline = Instant::now() + PATIENCE;
    while shown(webhook) != identity.der() {
        assert!(Instant::now() < deadline, "the certificate is not in force");
    }
}

fn issue(webhook: &Sidecar) -> Identity {
    webhook.authority().issue(&["localhost"])
}

#[test]
fn it_is_renewed_under_load_without_a_review_refused() {
    const RENEWALS: usize = 3;
    let webhook = Launch::webhook().start();
    let (over, asked) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let load = |fresh: bool| {
            let (webhook, over, asked) = (&webhook, &over, &asked);
            move || {
                let review = recorded("pod");
                let mut wire = webhook.connect("https");
                while !over.load(Ordering::Relaxed) {
                    if fresh {
                        wire = webhook.connect("https");
                    }
                    assert!(ask(&mut wire, &review).get("patch").is_some());
                    asked.fetch_add(1, Ordering::Relaxed);
                }
            }
        };
        // New connections are shown the new certificate, and those that are there go on.
        let loads = [true, true, false].map(|fresh| scope.spawn(load(fresh)));
        for _ in 0..RENEWALS {
            let before = asked.load(Ordering::Relaxed);
            let identity = issue(&webhook);
            webhook.folder().write("server.pem", &identity.certificate);
            webhook.folder().write("server-key.pem", &identity.key);
            wait_shown(&webhook, &identity);
            let deadline = Instant::now() + PATIENCE;
            while asked.load(Ordering::Relaxed) == before {
                assert!(Instant::now() < deadline, "nobody asks any more");
                std::thread::yield_now();
            }
        }
        over.store(true, Ordering::Relaxed);
        for load in loads {
            load.join().expect("every review was answered");
        }
    });
}

/// The kubelet writes a Secret into a new folder and turns one symbolic link.
#[test]
fn a_mounted_secret_is_followed() {
    let launch = Launch::webhook();
    let secret = |launch: &Launch, version: &str, identity: &Identity| {
        let folder = launch.dir().join(version);
        std::fs::create_dir(&folder).expect("it is new");
        std::fs::write(folder.join("tls.crt"), &identity.certificate).expect("a folder of ours");
        std::fs::write(folder.join("tls.key"), &identity.key).expect("a folder of ours");
    };
    let authority = outrigger_tests::Authority::new();
    let (first, second) = (authority.issue(&["localhost"]), authority.issue(&["localhost"]));
    secret(&launch, "..1", &first);
    secret(&launch, "..2", &second);
    let dir = launch.dir().to_path_buf();
    symlink("..1", dir.join("..data")).expect("a folder of ours");
    symlink("..data/tls.crt", dir.join("tls.crt")).expect("a folder of ours");
    symlink("..data/tls.key", dir.join("tls.key")).expect("a folder of ours");
    let webhook = launch.flag("--tls-cert", "tls.crt").flag("--tls-key", "tls.key").start();
    let leaf = || {
        let config = authority.client().build();
        Wire::tls_details(webhook.addr("https"), config, "localhost").expect("a handshake").1.leaf
    };
    assert_eq!(leaf(), first.der());
    symlink("..2", dir.join("..data_tmp")).expect("a folder of ours");
    std::fs::rename(dir.join("..data_tmp"), dir.join("..data")).expect("as the kubelet does");
    let deadline = Instant::now() + PATIENCE;
    while leaf() != second.der() {
        assert!(Instant::now() < deadline, "the new certificate is not in force");
    }
}

#[test]
fn one_that_cannot_be_used_leaves_that_before_in_force() {
    let webhook = Launch::webhook().start();
    let before = shown(&webhook);
    let refused = |words: &str| {
        let said = |line: &serde_json::Value| {
            let message = line["message"].as_str().unwrap_or_default();
            message.starts_with("the certificate before stays in force") && message.contains(words)
        };
        webhook.wait_log(words, said);
        assert_eq!(shown(&webhook), before);
    };
    let good = issue(&webhook);
    // One without the other.
    webhook.folder().write("server.pem", &good.certificate);
    refused("does not belong to");
    let old = webhook.authority().issue_for(&["localhost"], 2020, 2021);
    webhook.folder().write("server-key.pem", &old.key);
    webhook.folder().write("server.pem", &old.certificate);
    webhook.signal(Signal::HUP);
    refused("expired");
    webhook.folder().write("server-key.pem", "no key");
    webhook.signal(Signal::HUP);
    refused("PRIVATE KEY");
    webhook.folder().write("server.pem", &good.certificate);
    webhook.folder().write("server-key.pem", &good.key);
    wait_shown(&webhook, &good);
}

#[test]
fn sighup_has_it_read_again() {
    let webhook = Launch::webhook().start();
    webhook.signal(Signal::HUP);
    webhook.wait_log("it was read", |line| line["message"] == "the certificate was read again and is in force");
    assert!(ask(&mut webhook.connect("https"), &recorded("pod")).get("patch").is_some());
}

/// It may be renewed at any time, and the clock may be wrong: whoever starts it is told, and it serves.
#[test]
fn one_out_of_date_is_warned_of_at_the_start() {
    let launch = Launch::webhook();
    let old = outrigger_tests::Authority::new().issue_for(&["localhost"], 2020, 2021);
    launch.file("server.pem", &old.certificate);
    launch.file("server-key.pem", &old.key);
    let webhook = launch.start();
    webhook.wait_log("a warning", |line| {
        line["level"] == "WARN" && line["message"].as_str().is_some_and(|text| text.contains("expired"))
    });
}
