//! Deletes the rows that mean nothing to anybody.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::report::VerifyReport;
use crate::engine::{Engine, Touches};
use crate::error::Error;
use crate::id::DocumentId;
use crate::model::{AuditChange, EventKind};
use crate::row::{Row, RowPath, Subject, TenantId, TenantRow, decode_index};
use crate::store::{Expect, Key, RowRevision, WriteBatch};
use crate::tenant::{Attempt, Draft, Freshness, Needs, Tenant};
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
    /// [`Error::Damaged`] and [`Error::UnknownKey`] if an org's keys cannot be read; [`Error::Locked`];
    /// [`Error::Store`]. What was deleted before stays so.
    ///
    /// # Cancellation
    /// Dropped, some of the rows are gone: call it again with a new report.
    pub async fn sweep_stray(&self, report: &VerifyReport) -> Result<u64, Error> {
        // One row may have several findings.
        let rows: BTreeSet<_> = report.findings.iter().filter_map(|found| found.stray.as_ref()).collect();
        let mut swept = 0;
        for (key, read) in rows {
            swept += u64::from(sweep_one(&self.engine, key, *read).await?);
        }
        Ok(swept)
    }
}

/// Deletes a row as it was read. `false` if it stays.
async fn sweep_one(engine: &Arc<Engine>, key: &Key, read: RowRevision) -> Result<bool, Error> {
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
        return delete(engine, key, read).await;
    }
    let mut draft = Draft::new(&tenant, &view);
    let of_audit = matches!(place, Some(TenantRow::Event(_) | TenantRow::ChainHead(_)));
    if of_audit && !draft.is_audited() {
        return Ok(false);
    }
    let kind = if of_audit { EventKind::AuditTrimmed } else { EventKind::VaultOperated };
    let path = place.map_or(RowPath::foreign(None), |place| Row::Tenant(&tenant.id, place).path());
    let path = RowPath { org: None, environment: None, ..path };
    draft.note(|| AuditChange { name: Some(format!("deleted as stray: {path}")), ..AuditChange::new(kind) });
    draft.delete_as_read(key.clone(), read);
    Ok(matches!(draft.commit().await?, Attempt::Landed(_)))
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
