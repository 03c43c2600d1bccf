//! Hints between processes, over `LISTEN` and `NOTIFY`.

use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::{Either, select};
use strongroom_store::StoreError;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinHandle;
use tokio_postgres::Client;

use crate::config::PostgresOptions;
use crate::connector::Connector;
use crate::failure::{of_connect, of_write, unavailable, unsupported};
use crate::layout::{Layout, PREFIX, SCHEMA};
use crate::threads::Threads;

/// Short texts from every process that sends some, on the same database, schema and prefix. They arrive on a connection
/// of their own, so not through a pooler in transaction mode. Hints are never needed for correctness, and may be lost:
/// [`Hint::Gap`] says so if it is known.
///
/// A process that uses `Vault::watch` of the engine tells the others what changed, and hears what they changed:
///
/// ```no_run
/// # let _ = async {
/// use strongroom_postgres::{Hint, PostgresHints, PostgresOptions};
/// let options = PostgresOptions::parse("postgres://vault@db.example.com/vault")?;
/// let mut hints = PostgresHints::connect(&options).await?;
/// hints.tell("6500a1b2c3d4e5f6a7b8c9d0 test").await?; // which org moved, once `Vault::watch` says so
/// match hints.next().await {
///     Some(Hint::Told(moved)) => println!("{moved} moved in some process"),
///     _ => println!("anything may have moved"),
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(()) };
/// ```
pub struct PostgresHints {
    tells: Sender<String>,
    hears: Receiver<Hint>,
    overflowed: Arc<AtomicBool>,
    _threads: Threads,
}

/// What [`PostgresHints::next`] returns.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Hint {
    /// A process sent this, maybe this one.
    Told(String),
    /// The connection was lost, or hints came faster than they were taken: some may be missing.
    Gap,
}

impl PostgresHints {
    /// Connects, and listens from now on. A lost connection is made again until this is dropped.
    ///
    /// # Errors
    /// `Unavailable` if the server cannot be reached or refuses the user.
    pub async fn connect(options: &PostgresOptions) -> Result<Self, StoreError> {
        let (connector, threads) = (options.connector()?, Threads::start()?);
        let (tells, told) = channel(HINTS_MAX);
        let (heard, hears) = channel(HINTS_MAX);
        let overflowed = Arc::new(AtomicBool::new(false));
        let marker = marker(&options.layout);
        let line = Line { connector, marker, heard, overflowed: Arc::clone(&overflowed), told };
        let first = threads.spawn(async move { (line.open().await, line) });
        let (opened, line) = first.await.map_err(|_| unavailable(ENDED))?;
        threads.spawn(line.run(opened?));
        Ok(Self { tells, hears, overflowed, _threads: threads })
    }

    /// Tells every process that listens. Returns once the hint is queued; it is lost if the connection is.
    ///
    /// # Errors
    /// `Unsupported` for a hint of more than 2,000 bytes.
    pub async fn tell(&self, hint: &str) -> Result<(), StoreError> {
        if hint.len() > HINT_BYTES_MAX {
            return Err(unsupported("a hint has at most 2,000 bytes"));
        }
        self.tells.send(hint.to_owned()).await.map_err(|_| unavailable(ENDED))
    }

    /// Waits for the next hint. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Hint> {
        // A hint finds no room only while others wait to be taken, so whoever waits below missed none. The flag says
        // nothing of what is in the queue, so it needs no stronger order.
        if self.overflowed.swap(false, Ordering::Relaxed) {
            return Some(Hint::Gap);
        }
        self.hears.recv().await
    }
}

/// The connection and its traffic.
struct Line {
    connector: Connector,
    marker: String,
    heard: Sender<Hint>,
    overflowed: Arc<AtomicBool>,
    told: Receiver<String>,
}

impl Line {
    /// In as much time as all servers together may take: one of them may accept a connection and say nothing.
    async fn open(&self) -> Result<Connection, StoreError> {
        let opened = tokio::time::timeout(self.connector.patience(), self.connect()).await;
        opened.unwrap_or_else(|_| Err(unavailable("the server did not answer in time")))
    }

