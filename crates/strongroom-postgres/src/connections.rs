//! Where connections come from: a pool of our own, or the host's pool.

use std::ops::Deref;
use std::time::Duration;

use deadpool_postgres::{Client, Object, Pool, PoolError, TimeoutType, Timeouts};
use strongroom_store::StoreError;
use tokio_postgres::Client as PgClient;

use crate::connector::Connector;
use crate::failure::{of_connect, of_pool, unavailable};

#[derive(Clone)]
pub(crate) struct Connections {
    pub(crate) pool: Pool,
    /// How long to wait for a connection of the host's pool, which may itself have no limit; `None` for a pool of our
    /// own.
    pub(crate) host_patience: Option<Duration>,
    /// Makes the connections of our own pool.
    pub(crate) connector: Option<Connector>,
}

/// A connection of the pool, or one beside it.
pub(crate) enum OneMore {
    Free(Client),
    Beside(PgClient),
}

impl Deref for OneMore {
    type Target = PgClient;

    fn deref(&self) -> &PgClient {
        match self {
            Self::Free(client) => client,
            Self::Beside(client) => client,
        }
    }
}

impl OneMore {
    /// Ends the connection: something that was sent on it has no answer yet.
    pub(crate) fn end(self) {
        if let Self::Free(client) = self {
            drop(Object::take(client));
        }
    }
}

impl Connections {
    pub(crate) async fn get(&self) -> Result<Client, StoreError> {
        let Some(patience) = self.host_patience else { return self.pool.get().await.map_err(of_pool) };
        let got = tokio::time::timeout(patience, self.pool.get()).await;
        got.map_or_else(
            |_| Err(unavailable("the host's pool gave no connection in time")),
            |got| got.map_err(of_pool),
        )
    }

    /// A free connection, or one beside our own pool if all of its connections are in use: those may all be waiting for
    /// what this one is meant to resolve.
    pub(crate) async fn one_more(&self) -> Result<OneMore, StoreError> {
        let Some(connector) = &self.connector else { return self.get().await.map(OneMore::Free) };
        let at_once = Timeouts { wait: Some(Duration::ZERO), ..self.pool.timeouts() };
        match self.pool.timeout_get(&at_once).await {
            Ok(free) => Ok(OneMore::Free(free)),
            Err(PoolError::Timeout(TimeoutType::Wait)) => {
                let connected =
                    tokio::time::timeout(connector.patience(), connector.connect_to_first()).await;
                let connected = connected.map_err(|_| unavailable("the server did not answer in time"))?;
                // It is driven until the client is dropped.
                let (client, _driven) = connected.map_err(of_connect)?;
                Ok(OneMore::Beside(client))
            }
            Err(error) => Err(of_pool(error)),
        }
    }

    /// Closes the pool, unless it is the host's.
    pub(crate) fn close(&self) {
        if self.host_patience.is_none() {
            self.pool.close();
        }
    }

    /// Drops the connections that nobody uses, unless they are the host's.
    pub(crate) fn drop_idle(&self) {
        if self.host_patience.is_none() {
            self.pool.retain(|_, _| false);
        }
    }
}
