//! Where values are: an org, an environment and a scope, as `diff` and `copy` take them.

use std::str::FromStr;

use strongroom::{Environment, IdError, Org, OrgId, Scope};

use crate::session::Session;

/// `[ORG/]ENVIRONMENT[@account:ID | @workflow:ID]`, or a scope alone in the chosen environment.
#[derive(Debug, Clone)]
pub(super) struct Place {
    text: String,
    /// The chosen ones unless they are named.
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

impl Place {
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
        // An environment may have a slash in its name, but not behind 24 digits.
        let named = tenant.split_once('/').and_then(|(org, rest)| Some((org.parse().ok()?, rest)));
        let (org, environment) = named.map_or((None, tenant), |(org, rest)| (Some(org), rest));
        let environment = match environment {
            "" if scope != Scope::Org => None,
            named => Some(named.parse().map_err(as_text)?),
        };
        Ok(Self { text: text.to_owned(), org, environment, scope })
    }
}

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
        assert!(read("test").org.is_none() && matches!(read("a/b@workflow:w").scope, Scope::Workflow(_)));
        assert!(read("@workflow:w").environment.is_none());
        for bad in ["", "test@account:", "@workflow", "@account:"] {
            assert!(bad.parse::<Place>().is_err(), "{bad}");
        }
    }
}
