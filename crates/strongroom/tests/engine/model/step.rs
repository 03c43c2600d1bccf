//! One verb, done by the engine and by the model: both do it, or both refuse it for the same reason.

use std::fmt::Debug;

use strongroom::{
    Account, AppCredentials, DefinitionChange, Error, Expected, JobOutcome, LinkedAccountId, NewValue, Org,
    Records, Scope, Timestamp, Upsert, ValueWritten, VarFormat, VariableDefinition, WriteOptions,
};

use super::domain::{App, Document, Domain, Reasons, address, app, credential_address};
use super::verb::{Change, Mark, Set, Verb};
use crate::common::id;

impl Domain {
    /// Lets `org` do the verb at the time `now`, and follows it.
    pub(crate) async fn step(&mut self, org: &Org, verb: &Verb, now: Timestamp) -> Result<(), Error> {
        match verb {
            Verb::Define { name, encrypted, default, required, scopes } => {
                let mut new = VariableDefinition::new(*name, VarFormat::String).scopes(*scopes);
                (new.encrypted, new.required) = (*encrypted, *required);
                new.default = default.map(str::to_owned);
                self.define(org, new).await;
            }
            Verb::Change { name, to } => self.change(org, name, to).await,
            Verb::DeleteDefinition { name } => {
                let found = self.named(name);
                let reasons = if found.is_some() { vec![] } else { vec!["DefinitionNotFound"] };
                if agreed(self.begun(org.delete_definition(*name).await), &reasons).is_some() {
                    found.iter().for_each(|id| self.delete_definition(id));
                }
            }
            Verb::SetValue { set, expected, record } => self.set(org, set, *expected, *record, now).await?,
            Verb::SetValues(sets) => self.set_many(org, sets, now).await,
            Verb::DeleteValue { name, scope, expected, keep } => {
                self.unset(org, name, scope, *expected, *keep).await;
            }
            Verb::Restore { name, scope, nth } => self.restore(org, name, scope, *nth, now).await,
            Verb::Undelete { name, scope } => self.undelete(org, name, scope, now).await,
            Verb::CreateAccount { account, credential } => {
                self.create_account(org, &id(account), *credential).await?;
            }
            Verb::UpsertAccount { account, credential } => {
                self.upsert_account(org, &id(account), *credential).await?;
            }
            Verb::DeleteAccount { account } => self.unregister(org, &id(account)).await,
            Verb::AddIntegration { account, app: slug } => {
                let app = app(account, slug);
                let known = self.accounts.contains_key(&app.0);
                let reasons = if known { vec![] } else { vec!["AccountNotFound"] };
                let answer = match &app.2 {
                    Some(connection) => handle(org, &app).add_connection(&app.1, connection).await,
                    None => handle(org, &app).add_integration(&app.1).await,
                };
                if agreed(answer, &reasons).is_some() {
                    self.apps.entry(app).or_default();
                }
            }
            Verb::DeleteIntegration { account, app: slug } => {
                self.disconnect(org, &app(account, slug)).await;
            }
            Verb::UpsertCredential { account, app: slug, key, value, expected } => {
                self.upsert(org, &app(account, slug), key, value, *expected).await?;
            }
            Verb::DeleteCredential { account, app: slug, key } => {
                let app = app(account, slug);
                let answer = credentials(org, &app).delete(key).await;
                if let Some(deleted) = agreed(answer, &self.against_app(&app)) {
                    assert_eq!(deleted, self.delete_credential(&app, key).is_some());
                }
            }
            Verb::PutRecord { key, value } => {
                let action = action(self.records.contains_key(*key));
                assert_eq!(records(org).put(&id(key), *value).await?.action, action);
                self.record_written(org, key, value).await?;
            }
            Verb::DeleteRecord { key } => {
                assert_eq!(records(org).delete(&id(key)).await?, self.records.remove(*key).is_some());
            }
            Verb::RotateKeys => {
                let report = org.rotate_keys().await?;
                assert_eq!((report.outcome, report.progress.failed), (JobOutcome::Finished, 0));
            }
        }
        Ok(())
    }

