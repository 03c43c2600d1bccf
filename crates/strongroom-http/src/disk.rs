//! Whether an error of a store means that a disk is full.

use std::io;

use strongroom::Error;
use strongroom::store::StoreError;

/// Whether an error of the engine is a write that found the disk full.
pub(crate) fn is_full_disk(error: &Error) -> bool {
    matches!(error, Error::Store(store) | Error::Indeterminate(store) if full_disk(store).is_some())
}

/// The system's error kind for a full disk, if that is among the causes.
pub(crate) fn full_disk(error: &StoreError) -> Option<io::ErrorKind> {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        let typed = error.downcast_ref::<io::Error>().map(io::Error::kind);
        // A backend's error, and one from another process, keep it only as text.
        let kind = typed.or_else(|| named(&error.to_string()));
        if let Some(kind @ (FULL | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge)) = kind {
            return Some(kind);
        }
        cause = error.source();
    }
    None
}

/// The kind of the operating system's error that a text names, by its number or in words.
fn named(text: &str) -> Option<io::ErrorKind> {
    let Some((_, rest)) = text.rsplit_once("(os error ") else {
        let is_said = |kind: &io::ErrorKind| text.contains(&kind.to_string());
        return [FULL, io::ErrorKind::QuotaExceeded, io::ErrorKind::FileTooLarge].into_iter().find(is_said);
    };
    let code = rest.split_once(')')?.0.parse().ok()?;
    Some(io::Error::from_raw_os_error(code).kind())
}

const FULL: io::ErrorKind = io::ErrorKind::StorageFull;

#[cfg(test)]
mod tests {
    use strongroom::store::StoreErrorKind;

    use super::*;

    #[test]
    fn a_full_disk_is_told_by_a_cause_or_by_its_text() {
        let error = || StoreError::new(StoreErrorKind::Poisoned, "it failed");
        assert_eq!(full_disk(&error()), None);
        assert_eq!(full_disk(&error().with_source(io::Error::from(FULL))), Some(FULL));
        let outer = error().with_source(error().with_source("I/O error: no space (os error 28)".to_owned()));
        let said = error().with_source(format!("it was not written: {}", io::Error::from(FULL)));
        assert_eq!(full_disk(&said), Some(FULL), "through a socket only words come");
        assert_eq!(full_disk(&outer), cfg!(target_os = "linux").then_some(FULL));
    }
}
