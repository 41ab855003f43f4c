//! What the sidecar shows to an app that asks who calls.

use outrigger_tests::{App, Authority, Conn, Launch};

#[test]
fn an_app_that_wants_a_certificate_gets_one() {
    let (apps, sidecars) = (Authority::new(), Authority::new());
    let app = App::scripted_tls(apps.issue(&["localhost"]).server_for(&sidecars), Conn::serve_echo);
    let launch = || {
        let launch = Launch::new().http().flag("--upstream", format!("https://localhost:{}", app.addr().port()));
        let ca = launch.file("apps.pem", &apps.pem());
        launch.flag("--upstream-tls-ca", ca)
    };
    let shown = |identity: &outrigger_tests::Identity| {
        let launch = launch();
        let cert = launch.file("sidecar.pem", &identity.certificate);
        let key = launch.file("sidecar-key.pem", &identity.key);
        launch.flag("--upstream-tls-cert", cert).flag("--upstream-tls-key", key)
    };
    let sidecar = shown(&sidecars.issue(&["sidecar.internal"])).start();
    let mut client = sidecar.client();
    client.open("/", &[]);
    client.echo("known");

    for stranger in [launch().start(), shown(&apps.issue(&["sidecar.internal"])).start()] {
        stranger.client().ask(&outrigger_tests::http::get("/", &[])).expect(502);
    }
}

#[test]
fn a_key_of_another_certificate_is_told_at_the_start() {
    let authority = Authority::new();
    let (one, other) = (authority.issue(&["a.internal"]), authority.issue(&["b.internal"]));
    let launch = Launch::new().http().flag("--upstream", "https://localhost:1");
    let (cert, key) = (launch.file("one.pem", &one.certificate), launch.file("other.pem", &other.key));
    let failed = launch.flag("--upstream-tls-cert", &cert).flag("--upstream-tls-key", &key).fail().expect(2);
    assert!(failed.stderr.contains(&format!("{key} does not belong to {cert}")), "{failed:#?}");
}
