//! What a killed process and a power cut leave of a store, and what a second process does to it.
//!
//! A test file of a backend starts itself again as a process that writes without end and tells each batch that was
//! acknowledged. It ends that process at some point, opens the store and holds it to what was told: every acknowledged
//! batch is there, and no batch by half. The file needs a test named `writer_process`, which is that process:
//!
//! ```no_run
//! # use strongroom_memory::MemoryStore as MyStore;
//! use strongroom_conformance::outage::{Load, Outage, Rig};
//!
//! const RIG: Rig<MyStore> = Rig::new(|_directory| Ok(MyStore::new()));
//!
//! #[test]
//! fn writer_process() {
//!     RIG.serve();
//! }
//!
//! #[test]
//! fn a_killed_writer_keeps_every_acknowledged_batch_whole() {
//!     RIG.check(Outage::Kill, Load::MIXED, 12, 100);
//! }
//!
//! #[test]
//! fn a_second_process_is_refused_or_shares_the_store() {
//!     RIG.check_processes();
//! }
//! ```

mod batches;
mod disk;
mod process;
mod processes;
mod revisions;
mod vault;

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

use strongroom::store::{Durability, Store, StoreError};

use self::batches::Written;
use self::disk::{Disk, Mount};
use self::process::{Acks, Writer};
use crate::opened::Opened;
pub use batches::Load;

/// What ends the writing process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outage {
    /// `kill -9`.
    Kill,
    /// An ext4 file system that is shut down without writing its journal (`EXT4_IOC_SHUTDOWN`), once the writer has
    /// been stopped. What is only in memory is then gone, as if power had failed. It needs root, loop devices,
    /// `mkfs.ext4`, `mount` and Python 3.
    PowerCut,
}

impl Outage {
    /// Nothing is to be learned of a store that does not claim to survive the outage.
    fn assert_survival_is_claimed(self, durability: Durability) {
        let is_claimed = match self {
            Self::Kill => durability != Durability::Volatile,
            Self::PowerCut => durability == Durability::PowerLoss,
        };
        assert!(is_claimed, "a store of durability {durability:?} does not claim to survive {self:?}");
    }
}

/// A kind of store to be tested: how it is opened at a path.
pub struct Rig<S> {
    open: fn(&Path) -> Result<S, StoreError>,
    prepare: fn(&Path),
    inspect: fn(&Path),
}

impl<S: Store> Rig<S> {
    /// A kind of store that `open` opens, or makes where there is none.
    #[must_use]
    pub const fn new(open: fn(&Path) -> Result<S, StoreError>) -> Self {
        Self { open, prepare: |_| {}, inspect: |_| {} }
    }

    /// The same, with something to do before the first process writes, such as to start a server and to leave its
    /// address at the path.
    #[must_use]
    pub const fn prepare(self, prepare: fn(&Path)) -> Self {
        Self { prepare, ..self }
    }

    /// The same, with something of the backend's own to hold of the path of the store after each outage.
    #[must_use]
    pub const fn inspect(self, inspect: fn(&Path)) -> Self {
        Self { inspect, ..self }
    }

    /// Ends a writer of batches `rounds` times, each after up to `acks_max` acknowledged batches, and checks the rows.
    ///
    /// # Panics
    /// Where the store lost something or does not claim to survive the outage, or the outage cannot be made here.
    pub fn check(&self, outage: Outage, load: Load, rounds: u64, acks_max: u64) {
        let mut written = Written::default();
        self.end_writers(outage, load.name, rounds, acks_max, |store, acks| {
            written.acknowledge(acks);
            written.check(&store, load);
        });
        assert!(written.len() > rounds, "the writer got nowhere");
    }

