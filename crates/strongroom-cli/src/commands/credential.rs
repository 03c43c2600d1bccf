//! `credential`: the credentials of a linked account's apps.

use serde::Serialize;
use serde::de::IgnoredAny;
use strongroom::{
    AppCredentials, ConnectionId, CredentialInfo, CredentialKey, Error, IntegrationId, LinkedAccountId, Org,
    PageRequest, Secret, WriteOptions,
};
use strongroom_http::control::{self, Reason};

use super::audit::refuse_left_out;
use super::credential_history::{History, Revert, Undo};
use super::credential_reveal::Reveal;
use super::delete::{FOR_GOOD, offer_purge, unless_purged};

use crate::client::docs::{Credential, CredentialSet};
use crate::client::{Call, Client};
use crate::consent::{Consent, Deed};
use crate::failure::{Exit, Failure, step_of_app, word};
use crate::input::{self, ValueArgs};
use crate::output::{Output, time, unless_unknown};
use crate::pages;
use crate::scope_args::refuse_blank_ends;
use crate::suggest;
use crate::typo::closest;

/// `credential` as it is typed.
#[derive(Debug, Clone, clap::Subcommand)]
pub(crate) enum CredentialCommand {
    /// Set a credential to the exact bytes of standard input, or to the line typed at a hidden prompt
    Set(Set),
    /// List key names and times
    List(List),
    /// Show a credential, as it is or as it was in a former version: a server notes that in the audit, the store itself
    /// does not
    Reveal(Reveal),
    /// Delete a credential; `credential undo` brings it back if versions of it are kept
    Delete(Delete),
    /// List the versions of a credential: when each was written, by whom and why
    History(History),
    /// Undo the last change of a credential, or its deletion
    Undo(Undo),
    /// Restore a former version of a credential
    Revert(Revert),
}

/// Which credentials of an account.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Place {
    /// The linked account
    #[arg(long, value_name = "ID")]
    pub(super) account: LinkedAccountId,
    #[command(flatten)]
    app: AppArgs,
}

/// Which app of an account, and which connection of it.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct AppArgs {
    /// The slug of an app other than the default one
    #[arg(long, value_name = "SLUG")]
    app: Option<IntegrationId>,
    /// A connection of the app other than its default one
    #[arg(long, value_name = "ID")]
    pub(crate) connection: Option<ConnectionId>,
}

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Set {
    /// The key of the credential
    key: CredentialKey,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    value: ValueArgs,
}

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct List {
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Delete {
    /// The key of the credential
    key: CredentialKey,
    #[command(flatten)]
    place: Place,
    /// Also delete all former versions: nothing brings it back. Required if it cannot be read and has versions
    #[arg(long)]
    purge: bool,
    #[command(flatten)]
    consent: Consent,
}

#[derive(Serialize)]
struct Written<'a> {
    action: &'a str,
    key: &'a str,
    linked_account_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    app: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connection: Option<&'a str>,
}

#[derive(Serialize)]
struct Deleted<'a> {
    key: &'a str,
    linked_account_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    app: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connection: Option<&'a str>,
    deleted: bool,
}

/// A credential in a list, which does not show it.
#[derive(Serialize)]
struct CredentialView {
    /// A server does not return it.
    id: Option<String>,
    key: String,
    created_at: Option<String>,
    updated_at: Option<String>,
}

#[derive(Serialize)]
struct NewCredential<'a> {
    value: &'a str,
    linked_account_id: &'a str,
}

impl AppArgs {
    pub(crate) fn integration(&self) -> IntegrationId {
        self.app.clone().unwrap_or_else(IntegrationId::default_app)
    }

    /// Its name in messages.
    pub(crate) fn shown(&self) -> String {
        match &self.connection {
            Some(connection) => format!("connection {connection} of app {}", self.integration()),
            None => format!("app {}", self.integration()),
        }
    }
}

impl Place {
    pub(super) fn credentials(&self, org: &Org) -> AppCredentials {
        let app = org.account(self.account.clone()).app(self.app.integration());
        match &self.app.connection {
            Some(connection) => app.connection(connection.clone()),
            None => app,
        }
    }

