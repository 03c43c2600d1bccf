//! The file and its two tables: whose they are, and how new ones are created.

use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags, TransactionBehavior};
use strongroom_committer::{create_directory, of_io, parent, sync_entries};
use strongroom_store::{Durability, StoreError, StoreErrorKind};

use crate::failure::{of_sqlite, unsupported};

/// The connection that writes. Refuses what is not ours before anything is changed.
pub(crate) fn open_or_create(
    path: &Path,
    prefix: &str,
    durability: Durability,
) -> Result<Connection, StoreError> {
    let synchronous = match durability {
        Durability::PowerLoss => "FULL",
        Durability::ProcessCrash => "NORMAL",
        _ => return Err(unsupported("an SQLite store is durable through a power cut or a process crash")),
    };
    check_prefix(prefix)?;
    refuse_links(path)?;
    refuse_orphans(path)?;
    create(path)?;
    let mut connection = connect(path)?;
    let are_there = tables_are_in(&connection, prefix)?;
    use_wal(&connection)?;
    connection.pragma_update(None, "synchronous", synchronous).map_err(of_sqlite)?;
    if !are_there {
        make_tables(&mut connection, prefix)?;
    }
    Ok(connection)
}

pub(crate) fn connect(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(of_sqlite)?;
    connection.busy_timeout(PATIENCE).map_err(of_sqlite)?;
    // The last two make a sync a full one on Apple's systems.
    let settings = "PRAGMA cache_size = -16384; PRAGMA fullfsync = ON; PRAGMA checkpoint_fullfsync = ON";
    connection.execute_batch(settings).map_err(of_sqlite)?;
    Ok(connection)
}

/// Allows only letters that need no quotes in a statement.
fn check_prefix(prefix: &str) -> Result<(), StoreError> {
    let is_word = prefix.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let starts_well = prefix.starts_with(|first: char| first.is_ascii_alphabetic());
    if !is_word || !starts_well || prefix.len() > 32 || prefix.to_ascii_lowercase().starts_with("sqlite_") {
        return Err(unsupported(
            "a table prefix is a letter and up to 31 letters, digits and `_`, not `sqlite_`",
        ));
    }
    Ok(())
}

/// Beside the database SQLite keeps files that it creates and removes itself, and it writes through a link in their
/// place. So whoever planted a link would choose what is overwritten.
fn refuse_links(path: &Path) -> Result<(), StoreError> {
    if beside(path).iter().any(|file| file.is_symlink()) {
        let message = "a link is in the place of a file that SQLite keeps beside the database: remove it";
        return Err(unsupported(message));
    }
    Ok(())
}

/// SQLite would delete what a database that was moved away left here, and with it the latest writes.
fn refuse_orphans(path: &Path) -> Result<(), StoreError> {
    // In this order: another process that creates the database now makes these files after it.
    if beside(path).iter().any(|file| file.exists()) && !path.exists() {
        let message = "the database was moved away without its latest writes: move the files here whose names end \
                       in -wal and -shm (or -journal) to where it is, too";
        return Err(unsupported(message));
    }
    Ok(())
}

fn beside(path: &Path) -> [PathBuf; 3] {
    ["-wal", "-shm", "-journal"].map(|suffix| {
        let mut beside = path.as_os_str().to_owned();
        beside.push(suffix);
        beside.into()
    })
}

/// SQLite would create a file that others can read, and not sync its name.
fn create(path: &Path) -> Result<(), StoreError> {
    let unusable = |error| of_io(error, "the database file could not be created");
    create_directory(parent(path)).map_err(unusable)?;
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let _alone = CREATION.lock().unwrap_or_else(PoisonError::into_inner);
    match options.write(true).create_new(true).open(path) {
        // An existing file must not be opened here: closing it would release the locks of this process.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(unusable(error)),
        Ok(file) => {
            drop(file);
            sync_entries(parent(path)).map_err(unusable)
        }
    }
}

/// Nobody in this process opens a file before the one who made it has closed it again, since that would release the
/// locks that the others have taken.
static CREATION: Mutex<()> = Mutex::new(());

/// Lets readers and a writer work side by side. SQLite does not wait by itself if another connection asks for the same.
fn use_wal(connection: &Connection) -> Result<(), StoreError> {
    let started = Instant::now();
    loop {
        let mode =
            connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0));
        match mode.map_err(of_sqlite) {
            Err(error) if error.kind() == StoreErrorKind::Contention && started.elapsed() < PATIENCE => {
                thread::sleep(PAUSE);
            }
            Err(error) => return Err(error),
            Ok(mode) if mode == "wal" => return Ok(()),
            // Where no memory can be shared, SQLite keeps the mode and reports no error.
            Ok(_) => {
                return Err(unsupported("the file cannot be used in WAL mode: choose a local file system"));
            }
        }
    }
}

/// Whether the tables exist as we create them, with nothing attached, such as a trigger that would run with a put.
fn tables_are_in(connection: &Connection, prefix: &str) -> Result<bool, StoreError> {
    let entries = "SELECT sql FROM sqlite_schema WHERE tbl_name COLLATE NOCASE IN (?1, ?2) ORDER BY name";
    let mut entries = connection.prepare(entries).map_err(of_sqlite)?;
    let names = [format!("{prefix}_meta"), format!("{prefix}_rows")];
    let found = entries.query_map(names, |row| row.get::<_, Option<String>>(0)).map_err(of_sqlite)?;
    let found = found.collect::<Result<Vec<_>, _>>().map_err(of_sqlite)?;
    if !found.is_empty() && found != definitions(prefix).map(Some) {
        let message =
            "the file holds tables of these names that this version did not make: choose another prefix";
        return Err(unsupported(message));
    }
    Ok(!found.is_empty())
}

/// In one transaction, so that only one of several processes creates them.
fn make_tables(connection: &mut Connection, prefix: &str) -> Result<(), StoreError> {
    let transaction =
        connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(of_sqlite)?;
    if tables_are_in(&transaction, prefix)? {
        return Ok(());
    }
    let [meta, rows] = definitions(prefix);
    let make = format!("{meta}; {rows}; INSERT INTO {prefix}_meta VALUES (0)");
    transaction.execute_batch(&make).and_then(|()| transaction.commit()).map_err(of_sqlite)
}

/// SQLite keeps these texts as they are, including the version of the format.
fn definitions(prefix: &str) -> [String; 2] {
    let meta = format!("CREATE TABLE {prefix}_meta (/* strongroom-sqlite 1 */ revision INTEGER NOT NULL)");
    let rows = "k BLOB PRIMARY KEY, v BLOB NOT NULL, rev INTEGER NOT NULL";
    [meta, format!("CREATE TABLE {prefix}_rows ({rows}) WITHOUT ROWID")]
}

/// How long to wait for a transaction of another program.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_that_does_not_take_wal_mode_is_refused() {
        let refused = use_wal(&Connection::open_in_memory().unwrap()).unwrap_err();
        assert_eq!(refused.kind(), StoreErrorKind::Unsupported);
    }
}
