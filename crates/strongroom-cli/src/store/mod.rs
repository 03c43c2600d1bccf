//! Which store to use, and how to open it. A backend is one module and one line in [`KINDS`]; the first kept kind is
//! used for a new store.

#[cfg(unix)]
pub(crate) mod door;
#[cfg(feature = "memory")]
mod memory;
pub(crate) mod noticed;
#[cfg(unix)]
mod outlasting;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "redb")]
mod redb;
#[cfg(feature = "sled")]
mod sled;
#[cfg(feature = "sqlite")]
mod sqlite;

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use strongroom::Store;
use strongroom::store::{StoreError, StoreErrorKind};
use strongroom_http::{ResumingStore, StoreHealth};

use crate::failure::{Exit, Failure, repeatable};
use crate::files::{places, refuse_foreign};

/// How a store is opened.
type Opening = fn(&Path) -> Result<Arc<dyn Store>, StoreError>;

/// A kind of store that this build knows.
struct Kind {
    name: &'static str,
    /// Whether a directory or file at this path is of the kind.
    is_at: fn(&Path) -> bool,
    /// Opens it, or creates one. The place of a served store is its address.
    open: Opening,
    /// Opens it without writing to it, for a kind that can.
    open_to_read: Option<Opening>,
    life: Life,
}

/// The purpose for which a store is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Nothing is written if the kind supports that: the medium may be read-only, and other commands may read
    /// meanwhile.
    Read,
    Write,
}

