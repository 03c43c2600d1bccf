//! A backup file, opened and checked to its end before anything of it is used.

use std::fmt;
use std::io::{BufReader, Read, Seek, SeekFrom};

use super::file::{FrameKind, FrameReader, Head, RawFrame, RowsFrame, TenantEnd, Trailer, mac_key};
use crate::clock::Timestamp;
use crate::engine::gate::Gate;
use crate::engine::head::SlotRow;
use crate::envelope::MacKey;
use crate::error::{BackupFault, Error};
use crate::id::{Environment, OrgId};
use crate::keys::{Roots, Slot, Unlock};
use crate::row::VaultRow;
use crate::store::{RowRevision, Versioned};
use crate::verbs::vault::VaultOptions;

/// A backup file that was read to its end and found whole, genuine and in its order.
pub struct Backup<R> {
    input: BufReader<R>,
    pub(super) options: VaultOptions,
    pub(super) head: Head,
    pub(super) roots: Roots,
    mac: MacKey,
    /// The last version of each section.
    versions: Vec<u32>,
    pub(super) rows: u64,
    unsettled: Vec<(OrgId, Environment)>,
}

impl<R: Read + Seek + Send> Backup<R> {
    /// Opens a file with what opened the vault, and checks all of it: every checksum and keyed hash, and that nothing
    /// is missing, moved or added. Nothing is written anywhere.
    ///
    /// ```
    /// # strongroom_conformance::with_vault(async |vault| {
    /// use strongroom::{Backup, BackupFault, Error, RawKey, Unlock};
    /// let junk = std::io::Cursor::new(b"junk");
    /// let opened = Backup::open(junk, Unlock::raw_key(RawKey::generate()?)).await;
    /// assert!(matches!(opened.err(), Some(Error::BadBackup(_))));
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::BadBackup`] says what is wrong with the file; [`Error::WrongKey`] and [`Error::NoSuchSlot`] for a key
    /// that is not its; [`Error::UnknownVersion`] for one of a later release; [`Error::BackupFile`] when it cannot be
    /// read.
    pub async fn open(input: R, unlock: Unlock) -> Result<Self, Error> {
        Self::open_with(input, unlock, VaultOptions::default()).await
    }

    /// [`open`](Self::open), with the options of the vault that comes from it.
    ///
    /// ```
    /// # strongroom_conformance::with_vault(async |vault| {
    /// use strongroom::{Backup, Limits, RawKey, Unlock, VaultOptions};
    /// let mut file = Vec::new();
    /// vault.backup(&mut file, |_| ()).await?;
    /// let key = Unlock::raw_key(RawKey::from_bytes([7; 32])); // any key of the vault
    /// let options = VaultOptions::default().limits(Limits::default().definitions_max(100));
    /// let backup = Backup::open_with(std::io::Cursor::new(file), key, options).await?;
    /// assert_eq!(backup.store_id(), vault.store_id());
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// Those of [`open`](Self::open), and [`Error::KeyDerivation`] for a slot that asks for more than the ceiling.
    pub async fn open_with(input: R, unlock: Unlock, options: VaultOptions) -> Result<Self, Error> {
        let mut input = BufReader::with_capacity(READ_LEN, input);
        input.seek(SeekFrom::Start(0)).map_err(Error::BackupFile)?;
        let mut frames = FrameReader::begin(&mut input)?;
        let first = frames.next()?;
        if first.kind != FrameKind::Head {
            return Err(Error::BadBackup(BackupFault::Altered));
        }
        let head = Head::decode(&first.body)?;
        let slots = vault_head(&head)?;
        let roots = match &head.store_row {
            Some(_) => options.open_roots(&slots, &unlock).await?,
            None => options.open_file_root(&slots, &unlock).await?,
        };
        let mac = mac_key(&roots.active.bytes, &head.store_id, &head.file_id);
        first.check(&mac, &head.file_id)?;
        let checked = check_rest(&mut frames, &mac, &head)?;
        let Checked { versions, rows, unsettled, .. } = checked;
        Ok(Self { input, options, head, roots, mac, versions, rows, unsettled })
    }

    /// The id of the store that the backup is of, as [`Vault::store_id`](crate::Vault::store_id); a backup of one org
    /// has an id of its own.
    #[must_use]
    pub fn store_id(&self) -> String {
        hex::encode(self.head.store_id)
    }

    /// When the backup was begun.
    #[must_use]
    pub fn created_at(&self) -> Timestamp {
        self.head.created_at
    }

    /// How many rows it holds.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The orgs and environments whose rows did not all stand so at one moment: see
    /// [`BackupSummary::unsettled`](crate::BackupSummary::unsettled).
    #[must_use]
    pub fn unsettled(&self) -> &[(OrgId, Environment)] {
        &self.unsettled
    }

    /// Goes through the rows once more.
    pub(super) fn pass(&mut self) -> Result<Pass<'_, R>, Error> {
        self.input.seek(SeekFrom::Start(0)).map_err(Error::BackupFile)?;
        let sequence = FrameReader::begin(&mut self.input)?.sequence();
        Ok(Pass {
            input: &mut self.input,
            sequence,
            mac: &self.mac,
            head: &self.head,
            versions: &self.versions,
        })
    }
}

