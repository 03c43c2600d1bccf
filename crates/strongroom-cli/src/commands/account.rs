//! `account`: linked accounts.

use serde::Serialize;
use serde::de::IgnoredAny;
use strongroom::{
    Clock as _, ConnectionId, Error, Integration, IntegrationId, LinkedAccount, LinkedAccountId, Org,
    SystemClock, Timestamp,
};
use strongroom_http::control::{self, OpenSessions};

use crate::client::docs::Account;
use crate::client::{Call, Client, NoBody, lacks_right};
use crate::commands::credential::AppArgs;
use crate::consent::Consent;
use crate::failure::{Failure, word};
use crate::holdings::Holdings;
use crate::output::{Output, counted, time, unless_unknown};
use crate::pages;
use crate::scope_args::refuse_blank_ends;
use crate::suggest;

/// `account` as it is typed.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum AccountCommand {
    /// Register a linked account
    Create(Create),
    /// Add the default app, which credentials need, another one or a further connection of one, to a linked account
    AddApp(AddApp),
    /// List the apps of a linked account, and the connections of each
    Apps(OfAccount),
    /// Remove an app from a linked account, or a connection beside its default one, with the credentials
    RemoveApp(RemoveApp),
    /// List the registered linked accounts
    List,
    /// Delete a linked account with its values, credentials and keys
    Delete(Delete),
    /// List the sessions of a linked account, whose tokens a server takes
    Sessions(OfAccount),
    /// End the sessions of a linked account, or of all: their tokens are refused from then on
    EndSessions(EndSessions),
}

#[derive(Debug, clap::Args)]
pub(crate) struct OfAccount {
    id: LinkedAccountId,
}

#[derive(Debug, clap::Args)]
pub(crate) struct EndSessions {
    #[arg(required_unless_present = "all")]
    id: Option<LinkedAccountId>,
    /// Those of all accounts of the org in this environment
    #[arg(long, conflicts_with = "id")]
    all: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Create {
    id: LinkedAccountId,
    /// A name for people
    #[arg(long)]
    name: Option<String>,
    /// With the default app, which credentials need
    #[arg(long)]
    default_app: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct AddApp {
    id: LinkedAccountId,
    #[command(flatten)]
    app: AppArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct RemoveApp {
    id: LinkedAccountId,
    #[command(flatten)]
    app: AppArgs,
    #[command(flatten)]
    consent: Consent,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Delete {
    id: LinkedAccountId,
    #[command(flatten)]
    consent: Consent,
}

#[derive(Serialize)]
struct Created<'a> {
    linked_account_id: &'a str,
    default_app: bool,
}

#[derive(Serialize)]
struct Ended {
    ended: usize,
}

#[derive(Serialize)]
struct Added<'a> {
    linked_account_id: &'a str,
    app: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    connection: Option<&'a str>,
}

#[derive(Serialize)]
struct Removed<'a> {
    #[serde(flatten)]
    of: Added<'a>,
    deleted: bool,
}

#[derive(Serialize)]
struct Deleted<'a> {
    linked_account_id: &'a str,
    deleted: bool,
}

/// A connection in a list.
#[derive(Serialize)]
struct AppView {
    app: String,
    /// Left out for the default one.
    #[serde(skip_serializing_if = "Option::is_none")]
    connection: Option<String>,
    created_at: String,
}

/// An account in a list.
#[derive(Serialize)]
struct AccountView {
    id: String,
    linked_account_id: String,
    name: Option<String>,
    /// A server returns neither time.
    created_at: Option<String>,
    updated_at: Option<String>,
}

#[derive(Serialize)]
struct NewAccount<'a> {
    linked_account_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    your_app: Option<DefaultApp>,
}

#[derive(Serialize)]
struct DefaultApp {
    auth_credentials: NoCredentials,
}

/// An empty object.
#[derive(Serialize)]
struct NoCredentials {}