impl Kind {
    fn open_for(&self, access: Access, place: &Path) -> Result<Arc<dyn Store>, StoreError> {
        let Some(open) = self.open_to_read.filter(|_| access == Access::Read) else {
            return (self.open)(place);
        };
        match open(place) {
            // It was not closed properly, and has to be repaired first.
            Err(error) if error.kind() == StoreErrorKind::Unsupported => (self.open)(place),
            opened => opened,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    /// Ends with the process; it has no path.
    Process,
    Kept,
    /// Kept by a server; its place is the address.
    Served,
}

static KINDS: &[Kind] = &[
    #[cfg(feature = "redb")]
    redb::KIND,
    #[cfg(feature = "sled")]
    sled::KIND,
    #[cfg(feature = "sqlite")]
    sqlite::KIND,
    #[cfg(feature = "memory")]
    memory::KIND,
    #[cfg(feature = "postgres")]
    postgres::KIND,
];

/// Whether a file is a database of SQLite, which no other kind opens.
fn is_sqlite(path: &Path) -> bool {
    start_of(path).is_some_and(|start| start == SQLITE)
}

/// Whether a file is there, perhaps empty, that begins like a store of no kind.
fn is_defaced(path: &Path) -> bool {
    start_of(path).is_some_and(|start| start != SQLITE && !start.starts_with(REDB))
}

/// The first bytes of a file, as far as there are any; `None` if it cannot be read.
fn start_of(path: &Path) -> Option<Vec<u8>> {
    // A pipe would block.
    if !path.is_file() {
        return None;
    }
    let mut start = Vec::new();
    File::open(path).ok()?.take(SQLITE.len() as u64).read_to_end(&mut start).ok()?;
    Some(start)
}

/// SQLite's file format, section 1.3.1.
const SQLITE: &[u8] = b"SQLite format 3\0";
/// The design of redb, section "Database header".
const REDB: &[u8] = b"redb\x1a\x0a\xa9\x0d\x0a";

/// The text of `--store`.
#[derive(Debug, Clone)]
pub(crate) struct Spec {
    kind: Option<&'static str>,
    life: Life,
    place: PathBuf,
    /// How long to wait for another process to close it.
    wait: Duration,
}

impl Spec {
    /// A path whose kind is detected.
    pub(crate) fn at(path: PathBuf) -> Self {
        Self { kind: None, life: Life::Kept, place: path, wait: Duration::ZERO }
    }

    /// The same, with this patience for another process that has it open.
    pub(crate) fn waiting(self, wait: Duration) -> Self {
        Self { wait, ..self }
    }

    /// `None` for a store in memory and for a store on a server.
    pub(crate) fn path(&self) -> Option<&Path> {
        (self.life == Life::Kept).then_some(&self.place)
    }

    /// Where the mark of this store is kept; nowhere for a store in memory, and for a user without a home directory.
    pub(crate) fn mark_files(&self) -> io::Result<Vec<PathBuf>> {
        match self.life {
            Life::Process => Ok(Vec::new()),
            Life::Kept => places::mark_files(&self.place),
            Life::Served => {
                let file = self.address().and_then(|address| places::mark_file_of_address(&address));
                Ok(file.into_iter().collect())
            }
        }
    }

    /// The address of a store on a server, written in one way and without the password.
    pub(crate) fn address(&self) -> Option<String> {
        (self.life == Life::Served).then(|| plain_address(&self.to_string()))
    }

    /// Whether it outlives the process.
    pub(crate) fn is_kept(&self) -> bool {
        self.life != Life::Process
    }

    /// Fails for a store in memory, which would end with the command.
    pub(crate) fn refuse_unkept(&self, command: &str) -> Result<(), Failure> {
        if self.is_kept() {
            return Ok(());
        }
        Err(Failure::usage(format!("a store in memory is gone when `{command}` ends"))
            .next("name another store with --store"))
    }

    /// Whether there is a store of a known kind.
    pub(crate) fn is_there(&self) -> bool {
        self.is_kept() && self.kinds().any(|kind| (kind.is_at)(&self.place))
    }

    /// Whether this user may not look whether there is a store.
    fn is_out_of_reach(&self) -> bool {
        // A store can be a directory that this user may see but not enter.
        [self.place.metadata(), self.place.join("db").metadata()]
            .iter()
            .any(|found| found.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied))
    }

    /// Whether there is no store of any kind.
    pub(crate) fn is_missing(&self) -> bool {
        self.is_kept()
            && !self.is_out_of_reach()
            && !KINDS.iter().any(|kind| kind.life == self.life && (kind.is_at)(&self.place))
    }

    /// Opens the existing store, or creates one of the first kind that fits. A store that a server has open is reached
    /// through the server.
    pub(crate) fn open(&self) -> Result<Arc<dyn Store>, Failure> {
        self.open_for(Access::Write)
    }

    fn open_for(&self, access: Access) -> Result<Arc<dyn Store>, Failure> {
        let kept = |served| -> Arc<dyn Store> { self.outlasting(served, access) };
        self.open_by(|kind| kind.open_for(access, &self.place), || Ok(self.through_door()?.map(kept)))
    }

    /// For a command whose server has ended meanwhile. A store that is gone is not created again.
    #[cfg(unix)]
    fn open_once_more(&self, access: Access) -> Result<Arc<dyn Store>, Failure> {
        self.refuse_absent()?;
        self.open_by(|kind| kind.open_for(access, &self.place), || self.through_door())
    }

    #[cfg(unix)]
    fn outlasting(&self, served: Arc<dyn Store>, access: Access) -> Arc<dyn Store> {
        Arc::new(outlasting::OutlastingStore::new(self.clone(), access, served))
    }

    #[cfg(not(unix))]
    fn outlasting(&self, served: Arc<dyn Store>, _: Access) -> Arc<dyn Store> {
        served
    }

    /// The same for a process that serves the store itself. A store in files reopens itself after a full disk or a
    /// failed sync.
    pub(crate) fn open_to_serve(&self, health: &StoreHealth) -> Result<Arc<dyn Store>, Failure> {
        let open = |kind: &'static Kind| match self.life {
            Life::Process | Life::Served => (kind.open)(&self.place),
            Life::Kept => {
                let place = self.place.clone();
                let open = move || {
                    forget_unwritten(&place);
                    (kind.open)(&place)
                };
                ResumingStore::open(open, health).map(|store| Arc::new(store) as Arc<dyn Store>)
            }
        };
        self.open_by(open, || Ok(None))
    }

