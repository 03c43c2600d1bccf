//! `search`: finds a text in names and descriptions.

use serde::Serialize;
use strongroom::{LinkedAccount, Org, StoredDefinition};
use strongroom_http::control;

use super::audit::refuse_left_out;
use crate::client::{Call, Client};
use crate::failure::Failure;
use crate::output::Output;
use crate::pages;
use crate::session::Session;

/// `search` as it is typed.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Search {
    /// A part of a name or a description, in upper or lower case; values are not searched
    text: String,
    /// Search every org and environment of the vault
    #[arg(long)]
    everywhere: bool,
}

/// A match.
#[derive(Serialize)]
struct Found {
    kind: &'static str,
    name: String,
    /// The description of a variable, or the display name of an account.
    description: Option<String>,
    /// `None` if it is the org of the API key.
    org_id: Option<String>,
    environment: Option<String>,
}

impl Search {
    /// Whether it searches only the chosen org and environment.
    pub(crate) fn is_of_chosen(&self) -> bool {
        !self.everywhere
    }

    pub(crate) async fn run(self, session: &Session, output: &Output) -> Result<(), Failure> {
        let (mut found, mut unreadable) = (Vec::new(), Vec::new());
        if !self.everywhere {
            found = self.look_in(&session.org, &mut unreadable).await?;
            return show(&found, &unreadable, output);
        }
        for (org, environment) in pages::environments(&session.vault).await? {
            let at = session.org_at(org, environment);
            match self.look_in(&at, &mut unreadable).await {
                Ok(more) => found.extend(more),
                // Its keys may be destroyed; the others are still searched.
                Err(failure) => {
                    output.warn(&format!("{} {}: {}", at.id(), at.environment(), failure.message));
                }
            }
        }
        show(&found, &unreadable, output)
    }

    pub(crate) fn on_server(self, client: &Client, output: &Output) -> Result<(), Failure> {
        if self.everywhere {
            return Err(Failure::not_on_server("an API key is of one org and environment"));
        }
        let (definitions, mut unreadable): (Vec<control::Definition>, _) =
            client.control_list(Call { path: &["definitions"], query: &[] })?;
        let (accounts, others): (Vec<control::AccountView>, _) =
            client.control_list(Call { path: &["accounts"], query: &[] })?;
        unreadable.extend(others);
        let definitions = definitions.into_iter().map(|one| Found::variable(one.name, one.description));
        let accounts = accounts.into_iter().map(|one| Found::account(one.linked_account_id, one.name));
        show(&self.sorted(definitions.chain(accounts)), &unreadable, output)
    }

    /// What is found in an org; why what cannot be read there is not looked at is added to `unreadable`.
    async fn look_in(&self, org: &Org, unreadable: &mut Vec<String>) -> Result<Vec<Found>, Failure> {
        let (definitions, others) = pages::readable_definitions(org).await?;
        unreadable.extend(others);
        let definitions = definitions.into_iter().map(|StoredDefinition { definition, .. }| {
            Found::variable(definition.name, definition.description)
        });
        let (accounts, others) = pages::readable_accounts(org).await?;
        unreadable.extend(others);
        let accounts = accounts
            .into_iter()
            .map(|LinkedAccount { account_id, name, .. }| Found::account(account_id.to_string(), name));
        let place = (org.id().to_string(), org.environment().to_string());
        let mut found = self.sorted(definitions.chain(accounts));
        for one in &mut found {
            (one.org_id, one.environment) = (Some(place.0.clone()), Some(place.1.clone()));
        }
        Ok(found)
    }

    fn sorted(&self, all: impl Iterator<Item = Found>) -> Vec<Found> {
        let text = self.text.to_lowercase();
        let is_in = |place: &str| place.to_lowercase().contains(&text);
        let mut found: Vec<_> =
            all.filter(|one| is_in(&one.name) || one.description.as_deref().is_some_and(is_in)).collect();
        found.sort_by(|one, other| (one.kind, &one.name).cmp(&(other.kind, &other.name)));
        found
    }
}

impl Found {
    fn variable(name: String, description: Option<String>) -> Self {
        Self { kind: "variable", name, description, org_id: None, environment: None }
    }

    fn account(id: String, name: Option<String>) -> Self {
        Self { kind: "account", name: id, description: name, org_id: None, environment: None }
    }
}

/// What was found; then the command fails if something could not be looked at.
fn show(found: &[Found], unreadable: &[String], output: &Output) -> Result<(), Failure> {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let rows = found.iter().map(|one| {
        let place = [text(&one.org_id), text(&one.environment)];
        let [org, environment] = place;
        [one.kind.to_owned(), one.name.clone(), text(&one.description), org, environment]
    });
    output.list(["KIND", "NAME", "DESCRIPTION", "ORG", "ENVIRONMENT"], rows, &found)?;
    let step = "`strongroom list` and `strongroom account list` say what to do about it";
    refuse_left_out(unreadable, "row", step, output)
}
