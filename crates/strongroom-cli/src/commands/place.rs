//! Where values are: an org, an environment and a scope, as `diff` and `copy` take them.

use std::str::FromStr;

use strongroom::{Environment, IdError, Org, OrgId, Scope};

use crate::session::Session;

/// `[ORG/]ENVIRONMENT[@account:ID | @workflow:ID]`.
#[derive(Debug, Clone)]
pub(super) struct Place {
    text: String,
    /// The chosen one unless it is named.
    org: Option<OrgId>,
    environment: Environment,
    pub(super) scope: Scope,
}

impl Place {
    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    pub(super) fn org(&self, session: &Session) -> Org {
        session.org_at(self.org.unwrap_or(*session.org.id()), self.environment.clone())
    }
}

impl Place {
    /// The chosen org and environment, at org scope.
    pub(super) fn chosen(session: &Session) -> Self {
        let environment = session.org.environment().clone();
        Self { text: environment.to_string(), org: None, environment, scope: Scope::Org }
    }
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let as_text = |error: IdError| error.to_string();
        let parts = |mark: &str| text.split_once(mark);
        let (tenant, scope) = match (parts("@account:"), parts("@workflow:")) {
            (Some((tenant, id)), _) => (tenant, Scope::LinkedAccount(id.parse().map_err(as_text)?)),
            (None, Some((tenant, id))) => (tenant, Scope::Workflow(id.parse().map_err(as_text)?)),
            (None, None) => (text, Scope::Org),
        };
        // An environment may have a slash in its name, but not behind 24 digits.
        let named = tenant.split_once('/').and_then(|(org, rest)| Some((org.parse().ok()?, rest)));
        let (org, environment) = named.map_or((None, tenant), |(org, rest)| (Some(org), rest));
        let environment = environment.parse().map_err(as_text)?;
        Ok(Self { text: text.to_owned(), org, environment, scope })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_an_environment_with_what_is_named_around_it() {
        let read = |text: &str| text.parse::<Place>().unwrap();
        let full = read("00000000000000000000000a/prod@account:a@b.example");
        assert_eq!(full.org.unwrap().to_string(), "00000000000000000000000a");
        assert_eq!(
            (full.environment.as_str(), full.scope.to_string()),
            ("prod", read("x@account:a@b.example").scope.to_string())
        );
        assert!(read("test").org.is_none() && matches!(read("a/b@workflow:w").scope, Scope::Workflow(_)));
        assert!("".parse::<Place>().is_err() && "test@account:".parse::<Place>().is_err());
    }
}
