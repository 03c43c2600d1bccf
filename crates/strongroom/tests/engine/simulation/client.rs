//! What one action does through the public API, and what its answer says of each cell.

use std::time::Duration;

use strongroom::{
    Credentials, DataKeys, DefinitionChange, Error, ErrorKind, Expected, FormatChange, IntegrationId,
    LengthBounds, NewCredential, NewValue, OnMismatch, OnUncertain, Org, Origin, PageRequest, Records,
    Refresh, RefreshedBy, Resolved, RootRotation, Scope, ScopeKind, ScopePath, Scopes, Secret, Unrefreshed,
    Upsert, VarFormat, Vault, WriteOptions,
};

use super::history::{Cell, Effect, Saw};
use super::plan::{ACCOUNTS, Action, KEYS, NAMES, RECORDS, SCOPES_LEN};
use crate::rig::{account, of_account, of_workflow, org, text, unlock};

/// What an action came to.
#[derive(Default)]
pub(crate) struct Done {
    /// What its answer says.
    pub(crate) effects: Vec<Effect>,
    /// Whether it may have taken effect, or may still.
    pub(crate) is_unsure: bool,
    /// Whether the vault has to be opened again.
    pub(crate) reopen: bool,
}

/// Runs an action. What it writes is `token`, which no other action writes.
///
/// # Errors
/// An answer that no honest store explains.
pub(crate) async fn perform(action: Action, vault: &Vault, token: u64) -> Result<Done, Error> {
    let org = org(vault);
    match attempt(action, vault, &org, token).await {
        Ok(effects) => Ok(Done { effects, ..Done::default() }),
        Err(error) => refused(action, error),
    }
}

/// What the action may do to each cell, if nobody hears how it ended.
pub(crate) fn attempted(action: Action, token: u64) -> Vec<Effect> {
    let put = |cell| Effect::write(cell, Saw::Anything, Some(token));
    let take = |cell| Effect::write(cell, Saw::Anything, None);
    match action {
        Action::Define(name) => vec![put(Cell::Definition(name))],
        Action::DeleteDefinition(name) => definition_gone(name, Saw::Anything),
        Action::Set(name, scope) | Action::SetFirst(name, scope) => vec![put(Cell::Value(name, scope))],
        Action::SetEverywhere(name) => (0..SCOPES_LEN).map(|at| put(Cell::Value(name, at))).collect(),
        Action::Unset(name, scope) => vec![take(Cell::Value(name, scope))],
        Action::UpsertAccount(id, key) => vec![put(Cell::Account(id)), put(Cell::Credential(id, key))],
        Action::UpsertCredential(id, key) | Action::RefreshCredential(id, key) => {
            vec![put(Cell::Credential(id, key))]
        }
        Action::DeleteCredential(id, key) => vec![take(Cell::Credential(id, key))],
        Action::DeleteAccount(id) | Action::ShredAccount(id) => account_gone(id),
        Action::ShredOrg => everything(|cell| Effect::write(cell, Saw::Anything, None)),
        Action::PutRecord(key) => vec![put(Cell::Record(key))],
        Action::DeleteRecord(key) => vec![take(Cell::Record(key))],
        Action::Narrow(_)
        | Action::Widen(_)
        | Action::ChangeFormat(_)
        | Action::Get(..)
        | Action::List(_)
        | Action::Resolve(_)
        | Action::ResolveAll
        | Action::GetCredential(..)
        | Action::GetRecord(_)
        | Action::RotateData
        | Action::RotateRoot
        | Action::RunJobs
        | Action::LockOrg
        | Action::UnlockOrg
        | Action::LockVault
        | Action::UnlockVault
        | Action::Backup
        | Action::Copy
        | Action::AbandonCopy
        | Action::Crash
        | Action::CutPower
        | Action::Stall
        | Action::Cancel(_) => vec![],
    }
}