impl AccountCommand {
    pub(crate) async fn run(self, org: &Org, output: &Output) -> Result<(), Failure> {
        match self {
            Self::Create(create) => create.run(org, output).await,
            Self::AddApp(AddApp { id, app }) => {
                refuse_blank_ends(&id)?;
                let (account, integration) = (org.account(id.clone()), app.integration());
                let add = match &app.connection {
                    Some(connection) => account.add_connection(&integration, connection).await,
                    None => account.add_integration(&integration).await,
                };
                match add {
                    Ok(_) => added(&id, &app, output),
                    Err(error) => Err(suggest::of_account(org, &id, error).await),
                }
            }
            Self::Apps(OfAccount { id }) => {
                let account = org.account(id.clone());
                if org.linked_account(&id).await?.is_none() {
                    return Err(suggest::no_account(org, &id).await);
                }
                let apps = pages::all(async |page| account.integrations(page).await).await?;
                show_apps(&apps.iter().map(AppView::of).collect::<Vec<_>>(), output)
            }
            Self::RemoveApp(remove) => remove.run(org, output).await,
            Self::List => {
                let accounts = pages::all(async |page| org.linked_accounts(page).await).await?;
                show(accounts.into_iter().map(AccountView::of).collect(), output)
            }
            Self::Delete(delete) => {
                let holdings = Holdings::of(org, &delete.id).await?;
                delete.consent.to(&format!("delete linked account {}, {holdings}", delete.id))?;
                org.delete_account(&delete.id).await?;
                delete.done(output)
            }
            Self::Sessions(OfAccount { id }) => {
                if org.linked_account(&id).await?.is_none() {
                    return Err(suggest::no_account(org, &id).await);
                }
                let now = Timestamp::from_ms(SystemClock.now_ms());
                show_sessions(&OpenSessions::of(org)?.of_account(&id, now).await?, output)
            }
            Self::EndSessions(EndSessions { id, .. }) => {
                let sessions = OpenSessions::of(org)?;
                ended(
                    match &id {
                        Some(id) => sessions.end_of(id).await?,
                        None => sessions.end_all().await?,
                    },
                    output,
                )
            }
        }
    }

    pub(crate) fn on_server(self, client: &Client, output: &Output) -> Result<(), Failure> {
        match self {
            Self::Create(create) => create.on_server(client, output),
            Self::AddApp(AddApp { id, app }) => {
                let integration = app.integration();
                let _: control::Connection =
                    client.control_put(&path_of(&id, &app, &integration), &NoBody {})?;
                added(&id, &app, output)
            }
            Self::Apps(OfAccount { id }) => {
                let path = ["accounts", id.as_str(), "connections"];
                let apps: Vec<control::Connection> =
                    client.control_items(Call { path: &path, query: &[] })?;
                show_apps(&apps.into_iter().map(AppView::of_control).collect::<Vec<_>>(), output)
            }
            Self::RemoveApp(remove) => remove.on_server(client, output),
            Self::List => {
                let by_control = |client: &Client| {
                    let all: Vec<control::AccountView> =
                        client.control_items(Call { path: &["accounts"], query: &[] })?;
                    Ok(all.into_iter().map(AccountView::of_control).collect())
                };
                let by_document = |client: &Client| {
                    let docs: Vec<Account> = client.pages(Call { path: &["linked-account"], query: &[] })?;
                    Ok(docs.into_iter().map(AccountView::of_doc).collect())
                };
                show(client.either(by_control, by_document)?, output)
            }
            Self::Delete(delete) => {
                let id = delete.id.as_str();
                delete.consent.to(&format!("delete linked account {id}, {}", delete.holdings(client)?))?;
                let by_control = |client: &Client| {
                    client.control_delete(Call { path: &["accounts", id], query: &[] }).map(|IgnoredAny| ())
                };
                let by_document =
                    |client: &Client| client.delete(Call { path: &["linked-account", id], query: &[] });
                client.either(by_control, by_document)?;
                delete.done(output)
            }
            Self::Sessions(OfAccount { id }) => {
                let path = ["accounts", id.as_str(), "sessions"];
                let sessions: Vec<control::AccountSession> =
                    client.control_get(Call { path: &path, query: &[] })?;
                show_sessions(&sessions, output)
            }
            Self::EndSessions(EndSessions { id, .. }) => {
                let done: control::Revoked = match &id {
                    Some(id) => {
                        client.control_post(&["accounts", id.as_str(), "revoke-sessions"], &NoBody {})?
                    }
                    None => client.control_post(&["revoke-sessions"], &NoBody {})?,
                };
                ended(done.revoked, output)
            }
        }
    }
}

fn show_sessions(sessions: &[control::AccountSession], output: &Output) -> Result<(), Failure> {
    let rows = sessions.iter().map(|one| [one.id.clone(), one.issued_at.clone(), one.expires_at.clone()]);
    output.list(["ID", "ISSUED", "EXPIRES"], rows, &sessions)
}

