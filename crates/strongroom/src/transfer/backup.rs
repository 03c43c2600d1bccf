//! `backup`: writes a vault to a file while it is in use.

use std::io::Write;

use super::export::Exporter;
use super::file::{
    FileHead, FileId, FrameKind, FrameWriter, SECTION_HEAD_LEN, TenantEnd, Trailer, mac_key, push_row,
    start_rows,
};
use super::section::{Rows, Section, SectionReader, changed};
use super::{Phase, Progress, Reporter};
use crate::engine::Engine;
use crate::engine::head::{SLOTS_MAX, SlotRow};
use crate::engine::restoring::note_of;
use crate::error::{Damage, Error};
use crate::id::{Environment, OrgId};
use crate::keys::{Roots, StoreRow};
use crate::random;
use crate::row::{TenantId, VaultKeys, VaultRow};
use crate::store::{Key, KeyRange, Scan, Store, Versioned};
use crate::verbs::vault::Vault;

/// The contents of a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BackupSummary {
    /// How many rows.
    pub rows: u64,
    /// How many orgs, counting each environment separately.
    pub tenants: u64,
    /// The length of the file.
    pub bytes: u64,
    /// Orgs and environments that were written to throughout the backup: each of their rows is genuine and opens, but
    /// the rows are not all from one moment.
    pub unsettled: Vec<(OrgId, Environment)>,
    /// Orgs of which nothing is in the file, since their restores were unfinished.
    pub unfinished: Vec<OrgId>,
}