/// A walk over the frames that count. Each is checked again: the file may have changed since.
pub(super) struct Pass<'b, R> {
    input: &'b mut BufReader<R>,
    sequence: u64,
    mac: &'b MacKey,
    head: &'b Head,
    versions: &'b [u32],
}

/// What comes next in a file.
pub(super) enum Step {
    /// A frame of rows that no later version replaces.
    Rows(RawFrame),
    /// All rows since the last such step are of this tenant.
    TenantEnd(TenantEnd),
    End,
}

/// A place in a file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark {
    position: u64,
    sequence: u64,
}

impl<R: Read + Seek> Pass<'_, R> {
    pub(super) fn next(&mut self) -> Result<Step, Error> {
        loop {
            let mut frames = FrameReader::resume(&mut *self.input, self.sequence);
            let frame = frames.next()?;
            self.sequence = frames.sequence();
            frame.check(self.mac, &self.head.file_id)?;
            match frame.kind {
                FrameKind::Trailer => return Ok(Step::End),
                FrameKind::TenantEnd => return TenantEnd::decode(&frame.body).map(Step::TenantEnd),
                FrameKind::Rows => {
                    let rows = RowsFrame::decode(&frame.body)?;
                    if self.versions.get(rows.section as usize) == Some(&rows.version) {
                        return Ok(Step::Rows(frame));
                    }
                }
                FrameKind::Head => {}
            }
        }
    }

    /// The place of the next frame.
    pub(super) fn mark(&mut self) -> Result<Mark, Error> {
        let position = self.input.stream_position().map_err(Error::BackupFile)?;
        Ok(Mark { position, sequence: self.sequence })
    }

    pub(super) fn rewind(&mut self, mark: Mark) -> Result<(), Error> {
        self.input.seek(SeekFrom::Start(mark.position)).map_err(Error::BackupFile)?;
        self.sequence = mark.sequence;
        Ok(())
    }
}

/// What a first pass has seen.
#[derive(Default)]
struct Checked {
    versions: Vec<u32>,
    /// Rows of each section in its last version.
    rows_of: Vec<u64>,
    rows: u64,
    unsettled: Vec<(OrgId, Environment)>,
}

impl Checked {
    fn take_rows(&mut self, body: &[u8]) -> Result<(), Error> {
        let frame = RowsFrame::decode(body)?;
        let index = frame.section as usize;
        // Sections are numbered as they come, but for those without a row.
        if index >= self.versions.len() {
            if index - self.versions.len() > SECTIONS_SKIPPED_MAX {
                return Err(Error::BadBackup(BackupFault::Altered));
            }
            self.versions.resize(index + 1, 0);
            self.rows_of.resize(index + 1, 0);
        }
        let (Some(version), Some(rows)) = (self.versions.get_mut(index), self.rows_of.get_mut(index)) else {
            return Err(Error::BadBackup(BackupFault::Altered));
        };
        if frame.version < *version {
            return Err(Error::BadBackup(BackupFault::Altered));
        }
        if frame.version > *version {
            *version = frame.version;
            *rows = 0;
        }
        *rows += frame.rows().count() as u64;
        Ok(())
    }
}

fn check_rest(frames: &mut FrameReader<impl Read>, mac: &MacKey, head: &Head) -> Result<Checked, Error> {
    let mut checked = Checked::default();
    let mut frames_len = 1;
    loop {
        let frame = frames.next()?;
        frame.check(mac, &head.file_id)?;
        match frame.kind {
            FrameKind::Rows => checked.take_rows(&frame.body)?,
            FrameKind::TenantEnd => {
                let end = TenantEnd::decode(&frame.body)?;
                if !end.settled {
                    checked.unsettled.push((end.org, end.environment));
                }
            }
            FrameKind::Trailer => {
                let trailer = Trailer::decode(&frame.body)?;
                checked.rows = checked.rows_of.iter().sum();
                if trailer != (Trailer { frames: frames_len, rows: checked.rows }) || !frames.is_at_end()? {
                    return Err(Error::BadBackup(BackupFault::Altered));
                }
                return Ok(checked);
            }
            FrameKind::Head => return Err(Error::BadBackup(BackupFault::Altered)),
        }
        frames_len += 1;
    }
}

/// The head of a file, as a store would answer it.
fn vault_head(head: &Head) -> Result<crate::engine::head::Head, Error> {
    let versioned = |row: &Vec<u8>| Versioned { value: row.clone(), revision: RowRevision(0) };
    let slots = head.slots.iter().map(|row| {
        let slot = Slot::decode(row).map_err(|error| Error::row("the key slot", error))?;
        Ok(SlotRow::decode(&head.store_id, &VaultRow::Slot(slot.place.id).key(), &versioned(row)))
    });
    Ok(crate::engine::head::Head {
        store_id: head.store_id,
        store_row: head.store_row.as_ref().map(versioned),
        slots: slots.collect::<Result<_, Error>>()?,
        gate: Gate::of_header(RowRevision(0), None),
    })
}

impl<R> fmt::Debug for Backup<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let store_id = hex::encode(self.head.store_id);
        f.debug_struct("Backup")
            .field("store_id", &store_id)
            .field("rows", &self.rows)
            .finish_non_exhaustive()
    }
}

const READ_LEN: usize = 64 << 10;
/// Tenants without a job or a keyring leave numbers out, three in a row at most, unless versions fill them later.
const SECTIONS_SKIPPED_MAX: usize = 1 << 20;
