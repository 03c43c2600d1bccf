//! A batch that waits for rows which others share without a pause gets them.
//!
//! The server lets whoever asks for `FOR SHARE` overtake those who wait for `FOR UPDATE` of the same row. So writers
//! that expect a row and follow each other closely could keep from it, for ever, the batch that changes it: the delete
//! of an account, the rotation of a key. Locks of whole tables are given in the order in which they were asked for. So
//! when a batch has waited for long, another connection asks for the whole table: new writers of every process line up
//! behind it, those that have rows end, and the batch gets its own. Readers wait for nobody.

use std::future::{Future, pending};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, join3, select};

use crate::call::Server;
use crate::connections::Connections;
use crate::sql::{self, Sql};

/// Waits for a batch by itself, and holds new writers off for a moment, again and again, while it takes long.
pub(crate) async fn fenced<T>(server: &Server, batch: impl Future<Output = T>) -> T {
    match select(pin!(batch), pin!(fence_at_times(server))).await {
        Either::Left((answer, _)) | Either::Right((answer, _)) => answer,
    }
}

/// One batch of a store at a time does so: the fence of one serves all that wait.
async fn fence_at_times<T>(server: &Server) -> T {
    tokio::time::sleep(PATIENCE.min(server.answer_timeout / 4)).await;
    let _alone = server.fence.lock().await;
    let mut length = LENGTH_MIN;
    loop {
        // To its end, also once the batch has its answer: a connection is given back with nothing under way.
        let asked = fence(server.connections.clone(), Arc::clone(&server.sql), length);
        if tokio::spawn(asked).await.is_err() {
            return pending().await;
        }
        // A batch may wait for a transaction of the host's, which no fence ends: the others go on meanwhile.
        tokio::time::sleep(length * PAUSE_LENGTHS).await;
        length = LENGTH_MAX.min(length * 2);
    }
}

/// Asks for the whole table for `length` at most. Whether it is given, or the server knows no such lock, is all the
/// same: while it is asked for, nobody new gets a row.
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
/// More than a batch takes. It doubles up to the maximum, for a slow server.
const LENGTH_MIN: Duration = Duration::from_millis(250);
const LENGTH_MAX: Duration = Duration::from_secs(1);
/// How many times as long as the fence the pause after it is.
const PAUSE_LENGTHS: u32 = 4;
