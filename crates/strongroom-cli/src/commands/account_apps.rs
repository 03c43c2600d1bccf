//! `account add-app`, `apps` and `remove-app`: the apps of a linked account, and the connections of each.

use serde::Serialize;
use serde::de::IgnoredAny;
use strongroom::{ConnectionId, Integration, IntegrationId, LinkedAccountId, Org};
use strongroom_http::control;

use super::audit::refuse_left_out;
use super::credential::AppArgs;
use crate::client::{Call, Client, NoBody};
use crate::consent::{Consent, Deed};
use crate::failure::{Failure, word};
use crate::output::{Output, counted, time};
use crate::pages;
use crate::scope_args::refuse_blank_ends;
use crate::suggest;

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct AddApp {
    /// The id of the linked account
    id: LinkedAccountId,
    #[command(flatten)]
    app: AppArgs,
}

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Apps {
    /// The id of the linked account
    id: LinkedAccountId,
}

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct RemoveApp {
    /// The id of the linked account
    id: LinkedAccountId,
    #[command(flatten)]
    app: AppArgs,
    /// Remove it also if only some rows of it are left
    #[arg(long)]
    purge: bool,
    #[command(flatten)]
    consent: Consent,
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

/// A connection in a list.
#[derive(Serialize)]
struct AppView {
    app: String,
    /// Omitted for the default one.
    #[serde(skip_serializing_if = "Option::is_none")]
    connection: Option<String>,
    created_at: String,
}

fn path_of<'a>(id: &'a LinkedAccountId, app: &'a AppArgs, integration: &'a IntegrationId) -> Vec<&'a str> {
    let mut path = vec!["accounts", id.as_str(), "connections", integration.as_str()];
    path.extend(app.connection.as_ref().map(ConnectionId::as_str));
    path
}

impl AddApp {
    pub(crate) async fn run(self, org: &Org, output: &Output) -> Result<(), Failure> {
        let Self { id, app } = &self;
        refuse_blank_ends(id)?;
        let (account, integration) = (org.account(id.clone()), app.integration());
        let added = match &app.connection {
            Some(connection) => account.add_connection(&integration, connection).await,
            None => account.add_integration(&integration).await,
        };
        match added {
            Ok(_) => self.done(output),
            Err(error) => Err(suggest::of_account(org, id, error).await),
        }
    }

    pub(crate) fn on_server(self, client: &Client, output: &Output) -> Result<(), Failure> {
        let integration = self.app.integration();
        let path = path_of(&self.id, &self.app, &integration);
        let _: control::Connection = client.control_put(&path, &NoBody {})?;
        self.done(output)
    }

    fn done(&self, output: &Output) -> Result<(), Failure> {
        let Self { id, app } = self;
        let integration = app.integration();
        let view = Added::of(id, app, &integration);
        output.done(&format!("linked account {id} has the {}", app.shown()), &view)
    }
}

impl Apps {
    pub(crate) async fn run(self, org: &Org, output: &Output) -> Result<(), Failure> {
        let Self { id } = self;
        if org.linked_account(&id).await?.is_none() {
            return Err(suggest::no_account(org, &id).await);
        }
        let account = org.account(id);
        let (apps, unreadable) = pages::readable_apps(&account).await?;
        show((apps.iter().map(AppView::of).collect(), unreadable), output)
    }

    pub(crate) fn on_server(self, client: &Client, output: &Output) -> Result<(), Failure> {
        let path = ["accounts", self.id.as_str(), "connections"];
        let (apps, unreadable): (Vec<control::Connection>, _) =
            client.control_list(Call { path: &path, query: &[] })?;
        show((apps.into_iter().map(AppView::of_control).collect(), unreadable), output)
    }
}

/// Those that can be read; then the command fails if there are others.
fn show((apps, unreadable): (Vec<AppView>, Vec<String>), output: &Output) -> Result<(), Failure> {
    let rows = apps
        .iter()
        .map(|one| [one.app.clone(), one.connection.clone().unwrap_or_default(), one.created_at.clone()]);
    output.list(["APP", "CONNECTION", "CREATED"], rows, &apps)?;
    refuse_left_out(&unreadable, "app", REMOVES, output)
}

