//! What the fuzzer found worth keeping, once more, and the files that it starts from unchanged.

use hostile_tests::{Target, TARGETS};
use std::fs;
use std::path::Path;

fn replay(name: &str) {
    let (_, target): (_, Target) = *TARGETS.iter().find(|(target, _)| *target == name).unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../fuzz/corpus")
        .join(name);
    let files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    assert!(files.len() >= 10, "a corpus of {} files", files.len());
    for file in files {
        println!("{}", file.display());
        target(&fs::read(&file).unwrap());
    }
    target(&[]);
}

#[test]
fn graph_verify() {
    replay("graph_verify");
}

#[test]
fn superblock_and_tree() {
    replay("superblock_and_tree");
}

#[test]
fn image() {
    replay("image");
}

#[test]
fn tool() {
    replay("tool");
}