    fn open_by(
        &self,
        open: impl Fn(&'static Kind) -> Result<Arc<dyn Store>, StoreError>,
        elsewhere: impl Fn() -> Result<Option<Arc<dyn Store>>, Failure>,
    ) -> Result<Arc<dyn Store>, Failure> {
        if let Some(path) = self.path() {
            refuse_foreign(path, Exit::Store)?;
            self.refuse_defaced(path)?;
            places::make_own_dirs(path).map_err(|error| {
                Failure::new(Exit::Store, format!("the directory of {self} could not be created: {error}"))
                    .next("name another store with --store")
            })?;
        }
        let found = self.kinds().find(|kind| (kind.is_at)(&self.place));
        let Some(kind) = found.or_else(|| self.kinds().next()) else {
            return Err(Failure::usage("this build supports no persistent store").next(known()));
        };
        let deadline = Instant::now().checked_add(self.wait);
        loop {
            match open(kind) {
                Err(error) if error.kind() == StoreErrorKind::InUse => {
                    if let Some(store) = elsewhere()? {
                        return Ok(store);
                    }
                    if deadline.is_none_or(|end| Instant::now() >= end) {
                        return Err(error.into());
                    }
                    thread::sleep(BETWEEN_TRIES);
                }
                opened => return Ok(opened?),
            }
        }
    }

    /// Fails if a vault was in a file that begins like a store of no kind any more.
    fn refuse_defaced(&self, path: &Path) -> Result<(), Failure> {
        // Without a mark, nothing says that there was one.
        let is_marked = || self.mark_files().is_ok_and(|files| files.iter().any(|file| file.exists()));
        if !is_defaced(path) || !is_marked() {
            return Ok(());
        }
        let message = format!("{self} is damaged or empty, and by its mark this user had a vault there");
        Err(Failure::new(Exit::Key, message).next(
            "move it away, and `strongroom restore --replaces-original FILE` makes the vault again from a backup",
        ))
    }

    /// The store through the server that has it open; `None` if no server has.
    fn through_door(&self) -> Result<Option<Arc<dyn Store>>, Failure> {
        #[cfg(unix)]
        return self.path().map_or(Ok(None), door::enter);
        #[cfg(not(unix))]
        Ok(None)
    }

    /// Whether a server on this machine has it open, as far as its door shows.
    pub(crate) fn is_served(&self) -> bool {
        matches!(self.through_door(), Ok(Some(_)))
    }

    /// Opens the existing store, and creates none.
    pub(crate) fn open_existing(&self, access: Access) -> Result<Arc<dyn Store>, Failure> {
        self.refuse_absent()?;
        self.open_for(access)
    }

    /// Fails if there is no store of the kind that was named.
    pub(crate) fn refuse_absent(&self) -> Result<(), Failure> {
        if !self.is_kept() || self.is_there() {
            return Ok(());
        }
        if let Some(path) = self.path().filter(|path| is_defaced(path)) {
            self.refuse_defaced(path)?;
            return Err(Failure::new(Exit::Store, format!("{self} is not a strongroom store"))
                .next("name another store with --store"));
        }
        let of_any_kind = KINDS.iter().find(|kind| kind.life == self.life && (kind.is_at)(&self.place));
        if let Some(Kind { name: found, .. }) = of_any_kind {
            let named = self.kind.unwrap_or_default();
            return Err(Failure::new(Exit::Store, format!("{self} is a store of kind {found}, not {named}"))
                .next(format!("--store {found}:{self} opens it")));
        }
        if self.is_out_of_reach() {
            return Err(Failure::new(Exit::Store, format!("this user may not look for a store at {self}"))
                .next(
                    "run the command as the user who owns it, or correct the permissions of its directories",
                ));
        }
        Err(Failure::new(Exit::Store, format!("there is no store at {}", repeatable::file(&self.place)))
            .next("`strongroom init` creates one, --store names another"))
    }

    fn kinds(&self) -> impl Iterator<Item = &'static Kind> {
        let (life, named) = (self.life, self.kind);
        KINDS.iter().filter(move |kind| kind.life == life && named.is_none_or(|name| name == kind.name))
    }
}

/// Makes the system read the files of a store from the disk again: after a failed sync, its cached pages may never have
/// been written.
#[cfg(target_os = "linux")]
fn forget_unwritten(place: &Path) {
    let forget = |path: &Path| {
        // A missing file holds nothing, and if the system cannot do this, the store's own checks remain.
        if let Ok(file) = std::fs::File::open(path) {
            let _ = rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed);
        }
    };
    match std::fs::read_dir(place) {
        Ok(entries) => entries.flatten().for_each(|entry| forget(&entry.path())),
        Err(_) => forget(place),
    }
}

#[cfg(not(target_os = "linux"))]
fn forget_unwritten(_: &Path) {}

/// An address without its password and default port, with the shorter name of its scheme. Two addresses that still
/// differ count as two stores.
fn plain_address(address: &str) -> String {
    let (_, rest) = address.split_once("://").unwrap_or(("", address));
    let (authority, database) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let (user, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
    let user = user.split(':').next().unwrap_or_default();
    let hosts = hosts.split(',').map(|host| host.strip_suffix(":5432").unwrap_or(host));
    format!("postgres://{user}@{}{database}", hosts.collect::<Vec<_>>().join(","))
}

/// The place, or the kind of a store without a place.
impl fmt::Display for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Some(kind) if self.life == Life::Process => f.write_str(kind),
            _ => write!(f, "{}", self.place.display()),
        }
    }
}

