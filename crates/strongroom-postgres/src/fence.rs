//! Gets a batch the rows that others lock in shared mode without a pause.
//!
//! The server lets a transaction that asks for `FOR SHARE` overtake those that wait for `FOR UPDATE` of the same row.
//! So writers that expect a row and follow each other closely could forever block the batch that changes it: the delete
//! of an account, or the rotation of a key. Locks on whole tables are granted in the order of the requests. So when a
//! batch has waited for long, another connection asks for the whole table: new writers of every process queue behind
//! it, those that hold rows finish, and the batch gets its own. Readers never wait.

use std::future::{Future, pending};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, join3, select};

use crate::call::Server;
use crate::connections::Connections;
use crate::sql::{self, Sql};

/// Runs a batch, and while it takes long, repeatedly holds new writers off for a moment.
pub(crate) async fn fenced<T>(server: &Server, batch: impl Future<Output = T>) -> T {
    match select(pin!(batch), pin!(fence_at_times(server))).await {
        Either::Left((answer, _)) | Either::Right((answer, _)) => answer,
    }
}

/// Only one batch of a store does so at a time: its fence serves all that wait.
async fn fence_at_times<T>(server: &Server) -> T {
    tokio::time::sleep(PATIENCE.min(server.answer_timeout / 4)).await;
    let _alone = server.fence.lock().await;
    let mut length = LENGTH_MIN;
    loop {
        // Run it to its end, even after the batch has its answer: a connection is given back with nothing in progress.
        let asked = fence(server.connections.clone(), Arc::clone(&server.sql), length);
        if tokio::spawn(asked).await.is_err() {
            return pending().await;
        }
        // A batch may wait for a transaction of the host, which no fence ends: let the others continue meanwhile.
        tokio::time::sleep(length * PAUSE_LENGTHS).await;
        length = LENGTH_MAX.min(length * 2);
    }
}

/// Asks for the whole table for at most `length`. It does not matter whether the lock is granted, or whether the server
/// knows such a lock: while it is requested, no new transaction gets a row.
async fn fence(connections: Connections, sql: Arc<Sql>, length: Duration) {
    let Ok(client) = connections.one_more().await else { return };
    let begin = sql.begin_fence(length);
    // Polled in this order, so they are sent in this order. After a failed statement `COMMIT` is a rollback.
    let sent = [&begin, &sql.fence, sql::COMMIT].map(|statement| client.batch_execute(statement));
    let [begin, lock, end] = sent;
    let _ = join3(begin, lock, end).await;
}

/// How long a batch waits before it asks for a fence.
const PATIENCE: Duration = Duration::from_millis(500);
/// Longer than a batch takes. It doubles up to the maximum, for a slow server.
const LENGTH_MIN: Duration = Duration::from_millis(250);
const LENGTH_MAX: Duration = Duration::from_secs(1);
/// The pause after a fence, as a multiple of its length.
const PAUSE_LENGTHS: u32 = 4;