    /// Uses a control call, or otherwise a documented one, which knows only the default connection of the default app.
    fn on_server<T>(
        &self,
        client: &Client,
        by_control: impl FnOnce(&Client) -> Result<T, Failure>,
        by_document: impl FnOnce(&Client) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let integration = self.app.integration();
        let done = match self.app.connection.is_none() && integration == IntegrationId::default_app() {
            true => client.either(by_control, by_document),
            false => by_control(client),
        };
        self.told_of_app(client, done)
    }

    /// Adds what to do if the app or the connection does not exist.
    pub(super) fn told_of_app<T>(&self, client: &Client, done: Result<T, Failure>) -> Result<T, Failure> {
        match done {
            Err(refused) if refused.is(Reason::ConnectionNotFound) => {
                // If the account is not registered, its default app is not found either.
                client.refuse_unknown_account(&self.account)?;
                let (app, connection) = (self.app.integration(), self.app.connection.as_ref());
                Err(refused.next(step_of_app(&self.account, &app, connection)))
            }
            done => done,
        }
    }

    /// The credentials that a server lists, and why the others cannot be read.
    fn listed(&self, client: &Client) -> Result<(Vec<CredentialView>, Vec<String>), Failure> {
        let by_control = |client: &Client| {
            let path = self.path();
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            let (all, unreadable): (Vec<control::CredentialInfo>, _) =
                client.control_list(Call { path: &path, query: &self.query() })?;
            Ok((all.into_iter().map(CredentialView::of_control).collect(), unreadable))
        };
        let by_document = |client: &Client| {
            let query = [("linked_account_id", self.account.as_str())];
            let docs: Vec<Credential> = client.pages(Call { path: &BASE, query: &query })?;
            Ok((docs.into_iter().map(CredentialView::of_doc).collect(), Vec::new()))
        };
        self.on_server(client, by_control, by_document)
    }

    fn path(&self) -> Vec<String> {
        let integration = self.app.integration();
        ["accounts", self.account.as_str(), "credentials", integration.as_str()].map(str::to_owned).into()
    }

    pub(super) fn path_of(&self, key: &CredentialKey, rest: &[&str]) -> Vec<String> {
        let rest = rest.iter().map(|part| (*part).to_owned()).collect();
        [self.path(), vec![key.to_string()], rest].concat()
    }

    /// The connection, for the body of a control call.
    pub(super) fn connection(&self) -> Option<String> {
        self.app.connection.as_ref().map(ToString::to_string)
    }

    /// The app and the connection, if they are named.
    pub(super) fn named(&self) -> (Option<&str>, Option<&str>) {
        let AppArgs { app, connection } = &self.app;
        (app.as_ref().map(IntegrationId::as_str), connection.as_ref().map(ConnectionId::as_str))
    }

    pub(super) fn absent(&self, key: &CredentialKey) -> Failure {
        Failure::not_found(format!("{} has no credential {key}", self.shown()))
            .next(format!(
                "`strongroom credential list {0}` lists those that are there, `strongroom credential undo {key} {0}` \
                 brings it back if it was deleted",
                self.options()
            ))
    }

    /// Its options, as they are typed.
    fn options(&self) -> String {
        let (app, connection) = self.named();
        let named = [("app", app), ("connection", connection)].map(|(name, id)| match id {
            Some(id) => format!(" --{name} {}", word(id)),
            None => String::new(),
        });
        format!("--account {}{}", word(self.account.as_str()), named.concat())
    }

    pub(super) fn query(&self) -> Vec<(&str, &str)> {
        self.app.connection.iter().map(|connection| ("connection", connection.as_str())).collect()
    }

    /// The credentials' owner, for people.
    pub(super) fn shown(&self) -> String {
        match (&self.app.app, &self.app.connection) {
            (None, None) => self.account.to_string(),
            _ => format!("{}, {}", self.account, self.app.shown()),
        }
    }
}