/// Reads every cell.
pub(crate) async fn look(vault: &Vault) -> Result<Vec<Effect>, Error> {
    let org = org(vault);
    let mut effects = Vec::new();
    for name in NAMES {
        let found = org.definition(name).await?;
        effects.push(Effect::read(Cell::Definition(name), is_there(found.is_some())));
        for at in 0..SCOPES_LEN {
            let found = if found.is_some() { org.value(name, scope(at)).await? } else { None };
            effects.push(Effect::read(Cell::Value(name, at), saw(found.as_ref().map(|found| &found.value))));
        }
    }
    for id in ACCOUNTS {
        let found = org.linked_account(&account(id)).await?;
        effects.push(Effect::read(Cell::Account(id), is_there(found.is_some())));
        for key in KEYS {
            let found = if found.is_some() { org.account(account(id)).credential(key).await? } else { None };
            let seen = saw(found.as_ref().map(|found| &found.value));
            effects.push(Effect::read(Cell::Credential(id, key), seen));
        }
    }
    for key in RECORDS {
        effects.extend(get_record(&org, key).await?);
    }
    Ok(effects)
}

async fn attempt(action: Action, vault: &Vault, org: &Org, token: u64) -> Result<Vec<Effect>, Error> {
    match action {
        Action::Define(name) => {
            org.define(text(name)).await?;
            Ok(vec![Effect::write(Cell::Definition(name), Saw::Nothing, Some(token))])
        }
        Action::DeleteDefinition(name) => {
            org.delete_definition(name).await?;
            Ok(definition_gone(name, Saw::Something))
        }
        Action::Narrow(name) | Action::Widen(name) | Action::ChangeFormat(name) => {
            change(action, org, name, token).await
        }
        Action::Set(..) | Action::SetFirst(..) | Action::SetEverywhere(_) | Action::Unset(..) => {
            write_value(action, org, token).await
        }
        Action::Get(name, at) => {
            let found = org.value(name, scope(at)).await?;
            Ok(vec![Effect::read(Cell::Value(name, at), saw(found.as_ref().map(|found| &found.value)))])
        }
        Action::List(at) => list(org, at).await,
        Action::Resolve(name) => {
            Ok(resolved(name, org.resolve(name, &path()).await?.as_ref()).chain([defined(name)]).collect())
        }
        Action::ResolveAll => {
            let all = org.resolve_all(&path()).await?.values;
            let one = |name| resolved(name, all.iter().find(|one| one.name == name));
            Ok(NAMES.iter().flat_map(|name| one(*name)).collect())
        }
        Action::UpsertAccount(..)
        | Action::UpsertCredential(..)
        | Action::GetCredential(..)
        | Action::RefreshCredential(..)
        | Action::DeleteCredential(..)
        | Action::DeleteAccount(_)
        | Action::ShredAccount(_) => on_account(action, org, token).await,
        Action::PutRecord(_) | Action::GetRecord(_) | Action::DeleteRecord(_) => {
            on_record(action, org, token).await
        }
        Action::ShredOrg => {
            drop(org.shred().await?);
            Ok(everything(|cell| Effect::write(cell, Saw::Anything, None)))
        }
        _ => on_vault(action, vault, org).await.map(|()| vec![]),
    }
}

async fn change(action: Action, org: &Org, name: &'static str, token: u64) -> Result<Vec<Effect>, Error> {
    let mut effects = vec![defined(name)];
    match action {
        Action::Narrow(_) => {
            let scopes = Scopes::only(ScopeKind::Org);
            org.update_definition(name, DefinitionChange::new().scopes(scopes)).await?;
            effects.extend((1..SCOPES_LEN).map(|at| Effect::read(Cell::Value(name, at), Saw::Nothing)));
        }
        Action::Widen(_) => {
            org.update_definition(name, DefinitionChange::new().scopes(Scopes::ALL)).await?;
        }
        _ => {
            let bounds = LengthBounds::new(1..=20 + token as usize).unwrap();
            let to = FormatChange::to(VarFormat::String).length(bounds);
            org.change_format(name, &to, OnMismatch::Grandfather).await?;
        }
    }
    Ok(effects)
}

