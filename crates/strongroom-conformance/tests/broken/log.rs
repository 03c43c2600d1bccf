//! A store that is one file of batches, each appended and synced by itself; right but for the fault that it is given.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use strongroom::store::{
    Capabilities, Committed, Durability, Key, Op, Page, ReadBatch, ReadSet, RowRevision, Scan, Store,
    StoreError, StoreErrorKind, Versioned, WriteBatch,
};

use crate::fault::Fault;

/// An open log.
pub(crate) struct Log {
    fault: Fault,
    path: PathBuf,
    open: Mutex<Option<Contents>>,
}

/// The file and what it says.
struct Contents {
    file: File,
    rows: BTreeMap<Key, Versioned>,
    revision: u64,
    /// Where the next batch goes.
    end: u64,
    /// What was acknowledged and is written later.
    late: VecDeque<Vec<u8>>,
}

impl Log {
    /// Opens the log at `path` with the fault that was left beside it, or makes it.
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        let fault = Fault::at(path);
        let file = open_file(path).map_err(unavailable)?;
        if fault == Fault::LocksInThisProcess {
            assert!(open_here().insert(path.to_owned()), "the log is open already");
        } else if !fault.is_shared() {
            file.try_lock().map_err(|_| StoreError::new(StoreErrorKind::InUse, "the log is open already"))?;
        }
        let mut contents =
            Contents { file, rows: BTreeMap::new(), revision: 0, end: 0, late: VecDeque::new() };
        match fault {
            Fault::Forgets => contents.file.set_len(0).map_err(unavailable)?,
            Fault::ForgetsTheNewest => contents.forget_newest().map_err(unavailable)?,
            _ => {}
        }
        contents.catch_up().map_err(unavailable)?;
        if fault == Fault::CountsFromTheRowsLeft {
            contents.revision = contents.rows.values().map(|row| row.revision.0).max().unwrap_or(0);
        }
        // What a batch left behind that never came to its end.
        if !fault.is_shared() {
            if contents.end > LONG {
                contents.rewrite(path).map_err(unavailable)?;
            }
            contents
                .file
                .set_len(contents.end)
                .and_then(|()| contents.file.sync_all())
                .map_err(unavailable)?;
        }
        Ok(Self { fault, path: path.to_owned(), open: Mutex::new(Some(contents)) })
    }

    /// Shows the contents to `work`, as the file has them now.
    fn with<T>(&self, work: impl FnOnce(&mut Contents) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let mut open = self.lock();
        let closed = || StoreError::new(StoreErrorKind::Closed, "the log was closed");
        let contents = open.as_mut().ok_or_else(closed)?;
        if !self.fault.is_shared() {
            return work(contents);
        }
        contents.file.lock().map_err(unavailable)?;
        let done = contents.follow(self.fault).map_err(unavailable).and_then(|()| work(contents));
        contents.file.unlock().map_err(unavailable)?;
        done
    }

    fn lock(&self) -> MutexGuard<'_, Option<Contents>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Store for Log {
    async fn read(&self, request: &ReadBatch) -> Result<ReadSet, StoreError> {
        request.check()?;
        self.with(|contents| {
            let scans = request.scans.iter().map(|scan| contents.page(scan, &self.capabilities()));
            Ok(ReadSet {
                gets: request.gets.iter().map(|key| contents.rows.get(key).cloned()).collect(),
                scans: scans.collect::<Result<_, _>>()?,
            })
        })
    }

    async fn commit(&self, batch: std::sync::Arc<WriteBatch>) -> Result<Committed, StoreError> {
        batch.check(&self.capabilities())?;
        self.with(|contents| contents.commit(&batch, self.fault))
    }

    fn capabilities(&self) -> Capabilities {
        let durability = match self.fault {
            Fault::NoneButUnsynced => Durability::ProcessCrash,
            _ => Durability::PowerLoss,
        };
        let capabilities = Capabilities::embedded(durability);
        if self.fault.is_shared() { capabilities.with_sharing() } else { capabilities }
    }

    async fn close(&self) -> Result<(), StoreError> {
        *self.lock() = None;
        Ok(())
    }
}

impl Contents {
    fn page(&self, scan: &Scan, capabilities: &Capabilities) -> Result<Page, StoreError> {
        let mut walk: Vec<_> =
            self.rows.iter().filter(|(key, _)| scan.range.contains(key.as_bytes())).collect();
        if scan.reverse {
            walk.reverse();
        }
        Page::fill(scan, capabilities.page_bytes_max, walk, |(key, row)| {
            let value = if scan.keys_only { Vec::new() } else { row.value.clone() };
            Ok((key.clone(), Versioned { value, revision: row.revision }))
        })
    }

    fn commit(&mut self, batch: &WriteBatch, fault: Fault) -> Result<Committed, StoreError> {
        for (index, (key, expect)) in batch.expect.iter().enumerate() {
            if !expect.holds(self.rows.get(key).map(|row| row.revision)) {
                return Err(StoreError::conflict(index));
            }
        }
        self.revision += 1;
        let entry = encode(self.revision, &batch.ops);
        apply(&mut self.rows, RowRevision(self.revision), &batch.ops);
        let written = match fault {
            Fault::WritesLate => {
                self.late.push_back(entry);
                let due = if self.late.len() > LOST_LEN { self.late.pop_front() } else { None };
                self.append(&due.unwrap_or_default())
            }
            Fault::NeverSyncs | Fault::NoneButUnsynced => self.append(&entry),
            _ => self.append(&entry).and_then(|()| self.file.sync_data()),
        };
        written.map_err(unavailable)?;
        Ok(Committed { revision: RowRevision(self.revision) })
    }