impl CredentialCommand {
    pub(crate) async fn run(self, org: &Org, output: &Output) -> Result<(), Failure> {
        match self {
            Self::Set(set) => set.run(set.read(output)?, org, output).await,
            Self::List(List { place }) => {
                let (all, unreadable) = match pages::readable_credentials(&place.credentials(org)).await {
                    Ok(found) => found,
                    Err(error) => return Err(suggest::of_account(org, &place.account, error).await),
                };
                show((all.iter().map(CredentialView::of).collect(), unreadable), output)
            }
            Self::Reveal(reveal) => reveal.run(org, output).await,
            Self::Delete(delete) => delete.run(org, output).await,
            Self::History(history) => history.run(org, output).await,
            Self::Undo(undo) => undo.run(org, output).await,
            Self::Revert(revert) => revert.run(org, output).await,
        }
    }

    pub(crate) fn on_server(self, client: &Client, output: &Output) -> Result<(), Failure> {
        match self {
            Self::Set(set) => set.on_server(client, output),
            Self::List(List { place }) => show(place.listed(client)?, output),
            Self::Reveal(reveal) => reveal.on_server(client, output),
            Self::Delete(delete) => delete.on_server(client, output),
            Self::History(history) => history.on_server(client, output),
            Self::Undo(undo) => undo.on_server(client, output),
            Self::Revert(revert) => revert.on_server(client, output),
        }
    }
}

impl Set {
    /// The value to set.
    pub(crate) fn read(&self, output: &Output) -> Result<Secret, Failure> {
        refuse_blank_ends(&self.place.account)?;
        input::value(self.key.as_str(), &self.value, output)
    }

    pub(crate) async fn run(&self, value: Secret, org: &Org, output: &Output) -> Result<(), Failure> {
        let action = match self.place.credentials(org).upsert(self.key.as_str(), value).await {
            Ok(written) => written.action,
            Err(error) => return Err(suggest::of_account(org, &self.place.account, error).await),
        };
        self.done(action.as_str(), output)
    }

    fn on_server(self, client: &Client, output: &Output) -> Result<(), Failure> {
        let value = input::value(self.key.as_str(), &self.value, output)?;
        let by_control = |client: &Client| {
            let path = self.place.path_of(&self.key, &[]);
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            let connection = self.place.connection();
            let body = control::NewCredential { value: value.expose().to_owned().into(), connection };
            let set: control::Changed = client.control_put(&path, &body)?;
            Ok(set.done)
        };
        let by_document = |client: &Client| {
            let body =
                NewCredential { value: value.expose(), linked_account_id: self.place.account.as_str() };
            let set: CredentialSet = client.put(&[&BASE[..], &[self.key.as_str()]].concat(), &body)?;
            Ok(set.action)
        };
        self.done(&self.place.on_server(client, by_control, by_document)?, output)
    }

    fn done(&self, action: &str, output: &Output) -> Result<(), Failure> {
        let Self { key, place, .. } = self;
        let (app, connection) = place.named();
        let linked_account_id = place.account.as_str();
        let view = Written { action, key: key.as_str(), linked_account_id, app, connection };
        output.done(&format!("{action} credential {key} of {}", place.shown()), &view)
    }
}

impl Delete {
    async fn run(self, org: &Org, output: &Output) -> Result<(), Failure> {
        let (credentials, mut is_absent) = (self.place.credentials(org), false);
        let mut seen = String::new();
        match pages::all(async |page| credentials.each(page).await).await {
            Ok(all) if !all.iter().any(|(key, _)| *key == self.key) => {
                is_absent = true;
                // A credential that was deleted before may still have former versions.
                if !(self.purge && self.has_history(&credentials).await?) {
                    let known = all.iter().map(|(key, _)| key.as_str());
                    return Err(self.place.absent(&self.key).meant(closest(self.key.as_str(), known)));
                }
            }
            Err(error @ (Error::AccountNotFound(_) | Error::IntegrationNotFound { .. })) => {
                return Err(suggest::of_account(org, &self.place.account, error).await);
            }
            // One that cannot be read can still be deleted.
            Ok(all) => {
                let found =
                    all.iter().find(|(key, _)| *key == self.key).and_then(|(_, info)| info.as_ref().ok());
                seen = found.map(|info| super::delete::seen(info.id, info.revision)).unwrap_or_default();
            }
            Err(_) => {}
        }
        self.consent.to(Deed::to(self.deed(), seen))?;
        let options = match self.purge {
            true => WriteOptions::default(),
            false => WriteOptions::default().keep_history(),
        };
        let deleted = credentials.delete_with(self.key.as_str(), options).await;
        let deleted = deleted.map_err(|error| unless_purged(self.purge, error))?;
        if deleted || is_absent { self.done(output) } else { Err(self.place.absent(&self.key)) }
    }

