//! A backup file, opened and fully checked before any of it is used.

use std::fmt;
use std::io::{BufReader, Read, Seek, SeekFrom};

use super::file::{FileHead, FrameKind, FrameReader, RawFrame, RowsFrame, TenantEnd, Trailer, mac_key};
use crate::clock::Timestamp;
use crate::engine::head::SlotRow;
use crate::envelope::MacKey;
use crate::error::{BackupFault, Error};
use crate::id::{Environment, OrgId};
use crate::keys::{Roots, Slot, Unlock};
use crate::row::VaultRow;
use crate::store::{RowRevision, Versioned};
use crate::verbs::vault::VaultOptions;

/// A backup file that was read to its end and found complete, genuine and in order.
pub struct Backup<R> {
    input: BufReader<R>,
    pub(super) options: VaultOptions,
    pub(super) head: FileHead,
    pub(super) roots: Roots,
    mac: MacKey,
    /// The latest version of each section.
    versions: Vec<u32>,
    pub(super) rows: u64,
    unsettled: Vec<(OrgId, Environment)>,
}

impl<R: Read + Seek + Send> Backup<R> {
    /// Opens a file with a key of the vault and checks all of it: every checksum and keyed hash, and that nothing is
    /// missing, moved or added. It writes nothing anywhere.
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
    /// [`Error::BadBackup`] if the file is not a valid backup, with the reason; [`Error::WrongKey`] or
    /// [`SlotError::NoneOfThisKind`](crate::SlotError::NoneOfThisKind) if the key does not open it;
    /// [`Error::UnknownVersion`] if a later release wrote it; [`Error::BackupFile`] if it cannot be read.
    pub async fn open(input: R, unlock: Unlock) -> Result<Self, Error> {
        Self::open_with(input, unlock, VaultOptions::default()).await
    }

    /// [`open`](Self::open), with options for the vault that is restored from it. An expected id, root or mark is that
    /// of the file's vault. A file from before the mark is accepted, since a backup is older than its vault.
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
    /// Those of [`open`](Self::open), [`WrongStore::OtherVault`](crate::WrongStore::OtherVault) for a file of another
    /// vault than the expected one, and [`Error::KeyDerivation`] if a slot asks for more than the ceiling.
    pub async fn open_with(input: R, unlock: Unlock, mut options: VaultOptions) -> Result<Self, Error> {
        let mut input = BufReader::with_capacity(READ_LEN, input);
        input.seek(SeekFrom::Start(0)).map_err(Error::BackupFile)?;
        let mut frames = FrameReader::begin(&mut input)?;
        let first = frames.next()?;
        if first.kind != FrameKind::Head {
            return Err(Error::BadBackup(BackupFault::Altered));
        }
        let head = FileHead::decode(&first.body)?;
        let slots = vault_head(&head)?;
        options.refuse_file_of_other(&head.store_id, None)?;
        let roots = match &head.store_row {
            Some(_) => {
                let (roots, slot) = slots.open_roots(&unlock, &options.argon2_bounds()).await?;
                // The settings of the backup apply, whoever restores it: an audit must not end with a restore.
                options.settings = slots.open_store_row(&roots.active.key)?.body.settings()?;
                options.keep(unlock, slot);
                roots
            }
            None => options.open_file_root(&slots, &unlock).await?,
        };
        let mac = mac_key(&roots.active.bytes, &head.store_id, &head.file_id);
        first.check(&mac, &head.file_id)?;
        options.refuse_file_of_other(&head.store_id, Some(roots.active.key.id()))?;
        let checked = check_rest(&mut frames, &mac, &head)?;
        let Checked { versions, rows, unsettled, .. } = checked;
        Ok(Self { input, options, head, roots, mac, versions, rows, unsettled })
    }

    /// The id of the store that was backed up, as [`Vault::store_id`](crate::Vault::store_id); a backup of one org
    /// has an id of its own.
    #[must_use]
    pub fn store_id(&self) -> String {
        hex::encode(self.head.store_id)
    }

    /// When the backup was started.
    #[must_use]
    pub fn created_at(&self) -> Timestamp {
        self.head.created_at
    }

    /// How many rows it holds.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The orgs and environments whose rows are not all from one moment: see
    /// [`BackupSummary::unsettled`](crate::BackupSummary::unsettled).
    #[must_use]
    pub fn unsettled(&self) -> &[(OrgId, Environment)] {
        &self.unsettled
    }

    /// Reads the rows again, from the start.
    pub(super) fn reader(&mut self) -> Result<BackupReader<'_, R>, Error> {
        self.input.seek(SeekFrom::Start(0)).map_err(Error::BackupFile)?;
        let sequence = FrameReader::begin(&mut self.input)?.sequence();
        Ok(BackupReader {
            input: &mut self.input,
            sequence,
            mac: &self.mac,
            head: &self.head,
            versions: &self.versions,
        })
    }
}

