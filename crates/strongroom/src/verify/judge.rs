//! Judging one row by itself and by the rows that it leads to.

use super::desk::{Desk, Keys, Known};
use super::report::{Cause, Index, Parent};
use super::sight::Sight;
use super::verdict::{Judged, Subject, Verdict};
use crate::error::{Damage, Error};
use crate::id::{DefinitionId, DefinitionName, DocumentId, IntegrationId, LinkedAccountId};
use crate::model::ScopedValue;
use crate::row::body::Sweep;
use crate::row::{RowKind, SealedRow, TenantRow, decode_index, encode_epoch};
use crate::scope::Scope;
use crate::store::{Key, Scan, Versioned};
use crate::tenant::{GRANDFATHERED, View, check_definition};

/// The keys of a scope, or the verdict on a row that needs them.
macro_rules! keys_or_return {
    ($desk:expr, $owner:expr, $sight:expr) => {
        match $desk.keys($owner, $sight) {
            Keys::Open(keys) => keys,
            Keys::Missing => return Verdict::NoKeyring($owner.cloned()),
            Keys::Unreadable => return Verdict::NoKeys($owner.cloned()),
        }
    };
}

impl Desk {
    /// Judges a row by what is in sight.
    pub(super) fn judge(&mut self, place: Option<&TenantRow<'_>>, row: &Versioned, sight: &Sight) -> Verdict {
        let Some(place) = place else { return Verdict::bad(Cause::Foreign) };
        let stays = matches!(place, TenantRow::Epoch | TenantRow::Job(_) | TenantRow::Keyring(_));
        if sight.jobs.shreds() && !stays {
            return Verdict::Leftover;
        }
        match place {
            TenantRow::Epoch if row.value == encode_epoch() => Verdict::Fine,
            TenantRow::Epoch => Verdict::bad(Cause::Damaged(Damage::Malformed)),
            TenantRow::Job(id) => self.judge_job(id, row),
            TenantRow::Keyring(owner) => of(self.open_keys(owner.as_deref(), row).map(|_| ())),
            TenantRow::Definition(id) => self.judge_definition(*id, row, sight),
            TenantRow::DefinitionName(name) => self.judge_name(name, row, sight),
            TenantRow::DefinitionValue(id, scope) => {
                self.judge_index(&self.tenant.id.value(scope, id).key(), row, sight)
            }
            TenantRow::Value(scope, definition) => self.judge_value(scope, *definition, row, sight),
            TenantRow::ValueId(id) => judge_value_id(id, row, sight),
            TenantRow::Account(account) => self.judge_account(account, row, sight),
            TenantRow::Integration(account, integration) => {
                self.judge_integration(account, integration, row, sight)
            }
            TenantRow::Credential(account, integration, key_name) => {
                let org = keys_or_return!(self, None::<&LinkedAccountId>, sight);
                let account: &LinkedAccountId = account;
                let keys = keys_or_return!(self, Some(account), sight);
                let owner = [account];
                let view = self.tenant.view_of(Some(org), &owner, Some(keys));
                match self.tenant.open_credential(&view, (account, integration, key_name), row) {
                    Ok(Some(_)) => self.judge_parent(&view, account, integration, sight),
                    opened => left_or_bad(opened),
                }
            }
            TenantRow::Record(namespace, key) => {
                let org = keys_or_return!(self, None::<&LinkedAccountId>, sight);
                let view = self.tenant.view_of(Some(org), &[], None);
                left_or_bad(self.tenant.open_record(&view, namespace, key, row))
            }
            // Judged elsewhere, by all definitions.
            TenantRow::Count => Verdict::Fine,
        }
    }

    fn judge_job(&self, id: &DocumentId, row: &Versioned) -> Verdict {
        match self.tenant.open_under_root(&self.tenant.id.job(id), &row.value) {
            Ok(opened) if Sweep::decode(&opened.plaintext).is_ok() => Verdict::Fine,
            Ok(_) => Verdict::bad(Cause::Damaged(Damage::Malformed)),
            Err(error) => Verdict::bad(Cause::of(error)),
        }
    }

    fn judge_definition(&mut self, id: DefinitionId, row: &Versioned, sight: &Sight) -> Verdict {
        let org = keys_or_return!(self, None::<&LinkedAccountId>, sight);
        let definition = match self.tenant.open_definition(Some(&org), id, row) {
            Ok(Some(definition)) => definition.stored.definition,
            opened => return left_or_bad(opened),
        };
        if let Err(error) = check_definition(&definition, &self.tenant.engine) {
            return Verdict::bad(Cause::of(error));
        }
        let Ok(name) = definition.name.parse() else {
            return Verdict::bad(Cause::Damaged(Damage::Malformed));
        };
        let name = self.tenant.id.definition_name(&name).key();
        let leads_here =
            |row: &Versioned| decode_index(&row.value).is_ok_and(|target| target == id.as_bytes());
        if sight.row(&name).is_some_and(leads_here) {
            return Verdict::Fine;
        }
        Verdict::bad(Cause::NotIndexed(Index::DefinitionName))
    }

