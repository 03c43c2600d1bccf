//! The domain as DESIGN.md tells it, on ordered maps: no store, no keys, no bytes.

use std::collections::{BTreeMap, BTreeSet};

use strongroom::{
    ConnectionId, DefinitionId, DocumentId, Expected, IntegrationId, LinkedAccountId, Revision, Scope,
    ScopePath, Timestamp, VariableDefinition,
};

use super::verb::{Change, Mark, Set};
use crate::common::id;

/// A connection of an integration; `None` for the default one.
pub(crate) type App = (LinkedAccountId, IntegrationId, Option<ConnectionId>);
pub(crate) type Place = (Scope, DefinitionId);

/// Everything that exists.
#[derive(Debug, Default)]
pub(crate) struct Domain {
    pub(crate) definitions: BTreeMap<DefinitionId, VariableDefinition>,
    pub(crate) values: BTreeMap<Place, Document>,
    /// The former versions of each value that are kept, oldest first. `None` as text: it was deleted.
    pub(crate) former: BTreeMap<Place, Vec<Version>>,
    /// Values that were deleted with their history kept, as the version that says so.
    pub(crate) deleted: BTreeMap<Place, Document>,
    /// Registered accounts and their credential generation.
    pub(crate) accounts: BTreeMap<LinkedAccountId, u64>,
    /// Accounts with a key scope of their own, which the first value or credential makes.
    pub(crate) keyed: BTreeSet<LinkedAccountId>,
    /// Credentials by connection and key name.
    pub(crate) apps: BTreeMap<App, BTreeMap<String, Document>>,
    pub(crate) records: BTreeMap<String, Document>,
    /// Whether the store fails after the first batch of a delete.
    pub(crate) cuts_deletes_short: bool,
    /// The last revision that is no longer that of the document.
    pub(crate) stale: BTreeMap<String, Revision>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Document {
    /// `None` for a record, which has none.
    pub(crate) id: Option<DocumentId>,
    pub(crate) revision: Revision,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
    pub(crate) text: String,
}

/// A former version of a value.
pub(crate) type Version = (Revision, Option<String>);

/// Why a verb may be refused; a verb with no reason must succeed.
pub(crate) type Reasons = Vec<&'static str>;

impl Domain {
    pub(crate) fn named(&self, name: &str) -> Option<DefinitionId> {
        self.definitions.iter().find(|(_, definition)| definition.name == name).map(|(id, _)| *id)
    }

    pub(crate) fn against_define(&self, new: &VariableDefinition) -> Reasons {
        reasons([
            (new.encrypted && new.default.is_some(), "Definition"),
            (self.named(&new.name).is_some(), "DefinitionExists"),
        ])
    }

    /// The definition as it is after the change.
    pub(crate) fn changed(&self, id: &DefinitionId, to: &Change) -> VariableDefinition {
        let mut after = self.definitions[id].clone();
        after.name = to.name.map_or(after.name, str::to_owned);
        after.encrypted |= to.encrypted;
        after.default = to.default.map_or(after.default, |default| default.map(str::to_owned));
        after.scopes = to.scopes.unwrap_or(after.scopes);
        after
    }

    pub(crate) fn against_change(&self, id: &DefinitionId, after: &VariableDefinition) -> Reasons {
        let mut places = self.values.keys().filter(|(_, of)| of == id);
        reasons([
            (after.encrypted && after.default.is_some(), "Definition"),
            (self.named(&after.name).is_some_and(|other| other != *id), "DefinitionExists"),
            (places.any(|(scope, _)| !after.scopes.allows(scope.kind())), "ScopeInUse"),
        ])
    }

    pub(crate) fn against_set(&self, set: &Set) -> Reasons {
        let Some(id) = self.named(set.name) else { return vec!["DefinitionNotFound"] };
        reasons([(!self.definitions[&id].scopes.allows(set.scope.kind()), "ScopeNotAllowed")])
    }

    /// What the mark comes to for a document, and the reason against a write that expects it.
    pub(crate) fn expected(
        &self,
        mark: Mark,
        address: &str,
        standing: Option<Revision>,
    ) -> (Expected, Reasons) {
        let never = Revision::from_u64(u64::MAX);
        let expected = match mark {
            Mark::Any => Expected::Any,
            Mark::Absent => Expected::Absent,
            Mark::Current => Expected::Revision(standing.unwrap_or(never)),
            Mark::Stale => Expected::Revision(self.stale.get(address).copied().unwrap_or(never)),
        };
        let holds = match expected {
            Expected::Any => true,
            Expected::Absent => standing.is_none(),
            Expected::Revision(revision) => standing == Some(revision),
            Expected::Deleted(_) | Expected::Unreadable => false,
        };
        (expected, reasons([(!holds, "Unexpected")]))
    }

    pub(crate) fn put_value(&mut self, place: &Place, document: Document) {
        if let Scope::LinkedAccount(account) = &place.0 {
            self.keyed.insert(account.clone());
        }
        let before = self.values.insert(place.clone(), document);
        self.outdate(address(place), before.as_ref());
        if let Some(before) = before {
            self.keep(place, (before.revision, Some(before.text)));
        } else if let Some(deletion) = self.deleted.remove(place) {
            self.keep(place, (deletion.revision, None));
        }
    }

