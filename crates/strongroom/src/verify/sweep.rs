//! Deletes rows that nothing uses, or that nobody can read, and writes again what follows from others.

use std::collections::BTreeSet;
use std::slice;
use std::sync::Arc;

use super::report::{Swept, VerifyReport};
use super::tenant_check::TenantCheck;
use super::vault_rows;
use crate::engine::{Engine, Touches};
use crate::error::Error;
use crate::id::{DefinitionId, DefinitionName, DocumentId};
use crate::model::{AuditChange, DefinitionRef, EventKind};
use crate::row::{
    Row, RowPath, Subject, TenantId, TenantRow, decode_index, encode_epoch, encode_index, encode_note,
};
use crate::store::{Expect, Key, RowRevision, WriteBatch};
use crate::tenant::job::SHRED_JOB;
use crate::tenant::{Attempt, Draft, Freshness, GRANDFATHERED, Needs, Tenant};
use crate::verbs::vault::Vault;

impl Vault {
    /// Deletes the rows that a report shows as [stray](super::Finding::is_stray), and returns how many: keys that no
    /// vault has, index rows that lead nowhere or to something else, and of the audit, heads of chains and events dated
    /// in the future that cannot be read. A row that has changed since the report stays.
    ///
    /// Each that goes is noted in the audit of its org, in the same batch. So those of the audit itself stay in a vault
    /// without one: nobody hides an event by damaging it and having it swept.
    ///
    /// ```
    /// # strongroom_conformance::with_vault(async |vault| {
    /// let report = vault.verify().await?;
    /// assert_eq!(vault.sweep_stray(&report).await?, 0);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::UnknownKey`] and the like if an org's keys cannot be read, and [`Error::Locked`]:
    /// the rows of other orgs are swept first. [`Error::Store`]: what was deleted before stays so.
    ///
    /// # Cancellation
    /// Dropped, some of the rows are gone: call it again with a new report.
    pub async fn sweep_stray(&self, report: &VerifyReport) -> Result<u64, Error> {
        sweep(&self.engine, report, Swept::Stray).await
    }

    /// Deletes the rows that a report shows as [unreadable](super::Finding::is_unreadable), and returns how many. What
    /// was in them is lost, and so is a task whose job it was: verify again, since what an interrupted delete left is
    /// found then. What keeps something out stays, since it would be let in again: the note that the vault moved, the
    /// job of an org's shred while the org has no key, and which sessions and lines of API keys were ended.
    ///
    /// Each row of an org is noted in its audit, as with [`sweep_stray`](Self::sweep_stray).
    ///
    /// ```
    /// # strongroom_conformance::with_vault(async |vault| {
    /// let report = vault.verify().await?;
    /// assert_eq!(vault.sweep_unreadable(&report).await?, 0);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// Those of `sweep_stray`.
    ///
    /// # Cancellation
    /// As for `sweep_stray`.
    pub async fn sweep_unreadable(&self, report: &VerifyReport) -> Result<u64, Error> {
        sweep(&self.engine, report, Swept::Unreadable).await
    }

    /// Writes again what a report shows as [mendable](super::Finding::is_mendable): index rows that lead to a value or
    /// definition, the mark of a value, and the note that an org was backed up under another key. Returns for how many
    /// rows. It deletes nothing, and what has changed since the report stays as it is.
    ///
    /// ```
    /// # strongroom_conformance::with_vault(async |vault| {
    /// let report = vault.verify().await?;
    /// assert_eq!(vault.mend(&report).await?, 0);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// Those of `sweep_stray`.
    ///
    /// # Cancellation
    /// Dropped, some of it is written: call it again with a new report.
    pub async fn mend(&self, report: &VerifyReport) -> Result<u64, Error> {
        sweep(&self.engine, report, Swept::Mended).await
    }
}

/// Sweeps the rows of one kind. Returns how many.
async fn sweep(engine: &Arc<Engine>, report: &VerifyReport, kind: Swept) -> Result<u64, Error> {
    let of_kind = report.findings.iter().filter_map(|found| found.swept.as_ref());
    let of_kind = of_kind.filter(|(swept, ..)| *swept == kind).map(|(_, key, read)| (key, *read));
    let mut swept = 0;
    // Under an outdated root, jobs look as if nobody could read them.
    engine.refresh_roots().await?;
    let mut left = None;
    // One row may have several findings.
    for (key, read) in of_kind.collect::<BTreeSet<_>>() {
        match sweep_row(engine, key, read, kind).await {
            Ok(is_swept) => swept += u64::from(is_swept),
            // What it belongs to was deleted meanwhile.
            Err(Error::DefinitionNotFound(_)) => {}
            // Returned at the end: one row, or one org, must not keep the others from being swept.
            Err(error) if error.is_of_one_job() || matches!(error, Error::Locked) => {
                left.get_or_insert(error);
            }
            Err(error) => return Err(error),
        }
    }
    left.map_or(Ok(swept), Err)
}

