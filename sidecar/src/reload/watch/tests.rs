use std::ffi::OsString;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::pin::pin;

use tokio::time::timeout;

use super::super::source::Source;
use super::*;

const PATIENCE: Duration = Duration::from_secs(30);

/// As Kubernetes lays a volume out: `tls.crt` → `..data/tls.crt`, `..data` → `..1`.
fn volume(name: &str) -> PathBuf {
    let root = std::env::temp_dir().join(format!("outrigger-watch-{}-{name}", std::process::id()));
    let _ = std::fs::remove_dir_all(&root);
    std::fs::create_dir_all(root.join("..1")).expect("a directory");
    let root = root.canonicalize().expect("it is there");
    std::fs::write(root.join("..1/tls.crt"), "one").expect("a file");
    symlink("..1", root.join("..data")).expect("a link");
    symlink("..data/tls.crt", root.join("tls.crt")).expect("a link");
    root
}

fn way(path: &Path) -> Way {
    let mut way = Way::default();
    way.add(path).expect("an absolute path");
    way
}

#[test]
fn the_way_goes_along_the_links() {
    let root = volume("links");
    let way = way(&root.join("tls.crt"));
    let watched = [root.clone(), root.join("..1"), root.join("..1/tls.crt")];
    assert_eq!(way.watched, BTreeSet::from(watched));
    for step in ["tls.crt", "..data", "..1", "..1/tls.crt"] {
        assert!(way.steps.contains(&root.join(step)), "{step}");
    }
    std::fs::remove_dir_all(root).expect("it is there");
}

#[test]
fn the_way_to_what_is_missing_ends_where_it_would_appear() {
    let root = volume("missing");
    let way = way(&root.join("later/on/tls.crt"));
    assert_eq!(way.watched, BTreeSet::from([root.clone()]));
    assert!(way.steps.contains(&root.join("later")));
    std::fs::remove_dir_all(root).expect("it is there");
}

#[test]
fn links_in_a_circle_end() {
    let root = volume("circle");
    symlink("there", root.join("here")).expect("a link");
    symlink("here", root.join("there")).expect("a link");
    assert_eq!(way(&root.join("here")).watched, BTreeSet::from([root.clone()]));
    std::fs::remove_dir_all(root).expect("it is there");
}

/// What the files of a configuration are now that is `content`, in a folder `conf` of its own.
fn files(name: &str, content: &str) -> (PathBuf, PathBuf, Files) {
    let root = volume(name);
    let file = root.join("conf/outrigger.toml");
    std::fs::create_dir(root.join("conf")).expect("nothing is there");
    std::fs::write(&file, content).expect("a file");
    let args = ["outrigger", "run", "--config"].map(OsString::from).into_iter().chain([file.clone().into()]);
    let reading = Source { args: args.collect(), env: Vec::new() }.read();
    (root, file, reading.files)
}

#[tokio::test]
async fn a_file_that_is_written_under_another_name_is_heard_of() {
    let (root, file, files) = files("another-name", "# one");
    std::fs::hard_link(file, root.join("outside")).expect("one file system");
    let mut armed = Armed::new(&files).expect("there are watches left");
    std::fs::write(root.join("outside"), "# two").expect("it is there");
    timeout(PATIENCE, armed.events.recv()).await.expect("an event").expect("a watcher");
    std::fs::remove_dir_all(root).expect("it is there");
}

#[tokio::test(start_paused = true)]
async fn what_has_no_event_is_noticed_all_the_same() {
    let (root, _, files) = files("no-event", "# one");
    let above = root.with_extension("above");
    let _ = std::fs::remove_dir_all(&above);
    let mut watch = Watch::new(files);
    let mut changed = pin!(watch.changed());
    assert!(timeout(LOOK_ANYWAY / 2, &mut changed).await.is_err());
    // Another tree takes the place of the one in which the file is: what is watched was not touched.
    std::fs::rename(&root, &above).expect("one file system");
    std::fs::create_dir_all(root.join("conf")).expect("nothing is there");
    std::fs::write(root.join("conf/outrigger.toml"), "# two").expect("a folder is there");
    let before = Instant::now();
    changed.await;
    let took = before.elapsed();
    assert!(took >= LOOK_ANYWAY / 2, "the test is about what has no event: {took:?}");
    assert!(took <= LOOK_ANYWAY + MAX_UNREST, "{took:?}");
    std::fs::remove_dir_all(root).expect("it is there");
    std::fs::remove_dir_all(above).expect("it is there");
}

#[tokio::test(start_paused = true)]
async fn what_changes_all_the_time_is_not_read_all_the_time() {
    let (root, file, files) = files("unrest", "# one");
    // It has changed again while it was read: no event will say so.
    std::fs::write(file, "# two").expect("it is there");
    let before = Instant::now();
    Watch::new(files).changed().await;
    assert!(before.elapsed() >= QUIET);
    std::fs::remove_dir_all(root).expect("it is there");
}
