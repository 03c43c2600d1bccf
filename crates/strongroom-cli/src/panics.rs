//! What a panic prints.

use std::panic;
use std::path::Path;

/// Prints nothing for a panic of a backend over its data file: the store makes an error of it, which says what to do,
/// and its message may hold a key.
pub(crate) fn quiet_backends() {
    let print = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        if !panic.location().is_some_and(|location| is_of_backend(location.file())) {
            print(panic);
        }
    }));
}

/// Whether a source file is of redb or sled, wherever their packages are kept: in a directory `redb-4.6.0` or `redb`.
fn is_of_backend(file: &str) -> bool {
    let is_package = |part: &str| {
        let name = part.split_once('-').map_or(part, |(name, _)| name);
        ["redb", "sled"].contains(&name)
    };
    Path::new(file).components().any(|part| part.as_os_str().to_str().is_some_and(is_package))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_backend_panics_in_silence() {
        for backend in
            ["/c/registry/src/index-1/redb-4.6.0/src/tree_store/btree.rs", "vendor/sled/src/lib.rs"]
        {
            assert!(is_of_backend(backend), "{backend}");
        }
        for other in ["crates/strongroom-redb/src/read.rs", "/rustc/1/library/core/src/option.rs"] {
            assert!(!is_of_backend(other), "{other}");
        }
    }
}