async fn write_value(action: Action, org: &Org, token: u64) -> Result<Vec<Effect>, Error> {
    let (name, effects) = match action {
        Action::Set(name, at) | Action::SetFirst(name, at) => {
            let expected = if matches!(action, Action::Set(..)) { Expected::Any } else { Expected::Absent };
            let options = WriteOptions::expecting(expected);
            let done = org.set_value_with(name, scope(at), written(token), options).await?.action;
            (name, vec![Effect::write(Cell::Value(name, at), before(done), Some(token))])
        }
        Action::SetEverywhere(name) => {
            let scopes: Vec<_> = (0..SCOPES_LEN).map(scope).collect();
            let values: Vec<_> =
                scopes.iter().map(|scope| NewValue::new(name, scope, written(token))).collect();
            let done = org.set_values(&values).await?.into_iter().enumerate();
            let effect = |(at, done): (usize, strongroom::ValueWritten)| {
                Effect::write(Cell::Value(name, at), before(done.action), Some(token))
            };
            (name, done.map(effect).collect())
        }
        Action::Unset(name, at) => {
            let there = org.delete_value(name, scope(at)).await?.is_some();
            (name, vec![Effect::write(Cell::Value(name, at), is_there(there), None)])
        }
        other => unreachable!("{other:?} writes no value"),
    };
    Ok(effects.into_iter().chain([defined(name)]).collect())
}

async fn list(org: &Org, at: usize) -> Result<Vec<Effect>, Error> {
    let listed = org.values(scope(at), PageRequest::default()).await?.items;
    let mut effects = Vec::new();
    for name in NAMES {
        let Some(known) = org.definition(name).await? else { continue };
        let found = listed.iter().find(|value| value.definition_id == known.id);
        // A definition that was made since has no value in the list, and may have had one under an earlier id.
        if let Some(found) = found {
            effects.push(Effect::read(Cell::Value(name, at), saw(Some(&found.value))));
        }
    }
    Ok(effects)
}

async fn on_account(action: Action, org: &Org, token: u64) -> Result<Vec<Effect>, Error> {
    let there = |id| Effect::read(Cell::Account(id), Saw::Something);
    match action {
        Action::UpsertAccount(id, key) => {
            let upsert = org.upsert_account(account(id)).with_credential(key, written(token));
            let account = Effect::write(Cell::Account(id), before(upsert.await?.action), Some(token));
            Ok(vec![account, Effect::write(Cell::Credential(id, key), Saw::Anything, Some(token))])
        }
        Action::UpsertCredential(id, key) => {
            let done = org.account(account(id)).upsert_credential(key, written(token)).await?;
            Ok(vec![there(id), Effect::write(Cell::Credential(id, key), before(done.action), Some(token))])
        }
        Action::GetCredential(id, key) => {
            let found = org.account(account(id)).credential(key).await?;
            let seen = saw(found.as_ref().map(|found| &found.value));
            Ok(vec![Effect::read(Cell::Credential(id, key), seen)])
        }
        Action::RefreshCredential(id, key) => Ok(vec![there(id), refresh(org, id, key, token).await?]),
        Action::DeleteCredential(id, key) => {
            let stood = org.account(account(id)).delete_credential(key).await?;
            Ok(vec![there(id), Effect::write(Cell::Credential(id, key), is_there(stood), None)])
        }
        Action::DeleteAccount(id) => org.delete_account(&account(id)).await.map(|()| account_gone(id)),
        Action::ShredAccount(id) => org.shred_account(&account(id)).await.map(|_| account_gone(id)),
        other => unreachable!("{other:?} is not about an account"),
    }
}