/// Reads the latest version of each section. Each frame is verified again: the file may have changed since it was
/// opened.
pub(super) struct BackupReader<'b, R> {
    input: &'b mut BufReader<R>,
    sequence: u64,
    mac: &'b MacKey,
    head: &'b FileHead,
    versions: &'b [u32],
}

/// The next part of a file.
pub(super) enum BackupPart {
    /// Rows that no later version of their section replaces.
    Rows(RawFrame),
    /// All rows since the previous such part belong to this tenant.
    TenantEnd(TenantEnd),
    End,
}

/// A position in a file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Position {
    offset: u64,
    sequence: u64,
}

impl<R: Read + Seek> BackupReader<'_, R> {
    pub(super) fn next(&mut self) -> Result<BackupPart, Error> {
        loop {
            let mut frames = FrameReader::resume(&mut *self.input, self.sequence);
            let frame = frames.next()?;
            self.sequence = frames.sequence();
            frame.check(self.mac, &self.head.file_id)?;
            match frame.kind {
                FrameKind::Trailer => return Ok(BackupPart::End),
                FrameKind::TenantEnd => return TenantEnd::decode(&frame.body).map(BackupPart::TenantEnd),
                FrameKind::Rows => {
                    let rows = RowsFrame::decode(&frame.body)?;
                    if self.versions.get(rows.section as usize) == Some(&rows.version) {
                        return Ok(BackupPart::Rows(frame));
                    }
                }
                FrameKind::Head => {}
            }
        }
    }

    /// The position of the next frame.
    pub(super) fn position(&mut self) -> Result<Position, Error> {
        let offset = self.input.stream_position().map_err(Error::BackupFile)?;
        Ok(Position { offset, sequence: self.sequence })
    }

    pub(super) fn rewind(&mut self, to: Position) -> Result<(), Error> {
        self.input.seek(SeekFrom::Start(to.offset)).map_err(Error::BackupFile)?;
        self.sequence = to.sequence;
        Ok(())
    }
}

/// What the first reading of a file found.
#[derive(Default)]
struct Checked {
    versions: Vec<u32>,
    /// The number of rows in the latest version of each section.
    rows_of: Vec<u64>,
    rows: u64,
    unsettled: Vec<(OrgId, Environment)>,
}

impl Checked {
    fn take_rows(&mut self, body: &[u8]) -> Result<(), Error> {
        let frame = RowsFrame::decode(body)?;
        let index = frame.section as usize;
        // Sections are numbered in order, but one without rows is not written until a later version has some. The bound
        // keeps a forged number from allocating without limit.
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

fn check_rest(frames: &mut FrameReader<impl Read>, mac: &MacKey, head: &FileHead) -> Result<Checked, Error> {
    let mut checked = Checked::default();
    // The head is a frame too.
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

/// The head of a file, in the form of a store's head.
fn vault_head(head: &FileHead) -> Result<crate::engine::head::Head, Error> {
    let versioned = |row: &Vec<u8>| Versioned { value: row.clone(), revision: RowRevision(0) };
    let slots = head.slots.iter().map(|row| {
        let slot = Slot::decode(row).map_err(|error| Error::row("the key slot", error))?;
        Ok(SlotRow::decode(&head.store_id, &VaultRow::Slot(slot.place.id).key(), &versioned(row)))
    });
    Ok(crate::engine::head::Head {
        store_id: head.store_id,
        store_row: head.store_row.as_ref().map(versioned),
        slots: slots.collect::<Result<_, Error>>()?,
        header: RowRevision(0),
        is_retired: false,
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
/// Tenants without jobs or keyrings skip numbers, at most three in a row, unless later versions fill them.
const SECTIONS_SKIPPED_MAX: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transfer::file::start_rows;

    #[test]
    fn a_section_skips_so_many_numbers_at_most() {
        let most = u32::try_from(SECTIONS_SKIPPED_MAX).unwrap();
        for (section, is_taken) in [(0, true), (most, true), (most + 1, false), (u32::MAX, false)] {
            for known in [0, 9] {
                let mut checked =
                    Checked { versions: vec![0; known], rows_of: vec![0; known], ..Checked::default() };
                let (mut body, known) = (Vec::new(), u32::try_from(known).unwrap());
                start_rows(&mut body, section.saturating_add(known), 0);
                assert_eq!(checked.take_rows(&body).is_ok(), is_taken, "section {section} after {known}");
            }
        }
    }
}