impl Vault {
    /// Writes the whole vault to `out`, still sealed, while others read and write. Whatever opens the vault opens the
    /// file. Each org and environment is a snapshot of one moment, except for those in [`BackupSummary::unsettled`];
    /// orgs in [`BackupSummary::unfinished`] are left out. Memory stays constant. `out` is written to on the thread
    /// that polls.
    ///
    /// ```
    /// # strongroom_conformance::with_vault(async |vault| {
    /// use strongroom::{Backup, RawKey, Unlock};
    /// let mut file = Vec::new();
    /// vault.backup(&mut file, |_| ()).await?;
    /// let key = Unlock::raw_key(RawKey::from_bytes([7; 32])); // any key of the vault
    /// let backup = Backup::open(std::io::Cursor::new(file), key).await?;
    /// assert_eq!(backup.store_id(), vault.store_id());
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::BackupFile`] if `out` cannot be written; [`Error::Contended`] if keys changed during the backup, which
    /// then has to be made again; [`Error::Damaged`] for rows that are not a vault's, and if there is no slot that
    /// opens the vault; [`Error::Store`].
    ///
    /// If dropped, the file is of no use, and the vault is unchanged.
    pub async fn backup(
        &self,
        out: impl Write + Send,
        mut progress: impl FnMut(Progress) + Send,
    ) -> Result<BackupSummary, Error> {
        let engine = &*self.engine;
        let mut file_id = FileId::default();
        random::fill(&mut file_id)?;
        // Fail now if the root was rotated elsewhere: no key would open this backup.
        engine.refresh_roots().await?;
        let keys = HeadRows::read(engine).await?;
        let roots = engine.roots.get()?;
        let head = keys.head(engine, &roots, file_id)?;
        let mac = mac_key(&roots.active.bytes, &head.store_id, &file_id);
        let mut frames = FrameWriter::begin(out, mac, file_id)?;
        frames.write(FrameKind::Head, &head.encode())?;

        let mut writer = BackupWriter::new(&*engine.store, frames, Reporter::new(&mut progress, None));
        let (mut rest, mut org_before) = (VaultKeys::tenants(), None);
        while let Some(tenant) = next_tenant(engine, rest.clone()).await? {
            let org = tenant.org;
            // After its first row was seen: a restore that wrote that row is complete, or its note is there.
            if engine.get(note_of(&org)).await?.is_some() {
                writer.unfinished.push(org);
                rest.start = VaultKeys::org(&org).end.unwrap_or_default();
                continue;
            }
            rest.start = tenant.all().end.unwrap_or_default();
            // Notes belong to all environments of the org, and are written with the first one.
            let notes = (org_before.replace(org) != Some(org)).then(|| VaultKeys::exports(&org));
            writer.tenant(&tenant, notes, &mut RowForm::AsItIs).await?;
        }
        // If a slot or root changed meanwhile, the vault's present keys would not open the file. The rest of the
        // `store` row may change: a mark that advances, or the note of a shred.
        let now = HeadRows::read(engine).await?;
        if now != keys && now.head(engine, &roots, file_id)?.slots != head.slots {
            return Err(Error::Contended(1));
        }
        writer.finish()
    }
}

/// The form of rows in a file.
pub(super) enum RowForm {
    AsItIs,
    /// Under the keys of the file.
    Exported(Box<Exporter>),
}

impl RowForm {
    async fn of(&mut self, rows: Rows) -> Result<Vec<(Key, Vec<u8>)>, Error> {
        match self {
            Self::AsItIs => Ok(rows.into_iter().map(|(key, row)| (key, row.value)).collect()),
            Self::Exported(exporter) => exporter.export(rows).await,
        }
    }
}

/// The rows that lead to the root key, read in one snapshot since they change together.
#[derive(PartialEq, Eq)]
struct HeadRows {
    slots: Rows,
    store_row: Option<Versioned>,
}

impl HeadRows {
    async fn read(engine: &Engine) -> Result<Self, Error> {
        let scans = [Scan::new(VaultKeys::slots(), SLOTS_MAX)];
        let ([store_row], [slots]) = engine.read(([VaultRow::Store.key()], scans)).await?;
        if slots.more {
            return Err(Error::damaged("the list of key slots", Damage::Inconsistent));
        }
        Ok(Self { slots: slots.rows, store_row })
    }

    /// The head of a file, with only the slots that open the vault: a slot that opens nothing would be an error when
    /// the file is read.
    fn head(&self, engine: &Engine, roots: &Roots, file_id: FileId) -> Result<FileHead, Error> {
        const ROW: &str = "the sealed `store` row";
        let row = self.store_row.as_ref().ok_or_else(|| Error::damaged(ROW, Damage::Missing))?;
        let body = match StoreRow::open(&engine.store_id, &roots.active.key, row) {
            Ok(store_row) => store_row.body,
            // The root was rotated since `refresh_roots`.
            Err(Error::UnknownKey { .. }) => return Err(Error::Contended(1)),
            Err(error) => return Err(error),
        };
        let opens = |(key, row): &&(Key, Versioned)| {
            let slot = SlotRow::decode(&engine.store_id, key, row).slot;
            slot.is_ok_and(|slot| body.held(&slot).is_some())
        };
        let slots: Vec<_> = self.slots.iter().filter(opens).map(|(_, row)| row.value.clone()).collect();
        if slots.is_empty() {
            return Err(Error::damaged("the key slot", Damage::Missing));
        }
        Ok(FileHead {
            file_id,
            store_id: engine.store_id,
            created_at: engine.now(),
            engine: env!("CARGO_PKG_VERSION").to_owned(),
            slots,
            store_row: Some(row.value.clone()),
        })
    }
}

/// The tenant of the first row in `rest`.
pub(super) async fn next_tenant(engine: &Engine, rest: KeyRange) -> Result<Option<TenantId>, Error> {
    let page = engine.scan(rest, 1).await?;
    let Some((key, _)) = page.rows.first() else { return Ok(None) };
    TenantId::of_key(key).map(Some).ok_or_else(|| Error::damaged("the key of a row", Damage::Malformed))
}

/// Writes tenants to a backup file.
pub(super) struct BackupWriter<'r, W> {
    store: &'r dyn Store,
    frames: FrameWriter<W>,
    frames_len: u64,
    report: Reporter<'r>,
    body: Vec<u8>,
    sections_len: u32,
    rows: u64,
    tenants: u64,
    unsettled: Vec<(OrgId, Environment)>,
    unfinished: Vec<OrgId>,
}

/// A section of the tenant that is being written.
struct WrittenSection {
    section: Section,
    number: u32,
    version: u32,
    rows_len: u64,
    holds_keys: bool,
}

impl<'r, W: Write + Send> BackupWriter<'r, W> {
    pub(super) fn new(store: &'r dyn Store, frames: FrameWriter<W>, report: Reporter<'r>) -> Self {
        let body = Vec::with_capacity(FRAME_LEN);
        let (unsettled, unfinished) = (Vec::new(), Vec::new());
        // The head is a frame too.
        let frames_len = 1;
        Self {
            store,
            frames,
            frames_len,
            report,
            body,
            sections_len: 0,
            rows: 0,
            tenants: 0,
            unsettled,
            unfinished,
        }
    }

    /// Writes one tenant, its rows in the given form, and the org's notes that belong with it.
    pub(super) async fn tenant(
        &mut self,
        tenant: &TenantId,
        notes: Option<KeyRange>,
        form: &mut RowForm,
    ) -> Result<(), Error> {
        self.report.enter(Phase::Rows);
        let mut sections = Vec::new();
        let keyrings = tenant.keyrings();
        let rest = KeyRange { start: keyrings.end.clone().unwrap_or_default(), end: tenant.all().end };
        let ranges = [(tenant.jobs(), false), (keyrings, true), (rest, false)];
        for (range, holds_keys) in ranges.into_iter().chain(notes.map(|notes| (notes, false))) {
            let mut reader = SectionReader::new(self.store, range);
            while let Some((section, rows)) = reader.next().await? {
                let number = self.sections_len;
                self.sections_len += 1;
                let mut recorded = WrittenSection { section, number, version: 0, rows_len: 0, holds_keys };
                self.write_section(&mut recorded, rows, form).await?;
                sections.push(recorded);
            }
        }
        let settled = self.settle(&mut sections, form).await?;
        let end = TenantEnd { org: tenant.org, environment: tenant.environment.clone(), settled };
        self.write_frame(FrameKind::TenantEnd, &end.encode())?;
        self.tenants += 1;
        if !settled {
            self.unsettled.push((end.org, end.environment));
        }
        Ok(())
    }

    /// Reads changed sections again, until two checks in a row find nothing changed: then all rows were as written at
    /// one moment between the two. After [`PASSES_MAX`] passes it gives up on a tenant that is always being written to,
    /// but not before two checks in a row found the keyrings unchanged: so every written row opens under a written key.
    async fn settle(&mut self, sections: &mut [WrittenSection], form: &mut RowForm) -> Result<bool, Error> {
        let (mut still, mut keys_still) = (0, 0);
        for pass in 0..KEY_PASSES_MAX {
            let looked_at: Vec<_> = sections.iter().map(|recorded| recorded.section.clone()).collect();
            let changed = changed(self.store, &looked_at).await?;
            let holds_keys = |index: &usize| sections.get(*index).is_some_and(|recorded| recorded.holds_keys);
            still = if changed.is_empty() { still + 1 } else { 0 };
            keys_still = if changed.iter().any(holds_keys) { 0 } else { keys_still + 1 };
            if still == STILL_PASSES {
                return Ok(true);
            }
            if pass >= PASSES_MAX && keys_still >= STILL_PASSES {
                return Ok(false);
            }
            for index in changed {
                let Some(recorded) = sections.get_mut(index) else { continue };
                let rows = recorded.section.read(self.store).await?;
                recorded.version += 1;
                self.report.enter(Phase::Changes);
                self.write_section(recorded, rows, form).await?;
            }
        }
        Err(Error::Contended(KEY_PASSES_MAX))
    }

    /// Writes the rows of a section. A later version is written even if it has no rows, since it replaces the earlier
    /// one.
    async fn write_section(
        &mut self,
        recorded: &mut WrittenSection,
        rows: Rows,
        form: &mut RowForm,
    ) -> Result<(), Error> {
        let rows = form.of(rows).await?;
        self.rows = self.rows - recorded.rows_len + rows.len() as u64;
        recorded.rows_len = rows.len() as u64;
        let mut body = std::mem::take(&mut self.body);
        start_rows(&mut body, recorded.number, recorded.version);
        for (key, row) in &rows {
            push_row(&mut body, key.as_bytes(), row);
            if body.len() >= FRAME_LEN {
                self.write_frame(FrameKind::Rows, &body)?;
                start_rows(&mut body, recorded.number, recorded.version);
            }
        }
        if body.len() > SECTION_HEAD_LEN || recorded.version > 0 {
            self.write_frame(FrameKind::Rows, &body)?;
        }
        self.body = body;
        self.report.advance(rows.len());
        Ok(())
    }

    fn write_frame(&mut self, kind: FrameKind, body: &[u8]) -> Result<(), Error> {
        self.frames_len += 1;
        self.frames.write(kind, body)
    }

    pub(super) fn finish(mut self) -> Result<BackupSummary, Error> {
        let trailer = Trailer { frames: self.frames_len, rows: self.rows };
        self.frames.write(FrameKind::Trailer, &trailer.encode())?;
        let bytes = self.frames.finish()?;
        let Self { rows, tenants, unsettled, unfinished, .. } = self;
        Ok(BackupSummary { rows, tenants, bytes, unsettled, unfinished })
    }
}

/// A frame is written once it has this length.
const FRAME_LEN: usize = 256 << 10;
/// How many consecutive checks must find nothing changed. One is not enough: it reads section by section, so a change
/// may happen behind it.
const STILL_PASSES: u32 = 2;
/// How often changes are read again before a tenant counts as always being written to.
const PASSES_MAX: u32 = 16;
const KEY_PASSES_MAX: u32 = 64;