    /// Ends a user of a vault, with verbs of every kind, and holds each time that what was acknowledged is there and
    /// that [`Vault::verify`](strongroom::Vault::verify) is clean.
    ///
    /// # Panics
    /// Where it is not, the store does not claim to survive the outage, or the outage cannot be made here.
    pub fn check_vault(&self, outage: Outage, rounds: u64, acks_max: u64) {
        let mut acknowledged = Acks::new();
        self.end_writers(outage, vault::NAME, rounds, acks_max, |store, acks| {
            acknowledged.extend(acks);
            vault::check(store, &mut acknowledged);
        });
    }

    /// Ends a process that puts and deletes one row `rounds` times, each after up to `acks_max` acknowledged puts, and
    /// holds that no two of them share a revision.
    ///
    /// # Panics
    /// Where two do, the store does not claim to survive the outage, or the outage cannot be made here.
    pub fn check_revisions(&self, outage: Outage, rounds: u64, acks_max: u64) {
        let mut given = BTreeSet::new();
        self.end_writers(outage, revisions::NAME, rounds, acks_max, |store, acks| {
            revisions::check(&store, &mut given, acks);
        });
    }

    /// Opens the store in other processes while this one has it open. A store that is not shared must refuse them, as
    /// `InUse`, until it is closed; one that is shared must lose no update of three processes at once and give no
    /// revision of a key twice.
    ///
    /// # Panics
    /// Where it does not.
    pub fn check_processes(&self) {
        let directory = tempfile::tempdir().expect("there is room for temporary files");
        let path = directory.path().join("store");
        (self.prepare)(&path);
        let shared = self.open(&path).capabilities().shared;
        let check = if shared { processes::check_several } else { processes::check_one };
        check(&path, &|| Opened::once(self.open(&path)));
    }

    /// Does what this process was started for, if it was.
    pub fn serve(&self) {
        let Some((path, job)) = process::job() else { return };
        if job == processes::NAME {
            return processes::serve((self.open)(&path).map(Opened::once).map_err(|error| error.kind()));
        }
        if job == revisions::NAME {
            return revisions::serve(&self.open(&path));
        }
        if job == vault::NAME {
            return vault::serve(|| self.open(&path));
        }
        batches::serve(&self.open(&path), Load::named(&job));
    }

    fn end_writers(
        &self,
        outage: Outage,
        job: &str,
        rounds: u64,
        acks_max: u64,
        mut check: impl FnMut(S, Acks),
    ) {
        let directory = tempfile::tempdir().expect("there is room for temporary files");
        let disk = (outage == Outage::PowerCut).then(|| Disk::create(directory.path()));
        let mount = || disk.as_ref().map(Disk::mount);
        let mut random = Random::new(rounds);
        for round in 0..rounds_asked().unwrap_or(rounds) {
            let mounted = mount();
            let path = mounted.as_ref().map_or(directory.path(), Mount::path).join("store");
            if round == 0 {
                (self.prepare)(&path);
            }
            let mut writer = Writer::start(&path, job);
            writer.listen(1 + random.next() % acks_max);
            if let Some(mounted) = &mounted {
                // A sync under way may be told that it succeeded while the power goes. A writer that has stopped
                // neither hears that nor says anything new, so what it said is what was durable before the cut.
                writer.stop();
                mounted.cut_power();
            }
            let acks = writer.kill();
            drop(mounted);
            let _mounted = mount();
            let store = self.open(&path);
            outage.assert_survival_is_claimed(store.capabilities().durability);
            check(store, acks);
            (self.inspect)(&path);
        }
    }

    fn open(&self, path: &Path) -> S {
        (self.open)(path).expect("the store opens")
    }
}

impl<S> fmt::Debug for Rig<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rig")
    }
}

/// How many rounds `scripts/outages` asks for, in place of those of a test.
fn rounds_asked() -> Option<u64> {
    let rounds = std::env::var("STRONGROOM_TEST_ROUNDS").ok()?;
    Some(rounds.parse().expect("STRONGROOM_TEST_ROUNDS is a number"))
}

/// Numbers that look random and follow from a seed (SplitMix64).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }
}