async fn refresh(org: &Org, id: &'static str, key: &'static str, token: u64) -> Result<Effect, Error> {
    let app = org.account(account(id)).app(IntegrationId::default_app());
    let (cell, before) = (Cell::Credential(id, key), std::cell::Cell::new(Saw::Anything));
    let seen = |credentials: &Credentials| saw(credentials.get(key).map(|found| &found.value));
    let exchange = async |old: &Credentials| {
        before.set(seen(old));
        Ok::<_, Unrefreshed<Error>>(vec![NewCredential::new(key, written(token))])
    };
    // The pauses pass at once, and leases end within a run.
    let lease = Refresh::new(|_| std::future::ready(())).lease(LEASE).wait(LEASE);
    let policy = lease.on_uncertain(OnUncertain::TryKept);
    let done = app.refresh(app.get_all().await?, &policy, exchange).await?;
    Ok(match done.by {
        RefreshedBy::ThisCall => Effect::write(cell, before.get(), Some(token)),
        _ => Effect::read(cell, seen(&done.credentials)),
    })
}

async fn on_record(action: Action, org: &Org, token: u64) -> Result<Vec<Effect>, Error> {
    match action {
        Action::PutRecord(key) => {
            let done = records(org).put(&key.parse()?, written(token)).await?;
            Ok(vec![Effect::write(Cell::Record(key), before(done.action), Some(token))])
        }
        Action::GetRecord(key) => get_record(org, key).await,
        Action::DeleteRecord(key) => {
            let there = records(org).delete(&key.parse()?).await?;
            Ok(vec![Effect::write(Cell::Record(key), is_there(there), None)])
        }
        other => unreachable!("{other:?} is not about a record"),
    }
}

async fn get_record(org: &Org, key: &'static str) -> Result<Vec<Effect>, Error> {
    let found = records(org).get(&key.parse()?).await?;
    Ok(vec![Effect::read(Cell::Record(key), saw(found.as_ref().map(|found| &found.value)))])
}

async fn on_vault(action: Action, vault: &Vault, org: &Org) -> Result<(), Error> {
    match action {
        Action::RotateData => {
            vault.rotate_data_keys(&DataKeys::all()).await?.run().await?;
        }
        Action::RotateRoot => {
            vault.rotate_root(RootRotation::new().keep(unlock())).await?.job.run().await?;
        }
        Action::RunJobs => drop(vault.run_jobs().await?),
        Action::LockOrg => org.lock(),
        Action::UnlockOrg => org.unlock(unlock()).await?,
        Action::LockVault => vault.lock(),
        Action::UnlockVault => vault.unlock(unlock()).await?,
        other => unreachable!("{other:?} is not done by a client"),
    }
    Ok(())
}

/// What a refusal says: by its documented kind, whether anything was written.
fn refused(action: Action, error: Error) -> Result<Done, Error> {
    let goes_on = matches!(
        action,
        Action::DeleteDefinition(_) | Action::DeleteAccount(_) | Action::ShredAccount(_) | Action::ShredOrg
    );
    let (effects, mut is_unsure, mut reopen) = match error.kind() {
        ErrorKind::NotFound => (missing(action), false, false),
        ErrorKind::Conflict => (standing(action), false, false),
        ErrorKind::Invalid | ErrorKind::Busy | ErrorKind::Locked => (vec![], goes_on, false),
        ErrorKind::Refused => {
            let nothing_written = matches!(error, Error::Retired | Error::RootRotated);
            (vec![], goes_on || !nothing_written, true)
        }
        ErrorKind::Indeterminate => (vec![], true, false),
        _ => return Err(error),
    };
    if matches!(action, Action::RotateRoot) {
        (is_unsure, reopen) = (true, true);
    }
    Ok(Done { effects, is_unsure, reopen })
}

/// What it says that something is not there.
fn missing(action: Action) -> Vec<Effect> {
    let none = |cell| Effect::read(cell, Saw::Nothing);
    match action {
        Action::DeleteDefinition(name)
        | Action::Narrow(name)
        | Action::Widen(name)
        | Action::ChangeFormat(name)
        | Action::Set(name, _)
        | Action::SetFirst(name, _)
        | Action::SetEverywhere(name)
        | Action::Unset(name, _)
        | Action::Get(name, _)
        | Action::Resolve(name) => vec![none(Cell::Definition(name))],
        Action::UpsertCredential(id, _)
        | Action::RefreshCredential(id, _)
        | Action::GetCredential(id, _)
        | Action::DeleteCredential(id, _) => {
            vec![none(Cell::Account(id))]
        }
        Action::DeleteAccount(id) | Action::ShredAccount(id) => vec![none(Cell::Account(id))],
        _ => vec![],
    }
}

