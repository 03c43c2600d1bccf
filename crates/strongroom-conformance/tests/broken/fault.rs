//! What is wrong with a log.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

macro_rules! faults {
    ($($fault:ident)*) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Fault { $($fault,)* }

        const NAMES: &[(&str, Fault)] = &[$((stringify!($fault), Fault::$fault),)*];
    };
}

faults! {
    // Nothing: one process, several, or one that claims to survive only a kill.
    None
    NoneThoughShared
    NoneButUnsynced
    // Acknowledges what it will not hold after an outage.
    NeverSyncs
    WritesLate
    // Loses all or some of it when it is opened.
    Forgets
    ForgetsTheNewest
    CountsFromTheRowsLeft
    // Takes its own process for the only one.
    LocksInThisProcess
    CountsByItself
    SeesOnlyItself
}

impl Fault {
    /// Several processes may open it.
    pub(crate) fn is_shared(self) -> bool {
        matches!(self, Self::NoneThoughShared | Self::CountsByItself | Self::SeesOnlyItself)
    }

    /// Leaves the fault beside the place of a log, for every process that opens it.
    pub(crate) fn leave_at(self, path: &Path) {
        let mut file = File::create(note(path)).expect("there is room for temporary files");
        let written = write!(file, "{self:?}").and_then(|()| file.sync_all());
        let kept = written.and_then(|()| File::open(path.parent().unwrap_or(path))?.sync_all());
        kept.expect("there is room for temporary files");
    }

    /// The fault that was left.
    pub(crate) fn at(path: &Path) -> Self {
        let name = fs::read_to_string(note(path)).expect("a fault was left");
        NAMES.iter().find(|(known, _)| *known == name).expect("a fault has that name").1
    }
}

fn note(path: &Path) -> PathBuf {
    path.with_extension("fault")
}
