//! The page on writing a store shows this store as it is.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;

#[test]
fn what_the_page_shows_is_in_the_source_word_for_word() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("../strongroom/docs/WRITE_A_STORE.md")).unwrap();
    let source: Vec<String> = ["src", "tests"]
        .iter()
        .flat_map(|folder| fs::read_dir(root.join(folder)).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .map(|path| words(&fs::read_to_string(path).unwrap()))
        .collect();
    let shown: Vec<&str> =
        page.split("```rust\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert_eq!(shown.len(), 5, "the pieces of code on the page");
    for piece in shown {
        assert!(source.iter().any(|file| file.contains(&words(piece))), "not in the source:\n{piece}");
    }
}

/// Without the indentation.
fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