    /// Deletes a value at the revision after its own, and keeps its history.
    pub(crate) fn delete_keeping(&mut self, place: &Place) -> Option<Document> {
        let before = self.values.remove(place)?;
        self.outdate(address(place), Some(&before));
        self.keep(place, (before.revision, Some(before.text.clone())));
        let revision = Revision::from_u64(before.revision.as_u64() + 1);
        self.deleted.insert(place.clone(), Document { revision, ..before.clone() });
        Some(before)
    }

    fn keep(&mut self, place: &Place, version: Version) {
        let kept = self.former.entry(place.clone()).or_default();
        kept.push(version);
        kept.drain(..kept.len().saturating_sub(10));
    }

    /// The versions of a value, newest first.
    pub(crate) fn history(&self, place: &Place) -> Vec<Version> {
        let value = self.values.get(place).map(|value| (value.revision, Some(value.text.clone())));
        let deletion = self.deleted.get(place).map(|deletion| (deletion.revision, None));
        let former = self.former.get(place).into_iter().flatten().rev().cloned();
        value.into_iter().chain(deletion).chain(former).collect()
    }

    pub(crate) fn delete_value(&mut self, place: &Place) -> Option<Document> {
        self.former.remove(place);
        self.deleted.remove(place);
        let before = self.values.remove(place);
        self.outdate(address(place), before.as_ref());
        before
    }

    pub(crate) fn delete_definition(&mut self, id: &DefinitionId) {
        self.definitions.remove(id);
        self.values.retain(|(_, of), _| of != id);
        self.former.retain(|(_, of), _| of != id);
        self.deleted.retain(|(_, of), _| of != id);
    }

    pub(crate) fn put_credential(&mut self, app: &App, key: &str, document: Document) {
        self.keyed.insert(app.0.clone());
        self.bump(&app.0);
        let before = self.apps.entry(app.clone()).or_default().insert(key.to_owned(), document);
        self.outdate(credential_address(app, key), before.as_ref());
    }

    pub(crate) fn delete_credential(&mut self, app: &App, key: &str) -> Option<Document> {
        let before = self.apps.get_mut(app)?.remove(key);
        if before.is_some() {
            self.bump(&app.0);
        }
        self.outdate(credential_address(app, key), before.as_ref());
        before
    }

    /// The connections of an integration, the default one first.
    pub(crate) fn connections(&self, account: &LinkedAccountId, integration: &IntegrationId) -> Vec<App> {
        let of = |app: &&App| app.0 == *account && app.1 == *integration;
        self.apps.keys().filter(of).cloned().collect()
    }

    pub(crate) fn delete_connection(&mut self, app: &App) {
        self.apps.remove(app);
        self.bump(&app.0);
    }

    pub(crate) fn delete_account(&mut self, account: &LinkedAccountId) {
        self.accounts.remove(account);
        self.keyed.remove(account);
        self.apps.retain(|(of, ..), _| of != account);
        let gone = self.values.keys().filter(|(scope, _)| *scope == Scope::LinkedAccount(account.clone()));
        for place in gone.cloned().collect::<Vec<_>>() {
            self.delete_value(&place);
        }
        self.former.retain(|(scope, _), _| *scope != Scope::LinkedAccount(account.clone()));
        self.deleted.retain(|(scope, _), _| *scope != Scope::LinkedAccount(account.clone()));
    }

    /// Every place that holds a value for a run, most specific first; the default is `None`.
    pub(crate) fn resolve(&self, id: &DefinitionId, path: &ScopePath) -> Vec<(Option<Scope>, &str)> {
        let value = |scope: &Scope| self.values.get(&(scope.clone(), *id));
        let scopes =
            path.scopes().filter_map(|scope| Some((Some(scope.clone()), value(scope)?.text.as_str())));
        let default = self.definitions[id].default.as_deref().map(|text| (None, text));
        scopes.chain(default).collect()
    }

    fn bump(&mut self, account: &LinkedAccountId) {
        if let Some(generation) = self.accounts.get_mut(account) {
            *generation += 1;
        }
    }

    fn outdate(&mut self, address: String, before: Option<&Document>) {
        self.stale.extend(before.map(|before| (address, before.revision)));
    }
}

pub(crate) fn address((scope, id): &Place) -> String {
    format!("{scope:?} {id}")
}

pub(crate) fn credential_address((account, app, connection): &App, key: &str) -> String {
    format!("{account:?} {app:?} {connection:?} {key:?}")
}

/// `app` is the slug, and behind a blank the id of a connection beside the default one.
pub(crate) fn app(account: &str, app: &str) -> App {
    match app.split_once(' ') {
        Some((slug, connection)) => (id(account), id(slug), Some(id(connection))),
        None => (id(account), id(app), None),
    }
}

/// Every path that a run can take through the scopes of the verbs.
pub(crate) fn every_path() -> Vec<ScopePath> {
    let accounts = [None, Some("a"), Some("a/")];
    let within = accounts.map(|account| match account {
        Some(account) => ScopePath::org().linked_account(id(account)),
        None => ScopePath::org(),
    });
    within.iter().flat_map(|path| [path.clone(), path.clone().workflow(id("w"))]).collect()
}

fn reasons<const N: usize>(rules: [(bool, &'static str); N]) -> Reasons {
    rules.into_iter().filter(|(refused, _)| *refused).map(|(_, reason)| reason).collect()
}
