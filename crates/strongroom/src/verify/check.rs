//! Checks one row of a tenant, by itself and against its related rows.

use std::sync::Arc;

use super::related::RelatedRows;
use super::report::{Cause, Index, Parent};
use super::state::{CheckedRow, RowId, RowState};
use super::tenant_check::{FoundDefinition, FoundKeys, TenantCheck};
use crate::engine::ATTEMPTS_MAX;
use crate::error::{Damage, Error};
use crate::id::{
    AppId, CredentialKey, DefinitionId, DefinitionName, DocumentId, LinkedAccountId, Namespace, RecordKey,
};
use crate::keys::ScopeKeys;
use crate::model::{EventId, ScopedValue, Version};
use crate::row::{
    LATER_VERSION, Row, RowError, RowKind, SealedRow, Subject, TenantRow, decode_index, encode_epoch,
    row_body,
};
use crate::scope::Scope;
use crate::store::{Key, Scan, Versioned};
use crate::tenant::job::SHRED_JOB;
use crate::tenant::{GRANDFATHERED, View, check_stored_definition};

/// The keys of a scope; returns the row's state if they are unavailable.
macro_rules! keys_or_return {
    ($check:expr, $owner:expr, $related:expr) => {
        match $check.keys($owner, $related) {
            FoundKeys::Open(keys) => keys,
            FoundKeys::Missing => return RowState::NoKeyring($owner.cloned()),
            FoundKeys::Unreadable(cause) => return RowState::NoKeys($owner.cloned(), cause),
        }
    };
}

impl TenantCheck {
    /// Checks a row against the related rows that were read with it.
    pub(super) fn check(
        &mut self,
        place: Option<&TenantRow<'_>>,
        row: &Versioned,
        related: &RelatedRows,
    ) -> RowState {
        self.written_at = None;
        let Some(place) = place else { return RowState::bad(Cause::Foreign) };
        let stays = matches!(
            place,
            TenantRow::Epoch | TenantRow::Generation | TenantRow::Job(_) | TenantRow::Keyring(_)
        );
        // The shred of the whole org has yet to reach this row; nothing else that is wrong with it matters.
        if related.jobs.shreds() && !stays {
            return RowState::Leftover;
        }
        match place {
            TenantRow::Epoch | TenantRow::Generation if row.value == encode_epoch() => RowState::Fine,
            TenantRow::Epoch | TenantRow::Generation => {
                let error = row_body(RowKind::Epoch, &row.value).err().unwrap_or(RowError::Malformed);
                RowState::bad(Cause::of(Error::row("", error)))
            }
            TenantRow::Job(id) => state_of(self.tenant.open_job(id, row)),
            TenantRow::Keyring(owner) => self.check_keyring(owner.as_deref(), row, related),
            TenantRow::Definition(id) => self.check_definition_row(*id, row, related),
            TenantRow::DefinitionName(name) => self.check_name(name, row, related),
            TenantRow::DefinitionValue(id, scope) => {
                let keys = &self.tenant.id;
                let deleted = keys.deleted(&Subject::value(scope, id));
                self.check_index(&[keys.value(scope, id), deleted], row, related)
            }
            TenantRow::Value(scope, definition) => self.check_value(scope, *definition, row, related),
            TenantRow::ValueId(id) => check_value_id(id, row, related),
            TenantRow::Account(account) => self.check_account(account, row, related),
            TenantRow::Integration(account, app) => self.check_integration(account, app, row, related),
            TenantRow::Credential(account, app, key_name) => {
                self.check_credential((account, app, key_name), row, related)
            }
            TenantRow::Record(namespace, key) => self.check_record(namespace, key, row, related),
            TenantRow::Event(id) => self.check_event(id, row, related),
            TenantRow::AuditHead => {
                let org = keys_or_return!(self, None::<&LinkedAccountId>, related);
                let view = self.tenant.view_of(Some(org), &[], None);
                state_of_opened(self.tenant.open_audit_head(&view, row))
            }
            TenantRow::ChainHead(chain) => {
                let org = keys_or_return!(self, None::<&LinkedAccountId>, related);
                let view = self.tenant.view_of(Some(org), &[], None);
                state_of_opened(self.tenant.open_chain_head(&view, *chain, row))
            }
            TenantRow::AuditFloor => {
                let org = keys_or_return!(self, None::<&LinkedAccountId>, related);
                let view = self.tenant.view_of(Some(org), &[], None);
                state_of_opened(self.tenant.open_audit_floor(&view, row))
            }
            TenantRow::Former(subject, _) | TenantRow::Deleted(subject) => {
                self.check_past(place, subject, row, related)
            }
            // `count_definitions` checks it against all definitions.
            TenantRow::Count => RowState::Fine,
        }
    }