    async fn connect(&self) -> Result<Connection, StoreError> {
        let (heard, overflowed) = (self.heard.clone(), Arc::clone(&self.overflowed));
        let marker = self.marker.clone();
        let hear = move |payload: &str| {
            let Some(hint) = payload.strip_prefix(&marker).and_then(decode) else { return };
            pass(&heard, &overflowed, Hint::Told(hint));
        };
        let (client, ended) = self.connector.connect_hearing(hear).await.map_err(of_connect)?;
        client.batch_execute(&format!("LISTEN {CHANNEL}")).await.map_err(|error| of_write(error).error)?;
        Ok((client, ended))
    }

    /// Sends hints until no sender is left; connects again if the connection is lost.
    async fn run(mut self, mut connection: Connection) {
        let patience = self.connector.patience();
        loop {
            let (client, ended) = &mut connection;
            match select(pin!(self.told.recv()), ended).await {
                Either::Left((None, _)) => return,
                Either::Left((Some(hint), _)) => {
                    // Hex, so that nothing of the text is read as SQL.
                    let payload = format!("{}{}", self.marker, hex::encode(&hint));
                    let notify = format!("NOTIFY {CHANNEL}, '{payload}'");
                    // A server may fall silent, and nothing else would ever say so.
                    let sent = tokio::time::timeout(patience, client.batch_execute(&notify)).await;
                    if matches!(sent, Ok(Ok(()))) {
                        continue;
                    }
                }
                Either::Right(_) => {}
            }
            if self.heard.is_closed() {
                return;
            }
            pass(&self.heard, &self.overflowed, Hint::Gap);
            // It would wait for the answer.
            connection.1.abort();
            connection = loop {
                tokio::time::sleep(PAUSE).await;
                match self.open().await {
                    Ok(connection) => break connection,
                    Err(_) if self.heard.is_closed() => return,
                    Err(_) => {}
                }
            };
        }
    }
}

/// Queues a hint. It waits for nobody: a process that takes no hints still tells the others.
fn pass(heard: &Sender<Hint>, overflowed: &AtomicBool, hint: Hint) {
    if heard.try_send(hint).is_err() {
        overflowed.store(true, Ordering::Relaxed);
    }
}

/// A connection, and the task that ends with it.
type Connection = (Client, JoinHandle<()>);

/// The prefix of the hints of a vault: others may be in the same database.
fn marker(layout: &Layout) -> String {
    let schema = layout.schema.as_deref().unwrap_or(SCHEMA);
    let prefix = layout.prefix.as_deref().unwrap_or(PREFIX);
    format!("{}.{} ", hex::encode(schema), hex::encode(prefix))
}

fn decode(sent: &str) -> Option<String> {
    String::from_utf8(hex::decode(sent).ok()?).ok()
}

impl fmt::Debug for PostgresHints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresHints").finish_non_exhaustive()
    }
}

const CHANNEL: &str = "strongroom";
/// In hex, with its prefix, it stays below the server's limit of 8,000.
const HINT_BYTES_MAX: usize = 2_000;
const HINTS_MAX: usize = 1_024;
/// The pause between two attempts to connect again.
const PAUSE: Duration = Duration::from_millis(200);
const ENDED: &str = "the threads of the hints ended";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_goes_as_hex_and_comes_as_it_was() {
        for text in ["", "6500a1b2c3d4e5f6a7b8c9d0 test", "'; DROP TABLE rows; --", "t\u{e9}st\\"] {
            let sent = hex::encode(text);
            assert!(sent.bytes().all(|digit| digit.is_ascii_hexdigit()));
            assert_eq!(decode(&sent).as_deref(), Some(text));
        }
        assert_eq!((decode("0"), decode("zz"), decode("ff")), (None, None, None));
    }
}
