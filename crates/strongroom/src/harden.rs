//! Keeping the operating system from writing this process's memory to disk.

use std::io;

/// Turns off core dumps for this process and the processes that it starts: the limit is 0, and on Linux the process is
/// also marked as not dumpable, which keeps other processes of the same user from reading its memory.
///
/// It changes the whole process and cannot be undone, so the engine never calls it: a host does, early in `main`. A
/// debugger cannot attach afterwards. Encrypting or turning off swap and hibernation is up to the machine.
///
/// ```no_run
/// strongroom::harden_process()?;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// The error of the operating system; [`Unsupported`](io::ErrorKind::Unsupported) on systems that have no such limit.
pub fn harden_process() -> io::Result<()> {
    no_core_dumps()?;
    not_dumpable()
}

/// Locks the memory of this process, present and future, so that none of it is written to swap: keys, values, and all
/// the rest. A page is locked once it is used. Hibernation still writes memory to disk.
///
/// It changes the whole process, so the engine never calls it: a host does, early in `main`. It needs a limit on locked
/// memory (`ulimit -l`) that can be removed completely, or the capability `CAP_IPC_LOCK`: under a finite limit, a
/// process that grew would later get no memory at all.
///
/// ```no_run
/// strongroom::lock_memory()?;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// [`PermissionDenied`](io::ErrorKind::PermissionDenied) under a finite limit, otherwise the error of the operating
/// system; [`Unsupported`](io::ErrorKind::Unsupported) on systems other than Linux.
#[cfg(target_os = "linux")]
pub fn lock_memory() -> io::Result<()> {
    use rustix::mm::{MlockAllFlags, mlockall};
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    use rustix::thread::{CapabilitySet, capabilities};

    let limit = getrlimit(Resource::Memlock);
    let is_free = capabilities(None).is_ok_and(|own| own.effective.contains(CapabilitySet::IPC_LOCK));
    match limit.maximum {
        None => setrlimit(Resource::Memlock, Rlimit { current: None, maximum: None })?,
        Some(_) if is_free => {}
        Some(bytes) => {
            let message = format!("the limit on locked memory is {bytes} bytes, and has to be unlimited");
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, message));
        }
    }
    Ok(mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT)?)
}

/// Locks the memory of this process, on Linux.
///
/// # Errors
/// [`Unsupported`](io::ErrorKind::Unsupported).
#[cfg(not(target_os = "linux"))]
pub fn lock_memory() -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
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
