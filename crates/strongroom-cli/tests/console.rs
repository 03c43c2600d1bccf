//! The console of a served vault, in a real browser.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::Command;

/// Runs a script of this repository; what it says is what the test fails with.
#[track_caller]
fn succeeds(script: &str, words: &[&str]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts").join(script);
    let done = Command::new(path).args(words).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{out}{err}");
}

/// Every flow, attacks in every field that a tenant writes, and accessibility: see its `test/run.mjs`.
#[test]
fn the_console_works_in_a_real_browser() {
    succeeds("console-test", &[env!("CARGO_BIN_EXE_strongroom")]);
}

#[test]
fn the_embedded_console_is_built_from_its_sources() {
    succeeds("console", &["--check"]);
}