    fn append(&mut self, entry: &[u8]) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(self.end))?;
        self.file.write_all(entry)?;
        self.end += entry.len() as u64;
        Ok(())
    }

    /// Takes in what others have appended.
    fn follow(&mut self, fault: Fault) -> io::Result<()> {
        if fault == Fault::SeesOnlyItself {
            self.end = self.file.metadata()?.len();
            // Revisions of its own, so that they are not what gives it away.
            self.revision = u64::from(process::id()) << 32 | self.revision & u64::from(u32::MAX);
            return Ok(());
        }
        let revision = self.revision;
        self.catch_up()?;
        if fault == Fault::CountsByItself {
            self.revision = revision;
        }
        Ok(())
    }

    /// Reads what is appended.
    fn catch_up(&mut self) -> io::Result<()> {
        let mut rest = Vec::new();
        self.file.seek(SeekFrom::Start(self.end))?;
        self.file.read_to_end(&mut rest)?;
        let mut entries = rest.as_slice();
        while let Some((revision, ops)) = decode(&mut entries) {
            apply(&mut self.rows, RowRevision(revision), &ops);
            self.revision = self.revision.max(revision);
        }
        self.end += (rest.len() - entries.len()) as u64;
        Ok(())
    }

    /// Puts a file of the present rows in the place of the long one.
    fn rewrite(&mut self, path: &Path) -> io::Result<()> {
        let new = path.with_extension("new");
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&new)?;
        file.lock()?;
        for (key, row) in &self.rows {
            file.write_all(&encode(row.revision.0, &[Op::Put(key.clone(), row.value.clone())]))?;
        }
        file.write_all(&encode(self.revision, &[]))?;
        file.sync_all()?;
        fs::rename(new, path)?;
        sync_directory(path)?;
        self.end = file.metadata()?.len();
        self.file = file;
        Ok(())
    }

    /// Cuts off the last batches.
    fn forget_newest(&mut self) -> io::Result<()> {
        let mut rest = Vec::new();
        self.file.read_to_end(&mut rest)?;
        let (mut entries, mut ends) = (rest.as_slice(), vec![0]);
        while decode(&mut entries).is_some() {
            ends.push((rest.len() - entries.len()) as u64);
        }
        self.file.set_len(ends.iter().rev().nth(LOST_LEN).copied().unwrap_or_default())
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        open_here().remove(&self.path);
    }
}

/// The logs that only this process knows to be open.
fn open_here() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    static OPEN_HERE: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());
    OPEN_HERE.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Log({:?})", self.fault)
    }
}

fn open_file(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
    sync_directory(path)?;
    Ok(file)
}

fn sync_directory(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all())
}

fn apply(rows: &mut BTreeMap<Key, Versioned>, revision: RowRevision, ops: &[Op]) {
    for op in ops {
        match op {
            Op::Put(key, value) => rows.insert(key.clone(), Versioned { value: value.clone(), revision }),
            Op::Delete(key) => rows.remove(key),
        };
    }
}

/// The length and a checksum of what follows: the revision and the operations.
fn encode(revision: u64, ops: &[Op]) -> Vec<u8> {
    let mut body = revision.to_be_bytes().to_vec();
    for op in ops {
        let (tag, value) = match op {
            Op::Put(_, value) => (1, value.as_slice()),
            Op::Delete(_) => (0, [].as_slice()),
        };
        body.push(tag);
        for bytes in [op.key().as_bytes(), value] {
            body.extend(u32::try_from(bytes.len()).expect("a batch is small").to_be_bytes());
            body.extend(bytes);
        }
    }
    [(body.len() as u64).to_be_bytes().as_slice(), &checksum(&body), &body].concat()
}

/// Takes one whole batch off the front.
fn decode(entries: &mut &[u8]) -> Option<(u64, Vec<Op>)> {
    let (head, rest) = entries.split_at_checked(16)?;
    let (len, check) = head.split_at(8);
    let len = usize::try_from(u64::from_be_bytes(len.try_into().ok()?)).ok()?;
    let (body, rest) = rest.split_at_checked(len)?;
    if checksum(body) != check {
        return None;
    }
    let (revision, mut body) = body.split_at_checked(8)?;
    let mut ops = Vec::new();
    while let Some((&tag, after)) = body.split_first() {
        body = after;
        let (key, value) = (Key::from(field(&mut body)?), field(&mut body)?);
        ops.push(if tag == 1 { Op::Put(key, value.to_vec()) } else { Op::Delete(key) });
    }
    *entries = rest;
    Some((u64::from_be_bytes(revision.try_into().ok()?), ops))
}

fn field<'a>(body: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (len, rest) = body.split_at_checked(4)?;
    let len = u32::from_be_bytes(len.try_into().ok()?) as usize;
    let (bytes, rest) = rest.split_at_checked(len)?;
    *body = rest;
    Some(bytes)
}

/// FNV-1a over words, for the end of a file that was cut off.
fn checksum(bytes: &[u8]) -> [u8; 8] {
    let fold = |sum: u64, chunk: &[u8]| {
        let mut word = [0; 8];
        word.iter_mut().zip(chunk).for_each(|(to, from)| *to = *from);
        (sum ^ u64::from_be_bytes(word)).wrapping_mul(0x100_0000_01b3)
    };
    bytes.chunks(8).fold(0xcbf2_9ce4_8422_2325, fold).to_be_bytes()
}

fn unavailable(error: io::Error) -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, "the log could not be read or written").with_source(error)
}

/// How many batches a log loses that writes late or forgets: more than a few steps on a vault make.
const LOST_LEN: usize = 100;

/// Bytes from which a log is rewritten when it is opened, so that hundreds of rounds do not read more and more.
const LONG: u64 = 24 << 20;
