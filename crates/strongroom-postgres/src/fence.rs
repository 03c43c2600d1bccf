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
        let (connections, sql) = (server.connections.clone(), Arc::clone(&server.sql));
        let asked = fence(connections, sql, length, server.answer_timeout);
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
async fn fence(connections: Connections, sql: Arc<Sql>, length: Duration, answer_timeout: Duration) {
    let Ok(client) = connections.one_more().await else { return };
    let begin = sql.begin_fence(length);
    let limit = length.saturating_add(answer_timeout);
    let is_answered = {
        // Polled in this order, so they are sent in this order. After a failed statement `COMMIT` is a rollback.
        let sent = [&begin, &sql.fence, sql::COMMIT].map(|statement| client.batch_execute(statement));
        let [begin, lock, end] = sent;
        tokio::time::timeout(limit, join3(begin, lock, end)).await.is_ok()
    };
    // Of a server that fell silent nobody else could use the connection.
    if !is_answered {
        client.end();
    }
}

/// How long a batch waits before it asks for a fence.
const PATIENCE: Duration = Duration::from_millis(500);
/// Longer than a batch takes. It doubles up to the maximum, for a slow server.
const LENGTH_MIN: Duration = Duration::from_millis(250);
const LENGTH_MAX: Duration = Duration::from_secs(1);
/// The pause after a fence, as a multiple of its length.
const PAUSE_LENGTHS: u32 = 4;

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::thread;

    use super::*;
    use crate::choices::Prepare;
    use crate::config::PostgresOptions;
    use crate::layout::Layout;

    #[test]
    fn a_server_that_falls_silent_keeps_no_connection_of_the_pool() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = server.local_addr().unwrap().port();
        thread::spawn(move || {
            let (mut client, _) = server.accept().unwrap();
            let mut sent = [0; 1_024];
            assert!(client.read(&mut sent).unwrap() > 0);
            // The login succeeded, and the session is ready.
            client.write_all(b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I").unwrap();
            while client.read(&mut sent).is_ok_and(|len| len > 0) {}
        });
        let address = format!("host=127.0.0.1 port={port} user=u sslmode=disable");
        let options = PostgresOptions::parse(&address).unwrap().connections_max(1);
        let connector = options.connector().unwrap();
        let pool = options.pool(connector.clone()).unwrap();
        let connections = Connections { pool: pool.clone(), host_patience: None, connector: Some(connector) };
        let sql = Arc::new(Sql::new(&Layout::default().tables("s"), Prepare::Named, None, None));
        let limit = Duration::from_millis(10);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let asked = fence(connections, sql, limit, limit);
            tokio::time::timeout(Duration::from_secs(60), asked).await.expect("it ends");
        });
        assert_eq!(pool.status().size, 0);
    }
}
