//! A statement for the server: prepared once per connection, or sent with its text each time.

use deadpool_postgres::Client;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Error, Row};

use crate::choices::Prepare;

pub(crate) struct Statement<'s> {
    text: &'s str,
    /// `None` for a statement without a name at the server.
    named: Option<tokio_postgres::Statement>,
}

/// A value and its type, which a statement without a name must state.
pub(crate) type Parameter<'p> = (&'p (dyn ToSql + Sync), Type);

impl<'s> Statement<'s> {
    pub(crate) async fn prepare(client: &Client, text: &'s str, prepare: Prepare) -> Result<Self, Error> {
        let named = match prepare {
            Prepare::Named => Some(client.prepare_cached(text).await?),
            Prepare::Unnamed => None,
        };
        Ok(Self { text, named })
    }

    pub(crate) async fn query(
        &self,
        client: &Client,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, Error> {
        match &self.named {
            Some(named) => client.query(named, &values(parameters)).await,
            None => client.query_typed(self.text, parameters).await,
        }
    }

    pub(crate) async fn execute(&self, client: &Client, parameters: &[Parameter<'_>]) -> Result<u64, Error> {
        match &self.named {
            Some(named) => client.execute(named, &values(parameters)).await,
            None => client.execute_typed(self.text, parameters).await,
        }
    }
}

fn values<'p>(parameters: &[Parameter<'p>]) -> Vec<&'p (dyn ToSql + Sync)> {
    parameters.iter().map(|(value, _)| *value).collect()
}