fn ended(ended: usize, output: &Output) -> Result<(), Failure> {
    output.done(&format!("{} ended", counted(ended, "session")), &Ended { ended })
}

fn path_of<'a>(id: &'a LinkedAccountId, app: &'a AppArgs, integration: &'a IntegrationId) -> Vec<&'a str> {
    let mut path = vec!["accounts", id.as_str(), "connections", integration.as_str()];
    path.extend(app.connection.as_ref().map(ConnectionId::as_str));
    path
}

fn added(id: &LinkedAccountId, app: &AppArgs, output: &Output) -> Result<(), Failure> {
    let integration = app.integration();
    let view = Added::of(id, app, &integration);
    output.done(&format!("linked account {id} has the {}", app.shown()), &view)
}

fn show_apps(apps: &[AppView], output: &Output) -> Result<(), Failure> {
    let rows = apps
        .iter()
        .map(|one| [one.app.clone(), one.connection.clone().unwrap_or_default(), one.created_at.clone()]);
    output.list(["APP", "CONNECTION", "CREATED"], rows, &apps)
}

impl<'a> Added<'a> {
    fn of(id: &'a LinkedAccountId, app: &'a AppArgs, integration: &'a IntegrationId) -> Self {
        let connection = app.connection.as_ref().map(ConnectionId::as_str);
        Self { linked_account_id: id.as_str(), app: integration.as_str(), connection }
    }
}

impl AppView {
    fn of(of: &Integration) -> Self {
        Self {
            app: of.integration.to_string(),
            connection: of.connection.as_ref().map(ToString::to_string),
            created_at: time(of.created_at),
        }
    }

    fn of_control(of: control::Connection) -> Self {
        Self { app: of.integration, connection: of.connection, created_at: of.created_at }
    }
}

impl RemoveApp {
    async fn run(self, org: &Org, output: &Output) -> Result<(), Failure> {
        let Self { id, app, consent } = &self;
        let (account, integration) = (org.account(id.clone()), app.integration());
        // Asked of what is there alone.
        let all = pages::all(async |page| account.integrations(page).await).await?;
        let is_meant = |one: &Integration| {
            one.integration == integration
                && app.connection.as_ref().is_none_or(|named| one.connection.as_ref() == Some(named))
        };
        let count = all.iter().filter(|one| is_meant(one)).count();
        if count == 0 {
            let is_known = org.linked_account(id).await?.is_some();
            return Err(if is_known { self.absent() } else { suggest::no_account(org, id).await });
        }
        consent.to(&self.deed(count))?;
        let removed = match &app.connection {
            Some(connection) => account.delete_connection(&integration, connection).await,
            None => account.delete_integration(&integration).await,
        };
        match removed {
            Ok(()) => self.done(output),
            Err(error) => Err(suggest::of_account(org, id, error).await),
        }
    }

    fn on_server(self, client: &Client, output: &Output) -> Result<(), Failure> {
        let integration = self.app.integration();
        let path = ["accounts", self.id.as_str(), "connections"];
        let listed: Result<Vec<control::Connection>, _> =
            client.control_items(Call { path: &path, query: &[] });
        let is_meant = |one: &&control::Connection| {
            let named = self.app.connection.as_ref().map(ConnectionId::as_str);
            one.integration == integration.as_str() && (named.is_none() || one.connection.as_deref() == named)
        };
        match listed.map(|all| all.iter().filter(is_meant).count()) {
            Ok(0) => return Err(self.absent()),
            Ok(count) => self.consent.to(&self.deed(count))?,
            // A key that may write need not be one that may read.
            Err(refused) if lacks_right(&refused) => self.consent.to(&self.deed_unseen())?,
            Err(refused) => return Err(refused),
        }
        let path = path_of(&self.id, &self.app, &integration);
        let IgnoredAny = client.control_delete(Call { path: &path, query: &[] })?;
        self.done(output)
    }

    fn deed(&self, connections: usize) -> String {
        let Self { id, app, .. } = self;
        let and_all = match &app.connection {
            Some(_) => String::new(),
            None => format!(", its {}", counted(connections, "connection")),
        };
        format!("remove the {} of {id}{and_all} and the credentials", app.shown())
    }

    fn deed_unseen(&self) -> String {
        let Self { id, app, .. } = self;
        let and_all = if app.connection.is_some() { "" } else { ", all of its connections" };
        format!("remove the {} of {id}{and_all} and the credentials", app.shown())
    }

