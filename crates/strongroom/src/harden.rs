//! Keeping the operating system from writing this process's memory to disk.

use std::io;

/// Turns off core dumps for this process, and so for what it starts: the limit is 0, and on Linux the process is also
/// marked as not dumpable, which keeps other processes of the same user from reading its memory.
///
/// It changes the whole process and cannot be taken back, so the engine never calls it: a host does, early in `main`. A
/// debugger cannot attach afterwards. Swap and hibernation are the machine's to encrypt or to turn off.
///
/// ```no_run
/// strongroom::harden_process()?;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// Whatever the operating system answers; [`Unsupported`](io::ErrorKind::Unsupported) where there is no such thing.
pub fn harden_process() -> io::Result<()> {
    no_core_dumps()?;
    not_dumpable()
}

#[cfg(unix)]
fn no_core_dumps() -> io::Result<()> {
    use rustix::process::{Resource, Rlimit, setrlimit};
    Ok(setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?)
}

#[cfg(not(unix))]
fn no_core_dumps() -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(target_os = "linux")]
fn not_dumpable() -> io::Result<()> {
    use rustix::process::{DumpableBehavior, set_dumpable_behavior};
    Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}

#[cfg(not(target_os = "linux"))]
fn not_dumpable() -> io::Result<()> {
    Ok(())
}