    async fn has_history(&self, credentials: &AppCredentials) -> Result<bool, Failure> {
        let newest = credentials.history(self.key.as_str(), PageRequest::first(1)).await?;
        Ok(!newest.items.is_empty())
    }

    fn on_server(self, client: &Client, output: &Output) -> Result<(), Failure> {
        // A key that may delete need not be allowed to list.
        let seen = match self.place.listed(client) {
            Err(absent) if absent.exit == Exit::NotFound => return Err(absent),
            Err(_) => String::new(),
            Ok((all, _)) => {
                let found = all.into_iter().find(|one| one.key == self.key.as_str());
                found
                    .map(|one| {
                        super::delete::seen(one.id.unwrap_or_default(), one.updated_at.unwrap_or_default())
                    })
                    .unwrap_or_default()
            }
        };
        self.consent.to(Deed::to(self.deed(), seen))?;
        let by_control = |client: &Client| {
            let path = self.place.path_of(&self.key, &[]);
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            let purge = if self.purge { "true" } else { "false" };
            let query = [self.place.query(), vec![("purge", purge)]].concat();
            let deleted = client.control_delete(Call { path: &path, query: &query });
            deleted.map(|IgnoredAny| ()).map_err(|refused| offer_purge(self.purge, refused))
        };
        let by_document = |client: &Client| {
            let query = [("linked_account_id", self.place.account.as_str())];
            let path = [&BASE[..], &[self.key.as_str()]].concat();
            client.delete(Call { path: &path, query: &query })?;
            output.note(&format!("the credential is deleted {FOR_GOOD}"));
            Ok(())
        };
        self.place.on_server(client, by_control, by_document)?;
        self.done(output)
    }

    fn deed(&self) -> String {
        let deed = format!("delete credential {} of {}", self.key, self.place.shown());
        if self.purge { format!("{deed} and its former versions, for good") } else { deed }
    }

    fn done(&self, output: &Output) -> Result<(), Failure> {
        let Self { key, place, .. } = self;
        let (app, connection) = place.named();
        let linked_account_id = place.account.as_str();
        let view = Deleted { key: key.as_str(), linked_account_id, app, connection, deleted: true };
        output.done(&format!("deleted credential {key} of {}", place.shown()), &view)
    }
}

impl CredentialView {
    fn of(info: &CredentialInfo) -> Self {
        Self {
            id: Some(info.id.to_string()),
            key: info.key_name.to_string(),
            created_at: Some(time(info.created_at)),
            updated_at: Some(time(info.updated_at)),
        }
    }

    fn of_control(info: control::CredentialInfo) -> Self {
        let (created_at, updated_at) = (Some(info.created_at), Some(info.updated_at));
        Self { id: Some(info.id), key: info.key, created_at, updated_at }
    }

    fn of_doc(doc: Credential) -> Self {
        Self { id: None, key: doc.key_name, created_at: doc.created_at, updated_at: doc.updated_at }
    }
}

/// Those that can be read; then the command fails if there are others.
fn show((mut views, unreadable): (Vec<CredentialView>, Vec<String>), output: &Output) -> Result<(), Failure> {
    views.sort_by(|one, other| one.key.cmp(&other.key));
    let rows = views.iter().map(|view| {
        let [created, updated] =
            [&view.created_at, &view.updated_at].map(|time| unless_unknown(time.clone()));
        [view.key.clone(), created, updated]
    });
    output.list(["KEY", "CREATED", "UPDATED"], rows, &views)?;
    refuse_left_out(&unreadable, "credential", REPAIR, output)
}

const REPAIR: &str = "`strongroom credential undo KEY --replace-damaged` puts back the version before it, `strongroom \
                      credential delete KEY --purge` deletes it, both with --account, and --app and --connection if \
                      it is in one of these";
const BASE: [&str; 3] = ["linked-account", "default-app", "auth-credentials"];