    fn absent(&self) -> Failure {
        let Self { id, app, .. } = self;
        Failure::not_found(format!("linked account {id} does not have the {}", app.shown()))
            .next(format!("`strongroom account apps {}` lists what is there", word(id.as_str())))
    }

    fn done(&self, output: &Output) -> Result<(), Failure> {
        let Self { id, app, .. } = self;
        let integration = app.integration();
        let view = Removed { of: Added::of(id, app, &integration), deleted: true };
        output.done(&format!("removed the {} of linked account {id}", app.shown()), &view)
    }
}

impl Create {
    async fn run(self, org: &Org, output: &Output) -> Result<(), Failure> {
        refuse_blank_ends(&self.id)?;
        let mut account = org.create_account(self.id.clone());
        if let Some(name) = &self.name {
            account = account.name(name.clone());
        }
        if self.default_app {
            account = account.with_default_app();
        }
        account.await.map_err(|error| match error {
            Error::AccountExists(id) => Failure::invalid(format!("linked account {id} exists already"))
                .next("`strongroom account list` lists the accounts"),
            error => error.into(),
        })?;
        self.done(output)
    }

    fn on_server(self, client: &Client, output: &Output) -> Result<(), Failure> {
        let body = NewAccount {
            linked_account_id: self.id.as_str(),
            name: self.name.as_deref(),
            your_app: self.default_app.then_some(DefaultApp { auth_credentials: NoCredentials {} }),
        };
        let by_control = |client: &Client| {
            let body = control::NewAccount {
                linked_account_id: self.id.to_string(),
                name: self.name.clone(),
                default_app: self.default_app,
            };
            client.control_post::<IgnoredAny>(&["accounts"], &body)
        };
        client.either(by_control, |client| client.post::<IgnoredAny>(&["linked-account"], &body))?;
        self.done(output)
    }

    fn done(&self, output: &Output) -> Result<(), Failure> {
        let Self { id, default_app, .. } = self;
        let view = Created { linked_account_id: id.as_str(), default_app: *default_app };
        output.done(&format!("created linked account {id}"), &view)
    }
}

impl Delete {
    /// What a server would delete. It fails if there is no such account.
    fn holdings(&self, client: &Client) -> Result<Holdings, Failure> {
        let id = self.id.as_str();
        let by_control = |client: &Client| {
            let call = Call { path: &["accounts", id], query: &[("dry_run", "true")] };
            let plan: control::Deletion = client.control_delete(call)?;
            let count = |count: usize| u64::try_from(count).ok();
            Ok(Holdings { values: count(plan.values), credentials: count(plan.credentials) })
        };
        let by_document = |client: &Client| {
            let IgnoredAny = client.get(Call { path: &["linked-account", id], query: &[] })?;
            Ok(Holdings { values: None, credentials: None })
        };
        client.either(by_control, by_document)
    }

    fn done(&self, output: &Output) -> Result<(), Failure> {
        let view = Deleted { linked_account_id: self.id.as_str(), deleted: true };
        output
            .done(&format!("deleted linked account {} with its values, credentials and keys", self.id), &view)
    }
}

impl AccountView {
    fn of(account: LinkedAccount) -> Self {
        Self {
            id: account.id.to_string(),
            linked_account_id: account.account_id.to_string(),
            name: account.name,
            created_at: Some(time(account.created_at)),
            updated_at: Some(time(account.updated_at)),
        }
    }

    fn of_control(account: control::AccountView) -> Self {
        Self {
            id: account.id,
            linked_account_id: account.linked_account_id,
            name: account.name,
            created_at: Some(account.created_at),
            updated_at: Some(account.updated_at),
        }
    }

    fn of_doc(doc: Account) -> Self {
        Self {
            id: doc.id,
            linked_account_id: doc.account_id,
            name: Some(doc.name).filter(|name| !name.is_empty()),
            created_at: None,
            updated_at: None,
        }
    }
}

fn show(mut views: Vec<AccountView>, output: &Output) -> Result<(), Failure> {
    views.sort_by(|one, other| one.linked_account_id.cmp(&other.linked_account_id));
    let rows = views.iter().map(|view| {
        [
            view.linked_account_id.clone(),
            view.name.clone().unwrap_or_default(),
            unless_unknown(view.created_at.clone()),
            unless_unknown(view.updated_at.clone()),
        ]
    });
    output.list(["ID", "NAME", "CREATED", "UPDATED"], rows, &views)
}