/// Sweeps a row that is still as the report has it. `false` if it stays.
async fn sweep_row(engine: &Arc<Engine>, key: &Key, read: RowRevision, kind: Swept) -> Result<bool, Error> {
    if !is_still_swept(engine, key, read, kind).await? {
        return Ok(false);
    }
    match kind {
        Swept::Mended => mend_one(engine, key, read).await,
        Swept::Stray | Swept::Unreadable => sweep_one(engine, key, read, kind).await,
    }
}

/// Whether a row is as the report has it, and still swept in this way: it may open by now, with other keys.
async fn is_still_swept(
    engine: &Arc<Engine>,
    key: &Key,
    read: RowRevision,
    kind: Swept,
) -> Result<bool, Error> {
    let moment = engine.caches.moment();
    let row = engine.get(key.clone()).await?;
    let Some(row) = row.filter(|row| row.revision == read) else { return Ok(false) };
    let checked = match TenantId::of_key(key) {
        Some(id) => {
            let mut check = TenantCheck::new(Arc::new(Tenant::of(Arc::clone(engine), id)), moment);
            // Only this row.
            (check.counted, check.audited) = (true, true);
            check.check_rows(&[(key.clone(), row)]).await?
        }
        None => {
            let checked = vault_rows::check(engine, key, &row, moment).await?;
            checked.map(|checked| checked.read_as(key, &row, engine.now())).into_iter().collect()
        }
    };
    Ok(checked.iter().any(|checked| matches!(&checked.swept, Some((swept, ..)) if *swept == kind)))
}

/// Deletes a row as it was read. `false` if it stays.
async fn sweep_one(engine: &Arc<Engine>, key: &Key, read: RowRevision, kind: Swept) -> Result<bool, Error> {
    let Some(id) = TenantId::of_key(key) else { return delete(engine, key, read).await };
    let tenant = Tenant::of(Arc::clone(engine), id);
    let place = tenant.id.parse_row(key.as_bytes());
    let (view, [row]) = tenant.read(&Needs::org_keys().freshness(Freshness::Fresh), [key.clone()]).await?;
    let Some(row) = row.filter(|row| row.revision == read) else { return Ok(false) };
    let leads_on = match &place {
        Some(TenantRow::ValueId(id)) => {
            let target = decode_index(&row.value).ok().and_then(|target| tenant.id.parse_value(target));
            match target {
                Some((scope, definition)) => {
                    is_meant(&tenant, &Subject::value(&scope, &definition), Some(id)).await?
                }
                None => false,
            }
        }
        Some(TenantRow::DefinitionValue(definition, scope)) => {
            is_meant(&tenant, &Subject::value(scope, definition), None).await?
        }
        _ => false,
    };
    if leads_on {
        return Ok(false);
    }
    // Without keys there is no audit to note it in, and a note would make some.
    if view.keys(None).is_none() || view.is_shredded() {
        // A shred has dropped them since the check, and may need this row.
        let is_shred = matches!(&place, Some(TenantRow::Job(id)) if *id == SHRED_JOB);
        return if is_shred { Ok(false) } else { delete(engine, key, read).await };
    }
    let mut draft = Draft::new(&tenant, &view);
    draft.makes_room();
    let of_audit = matches!(place, Some(TenantRow::Event(_) | TenantRow::ChainHead(_)));
    if of_audit && !draft.is_audited() {
        return Ok(false);
    }
    let event = if of_audit { EventKind::AuditTrimmed } else { EventKind::VaultOperated };
    let path = place.map_or(RowPath::foreign(None), |place| Row::Tenant(&tenant.id, place).path());
    let path = RowPath { org: None, environment: None, ..path };
    let as_what = if kind == Swept::Stray { "stray" } else { "unreadable" };
    draft.note(|| AuditChange {
        name: Some(format!("deleted as {as_what}: {path}")),
        ..AuditChange::new(event)
    });
    draft.delete_counted(key.clone(), &row);
    Ok(matches!(draft.commit().await?, Attempt::Landed(_)))
}

