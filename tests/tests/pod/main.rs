//! The sidecar as it is shipped: the image, and a pod of podman's with an injected manifest. Everything is in namespaces
//! of the test's own. Without root, or where the kernel gives no namespaces, these tests are skipped with the
//! reason, wherever they are; a tool that is missing is a failure where `OUTRIGGER_TESTS_REQUIRE_TOOLS=1`.

mod compose;
mod host;
mod image;
mod inside;
mod kustomize;
mod life;
mod names;
mod systemd;
