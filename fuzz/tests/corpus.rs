//! Every target over its committed inputs.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use strongroom_fuzz::TARGETS;

#[test]
fn every_input_of_the_corpus_holds() {
    for (name, target) in TARGETS {
        let inputs = files(&here("corpus").join(name));
        assert!(!inputs.is_empty(), "corpus/{name} has no input");
        for input in inputs {
            let data = fs::read(&input).unwrap();
            println!("{}", input.display());
            target(&data);
        }
    }
}

#[test]
fn every_target_has_a_corpus_and_a_program() {
    let known: BTreeSet<_> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(stems(&here("corpus")), known);
    assert_eq!(stems(&here("targets")), known);
}

#[test]
fn any_target_takes_no_bytes_and_any_byte() {
    for (_, target) in TARGETS {
        target(&[]);
        (0..=255).step_by(15).for_each(|byte| target(&[byte]));
    }
}

fn here(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)
}

fn stems(folder: &Path) -> BTreeSet<String> {
    files(folder).iter().map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect()
}

/// In the order of their names, so that a failure is the same one every time.
fn files(folder: &Path) -> BTreeSet<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    entries.map(|entry| entry.unwrap().path()).collect()
}
