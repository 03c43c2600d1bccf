//! Where values are: an org, an environment and a scope, as `diff` and `copy` take them.

use std::path::PathBuf;
use std::str::FromStr;

use strongroom::{DefinitionName, Environment, IdError, Org, OrgId, Scope, Secret};
use strongroom_http::control;

use crate::client::{Call, Client};
use crate::failure::{Exit, Failure, repeatable};
use crate::output::Output;
use crate::scope_args::scope_field;
use crate::session::Session;
use crate::suggest;

/// `[ORG/]ENVIRONMENT[@account:ID | @workflow:ID]`, or a scope alone in the chosen environment.
#[derive(Debug, Clone)]
pub(super) struct Place {
    text: String,
    /// The chosen ones unless named.
    org: Option<OrgId>,
    environment: Option<Environment>,
    pub(super) scope: Scope,
}

impl Place {
    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    pub(super) fn org(&self, session: &Session) -> Org {
        let environment = self.environment.as_ref().unwrap_or(session.org.environment());
        session.org_at(self.org.unwrap_or(*session.org.id()), environment.clone())
    }
}

/// The API key for the second of two places on a server.
#[derive(Debug, Default, Clone, clap::Args)]
pub(super) struct OtherKey {
    /// With --url: a file with the API key of B, if B is in another environment than A
    #[arg(long, value_name = "FILE")]
    b_api_key_file: Option<PathBuf>,
}

impl OtherKey {
    /// A store has no API keys, so the option is refused there.
    pub(super) fn refuse_on_store(&self) -> Result<(), Failure> {
        match self.b_api_key_file {
            Some(_) => Err(Failure::usage("--b-api-key-file needs --url")
                .next("without --url, A and B name their environments")),
            None => Ok(()),
        }
    }

    /// The client for B, if it differs from that for A.
    pub(super) fn client(self, of_a: &Client, output: &Output) -> Result<Option<Client>, Failure> {
        self.b_api_key_file.map(|file| of_a.with_key_of(file, output)).transpose()
    }
}

impl Place {
    /// Fails unless the key of the client is of the org and environment that are named.
    pub(super) fn refuse_elsewhere(&self, client: &Client) -> Result<(), Failure> {
        let status: control::Status = client.control_get(Call { path: &["status"], query: &[] })?;
        let is_there = self.org.is_none_or(|org| org.to_string() == status.org_id)
            && self.environment.as_ref().is_none_or(|named| named.as_str() == status.environment);
        if is_there {
            return Ok(());
        }
        let (org, environment) = (status.org_id, status.environment);
        Err(Failure::usage(format!("the API key is for {org}/{environment}, not for {}", self.shown()))
            .next("--api-key-file takes the key for A, --b-api-key-file the key for B"))
    }

    /// Fails if the key sees only a part of the place: the rest would seem to be absent.
    pub(super) fn refuse_narrowed(&self, client: &Client) -> Result<(), Failure> {
        let status: control::Status = client.control_get(Call { path: &["status"], query: &[] })?;
        if status.names.is_empty() && status.accounts.is_empty() {
            return Ok(());
        }
        let sees = [status.names, status.accounts].concat().join(", ");
        Err(Failure::usage(format!("the API key for {} sees only {sees}", self.shown()))
            .next("use a key that sees all of it; `copy --only NAME` takes a part"))
    }

    /// As it was typed, unless it may be a secret.
    fn shown(&self) -> &str {
        repeatable::id(&self.text).unwrap_or("the place that was named, which is not repeated here")
    }

    /// The values here, as far as a key may reveal them.
    pub(super) fn values(&self, client: &Client, reveal: &str) -> Result<Vec<control::Value>, Failure> {
        let field = scope_field(&self.scope).into_iter();
        let query: Vec<_> = field.chain([("reveal", reveal)]).collect();
        client.control_items(Call { path: &["values"], query: &query })
    }

    /// The values here in plain text. With `only`, no others are requested, since each value that is shown is noted.
    pub(super) fn shown_values(
        &self,
        client: &Client,
        only: &[DefinitionName],
    ) -> Result<Vec<(String, Secret)>, Failure> {
        if !only.is_empty() {
            let found = only.iter().map(|name| self.shown_value(client, name));
            return found.filter_map(Result::transpose).collect();
        }
        let are_shown = |values: &Vec<control::Value>| values.iter().all(|one| one.value.is_some());
        let values = Client::revealed(|reveal| self.values(client, reveal), are_shown)?.into_iter();
        let shown = |one: control::Value| Some((one.name, Secret::from(one.value?.as_str())));
        Ok(values.filter_map(shown).collect())
    }

