//! The file of a store: whose it is, how a new one is created, and that its name is on the disk.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::path::Path;

use redb::backends::FileBackend;
use redb::{
    Builder, Database, DatabaseError, ReadOnlyDatabase, ReadTransaction, ReadableDatabase, StorageBackend,
    TableHandle,
};
use strongroom_committer::{corrupt, create_directory, guarded, of_io, parent, sync_entries};
use strongroom_store::StoreError;

use crate::disk::Disk;
use crate::failure::{foreign, of_redb};
use crate::revisions::Revisions;
use crate::row::{TABLE, rows};
use crate::writer::RedbWriter;

/// Opens the store at `path`, or creates it if nothing is there.
pub(crate) fn open_or_create(path: &Path) -> Result<(RedbWriter, crate::disk::Gauge), StoreError> {
    match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => match guarded(|| create(path))? {
            Some(created) => Ok(created),
            // Another was faster.
            None => open_existing(path, File::open(path).map_err(unreadable)?),
        },
        Err(error) => Err(unreadable(error)),
        Ok(file) => open_existing(path, file),
    }
}

/// The store at `path`, where there is `file`.
fn open_existing(path: &Path, mut file: File) -> Result<(RedbWriter, crate::disk::Gauge), StoreError> {
    refuse_foreign(&mut file)?;
    guarded(|| {
        refuse_foreign_tables(path)?;
        let file = OpenOptions::new().read(true).write(true).open(path).map_err(unreadable)?;
        open(FileBackend::new(file).map_err(of_redb)?)
    })
}

/// The store at `path`, without writing to it.
pub(crate) fn open_to_read(path: &Path) -> Result<ReadOnlyDatabase, StoreError> {
    refuse_foreign(&mut File::open(path).map_err(unreadable)?)?;
    let db = builder().open_read_only(path).map_err(|error| match error {
        DatabaseError::RepairAborted => {
            foreign("the store was not closed properly: open it with RedbStore, which repairs it")
        }
        error => of_redb(error),
    })?;
    check(&db.begin_read().map_err(of_redb)?)?;
    Ok(db)
}

/// The store in a redb backend that holds one.
pub(crate) fn open(backend: impl StorageBackend) -> Result<(RedbWriter, crate::disk::Gauge), StoreError> {
    let disk = Disk::new(backend);
    let gauge = disk.gauge();
    let db = builder().create_with_backend(disk).map_err(of_redb)?;
    let revisions = check(&db.begin_read().map_err(of_redb)?)?;
    Ok((RedbWriter::new(db, gauge.clone(), revisions), gauge))
}

/// A new store in an empty redb backend.
pub(crate) fn initialise(
    backend: impl StorageBackend,
) -> Result<(RedbWriter, crate::disk::Gauge), StoreError> {
    let disk = Disk::new(backend);
    let gauge = disk.gauge();
    let db = builder().create_with_backend(disk).map_err(of_redb)?;
    let transaction = db.begin_write().map_err(of_redb)?;
    let revisions = Revisions::create(&mut transaction.open_table(rows(TABLE)).map_err(of_redb)?)?;
    transaction.commit().map_err(of_redb)?;
    Ok((RedbWriter::new(db, gauge.clone(), revisions), gauge))
}

/// Creates a store that appears at `path` only when it is complete: a crash leaves it, or nothing. `None` if something
/// is there by then.
fn create(path: &Path) -> Result<Option<(RedbWriter, crate::disk::Gauge)>, StoreError> {
    let directory = parent(path);
    create_directory(directory).map_err(|e| of_io(e, "the directory of the store could not be created"))?;
    let passing = tempfile::Builder::new()
        .prefix(".strongroom-")
        .suffix(".new")
        .tempfile_in(directory)
        .map_err(unreadable)?;
    let (file, passing) = passing.into_parts();
    let created = initialise(FileBackend::new(file).map_err(of_redb)?)?;
    match passing.persist_noclobber(path) {
        Err(failure) if failure.error.kind() == io::ErrorKind::AlreadyExists => return Ok(None),
        persisted => persisted.map_err(|failure| unreadable(failure.error))?,
    }
    sync_entries(directory).map_err(unreadable)?;
    Ok(Some(created))
}

/// Only reads, so that a file that is not a store stays as it is.
fn refuse_foreign(file: &mut File) -> Result<(), StoreError> {
    if file.metadata().map_err(unreadable)?.is_dir() {
        return Err(foreign("a directory is in the place of the store, which is a file"));
    }
    let mut start = [0; MAGIC.len()];
    match file.read_exact(&mut start) {
        Ok(()) if start == *MAGIC => Ok(()),
        Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => Err(unreadable(error)),
        _ => Err(foreign("the file is not a strongroom store: choose a path where there is none")),
    }
}

/// Checks the tables without writing. After a crash redb cannot do that, and repairs first.
fn refuse_foreign_tables(path: &Path) -> Result<(), StoreError> {
    match builder().open_read_only(path) {
        Ok(db) => check(&db.begin_read().map_err(of_redb)?).map(drop),
        Err(DatabaseError::RepairAborted) => Ok(()),
        Err(error) => Err(of_redb(error)),
    }
}

/// The counter of a file that is ours.
fn check(transaction: &ReadTransaction) -> Result<Revisions, StoreError> {
    let mut tables = transaction.list_tables().map_err(of_redb)?;
    if tables.any(|table| table.name() != TABLE)
        || transaction.list_multimap_tables().map_err(of_redb)?.next().is_some()
    {
        return Err(foreign("the data file holds tables that strongroom did not write"));
    }
    match transaction.open_table(rows(TABLE)) {
        Ok(table) => Revisions::read(&table),
        Err(redb::TableError::Storage(error)) => Err(of_redb(error)),
        Err(_) => Err(corrupt("the data file was not written by strongroom")),
    }
}

fn builder() -> Builder {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE_BYTES_MAX);
    builder
}

fn unreadable(error: io::Error) -> StoreError {
    of_io(error, "the file of the store could not be read or written")
}

/// How every redb file starts.
const MAGIC: &[u8; 9] = b"redb\x1a\x0a\xa9\x0d\x0a";

const CACHE_BYTES_MAX: usize = 256 << 20;