    async fn create_account(
        &mut self,
        org: &Org,
        account: &LinkedAccountId,
        credential: Option<(&str, &str)>,
    ) -> Result<(), Error> {
        let exists = self.accounts.contains_key(account);
        let reasons = if exists { vec!["AccountExists"] } else { vec![] };
        let mut create = org.create_account(account.clone());
        if let Some((key, value)) = credential {
            create = create.with_credential(key, value);
        }
        if agreed(create.await, &reasons).is_some() {
            self.account_written(org, account, credential).await?;
        }
        Ok(())
    }

    async fn upsert_account(
        &mut self,
        org: &Org,
        account: &LinkedAccountId,
        credential: Option<(&str, &str)>,
    ) -> Result<(), Error> {
        let action = action(self.accounts.contains_key(account));
        let mut upsert = org.upsert_account(account.clone());
        if let Some((key, value)) = credential {
            upsert = upsert.with_credential(key, value);
        }
        assert_eq!(upsert.await?.action, action);
        self.account_written(org, account, credential).await
    }

    async fn unregister(&mut self, org: &Org, account: &LinkedAccountId) {
        let known = self.accounts.contains_key(account) || self.keyed.contains(account);
        let reasons = if known { vec![] } else { vec!["AccountNotFound"] };
        if agreed(self.begun(org.delete_account(account).await), &reasons).is_some() {
            self.delete_account(account);
        }
    }

    async fn define(&mut self, org: &Org, new: VariableDefinition) {
        let reasons = self.against_define(&new);
        if let Some(id) = agreed(org.define(new.clone()).await, &reasons) {
            assert!(self.definitions.insert(id, new).is_none(), "an id was used again");
        }
    }

    async fn change(&mut self, org: &Org, name: &str, to: &Change) {
        let mut change = DefinitionChange::new();
        change = to.name.iter().fold(change, |change, name| change.name(*name));
        change = to.scopes.iter().fold(change, |change, scopes| change.scopes(*scopes));
        change = match to.default {
            Some(Some(default)) => change.default_value(default),
            Some(None) => change.no_default_value(),
            None => change,
        };
        if to.encrypted {
            change = change.encrypted();
        }
        let answer = org.update_definition(name, change).await;
        let Some(id) = self.named(name) else {
            agreed(answer, &["DefinitionNotFound"]);
            return;
        };
        let after = self.changed(&id, to);
        if let Some(stored) = agreed(answer, &self.against_change(&id, &after)) {
            assert_eq!((stored.id, &stored.definition), (id, &after));
            self.definitions.insert(id, after);
        }
    }

    /// Sets one value and, if told so, takes along a record that must be new.
    async fn set(
        &mut self,
        org: &Org,
        set: &Set,
        mark: Mark,
        record: Option<&str>,
        now: Timestamp,
    ) -> Result<(), Error> {
        let mut reasons = self.against_set(set);
        let mut expected = Expected::Any;
        if let Some(id) = self.named(set.name) {
            let place = (set.scope.clone(), id);
            let standing = self.values.get(&place).map(|value| value.revision);
            let against;
            (expected, against) = self.expected(mark, &address(&place), standing);
            reasons.extend(against);
        }
        let mut options = WriteOptions::expecting(expected);
        if let Some(key) = record {
            options = options.with_record(records(org).write(id(key), "record").expecting(Expected::Absent));
            reasons.extend(self.records.contains_key(key).then_some("Unexpected"));
        }
        let answer = org.set_value_with(set.name, &set.scope, set.value, options).await;
        if let Some(written) = agreed(answer, &reasons) {
            self.value_written(written, set.value, now);
            if let Some(key) = record {
                self.record_written(org, key, "record").await?;
            }
        }
        Ok(())
    }

    async fn set_many(&mut self, org: &Org, sets: &[Set], now: Timestamp) {
        let mut reasons: Reasons = sets.iter().flat_map(|set| self.against_set(set)).collect();
        let twice =
            |set: &Set| sets.iter().filter(|s| (s.name, &s.scope) == (set.name, &set.scope)).count() > 1;
        reasons.extend(sets.iter().any(twice).then_some("DuplicateValue"));
        let values: Vec<_> = sets.iter().map(|set| NewValue::new(set.name, &set.scope, set.value)).collect();
        for (set, written) in
            sets.iter().zip(agreed(org.set_values(&values).await, &reasons).unwrap_or_default())
        {
            self.value_written(written, set.value, now);
        }
    }