    /// The keys of an account are dropped with those of its org, by a job of the shred.
    fn check_keyring(
        &mut self,
        owner: Option<&LinkedAccountId>,
        row: &Versioned,
        related: &RelatedRows,
    ) -> RowState {
        let keys = match self.open_keys(owner, row) {
            Ok(keys) => keys,
            Err(error) => return RowState::bad(Cause::of(error)),
        };
        let is_shredded = |keys: &ScopeKeys| keys.keyring.active().is_none();
        match self.keys(None, related) {
            FoundKeys::Open(org)
                if is_shredded(&org) && !is_shredded(&keys) && !related.jobs.has(SHRED_JOB.as_bytes()) =>
            {
                RowState::bad(Cause::NoJob)
            }
            _ => RowState::Fine,
        }
    }

    fn check_credential(
        &mut self,
        address: (&LinkedAccountId, &AppId, &CredentialKey),
        row: &Versioned,
        related: &RelatedRows,
    ) -> RowState {
        let (account, app, _) = address;
        let org = keys_or_return!(self, None::<&LinkedAccountId>, related);
        let keys = keys_or_return!(self, Some(account), related);
        // Its own keys seal it, but the rows above it are under the org's.
        let owner = [account];
        let view = self.tenant.view_of(Some(org), &owner, Some(keys));
        match self.tenant.open_credential(&view, address, row) {
            Ok(Some(credential)) => {
                self.written_at = Some(credential.info.updated_at);
                self.check_parent(&view, account, app, related)
            }
            opened => state_of_opened(opened),
        }
    }

    fn check_record(
        &mut self,
        namespace: &Namespace,
        key: &RecordKey,
        row: &Versioned,
        related: &RelatedRows,
    ) -> RowState {
        let org = keys_or_return!(self, None::<&LinkedAccountId>, related);
        let view = self.tenant.view_of(Some(org), &[], None);
        let opened = self.tenant.open_record(&view, namespace, key, row);
        self.written_at = opened.as_ref().ok().and_then(Option::as_ref).map(|record| record.updated_at);
        state_of_opened(opened)
    }

    fn check_event(&mut self, id: &EventId, row: &Versioned, related: &RelatedRows) -> RowState {
        let org = keys_or_return!(self, None::<&LinkedAccountId>, related);
        let view = self.tenant.view_of(Some(org), &[], None);
        state_of_opened(self.tenant.open_event_body(&view, id, row))
    }

    fn check_definition_row(&mut self, id: DefinitionId, row: &Versioned, related: &RelatedRows) -> RowState {
        let org = keys_or_return!(self, None::<&LinkedAccountId>, related);
        let definition = match self.tenant.open_definition(Some(&org), id, row, self.moment) {
            Ok(Some(definition)) => {
                self.written_at = Some(definition.stored.updated_at);
                definition.stored.definition
            }
            opened => return state_of_opened(opened),
        };
        // A row that opens may still break a rule that a later release added, or that another engine's limits set.
        if let Err(error) = check_stored_definition(&definition, &self.tenant.engine.formats) {
            return RowState::bad(Cause::of(error));
        }
        let Ok(name) = definition.name.parse() else {
            return RowState::bad(Cause::UnknownVersion(LATER_VERSION));
        };
        let name = self.tenant.id.definition_name(&name).key();
        if related.row(&name).is_some_and(|row| may_lead_to(row, id.as_bytes())) {
            return RowState::Fine;
        }
        RowState::bad(Cause::NotIndexed(Index::DefinitionName))
    }