/// What it says that something is there already.
fn standing(action: Action) -> Vec<Effect> {
    match action {
        Action::Define(name) => vec![defined(name)],
        Action::SetFirst(name, at) => vec![Effect::read(Cell::Value(name, at), Saw::Something)],
        _ => vec![],
    }
}

fn defined(name: &'static str) -> Effect {
    Effect::read(Cell::Definition(name), Saw::Something)
}

fn definition_gone(name: &'static str, saw: Saw) -> Vec<Effect> {
    let values = (0..SCOPES_LEN).map(|at| Effect::write(Cell::Value(name, at), Saw::Anything, None));
    values.chain([Effect::write(Cell::Definition(name), saw, None)]).collect()
}

fn account_gone(id: &'static str) -> Vec<Effect> {
    let at = 1 + ACCOUNTS.iter().position(|known| *known == id).unwrap();
    let values = NAMES.map(|name| Cell::Value(name, at));
    let credentials = KEYS.map(|key| Cell::Credential(id, key));
    let cells = values.into_iter().chain(credentials).chain([Cell::Account(id)]);
    cells.map(|cell| Effect::write(cell, Saw::Anything, None)).collect()
}

fn everything(effect: impl Fn(Cell) -> Effect) -> Vec<Effect> {
    let values = NAMES.iter().flat_map(|name| (0..SCOPES_LEN).map(|at| Cell::Value(name, at)));
    let credentials = ACCOUNTS.iter().flat_map(|id| KEYS.map(|key| Cell::Credential(id, key)));
    let definitions = NAMES.map(Cell::Definition).into_iter().chain(ACCOUNTS.map(Cell::Account));
    definitions.chain(RECORDS.map(Cell::Record)).chain(values).chain(credentials).map(effect).collect()
}

/// What a run sees of one variable: the scopes before the one that holds it are empty, as are those that it does not
/// shadow.
fn resolved(name: &'static str, one: Option<&Resolved>) -> impl Iterator<Item = Effect> {
    let found = one.map(|one| (one.scope.clone(), saw(Some(&one.value)), one.shadowed.clone()));
    PATH.into_iter().map(move |at| {
        let here = Origin::Scope(scope(at));
        let seen = match &found {
            Some((origin, seen, _)) if *origin == here => *seen,
            Some((.., shadowed)) => is_there(shadowed.contains(&here)),
            None => Saw::Nothing,
        };
        Effect::read(Cell::Value(name, at), seen)
    })
}

fn before(done: Upsert) -> Saw {
    is_there(done == Upsert::Updated)
}

fn is_there(there: bool) -> Saw {
    if there { Saw::Something } else { Saw::Nothing }
}

fn written(token: u64) -> String {
    format!("v{token}")
}

fn saw(value: Option<&Secret>) -> Saw {
    value.map_or(Saw::Nothing, |value| Saw::Just(value.expose()[1..].parse().unwrap()))
}

fn records(org: &Org) -> Records {
    org.records("notes".parse().unwrap())
}

fn scope(at: usize) -> Scope {
    match at {
        0 => Scope::Org,
        3 => of_workflow("w"),
        at => of_account(ACCOUNTS[at - 1]),
    }
}

fn path() -> ScopePath {
    ScopePath::org().linked_account(account(ACCOUNTS[0])).workflow("w".parse().unwrap())
}

/// The scopes of the path.
const PATH: [usize; 3] = [3, 1, 0];

/// The shortest that there is.
const LEASE: Duration = Duration::from_secs(1);
