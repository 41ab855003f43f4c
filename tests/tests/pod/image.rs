//! `deploy/image`: the script and the Dockerfile make the same image of the same executable.

use std::fs;
use std::process::{Command, Stdio};

use outrigger_tests::Scratch;
use outrigger_tests::sidecar::{Finished, run};
use outrigger_tests::tools::folder;
use serde_json::Value;

use crate::host::{Host, IMAGE, built, must};

/// What the image may have, compressed: less than this.
const LIMIT_BYTES: usize = 12_000_000;

/// Runs `deploy/image/build` on this executable.
#[track_caller]
fn build(binary: &str, output: &str) -> Finished {
    let script = folder().with_file_name("deploy/image/build");
    run(Command::new(script).args(["--binary", binary, output]).stdin(Stdio::null()))
}

/// A static executable. Its code is nothing to the script; this one is small.
fn executable() -> Option<String> {
    let image = built()?;
    Some(image.with_extension("").to_str().expect("UTF-8").to_owned())
}

#[test]
fn the_same_executable_is_the_same_image_to_the_byte() {
    let (scratch, Some(executable)) = (Scratch::new(), executable()) else { return };
    let small = small(&scratch, &executable);
    let images = ["first.tar", "second.tar"].map(|name| scratch.path(name));
    for image in &images {
        let made = build(&small, image).expect(0);
        assert!(made.stdout.starts_with(&format!("{IMAGE} for ")), "{made:?}");
    }
    let [first, second] = images.map(|image| fs::read(image).expect("it was made"));
    assert!(first == second, "the images differ");
}

/// An ELF header that says what the script wants to hear, and a little more of it.
fn small(scratch: &Scratch, executable: &str) -> String {
    let mut bytes = fs::read(executable).expect("it was built");
    bytes.truncate(64 * 1024);
    let small = scratch.path("small");
    fs::write(&small, bytes).expect("the folder is ours");
    small
}

#[test]
fn an_executable_with_a_dynamic_linker_is_refused() {
    let scratch = Scratch::new();
    let refused = build(env!("CARGO_BIN_EXE_echo"), &scratch.path("image.tar")).expect(1);
    assert!(refused.stderr.contains("dynamic linker"), "{refused:?}");
    assert!(!fs::exists(scratch.path("image.tar")).expect("the folder is ours"));
}

#[test]
fn an_image_that_is_too_large_is_refused() {
    let (scratch, Some(executable)) = (Scratch::new(), executable()) else { return };
    let large = small(&scratch, &executable);
    let mut bytes = fs::read(&large).expect("just written");
    let mut noise = vec![0; LIMIT_BYTES];
    std::io::Read::read_exact(&mut fs::File::open("/dev/urandom").expect("Linux has it"), &mut noise)
        .expect("it ends never");
    bytes.extend(noise);
    fs::write(&large, bytes).expect("the folder is ours");
    let refused = build(&large, &scratch.path("image.tar")).expect(1);
    assert!(refused.stderr.contains(&format!("may not have {LIMIT_BYTES}")), "{refused:?}");
    assert!(!fs::exists(scratch.path("image.tar")).expect("the folder is ours"));
}

#[test]
fn the_dockerfile_makes_what_the_script_makes() {
    let Some(host) = Host::new() else { return };
    let (Some(executable), Some(())) = (executable(), host.load()) else { return };
    // In place of its first stage, which takes the compiler's image and all crates from the network.
    let stage = host.scratch().path("stage");
    let release = format!("{stage}/source/target/release");
    fs::create_dir_all(&release).expect("the folder is ours");
    fs::copy(executable, format!("{release}/outrigger")).expect("it was built");
    let (recipe, context) =
        (folder().with_file_name("deploy/image/Dockerfile"), folder().with_file_name("deploy/image"));
    let recipe = recipe.to_str().expect("UTF-8");
    let stage = format!("build={stage}");
    host.podman(&[
        "build",
        "--isolation",
        "chroot",
        "--build-context",
        &stage,
        "--tag",
        "localhost/by-docker:1",
        "--file",
        recipe,
        context.to_str().expect("UTF-8"),
    ]);
    let by_script = host.inspect(IMAGE);
    let by_docker = host.inspect("localhost/by-docker:1");
    assert_eq!(starts(&by_docker), starts(&by_script));
    assert_eq!(by_script["Config"]["User"], "65532:65532");
    let files = ["by-script", "by-docker"].map(|name| {
        let image = if name == "by-script" { IMAGE } else { "localhost/by-docker:1" };
        contents(&host, image, name)
    });
    assert_eq!(files[1], files[0]);
    assert_eq!(files[0].lines().count(), 1, "{}", files[0]);
}

/// All of an image that a container starts with, without what the builder says of itself.
fn starts(image: &Value) -> Value {
    let mut config = image["Config"].clone();
    let fields = config.as_object_mut().expect("a config");
    // podman gives every container this PATH, written down or not.
    fields.remove("Env");
    // The root folder, if nothing else is said.
    fields.remove("WorkingDir");
    fields.get_mut("Labels").and_then(Value::as_object_mut).expect("labels").remove("io.buildah.version");
    config
}

/// The files of an image, one line each: rights, owner, size and name.
fn contents(host: &Host, image: &str, name: &str) -> String {
    host.podman(&["create", "--name", name, image]);
    let archive = host.scratch().path(&format!("{name}.tar"));
    host.podman(&["export", "--output", &archive, name]);
    let listed = must(Command::new("tar").args(["--list", "--verbose", "--numeric-owner", "--file", &archive])).stdout;
    let columns = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        [words[0], words[1], words[2], words[words.len() - 1]].join(" ")
    };
    let files = listed.lines().filter(|line| line.starts_with('-'));
    files.map(columns).collect::<Vec<_>>().join("\n")
}