    fn check_name(&mut self, name: &DefinitionName, row: &Versioned, related: &RelatedRows) -> RowState {
        let id = match decode_index(&row.value).map(DefinitionId::from_bytes) {
            Ok(Some(id)) => id,
            Ok(None) => return RowState::bad(Cause::Damaged(Damage::Malformed)),
            Err(error) => return RowState::bad(Cause::of(Error::row("", error))),
        };
        let org = keys_or_return!(self, None::<&LinkedAccountId>, related);
        match self.definition(id, &org, related) {
            FoundDefinition::Readable(known) if known.stored.definition.name == name.as_str() => {
                RowState::Fine
            }
            FoundDefinition::Readable(_) => RowState::bad(Cause::LeadsElsewhere),
            FoundDefinition::Missing => RowState::bad(Cause::Dangling),
            FoundDefinition::Unreadable(cause) => RowState::NoDefinition(id, cause),
        }
    }

    /// Checks a row of the index from a definition to its values. Its mark is checked with the value. The row leads to
    /// the value, or to the note that it was deleted with its history kept.
    fn check_index(&self, leads_to: &[Row<'_>; 2], row: &Versioned, related: &RelatedRows) -> RowState {
        match decode_index(&row.value) {
            // Whether it is damaged or not.
            Ok(_) | Err(RowError::Malformed)
                if leads_to.iter().all(|place| related.row(&place.key()).is_none()) =>
            {
                RowState::bad(Cause::Dangling)
            }
            Ok(mark) if !mark.is_empty() && mark != GRANDFATHERED => {
                RowState::bad(Cause::Damaged(Damage::Malformed))
            }
            index => state_of(index.map_err(|error| Error::row("", error))),
        }
    }

    fn check_value(
        &mut self,
        scope: &Scope,
        definition: DefinitionId,
        row: &Versioned,
        related: &RelatedRows,
    ) -> RowState {
        let org = keys_or_return!(self, None::<&LinkedAccountId>, related);
        let owner = scope.linked_account();
        let keys = match owner {
            Some(_) => Some(keys_or_return!(self, owner, related)),
            None => None,
        };
        let accounts = owner.as_slice();
        let view = self.tenant.view_of(Some(org.clone()), accounts, keys);
        let value = match self.tenant.open_value(&view, scope, &definition, row) {
            Ok(Some(value)) => value,
            opened => return state_of_opened(opened),
        };
        self.written_at = Some(value.updated_at);
        let known = match self.definition(definition, &org, related) {
            FoundDefinition::Readable(known) => known,
            FoundDefinition::Missing if related.jobs.sweeps(definition) => return RowState::Leftover,
            FoundDefinition::Missing => return RowState::bad(Cause::Orphan(Parent::Definition)),
            FoundDefinition::Unreadable(cause) => return RowState::NoDefinition(definition, cause),
        };
        let mut causes = Vec::new();
        if !self.is_found_by_id(&value, related) {
            causes.push(Cause::NotIndexed(Index::ValueId));
        }
        let allowed = known.stored.definition.scopes.allows(scope.kind());
        if !allowed && !related.jobs.narrows(definition) {
            causes.push(Cause::ScopeNotAllowed(scope.kind()));
        }
        // Report everything that is wrong, not only the first: each has its own repair.
        let broken = self.tenant.broken_rule(&known.stored, &value);
        let index = related.row(&self.tenant.id.definition_value(&definition, scope).key());
        let mark = index.map_or(Err(RowError::Malformed), |row| decode_index(&row.value));
        let grandfathered = broken.is_some();
        let is_known = self.tenant.engine.formats.know(&known.stored.definition.var_format);
        match (mark, broken) {
            (Err(RowError::Malformed), _) => causes.push(Cause::NotIndexed(Index::DefinitionValue)),
            (Err(RowError::UnknownVersion(_)), _) => {}
            // The job has yet to set or clear the mark, so for now either is right. Also, this process cannot check an
            // unknown custom format.
            _ if related.jobs.rechecks(definition) || !is_known => {}
            (Ok([]), Some(rule)) => causes.push(Cause::Invalid(rule)),
            (Ok([_, ..]), None) => causes.push(Cause::WronglyMarked),
            _ => {}
        }
        match (causes.is_empty(), grandfathered) {
            (false, _) => RowState::Bad(causes),
            (true, true) => RowState::Grandfathered,
            (true, false) => RowState::Fine,
        }
    }

    /// Checks a former version of a document, or its deletion. It need not obey the present rules.
    fn check_past(
        &mut self,
        place: &TenantRow<'_>,
        subject: &Subject<'_>,
        row: &Versioned,
        related: &RelatedRows,
    ) -> RowState {
        let org = keys_or_return!(self, None::<&LinkedAccountId>, related);
        let owner = subject.account();
        let keys = match owner {
            Some(_) => keys_or_return!(self, owner, related),
            None => org.clone(),
        };
        let is_deletion = matches!(place, TenantRow::Deleted(_));
        let place = Row::Tenant(&self.tenant.id, place.clone());
        let opened = self.tenant.open_past(Some(&keys), &place, subject, &row.value);
        let present = if is_deletion { self.present(subject, &keys, related) } else { None };
        match (opened, present) {
            (Ok(Some(deletion)), Some(present)) => return RowState::bad(beside_present(&deletion, &present)),
            (Err(error), Some(_)) => return RowState::Bad(vec![Cause::of(error), Cause::Superseded]),
            (Ok(Some(_)), None) => {}
            (opened, _) => return state_of_opened(opened),
        }
        match subject {
            Subject::Value(scope, definition) => match self.definition(*definition, &org, related) {
                FoundDefinition::Readable(_)
                    if is_deletion && !self.is_indexed(scope, definition, related) =>
                {
                    RowState::bad(Cause::NotIndexed(Index::DefinitionValue))
                }
                FoundDefinition::Readable(_) => RowState::Fine,
                FoundDefinition::Missing if related.jobs.sweeps(*definition) => RowState::Leftover,
                FoundDefinition::Missing => RowState::bad(Cause::Orphan(Parent::Definition)),
                FoundDefinition::Unreadable(cause) => RowState::NoDefinition(*definition, cause),
            },
            Subject::Credential(account, app, _) => {
                let view = self.tenant.view_of(Some(org), &[], None);
                self.check_parent(&view, account, app, related)
            }
            Subject::Definition(id) => {
                let keys = &self.tenant.id;
                let leads_on = [keys.definition(id), keys.deleted(subject)];
                if leads_on.iter().any(|place| related.row(&place.key()).is_some()) {
                    RowState::Fine
                } else {
                    RowState::bad(Cause::Orphan(Parent::Definition))
                }
            }
        }
    }

    /// The document beside its deletion, if it is there and opens.
    fn present(
        &self,
        subject: &Subject<'_>,
        keys: &Arc<ScopeKeys>,
        related: &RelatedRows,
    ) -> Option<Version> {
        let place = self.tenant.current(subject);
        let row = related.row(&place.key())?;
        self.tenant.open_past(Some(keys), &place, subject, &row.value).ok().flatten()
    }

    /// Whether the index of a definition has a row for this scope, which leads to a deletion.
    fn is_indexed(&self, scope: &Scope, definition: &DefinitionId, related: &RelatedRows) -> bool {
        let index = related.row(&self.tenant.id.definition_value(definition, scope).key());
        index.is_some_and(|row| !matches!(decode_index(&row.value), Err(RowError::Malformed)))
    }

    fn is_found_by_id(&self, value: &ScopedValue, related: &RelatedRows) -> bool {
        let keys = &self.tenant.id;
        let target = keys.value(&value.scope, &value.definition_id).key();
        let index = related.row(&keys.value_id(&value.id).key());
        index.is_some_and(|row| may_lead_to(row, target.as_bytes()))
    }

    fn check_account(
        &mut self,
        account: &LinkedAccountId,
        row: &Versioned,
        related: &RelatedRows,
    ) -> RowState {
        let org = keys_or_return!(self, None::<&LinkedAccountId>, related);
        let view = self.tenant.view_of(Some(org), &[], None);
        match self.tenant.open_account(&view, account, row) {
            Ok(Some(known)) => {
                self.written_at = Some(known.body.updated_at());
                state_of_deletion(known.body.deleting.as_ref(), related)
            }
            opened => state_of_opened(opened),
        }
    }

    fn check_integration(
        &mut self,
        account: &LinkedAccountId,
        app: &AppId,
        row: &Versioned,
        related: &RelatedRows,
    ) -> RowState {
        let org = keys_or_return!(self, None::<&LinkedAccountId>, related);
        let view = self.tenant.view_of(Some(org), &[], None);
        let deleting = match self.tenant.open_integration(&view, account, app, row) {
            Ok(Some(known)) => {
                self.written_at = Some(known.body.created_at());
                known.body.deleting
            }
            opened => return state_of_opened(opened),
        };
        let Some(parent) = related.row(&self.tenant.id.account(account).key()) else {
            return RowState::bad(Cause::Orphan(Parent::LinkedAccount));
        };
        match self.tenant.open_account(&view, account, parent) {
            Ok(Some(known)) if known.body.deleting.is_some() => RowState::Leftover,
            _ => state_of_deletion(deleting.as_ref(), related),
        }
    }

    /// A credential is left over if its integration is being deleted. An integration that cannot be read is reported at
    /// its own row.
    fn check_parent(
        &self,
        view: &View<'_>,
        account: &LinkedAccountId,
        app: &AppId,
        related: &RelatedRows,
    ) -> RowState {
        let Some(parent) = related.row(&self.tenant.id.integration(account, app).key()) else {
            return RowState::bad(Cause::Orphan(Parent::Integration));
        };
        match self.tenant.open_integration(view, account, app, parent) {
            Ok(Some(known)) if known.body.deleting.is_some() => RowState::Leftover,
            _ => RowState::Fine,
        }
    }

    /// Compares the count with the definitions.
    pub(super) async fn count_definitions(&mut self) -> Result<CheckedRow, Error> {
        self.written_at = None;
        let Some((related, found)) = self.read_definitions().await? else {
            let changing = RowState::bad(Cause::Changing);
            return Ok(CheckedRow::absent(RowId::Tenant(TenantRow::Count), changing));
        };
        let Some(row) = related.row(&self.tenant.id.count().key()) else {
            let missing = RowState::bad(Cause::Damaged(Damage::Missing));
            return Ok(CheckedRow::absent(
                RowId::Tenant(TenantRow::Count),
                if found == 0 { RowState::Fine } else { missing },
            ));
        };
        let state = self.check_count(row, found, &related);
        Ok(self.checked(Some(TenantRow::Count), row, state))
    }

    /// The count with the keyring that opens it, and how many definitions there were at that moment; `None` if that
    /// changed every time.
    async fn read_definitions(&self) -> Result<Option<(RelatedRows, u64)>, Error> {
        let keys = &self.tenant.id;
        let gets = vec![keys.count().key(), keys.keyring(None).key()];
        for _ in 0..ATTEMPTS_MAX {
            let scan = Scan::new(keys.definitions(), DEFINITIONS_MAX).keys_only();
            let (rows, page) = self.tenant.engine.read((gets.clone(), scan)).await?;
            let count = rows.first().cloned().flatten();
            let mut is_snapshot = !page.more;
            let found = self.tenant.rest(&keys.definitions(), page).await?.len() as u64;
            // Whoever makes or deletes a definition writes the count.
            if !is_snapshot {
                let now = self.tenant.engine.get(keys.count().key()).await?;
                is_snapshot = now.map(|row| row.revision) == count.map(|row| row.revision);
            }
            if is_snapshot {
                let rows = gets.into_iter().zip(rows).collect();
                return Ok(Some((RelatedRows { rows, ..RelatedRows::default() }, found)));
            }
        }
        Ok(None)
    }

    fn check_count(&mut self, row: &Versioned, found: u64, related: &RelatedRows) -> RowState {
        let org = keys_or_return!(self, None::<&LinkedAccountId>, related);
        let opened = match self.tenant.open(Some(&org), &self.tenant.id.count(), &row.value) {
            Ok(Some(opened)) => opened,
            opened => return state_of_opened(opened),
        };
        match opened.plaintext.as_slice().try_into().map(u64::from_be_bytes) {
            Ok(stated) if stated == found => RowState::Fine,
            Ok(stated) => RowState::bad(Cause::WrongCount { stated, found }),
            Err(_) => RowState::bad(Cause::UnknownVersion(LATER_VERSION)),
        }
    }
}

/// What is wrong where a document and its deletion both open: a batch that writes the one deletes the other, so the
/// older of them was put back, or left behind by a write that did not find it.
fn beside_present(deletion: &Version, present: &Version) -> Cause {
    let is_superseded = match deletion.id == present.id {
        true => present.revision.as_u64() > deletion.revision.as_u64(),
        false => present.created_at >= deletion.written_at,
    };
    if is_superseded { Cause::Superseded } else { Cause::CameBack }
}

/// Whether an index row leads to a target. One of a later version is reported at its own row.
fn may_lead_to(row: &Versioned, target: &[u8]) -> bool {
    match decode_index(&row.value) {
        Ok(found) => found == target,
        Err(error) => matches!(error, RowError::UnknownVersion(_)),
    }
}

fn check_value_id(id: &DocumentId, row: &Versioned, related: &RelatedRows) -> RowState {
    let target = match decode_index(&row.value) {
        Ok(target) => Key::from(target),
        Err(error) => return RowState::bad(Cause::of(Error::row("", error))),
    };
    let Some(value) = related.row(&target) else { return RowState::bad(Cause::Dangling) };
    match SealedRow::decode(RowKind::ScopedValue, &value.value) {
        Ok(row) if row.doc_id == Some(*id) => RowState::Fine,
        Ok(_) => RowState::bad(Cause::LeadsElsewhere),
        // A damaged value is reported at its own row. Here it is only known not to carry this id.
        Err(_) => RowState::bad(Cause::LeadsElsewhere),
    }
}

/// The state of a row that may name the job that deletes it.
fn state_of_deletion(deleting: Option<&[u8; 12]>, related: &RelatedRows) -> RowState {
    match deleting {
        None => RowState::Fine,
        Some(job) if related.jobs.has(job) => RowState::Leftover,
        Some(_) => RowState::bad(Cause::NoJob),
    }
}

fn state_of(checked: Result<impl Sized, Error>) -> RowState {
    match checked {
        Ok(_) => RowState::Fine,
        Err(error) => RowState::bad(Cause::of(error)),
    }
}

/// A row that opened is fine; one whose key was dropped is left over.
fn state_of_opened<T>(opened: Result<Option<T>, Error>) -> RowState {
    match opened {
        Ok(Some(_)) => RowState::Fine,
        Ok(None) => RowState::Leftover,
        Err(error) => RowState::bad(Cause::of(error)),
    }
}

/// More than an org may have, so that one page is a snapshot of them all where the store returns so many.
const DEFINITIONS_MAX: usize = 8_192;
