//! What a linked account has, shown before it is destroyed.

use std::fmt;

use strongroom::{LinkedAccountId, Org};

use crate::failure::Failure;
use crate::suggest;

/// How much is destroyed with an account; `None` for what cannot be counted.
#[derive(Debug)]
pub(crate) struct Holdings {
    pub(crate) values: Option<u64>,
    /// The credentials of all its apps.
    pub(crate) credentials: Option<u64>,
    /// Identifies the account, as opposed to a later one under the same id; empty if unknown.
    pub(crate) seen: String,
}

impl Holdings {
    /// # Errors
    /// If there is no such account.
    pub(crate) async fn of(org: &Org, id: &LinkedAccountId) -> Result<Self, Failure> {
        let usage = org.account(id.clone()).usage().await.ok();
        let (values, credentials) = (usage.map(|usage| usage.values), usage.map(|usage| usage.credentials));
        let account = org.linked_account(id).await;
        if values == Some(0) && matches!(account, Ok(None)) {
            return Err(suggest::no_account(org, id).await);
        }
        let seen = account.ok().flatten().map(|account| account.id.to_string());
        Ok(Self { values, credentials, seen: seen.unwrap_or_default() })
    }
}

impl fmt::Display for Holdings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count =
            |count: Option<u64>| count.map_or_else(|| "an unknown number".to_owned(), |n| n.to_string());
        let (values, credentials) = (count(self.values), count(self.credentials));
        write!(f, "its values ({values}), credentials of all its apps ({credentials}) and keys")
    }
}