    fn value_written(&mut self, written: ValueWritten, value: &str, now: Timestamp) {
        let place = (written.scope, written.definition_id);
        let before = self.values.get(&place);
        assert_eq!(written.action, action(before.is_some()));
        if let Some(before) = before {
            assert_eq!((Some(written.id), written.created_at), (before.id, before.created_at));
            assert_ne!(written.revision, before.revision);
        } else if let Some(deleted) = self.deleted.get(&place) {
            assert_eq!((Some(written.id), written.created_at), (deleted.id, deleted.created_at));
            assert_eq!(written.revision.as_u64(), deleted.revision.as_u64() + 1);
        } else {
            assert_eq!(written.created_at, now);
        }
        assert_eq!(written.updated_at, now);
        let document = Document {
            id: Some(written.id),
            revision: written.revision,
            created_at: written.created_at,
            updated_at: written.updated_at,
            text: value.to_owned(),
        };
        self.put_value(&place, document);
    }

    async fn restore(&mut self, org: &Org, name: &'static str, scope: &Scope, nth: usize, now: Timestamp) {
        let set = Set { name, scope: scope.clone(), value: "" };
        let Some(id) = self.named(name) else { return };
        let kept = self.former.get(&(scope.clone(), id)).cloned().unwrap_or_default();
        let Some((revision, text)) = kept.iter().rev().nth(nth) else { return };
        let mut reasons = self.against_set(&set);
        reasons.extend(text.is_none().then_some("VersionNotFound"));
        if let Some(written) = agreed(org.restore_value(name, scope, *revision).await, &reasons) {
            self.value_written(written, text.as_deref().unwrap(), now);
        }
    }

    async fn undelete(&mut self, org: &Org, name: &'static str, scope: &Scope, now: Timestamp) {
        let set = Set { name, scope: scope.clone(), value: "" };
        let mut reasons = self.against_set(&set);
        let place = self.named(name).map(|id| (scope.clone(), id));
        let (value, deletion) = match &place {
            Some(place) => (self.values.get(place), self.deleted.get(place)),
            None => (None, None),
        };
        reasons.extend(value.is_some().then_some("Unexpected"));
        let nothing = deletion.is_none();
        let text = deletion.map(|deletion| deletion.text.clone());
        // Without a deleted value there is nothing to refuse, unless there is no such definition.
        if nothing {
            reasons.retain(|reason| *reason != "ScopeNotAllowed");
        }
        if let Some(Some(written)) = agreed(org.undelete_value(name, scope).await, &reasons) {
            self.value_written(written, &text.unwrap(), now);
        }
    }

    async fn unset(&mut self, org: &Org, name: &str, scope: &Scope, mark: Mark, keep: bool) {
        let Some(id) = self.named(name) else {
            agreed(org.delete_value(name, scope).await, &["DefinitionNotFound"]);
            return;
        };
        let place = (scope.clone(), id);
        let standing = self.values.get(&place).map(|value| value.revision);
        let (expected, reasons) = self.expected(mark, &address(&place), standing);
        let options = WriteOptions::expecting(expected);
        let options = if keep { options.keep_history() } else { options };
        if let Some(deleted) = agreed(org.delete_value_with(name, scope, options).await, &reasons) {
            let before = if keep { self.delete_keeping(&place) } else { self.delete_value(&place) };
            assert_eq!(deleted.and_then(|deleted| deleted.id), before.and_then(|before| before.id));
        }
    }

    async fn account_written(
        &mut self,
        org: &Org,
        account: &LinkedAccountId,
        credential: Option<(&str, &str)>,
    ) -> Result<(), Error> {
        self.accounts.entry(account.clone()).or_insert(0);
        if let Some((key, value)) = credential {
            self.credential_written(org, &app(account.as_str(), "default-app"), key, value).await?;
        }
        Ok(())
    }