/// Parses `KIND:PATH`, the address of a server, the name of a kind without a path, or only a path.
impl FromStr for Spec {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self, Failure> {
        if let Some(kind) =
            KINDS.iter().find(|kind| kind.life == Life::Served && (kind.is_at)(Path::new(text)))
        {
            return Ok(Self {
                kind: Some(kind.name),
                life: Life::Served,
                place: text.into(),
                wait: Duration::ZERO,
            });
        }
        let (name, path) = text.split_once(':').map_or((text, None), |(name, path)| (name, Some(path)));
        let known_kind = KINDS.iter().find(|kind| kind.name == name);
        match (known_kind, path) {
            (Some(kind), None) if kind.life == Life::Process => Ok(Self {
                kind: Some(kind.name),
                life: Life::Process,
                place: PathBuf::new(),
                wait: Duration::ZERO,
            }),
            (Some(kind), Some(path)) if kind.life == Life::Kept && !path.is_empty() => {
                Ok(Self { kind: Some(kind.name), life: Life::Kept, place: path.into(), wait: Duration::ZERO })
            }
            // The typed text is not repeated: it may be an address with a password.
            (Some(_), _) => {
                Err(Failure::usage(format!("that is not how a store of kind `{name}` is written"))
                    .next(known()))
            }
            (None, Some(_)) if is_kind_name(name) => {
                Err(Failure::usage(format!("this build supports no store of kind `{name}`")).next(known()))
            }
            (None, _) if text.contains("://") || text.contains("password=") => {
                Err(Failure::usage("that is no address of a store, nor a path").next(known()))
            }
            (None, _) if text.is_empty() => {
                Err(Failure::usage("a store is named by its kind or a path").next(known()))
            }
            (None, _) => Ok(Self::at(text.into())),
        }
    }
}

/// Longer than a Windows drive letter, and not how a path starts.
fn is_kind_name(name: &str) -> bool {
    name.len() > 1 && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

/// Most commands hold a store for a few milliseconds.
const BETWEEN_TRIES: Duration = Duration::from_millis(20);

fn known() -> String {
    let specs = KINDS.iter().map(|kind| match kind.life {
        Life::Process => kind.name.to_owned(),
        Life::Kept => format!("{}:PATH", kind.name),
        Life::Served => format!("{}://USER@HOST/DATABASE", kind.name),
    });
    format!("--store takes {}, or a PATH alone", specs.collect::<Vec<_>>().join(", "))
}

#[cfg(all(test, feature = "sled", feature = "memory"))]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn a_spec_is_a_kind_with_its_path_or_a_path() {
        let read = |text: &str| text.parse::<Spec>().map(|spec| (spec.kind, spec.life, spec.place)).ok();
        assert_eq!(read("memory"), Some((Some("memory"), Life::Process, PathBuf::new())));
        assert_eq!(read("sled:a/b"), Some((Some("sled"), Life::Kept, "a/b".into())));
        assert_eq!(read("./a:b"), Some((None, Life::Kept, "./a:b".into())));
        assert_eq!(read("C:\\data"), Some((None, Life::Kept, "C:\\data".into())));
        for bad in ["", "sled", "sled:", "memory:x", "redis:x"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn an_address_that_is_written_wrongly_is_refused_and_not_repeated() {
        for bad in [
            "POSTGRES://u:hunter2@h/d",
            "postgress://u:hunter2@h/d",
            "postgres:host=h password=hunter2",
            "host=h password=hunter2",
            "postgres:u:hunter2@h/d",
        ] {
            let failure = bad.parse::<Spec>().unwrap_err();
            assert!(!format!("{failure:?}").contains("hunter2"), "{failure:?}");
        }
    }
}

#[cfg(test)]
mod addresses {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn ways_to_write_one_address_have_one_mark_and_its_name_is_short() {
        for same in ["postgres://u@h/d", "postgresql://u@h:5432/d", "postgres://u:p@h/d"] {
            assert_eq!(plain_address(same), "postgres://u@h/d");
        }
        let hosts = "postgresql://a:5432,[::1]:5432,c:54320/d?host=/a@b:5432";
        assert_eq!(plain_address(hosts), "postgres://@a,[::1],c:54320/d?host=/a@b:5432");
        let long = "vault.of.a.company.example:5433,".repeat(20);
        let name = |text: &str| {
            let file = places::mark_file_of_address(text).unwrap();
            file.file_name().unwrap().to_str().unwrap().to_owned()
        };
        let (one, other) =
            (name(&format!("postgres://u@{long}a/d")), name(&format!("postgres://u@{long}b/d")));
        assert!(one.starts_with("u-vault.of.a.company.example-5433-") && one.len() < 100, "{one}");
        assert_ne!(one, other);
    }
}
