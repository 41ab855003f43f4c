//! Files, folders and standard input; what goes where; flags.

use std::process::Stdio;

use outrigger_tests::scratch::Scratch;
use outrigger_tests::sidecar::{command, run};

const POD: &str = "apiVersion: v1\nkind: Pod\nmetadata: {name: a, labels: {app: a}}\nspec:\n  containers:\n    \
                   - name: a\n      image: a\n      ports: [{containerPort: 3000}]\n";
const SERVICE: &str =
    "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec:\n  selector: {app: a}\n  ports: [{port: 3000}]\n";

#[test]
fn standard_input_goes_to_standard_output() {
    let scratch = Scratch::new();
    let file = scratch.write("pod.yaml", POD);
    let from_file = run(command().args(["inject", &file])).expect(0);
    let open = || Stdio::from(std::fs::File::open(&file).expect("just written"));
    let from_stdin = run(command().args(["inject", "-"]).stdin(open())).expect(0);
    assert_eq!(from_stdin.stdout, from_file.stdout);
    assert!(from_stdin.stderr.starts_with("-:1: Pod a: injected: "), "{}", from_stdin.stderr);
    assert!(from_stdin.stderr.contains("has to target 8080"), "{}", from_stdin.stderr);
}

#[test]
fn a_folder_is_one_stream_and_its_services_follow_its_pods() {
    let scratch = Scratch::new();
    scratch.write("a-service.yaml", SERVICE);
    scratch.write("pod.yml", POD.trim_end());
    scratch.write("z.json", "{\"apiVersion\": \"v1\", \"kind\": \"ConfigMap\", \"metadata\": {\"name\": \"z\"}}\n");
    scratch.write("README.md", "not a manifest");
    let injected = run(command().arg("inject").arg(scratch.dir())).expect(0);
    assert_eq!(injected.stdout.matches("\n---\n").count(), 2, "{}", injected.stdout);
    assert!(injected.stdout.contains("{port: 3000, \"targetPort\": 8080}"), "{}", injected.stdout);
    assert!(injected.stderr.contains("ConfigMap z: left alone: it has no pods"), "{}", injected.stderr);
    let whole = scratch.write("whole.txt", &injected.stdout);
    let again = run(command().args(["inject", &whole])).expect(0);
    assert_eq!(again.stdout, injected.stdout);
    let back = run(command().args(["uninject", &whole])).expect(0);
    assert!(back.stdout.starts_with(SERVICE), "{}", back.stdout);
}

#[test]
fn flags_hold_where_a_pod_says_nothing() {
    let scratch = Scratch::new();
    let said = POD.replace("labels: {app: a}", "annotations: {outrigger.dev/keepalive: 10s}");
    let file = scratch.write("pods.yaml", &format!("{POD}---\n{said}"));
    let flags =
        ["--image", "registry.example/outrigger:1", "--legacy", "--set", "keepalive=20s", "--set", "log_level=debug"];
    let injected = run(command().arg("inject").args(flags).arg(&file)).expect(0).stdout;
    for (text, count) in
        [("value: \"20s\"", 1), ("value: \"10s\"", 1), ("value: debug", 2), ("image: registry.example/outrigger:1", 2)]
    {
        assert_eq!(injected.matches(text).count(), count, "{text}: {injected}");
    }
    assert!(!injected.contains("initContainers") && !injected.contains("restartPolicy"), "{injected}");
    let wrong = run(command().args(["inject", "--set", "keepalive=soon", &file])).expect(1);
    assert!(wrong.stderr.contains("outrigger.dev/keepalive: `soon` is not a duration"), "{}", wrong.stderr);
    run(command().args(["inject", "--set", "keepalive", &file])).expect(2);
}

#[test]
fn what_cannot_be_read_is_said() {
    let scratch = Scratch::new();
    let missing = run(command().args(["inject", "missing.yaml"])).expect(2);
    assert!(missing.stderr.contains("missing.yaml"), "{}", missing.stderr);
    let empty = run(command().arg("inject").arg(scratch.dir())).expect(2);
    assert!(empty.stderr.contains("no .yaml"), "{}", empty.stderr);
    run(command().arg("inject")).expect(2);
}

/// One that cannot be injected keeps the others from being printed: half a pipeline is worse than none.
#[test]
fn nothing_is_printed_unless_all_can_be_done() {
    let scratch = Scratch::new();
    let bad = POD.replace("spec:\n", "spec:\n  hostNetwork: true\n");
    let file = scratch.write("pods.yaml", &format!("{POD}---\n{bad}"));
    let refused = run(command().args(["inject", &file])).expect(1);
    assert_eq!(refused.stdout, "");
    assert!(refused.stderr.contains("pods.yaml:10: Pod a: refused: it uses the host's network"), "{}", refused.stderr);
}

#[test]
fn a_pod_may_decline() {
    let scratch = Scratch::new();
    let declined = POD.replace("labels: {app: a}", "annotations: {outrigger.dev/inject: 'false'}");
    let file = scratch.write("pod.yaml", &declined);
    let left = run(command().args(["inject", &file])).expect(0);
    assert_eq!(left.stdout, declined);
    assert!(left.stderr.contains("Pod a: left alone"), "{}", left.stderr);
}

/// kubectl writes a manifest anew: then the meaning is restored, and what others have added stays.
#[test]
fn a_manifest_that_was_written_anew_is_still_undone() {
    let scratch = Scratch::new();
    let tls = POD.replace("labels: {app: a}", "annotations: {outrigger.dev/tls-secret: a}");
    let file = scratch.write("pod.yaml", &tls);
    let injected = run(command().args(["inject", &file])).expect(0).stdout;
    let anew = injected
        .replace("  volumes:\n", "  volumes:\n    - name: outrigger-not-ours-but-so-called\n      emptyDir: {}\n")
        .replace("outrigger-not-ours-but-so-called", "token");
    assert_ne!(anew, injected);
    let file = scratch.write("anew.yaml", &anew);
    let back = run(command().args(["uninject", &file])).expect(0).stdout;
    assert!(!back.contains("outrigger:") && !back.contains("injected"), "{back}");
    assert!(back.contains("name: token") && back.contains("containerPort: 3000"), "{back}");
}
