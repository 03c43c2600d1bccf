//! Where the library of SoftHSM2 is. The benches read this file too.

use std::env;
use std::path::PathBuf;

/// What `SOFTHSM2_MODULE` names, or else the first of the [`PLACES`] that is there.
pub(crate) fn find() -> Option<PathBuf> {
    let named = env::var_os("SOFTHSM2_MODULE").map(PathBuf::from);
    named.or_else(|| PLACES.iter().map(PathBuf::from).find(|path| path.exists()))
}

/// Where distributions put it.
pub(crate) const PLACES: [&str; 6] = [
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
    "/opt/homebrew/lib/softhsm/libsofthsm2.so",
];
