//! What a linked account has, said before it is destroyed.

use std::fmt;

use strongroom::{Error, LinkedAccountId, Org};

use crate::failure::Failure;
use crate::pages;
use crate::suggest;

/// How much is destroyed with an account. What cannot be counted, because it is damaged, is not known.
#[derive(Debug)]
pub(crate) struct Holdings {
    values: Option<usize>,
    credentials: Option<usize>,
}

impl Holdings {
    /// # Errors
    /// If there is no such account.
    pub(crate) async fn of(org: &Org, id: &LinkedAccountId) -> Result<Self, Failure> {
        let account = org.account(id.clone());
        let values = pages::all(async |page| account.values(page).await).await.map(|all| all.len());
        let credentials = pages::all(async |page| account.credentials(page).await).await.map(|all| all.len());
        let credentials = match credentials {
            Err(Error::AccountNotFound(_) | Error::IntegrationNotFound { .. }) => Some(0),
            counted => counted.ok(),
        };
        if matches!(values, Ok(0)) && org.linked_account(id).await?.is_none() {
            return Err(suggest::no_account(org, id).await);
        }
        Ok(Self { values: values.ok(), credentials })
    }
}

impl fmt::Display for Holdings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count =
            |count: Option<usize>| count.map_or_else(|| "an unknown number".to_owned(), |n| n.to_string());
        let (values, credentials) = (count(self.values), count(self.credentials));
        write!(f, "its values ({values}), credentials of the default app ({credentials}) and keys")
    }
}