const REMOVES: &str = "`strongroom account remove-app ID` with its --app deletes one that cannot be read with its \
                       credentials";

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
    pub(crate) async fn run(self, org: &Org, output: &Output) -> Result<(), Failure> {
        let Self { id, app, purge, consent } = &self;
        let (account, integration) = (org.account(id.clone()), app.integration());
        // Asked only about what exists.
        let mut meant = pages::all(async |page| account.each_integration(page).await).await?;
        meant.retain(|(of, connection, _)| {
            let is_named = app.connection.as_ref().is_none_or(|named| connection.as_ref() == Some(named));
            *of == integration && is_named
        });
        let count = Some(meant.len()).filter(|count| *count > 0);
        if count.is_none() {
            let is_known = org.linked_account(id).await?.is_some();
            match (is_known, purge) {
                (false, _) => return Err(suggest::no_account(org, id).await),
                (true, false) => return Err(self.absent()),
                (true, true) => {}
            }
        }
        // One that cannot be read is removed too.
        let seen = meant.iter().map(|(.., found)| found.as_ref().map(|one| one.id.to_string()));
        let seen: Vec<_> = seen.map(Result::unwrap_or_default).collect();
        consent.to(Deed::to(self.deed(count), seen.join(" ")))?;
        let removed = match &app.connection {
            Some(connection) => account.delete_connection(&integration, connection).await,
            None => account.delete_integration(&integration).await,
        };
        match removed {
            Ok(()) => self.done(output),
            Err(error) => Err(suggest::of_account(org, id, error).await),
        }
    }

    pub(crate) fn on_server(self, client: &Client, output: &Output) -> Result<(), Failure> {
        let integration = self.app.integration();
        let path = ["accounts", self.id.as_str(), "connections"];
        let listed = client.control_list(Call { path: &path, query: &[] });
        let is_meant = |one: &&control::Connection| {
            let named = self.app.connection.as_ref().map(ConnectionId::as_str);
            one.integration == integration.as_str() && (named.is_none() || one.connection.as_deref() == named)
        };
        let seen = |(all, unreadable): (Vec<control::Connection>, Vec<String>)| {
            let meant = all.iter().filter(is_meant).map(|one| one.created_at.clone());
            (meant.collect::<Vec<_>>(), unreadable.is_empty())
        };
        match listed.map(seen) {
            Ok((meant, true)) if meant.is_empty() && !self.purge => return Err(self.absent()),
            // It may be one that cannot be read, or only some rows of one.
            Ok((meant, _)) if meant.is_empty() => self.consent.to(&self.deed(None))?,
            Ok((meant, _)) => self.consent.to(Deed::to(self.deed(Some(meant.len())), meant.join(" ")))?,
            // A key that may write need not be allowed to read.
            Err(refused) if refused.is_of_right() => self.consent.to(&self.deed(None))?,
            Err(refused) => return Err(refused),
        }
        let path = path_of(&self.id, &self.app, &integration);
        let IgnoredAny = client.control_delete(Call { path: &path, query: &[] })?;
        self.done(output)
    }

    /// `None` if the number of connections is unknown.
    fn deed(&self, connections: Option<usize>) -> String {
        let Self { id, app, .. } = self;
        let and_all = match (&app.connection, connections) {
            (Some(_), _) => String::new(),
            (None, Some(connections)) => format!(", its {}", counted(connections, "connection")),
            (None, None) => ", all of its connections".to_owned(),
        };
        format!("remove the {} of {id}{and_all} and the credentials", app.shown())
    }

    fn absent(&self) -> Failure {
        let Self { id, app, .. } = self;
        Failure::not_found(format!("linked account {id} does not have the {}", app.shown())).next(format!(
            "`strongroom account apps {}` lists what is there; --purge deletes what may be left of one that is gone",
            word(id.as_str())
        ))
    }

    fn done(&self, output: &Output) -> Result<(), Failure> {
        let Self { id, app, .. } = self;
        let integration = app.integration();
        let view = Removed { of: Added::of(id, app, &integration), deleted: true };
        output.done(&format!("removed the {} of linked account {id}", app.shown()), &view)
    }
}