    fn judge_name(&mut self, name: &DefinitionName, row: &Versioned, sight: &Sight) -> Verdict {
        let Some(id) = decode_index(&row.value).ok().and_then(DefinitionId::from_bytes) else {
            return Verdict::bad(Cause::Damaged(Damage::Malformed));
        };
        let org = keys_or_return!(self, None::<&LinkedAccountId>, sight);
        match self.definition(id, &org, sight) {
            Known::There(known) if known.stored.definition.name == name.as_str() => Verdict::Fine,
            Known::There(_) => Verdict::bad(Cause::LeadsElsewhere),
            Known::Absent => Verdict::bad(Cause::Dangling),
            Known::Unreadable => Verdict::NoDefinition,
        }
    }

    /// A row of the index from a definition to its values; its mark is judged with the value.
    fn judge_index(&self, value: &Key, row: &Versioned, sight: &Sight) -> Verdict {
        match decode_index(&row.value) {
            Ok(mark) if !mark.is_empty() && mark != GRANDFATHERED => {
                Verdict::bad(Cause::Damaged(Damage::Malformed))
            }
            Ok(_) if sight.row(value).is_none() => Verdict::bad(Cause::Dangling),
            index => of(index.map_err(|error| Error::row("", error))),
        }
    }

    fn judge_value(
        &mut self,
        scope: &Scope,
        definition: DefinitionId,
        row: &Versioned,
        sight: &Sight,
    ) -> Verdict {
        let org = keys_or_return!(self, None::<&LinkedAccountId>, sight);
        let owner = scope.linked_account();
        let keys = match owner {
            Some(_) => Some(keys_or_return!(self, owner, sight)),
            None => None,
        };
        let accounts = owner.as_slice();
        let view = self.tenant.view_of(Some(org.clone()), accounts, keys);
        let value = match self.tenant.open_value(&view, scope, &definition, row) {
            Ok(Some(value)) => value,
            opened => return left_or_bad(opened),
        };
        let known = match self.definition(definition, &org, sight) {
            Known::There(known) => known,
            Known::Absent if sight.jobs.sweeps(definition) => return Verdict::Leftover,
            Known::Absent => return Verdict::bad(Cause::Orphan(Parent::Definition)),
            Known::Unreadable => return Verdict::NoDefinition,
        };
        let mut causes = Vec::new();
        if !self.is_found_by_id(&value, sight) {
            causes.push(Cause::NotIndexed(Index::ValueId));
        }
        let allowed = known.stored.definition.scopes.allows(scope.kind());
        if !allowed && !sight.jobs.narrows(definition) {
            causes.push(Cause::ScopeNotAllowed(scope.kind()));
        }
        let broken = self.tenant.broken_rule(&known.stored, &value);
        let index = sight.row(&self.tenant.id.definition_value(&definition, scope).key());
        let mark = index.and_then(|row| decode_index(&row.value).ok());
        let grandfathered = broken.is_some();
        match (mark, broken) {
            (None, _) => causes.push(Cause::NotIndexed(Index::DefinitionValue)),
            _ if sight.jobs.rechecks(definition) => {}
            (Some([]), Some(rule)) => causes.push(Cause::Invalid(rule)),
            (Some([_, ..]), None) => causes.push(Cause::WronglyMarked),
            _ => {}
        }
        match (causes.is_empty(), grandfathered) {
            (false, _) => Verdict::Bad(causes),
            (true, true) => Verdict::Grandfathered,
            (true, false) => Verdict::Fine,
        }
    }

    fn is_found_by_id(&self, value: &ScopedValue, sight: &Sight) -> bool {
        let keys = &self.tenant.id;
        let target = keys.value(&value.scope, &value.definition_id).key();
        let index = sight.row(&keys.value_id(&value.id).key());
        index.is_some_and(|row| decode_index(&row.value).is_ok_and(|found| found == target.as_bytes()))
    }

    fn judge_account(&mut self, account: &LinkedAccountId, row: &Versioned, sight: &Sight) -> Verdict {
        let org = keys_or_return!(self, None::<&LinkedAccountId>, sight);
        let view = self.tenant.view_of(Some(org), &[], None);
        match self.tenant.open_account(&view, account, row) {
            Ok(Some(known)) => marked(known.body.deleting.as_ref(), sight),
            opened => left_or_bad(opened),
        }
    }

