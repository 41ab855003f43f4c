use std::os::unix::fs::symlink;
use std::path::PathBuf;

use super::*;

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
    assert_eq!(way.directories, BTreeSet::from([root.clone(), root.join("..1")]));
    for step in ["tls.crt", "..data", "..1", "..1/tls.crt"] {
        assert!(way.steps.contains(&root.join(step)), "{step}");
    }
    std::fs::remove_dir_all(root).expect("it is there");
}

#[test]
fn the_way_to_what_is_missing_ends_where_it_would_appear() {
    let root = volume("missing");
    let way = way(&root.join("later/on/tls.crt"));
    assert_eq!(way.directories, BTreeSet::from([root.clone()]));
    assert!(way.steps.contains(&root.join("later")));
    std::fs::remove_dir_all(root).expect("it is there");
}

#[test]
fn links_in_a_circle_end() {
    let root = volume("circle");
    symlink("there", root.join("here")).expect("a link");
    symlink("here", root.join("there")).expect("a link");
    assert_eq!(way(&root.join("here")).directories, BTreeSet::from([root.clone()]));
    std::fs::remove_dir_all(root).expect("it is there");
}