    fn shown_value(
        &self,
        client: &Client,
        name: &DefinitionName,
    ) -> Result<Option<(String, Secret)>, Failure> {
        let path = ["values", name.as_str()];
        let fetch = |reveal: &str| {
            let query: Vec<_> = scope_field(&self.scope).into_iter().chain([("reveal", reveal)]).collect();
            client.control_get(Call { path: &path, query: &query })
        };
        let is_shown = |found: &control::Value| found.value.is_some();
        match Client::revealed(fetch, is_shown) {
            Ok(control::Value { value, .. }) => {
                Ok(value.map(|value| (name.to_string(), Secret::from(value.as_str()))))
            }
            // It has no value here, or is not defined, which the list of definitions shows.
            Err(failure) if failure.exit == Exit::NotFound => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// Fails unless the vault has its org and environment: a mistyped one would seem to be empty.
    pub(super) async fn refuse_unknown(&self, session: &Session) -> Result<(), Failure> {
        let org = self.org(session);
        suggest::refuse_unknown_org(&session.vault, &org).await?;
        suggest::refuse_unknown_environment(&org).await
    }

    /// Fails if its account or workflow is unknown in all of the compared places.
    pub(super) async fn refuse_unknown_scope(
        &self,
        session: &Session,
        places: &[&Self],
    ) -> Result<(), Failure> {
        let mut unknown = Ok(());
        for place in places {
            let org = place.org(session);
            match &self.scope {
                Scope::Org => return Ok(()),
                Scope::LinkedAccount(account) if suggest::is_known_account(&org, account).await? => {
                    return Ok(());
                }
                Scope::Workflow(_) if suggest::has_values(&org, &self.scope).await? => return Ok(()),
                Scope::LinkedAccount(account) => unknown = Err(suggest::no_account(&org, account).await),
                Scope::Workflow(workflow) => {
                    let named = repeatable::id(workflow.as_str());
                    let named = named.unwrap_or("of that id, which is not repeated here: it may be a secret");
                    let failure = Failure::not_found(format!("there is no value of a workflow {named}"));
                    unknown = Err(failure.next("check the id after @workflow:"));
                }
            }
        }
        unknown
    }

    /// The chosen org and environment, at org scope.
    pub(super) fn chosen(session: &Session) -> Self {
        let environment = session.org.environment().clone();
        Self { text: environment.to_string(), org: None, environment: Some(environment), scope: Scope::Org }
    }
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let as_text = |error: IdError| error.to_string();
        let parts = |mark: &str| text.split_once(mark);
        if SCOPES.contains(&text.trim_end_matches(':')) {
            return Err("a scope has an id: @account:ID or @workflow:ID".to_owned());
        }
        let (tenant, scope) = match (parts("@account:"), parts("@workflow:")) {
            (Some((tenant, id)), _) => (tenant, Scope::LinkedAccount(id.parse().map_err(as_text)?)),
            (None, Some((tenant, id))) => (tenant, Scope::Workflow(id.parse().map_err(as_text)?)),
            (None, None) => (text, Scope::Org),
        };
        // A mistyped scope must not become the name of an environment.
        if tenant.contains('@') {
            return Err("a scope is written @account:ID or @workflow:ID".to_owned());
        }
        // What precedes a slash is always an org: a mistyped id must not become the name of an environment.
        let (org, environment) = match tenant.split_once('/') {
            Some((org, environment)) => (Some(org.parse().map_err(|_| NO_ORG)?), environment),
            None => (None, tenant),
        };
        let environment = match environment {
            "" if scope != Scope::Org => None,
            named => Some(named.parse().map_err(as_text)?),
        };
        Ok(Self { text: text.to_owned(), org, environment, scope })
    }
}

const NO_ORG: &str = "before the slash is an org id of 24 lowercase hexadecimal digits; an environment with a slash in \
                      its name is written after one";
const SCOPES: [&str; 2] = ["@account", "@workflow"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_an_environment_with_what_is_named_around_it() {
        let read = |text: &str| text.parse::<Place>().unwrap();
        let full = read("00000000000000000000000a/prod@account:a@b.example");
        assert_eq!(full.org.unwrap().to_string(), "00000000000000000000000a");
        assert_eq!(
            (full.environment.unwrap().as_str(), full.scope.to_string()),
            ("prod", read("x@account:a@b.example").scope.to_string())
        );
        assert!(read("test").org.is_none() && matches!(read("b@workflow:w").scope, Scope::Workflow(_)));
        assert_eq!(read("00000000000000000000000a/b/c").environment.unwrap().as_str(), "b/c");
        assert!(read("@workflow:w").environment.is_none());
        for bad in [
            "",
            "test@account:",
            "@workflow",
            "@account:",
            "test@",
            "prod@acount:a",
            "test@workflow",
            "0000000000000000000000A/prod",
            "000000000000000000000a/prod",
            "a/b",
        ] {
            assert!(bad.parse::<Place>().is_err(), "{bad}");
        }
    }
}
