//! Moves whole vaults and orgs: to a file, from a file, to another store.
//!
//! A store is read in sections of a few hundred rows, so that memory stays constant. Each section is remembered by a
//! fingerprint of its keys and revisions: reading only keys shows which sections changed meanwhile, and those are read
//! again.

mod backup;
mod copy;
mod export;
mod file;
mod import;
mod open;
mod org_restore;
mod restore;
mod retire;
mod section;
mod sides;
mod staged;
mod target;

pub use backup::BackupSummary;
pub use copy::CopySummary;
pub use import::RestoreSummary;
pub use open::Backup;

/// The progress of a backup, restore or copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// The current phase.
    pub phase: Phase,
    /// How many rows this phase has processed.
    pub rows: u64,
    /// How many rows there are, if that is known.
    pub rows_total: Option<u64>,
}

/// A phase of a backup, restore or copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// Rows are read and written for the first time.
    Rows,
    /// Rows that changed meanwhile are read and written again.
    Changes,
    /// What was written is verified.
    Check,
}

/// Reports progress to the caller.
struct Reporter<'r> {
    tell: &'r mut (dyn FnMut(Progress) + Send),
    phase: Phase,
    rows: u64,
    rows_total: Option<u64>,
}

impl<'r> Reporter<'r> {
    fn new(tell: &'r mut (dyn FnMut(Progress) + Send), rows_total: Option<u64>) -> Self {
        Self { tell, phase: Phase::Rows, rows: 0, rows_total }
    }

    /// Switches to `phase`; a new phase counts from zero.
    fn enter(&mut self, phase: Phase) {
        if self.phase != phase {
            self.phase = phase;
            self.rows = 0;
        }
    }

    fn advance(&mut self, rows: usize) {
        self.rows += rows as u64;
        (self.tell)(Progress { phase: self.phase, rows: self.rows, rows_total: self.rows_total });
    }
}
