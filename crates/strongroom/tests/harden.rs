//! A process that was hardened leaves no core dump. It changes the process, so this program has one test.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use rustix::process::{DumpableBehavior, Resource, dumpable_behavior, getrlimit};

#[test]
fn a_hardened_process_dumps_no_core_and_cannot_be_made_to() {
    assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::Dumpable);
    strongroom::harden_process().unwrap();
    let limit = getrlimit(Resource::Core);
    assert_eq!((limit.current, limit.maximum), (Some(0), Some(0)));
    assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
    strongroom::harden_process().unwrap();
}
