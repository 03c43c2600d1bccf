//! One call to the server: tried until an answer is final, each try within a time limit.

use std::future::Future;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{Client, Object, Pool, PoolError, TimeoutType, Timeouts};
use rand::TryRng as _;
use rand::rngs::SysRng;
use strongroom_store::{Capabilities, Committed, Durability, ReadBatch, ReadSet, StoreError, WriteBatch};
use tokio::sync::{Mutex, RwLock};
use tokio_postgres::Client as PgClient;

use crate::choices::{Access, RowLocks};
use crate::connector::Connector;
use crate::failure::{Failure, Retry, closed, indeterminate, of_connect, of_pool, unavailable};
use crate::readers::Gets;
use crate::sharing::Line;
use crate::sql::Sql;
use crate::write::Together;
use crate::{read, write};

/// What every call needs.
pub(crate) struct Shared {
    pub(crate) pool: Connections,
    pub(crate) sql: Arc<Sql>,
    pub(crate) readers: Line<Gets>,
    pub(crate) writers: Line<Arc<WriteBatch>>,
    pub(crate) access: Access,
    pub(crate) row_locks: RowLocks,
    pub(crate) answer_timeout: Duration,
    /// Held by the batch that holds new writers off.
    pub(crate) fence: Mutex<()>,
    /// Whether the store was closed; held for reading by every call.
    pub(crate) closed: Arc<RwLock<bool>>,
}

/// Where connections come from.
#[derive(Clone)]
pub(crate) struct Connections {
    pub(crate) pool: Pool,
    /// How long one of the host's pool is waited for, which may itself have no limit; `None` for a pool of our own.
    pub(crate) host_patience: Option<Duration>,
    /// What makes those of a pool of our own.
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

impl Connections {
    pub(crate) async fn get(&self) -> Result<Client, StoreError> {
        let Some(patience) = self.host_patience else { return self.pool.get().await.map_err(of_pool) };
        let got = tokio::time::timeout(patience, self.pool.get()).await;
        got.map_or_else(
            |_| Err(unavailable("the host's pool gave no connection in time")),
            |got| got.map_err(of_pool),
        )
    }

    /// A connection that is free, or one beside the pool where all of our own are at work: whoever is waited for with
    /// all of them must not be waited for once more.
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

    /// Closes what is not the host's.
    pub(crate) fn close(&self) {
        if self.host_patience.is_none() {
            self.pool.close();
        }
    }

    /// Drops the connections that nobody uses, and that are not the host's.
    fn drop_idle(&self) {
        if self.host_patience.is_none() {
            self.pool.retain(|_, _| false);
        }
    }
}

impl Shared {
    /// Tries until an answer is final, with growing random pauses.
    pub(crate) async fn call<C: Call>(&self, call: &C) -> Result<C::Answer, StoreError> {
        let open = Arc::clone(&self.closed).read_owned().await;
        if *open {
            return Err(closed());
        }
        self.call_while_open(call).await
    }

    /// The same where the caller keeps the store open.
    pub(crate) async fn call_while_open<C: Call>(&self, call: &C) -> Result<C::Answer, StoreError> {
        let mut client = self.pool.get().await?;
        let mut attempt = 1;
        loop {
            let answer = tokio::time::timeout(self.answer_timeout, call.attempt(&client, self)).await;
            let failure = match answer {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(failure)) => failure,
                Err(_) => {
                    // What comes on this connection from now on is the answer to something else.
                    drop(Object::take(client));
                    return Err(C::timed_out());
                }
            };
            let attempts_max = match failure.retry {
                Retry::Never => 1,
                Retry::Again => call.attempts_max(),
                Retry::OnAnotherSession => SESSIONS_MAX,
            };
            if attempt >= attempts_max {
                if failure.retry == Retry::OnAnotherSession {
                    self.drop_sessions(client);
                }
                return Err(failure.error);
            }
            tokio::time::sleep(pause(attempt)).await;
            attempt += 1;
            // A connection's place in the pool is given back first: otherwise calls that lost theirs together wait for
            // each other.
            if failure.retry == Retry::OnAnotherSession {
                self.drop_sessions(client);
            } else if client.is_closed() {
                drop(client);
            } else {
                continue;
            }
            client = self.pool.get().await?;
        }
    }

    /// Drops a session that became read-only, and those that wait in the pool: they lead to the same server.
    fn drop_sessions(&self, client: Client) {
        drop(Object::take(client));
        self.pool.drop_idle();
    }
}

/// What is asked of the server, in one round trip.
pub(crate) trait Call: Sync {
    type Answer;

    fn attempts_max(&self) -> u32;

    fn attempt(
        &self,
        client: &Client,
        shared: &Shared,
    ) -> impl Future<Output = Result<Self::Answer, Failure>> + Send;

    /// What no answer means.
    fn timed_out() -> StoreError;
}

impl Call for ReadBatch {
    type Answer = ReadSet;

    fn attempts_max(&self) -> u32 {
        3
    }

    async fn attempt(&self, client: &Client, shared: &Shared) -> Result<ReadSet, Failure> {
        read::read(client, &shared.sql, self, CAPABILITIES.page_bytes_max).await
    }

    fn timed_out() -> StoreError {
        unavailable("the server did not answer in time")
    }
}

impl Call for WriteBatch {
    type Answer = Committed;

    fn attempts_max(&self) -> u32 {
        WRITE_ATTEMPTS_MAX
    }

    async fn attempt(&self, client: &Client, shared: &Shared) -> Result<Committed, Failure> {
        write::commit(client, &shared.sql, self).await
    }

    fn timed_out() -> StoreError {
        indeterminate("the server did not answer in time")
    }
}

impl Call for Together<'_> {
    type Answer = Vec<Result<Committed, StoreError>>;

    /// Of several, one may be in the way of the others: they are soon tried one by one.
    fn attempts_max(&self) -> u32 {
        if self.0.len() > 1 { 2 } else { WRITE_ATTEMPTS_MAX }
    }

    async fn attempt(&self, client: &Client, shared: &Shared) -> Result<Self::Answer, Failure> {
        let write = write::together(client, &shared.sql, self.0);
        // Several do not wait long, and are soon tried one by one.
        if self.0.len() > 1 { write.await } else { shared.fenced(write).await }
    }

    fn timed_out() -> StoreError {
        WriteBatch::timed_out()
    }
}

const WRITE_ATTEMPTS_MAX: u32 = 10;
/// How many sessions are tried for one that takes writes. A standby that is to become the primary takes longer than any
/// number of tries.
const SESSIONS_MAX: u32 = 3;

/// Up to 2, 4, 8 … 128 milliseconds.
fn pause(attempt: u32) -> Duration {
    let mut random = [0; 1];
    // Without a random number the pause is its longest.
    let share = SysRng.try_fill_bytes(&mut random).map_or(u8::MAX, |()| random[0]);
    Duration::from_micros((1_000 << attempt.min(7)) * u64::from(share) / 255)
}

pub(crate) const CAPABILITIES: Capabilities = Capabilities::embedded(Durability::PowerLoss).with_sharing();