/// Writes what is missing beside a row that is as it was read. `false` if it is not.
async fn mend_one(engine: &Arc<Engine>, key: &Key, read: RowRevision) -> Result<bool, Error> {
    // Of the rows of the whole store, only a note of a backup, whose key says all but the time.
    let Some(id) = TenantId::of_key(key) else {
        return replace(engine, key, read, encode_note(&NO_TIME)).await;
    };
    let tenant = Tenant::of(Arc::clone(engine), id);
    let Some(place) = tenant.id.parse_row(key.as_bytes()) else { return Ok(false) };
    let (scope, definition) = match &place {
        TenantRow::Value(scope, id) | TenantRow::Deleted(Subject::Value(scope, id)) => (scope, id),
        TenantRow::Definition(id) => return mend_name(&tenant, *id).await,
        TenantRow::Epoch | TenantRow::Generation => return replace(engine, key, read, encode_epoch()).await,
        _ => return Ok(false),
    };
    let (accounts, ids) = (scope.linked_account(), [*definition]);
    let needs = Needs::org_keys().definitions(&ids).accounts(accounts.as_slice()).freshness(Freshness::Fresh);
    let (view, [row]) = tenant.read(&needs, [key.clone()]).await?;
    let Some(row) = row.filter(|row| row.revision == read) else { return Ok(false) };
    let Some(Some(known)) = view.definitions.first() else { return Ok(false) };
    let mut draft = Draft::new(&tenant, &view);
    draft.expect_as_read(key.clone(), Some(read));
    draft.expect_definition(known);
    let mut mark: &[u8] = &[];
    if matches!(place, TenantRow::Value(..)) {
        let Some(value) = tenant.open_value(&view, scope, definition, &row)? else { return Ok(false) };
        draft.put(tenant.id.value_id(&value.id).key(), encode_index(key.as_bytes()));
        if tenant.broken_rule(&known.stored, &value).is_some() {
            mark = GRANDFATHERED;
        }
    }
    draft.put(tenant.id.definition_value(definition, scope).key(), encode_index(mark));
    draft.spare_later_indexes().await?;
    Ok(matches!(draft.commit().await?, Attempt::Landed(_)))
}

/// Leads from the name of a definition to it, unless another one has the name.
async fn mend_name(tenant: &Tenant, id: DefinitionId) -> Result<bool, Error> {
    let reference = DefinitionRef::Id(id);
    let known = tenant.definition(&reference).await?;
    let name: DefinitionName = known.stored.definition.name.parse()?;
    let (view, page) =
        tenant.read(&Needs::org_keys().freshness(Freshness::Fresh), tenant.scan_of_definitions()).await?;
    let draft = Draft::new(tenant, &view);
    match draft.bearer_of(slice::from_ref(&name), None, page, Freshness::Fresh).await? {
        Some(bearer) if bearer.id == id => Ok(matches!(draft.write_name(bearer).await?, Attempt::Landed(()))),
        _ => Ok(false),
    }
}

/// Whether an index row may still be needed: its value can be read or brought back. Not if the value that is there has
/// another id than the row that should lead to it.
async fn is_meant(tenant: &Tenant, subject: &Subject<'_>, id: Option<&DocumentId>) -> Result<bool, Error> {
    let Subject::Value(scope, definition) = subject else { return Ok(true) };
    let accounts = scope.linked_account();
    let needs = Needs::org_keys().accounts(accounts.as_slice()).freshness(Freshness::Fresh);
    let (view, [row]) = tenant.read(&needs, [tenant.id.value(scope, definition).key()]).await?;
    match (row, id) {
        (Some(row), Some(id)) => {
            let opened = tenant.open_value(&view, scope, definition, &row);
            Ok(!matches!(opened, Ok(Some(value)) if value.id != *id))
        }
        (Some(_), None) => Ok(true),
        (None, _) => Ok(!tenant.history_to_delete(subject).await?.is_empty()),
    }
}

async fn delete(engine: &Engine, key: &Key, read: RowRevision) -> Result<bool, Error> {
    let mut batch = WriteBatch::default();
    batch.expect(key.clone(), Expect::Revision(read));
    batch.delete(key.clone());
    Ok(engine.commit(batch, Touches::Data).await?.is_some())
}

async fn replace(engine: &Engine, key: &Key, read: RowRevision, row: Vec<u8>) -> Result<bool, Error> {
    let mut batch = WriteBatch::default();
    batch.expect(key.clone(), Expect::Revision(read));
    batch.put(key.clone(), row);
    Ok(engine.commit(batch, Touches::CachedRows).await?.is_some())
}

/// What a note of a backup holds if its time was lost.
const NO_TIME: [u8; 8] = [0; 8];