    fn judge_integration(
        &mut self,
        account: &LinkedAccountId,
        integration: &IntegrationId,
        row: &Versioned,
        sight: &Sight,
    ) -> Verdict {
        let org = keys_or_return!(self, None::<&LinkedAccountId>, sight);
        let view = self.tenant.view_of(Some(org), &[], None);
        let deleting = match self.tenant.open_integration(&view, account, integration, row) {
            Ok(Some(known)) => known.body.deleting,
            opened => return left_or_bad(opened),
        };
        let Some(parent) = sight.row(&self.tenant.id.account(account).key()) else {
            return Verdict::bad(Cause::Orphan(Parent::LinkedAccount));
        };
        match self.tenant.open_account(&view, account, parent) {
            Ok(Some(known)) if known.body.deleting.is_some() => Verdict::Leftover,
            _ => marked(deleting.as_ref(), sight),
        }
    }

    /// A credential is left over with its integration, whose own row tells whether it can be read.
    fn judge_parent(
        &self,
        view: &View<'_>,
        account: &LinkedAccountId,
        integration: &IntegrationId,
        sight: &Sight,
    ) -> Verdict {
        let Some(parent) = sight.row(&self.tenant.id.integration(account, integration).key()) else {
            return Verdict::bad(Cause::Orphan(Parent::Integration));
        };
        match self.tenant.open_integration(view, account, integration, parent) {
            Ok(Some(known)) if known.body.deleting.is_some() => Verdict::Leftover,
            _ => Verdict::Fine,
        }
    }

    /// Compares the count with the definitions, as both stand in one snapshot.
    pub(super) async fn count_definitions(&mut self) -> Result<Judged, Error> {
        let keys = &self.tenant.id;
        let gets = vec![keys.count().key(), keys.keyring(None).key()];
        let scan = Scan::new(keys.definitions(), DEFINITIONS_MAX).keys_only();
        let (rows, definitions) = self.tenant.engine.read((gets.clone(), scan)).await?;
        let found = definitions.rows.len() as u64;
        let sight = Sight { rows: gets.into_iter().zip(rows).collect(), ..Sight::default() };
        let Some(row) = sight.row(&self.tenant.id.count().key()) else {
            let missing = Verdict::bad(Cause::Damaged(Damage::Missing));
            return Ok(Judged::absent(
                Subject::Tenant(TenantRow::Count),
                if found == 0 { Verdict::Fine } else { missing },
            ));
        };
        let verdict = self.judge_count(row, found, &sight);
        Ok(self.judged(Some(TenantRow::Count), row, verdict))
    }

    fn judge_count(&mut self, row: &Versioned, found: u64, sight: &Sight) -> Verdict {
        let org = keys_or_return!(self, None::<&LinkedAccountId>, sight);
        let opened = match self.tenant.open(Some(&org), &self.tenant.id.count(), &row.value) {
            Ok(Some(opened)) => opened,
            opened => return left_or_bad(opened),
        };
        match opened.plaintext.as_slice().try_into().map(u64::from_be_bytes) {
            Ok(stated) if stated == found => Verdict::Fine,
            Ok(stated) => Verdict::bad(Cause::WrongCount { stated, found }),
            Err(_) => Verdict::bad(Cause::Damaged(Damage::Malformed)),
        }
    }
}

fn judge_value_id(id: &DocumentId, row: &Versioned, sight: &Sight) -> Verdict {
    let target = match decode_index(&row.value) {
        Ok(target) => Key::from(target),
        Err(error) => return Verdict::bad(Cause::of(Error::row("", error))),
    };
    let Some(value) = sight.row(&target) else { return Verdict::bad(Cause::Dangling) };
    match SealedRow::decode(RowKind::ScopedValue, &value.value) {
        Ok(row) if row.doc_id == Some(*id) => Verdict::Fine,
        Ok(_) => Verdict::bad(Cause::LeadsElsewhere),
        // Which its own row tells, if it is a value's.
        Err(_) => Verdict::bad(Cause::LeadsElsewhere),
    }
}

/// A row that names the job which deletes it.
fn marked(deleting: Option<&[u8; 12]>, sight: &Sight) -> Verdict {
    match deleting {
        None => Verdict::Fine,
        Some(job) if sight.jobs.has(job) => Verdict::Leftover,
        Some(_) => Verdict::bad(Cause::NoJob),
    }
}

fn of(checked: Result<impl Sized, Error>) -> Verdict {
    match checked {
        Ok(_) => Verdict::Fine,
        Err(error) => Verdict::bad(Cause::of(error)),
    }
}

/// A row that opened is fine, one whose key was dropped is left over.
fn left_or_bad<T>(opened: Result<Option<T>, Error>) -> Verdict {
    match opened {
        Ok(Some(_)) => Verdict::Fine,
        Ok(None) => Verdict::Leftover,
        Err(error) => Verdict::bad(Cause::of(error)),
    }
}

/// More than an org may have: a page of them is a snapshot.
const DEFINITIONS_MAX: usize = 8_192;
