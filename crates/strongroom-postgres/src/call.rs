//! One call to the server: tried until an answer is final, each try within a time limit.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{Client, Object};
use rand::TryRng as _;
use rand::rngs::SysRng;
use strongroom_store::{Capabilities, Durability, StoreError};
use tokio::sync::{Mutex, OwnedRwLockReadGuard, RwLock};

use crate::connections::Connections;
use crate::failure::{Failure, Retry, closed};
use crate::sql::Sql;

/// What every call needs.
pub(crate) struct Server {
    pub(crate) connections: Connections,
    pub(crate) sql: Arc<Sql>,
    pub(crate) answer_timeout: Duration,
    /// Held by the batch that is holding new writers off.
    pub(crate) fence: Mutex<()>,
    /// Whether the store was closed; held for reading by every call.
    pub(crate) closed: Arc<RwLock<bool>>,
}

impl Server {
    /// Keeps the store open, if it is.
    pub(crate) async fn keep_open(&self) -> Result<OwnedRwLockReadGuard<bool>, StoreError> {
        let open = Arc::clone(&self.closed).read_owned().await;
        if *open { Err(closed()) } else { Ok(open) }
    }

    /// Tries until an answer is final, with growing random pauses.
    pub(crate) async fn call<C: Call>(&self, call: &C) -> Result<C::Answer, StoreError> {
        let _open = self.keep_open().await?;
        self.call_while_open(call).await
    }

    /// The same, if the caller keeps the store open.
    pub(crate) async fn call_while_open<C: Call>(&self, call: &C) -> Result<C::Answer, StoreError> {
        let mut client = self.connections.get().await?;
        let mut attempt = 1;
        loop {
            let answer = tokio::time::timeout(self.answer_timeout, call.attempt(&client, self)).await;
            let failure = match answer {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(failure)) => failure,
                Err(_) => {
                    // Anything that arrives on this connection from now on answers something else.
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
            // Give a connection's place in the pool back first: otherwise calls that lost their connections together
            // would wait for each other.
            if failure.retry == Retry::OnAnotherSession {
                self.drop_sessions(client);
            } else if client.is_closed() {
                drop(client);
            } else {
                continue;
            }
            client = self.connections.get().await?;
        }
    }

    /// Drops a session that became read-only, and those waiting in the pool: they lead to the same server.
    fn drop_sessions(&self, client: Client) {
        drop(Object::take(client));
        self.connections.drop_idle();
    }
}

/// A request to the server, in one round trip.
pub(crate) trait Call: Sync {
    type Answer;

    fn attempts_max(&self) -> u32;

    fn attempt(
        &self,
        client: &Client,
        server: &Server,
    ) -> impl Future<Output = Result<Self::Answer, Failure>> + Send;

    /// The error if there is no answer.
    fn timed_out() -> StoreError;
}

/// How many sessions are tried to find one that takes writes. A standby that is about to become the primary takes
/// longer than any number of tries.
const SESSIONS_MAX: u32 = 3;

/// At most 2, 4, 8 … 128 milliseconds.
fn pause(attempt: u32) -> Duration {
    let mut random = [0; 1];
    // Without a random number, the pause has its full length.
    let share = SysRng.try_fill_bytes(&mut random).map_or(u8::MAX, |()| random[0]);
    Duration::from_micros((1_000 << attempt.min(7)) * u64::from(share) / 255)
}

pub(crate) const CAPABILITIES: Capabilities = Capabilities::embedded(Durability::PowerLoss).with_sharing();