    /// Deletes a connection; with the default one all others of the integration, one after the other.
    async fn disconnect(&mut self, org: &Org, app: &App) {
        let (account, slug, connection) = app;
        let mut gone = match connection {
            Some(_) => self.apps.keys().filter(|known| *known == app).cloned().collect(),
            None => self.connections(account, slug),
        };
        let answer = match connection {
            Some(connection) => handle(org, app).delete_connection(slug, connection).await,
            None => handle(org, app).delete_integration(slug).await,
        };
        if answer.is_err() {
            // Cut short: the others stay.
            gone.truncate(1);
        }
        let reasons = if gone.is_empty() { vec!["IntegrationNotFound"] } else { vec![] };
        if agreed(self.begun(answer), &reasons).is_some() {
            gone.iter().for_each(|app| self.delete_connection(app));
        }
    }

    async fn upsert(
        &mut self,
        org: &Org,
        app: &App,
        key: &str,
        value: &str,
        mark: Mark,
    ) -> Result<(), Error> {
        let mut reasons = self.against_app(app);
        let standing =
            self.apps.get(app).and_then(|keys| keys.get(key)).map(|credential| credential.revision);
        let (expected, against) = self.expected(mark, &credential_address(app, key), standing);
        reasons.extend(against);
        let options = WriteOptions::expecting(expected);
        let answer = credentials(org, app).upsert_with(key, value, options).await;
        if let Some(done) = agreed(answer, &reasons) {
            assert_eq!(done.action, action(standing.is_some()));
            self.credential_written(org, app, key, value).await?;
        }
        Ok(())
    }

    /// Takes over what the engine chose for a credential: its id, its revision and its times.
    async fn credential_written(
        &mut self,
        org: &Org,
        app: &App,
        key: &str,
        value: &str,
    ) -> Result<(), Error> {
        let info = credentials(org, app).get(key).await?.expect("it was just written").info;
        if let Some(before) = self.apps.get(app).and_then(|keys| keys.get(key)) {
            assert_eq!((Some(info.id), info.created_at), (before.id, before.created_at));
            assert_ne!(info.revision, before.revision);
        }
        let document = Document {
            id: Some(info.id),
            revision: info.revision,
            created_at: info.created_at,
            updated_at: info.updated_at,
            text: value.to_owned(),
        };
        self.put_credential(app, key, document);
        Ok(())
    }

    async fn record_written(&mut self, org: &Org, key: &str, value: &str) -> Result<(), Error> {
        let record = records(org).get(&id(key)).await?.expect("it was just written");
        let document = Document {
            id: None,
            revision: record.revision,
            created_at: record.created_at,
            updated_at: record.updated_at,
            text: value.to_owned(),
        };
        self.records.insert(key.to_owned(), document);
        Ok(())
    }

    /// What a delete answers that may be cut short: from its first batch on it counts as done.
    fn begun(&self, answer: Result<(), Error>) -> Result<(), Error> {
        match answer {
            Err(Error::Store(_)) if self.cuts_deletes_short => Ok(()),
            answer => answer,
        }
    }

    fn against_app(&self, app: &App) -> Reasons {
        if self.apps.contains_key(app) { vec![] } else { vec!["IntegrationNotFound"] }
    }
}

pub(crate) fn handle(org: &Org, app: &App) -> Account {
    org.account(app.0.clone())
}

pub(crate) fn credentials(org: &Org, app: &App) -> AppCredentials {
    let default = handle(org, app).app(app.1.clone());
    match &app.2 {
        Some(connection) => default.connection(connection.clone()),
        None => default,
    }
}

pub(crate) fn records(org: &Org) -> Records {
    org.records(id("visitor"))
}

/// The answer, if it is one; a refusal must have one of the reasons, and a reason must refuse.
fn agreed<T: Debug>(answer: Result<T, Error>, reasons: &[&str]) -> Option<T> {
    let variant = answer.as_ref().err().map(|error| format!("{error:?}"));
    let mut words = variant.iter().flat_map(|text| text.split(|c: char| !c.is_alphanumeric()));
    // What breaks a rule says which in its second word.
    let variant = words.by_ref().find(|word| *word != "Invalid");
    match variant {
        None => assert!(reasons.is_empty(), "done, against {reasons:?}"),
        Some(variant) => assert!(reasons.contains(&variant), "refused with {variant}, against {reasons:?}"),
    }
    answer.ok()
}

fn action(stands: bool) -> Upsert {
    if stands { Upsert::Updated } else { Upsert::Added }
}
