//! A server for the tests of one binary, started by `scripts/postgres` and gone with the process.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    dead_code,
    reason = "a test that cannot go on fails; not every one needs all"
)]

use std::io::{BufRead, BufReader, Write};
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use strongroom_postgres::{PostgresOptions, PostgresStore};
use tempfile::TempDir;
use tokio_postgres::SimpleQueryMessage;

/// A running server.
pub(crate) struct Cluster {
    dir: TempDir,
    control: Mutex<(Child, BufReader<ChildStdout>)>,
    databases: AtomicUsize,
}

/// The server that the tests of a binary share. Its script ends it when this process is gone.
pub(crate) fn shared() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(Cluster::start)
}

impl Cluster {
    pub(crate) fn start() -> Self {
        Self::start_in(Self::place(), Vec::new())
    }

    /// A hot standby of this server.
    pub(crate) fn standby(&self) -> Self {
        Self::start_in(Self::place(), vec!["--standby-of".into(), self.socket_dir().display().to_string()])
    }

    /// A server that listens at `address` of 127.0.0.0/8 too, by TLS where `dir` has a `server.crt` and a `server.key`.
    pub(crate) fn start_at(dir: TempDir, address: Ipv4Addr) -> Self {
        Self::start_in(dir, vec![address.to_string()])
    }

    /// A directory for a server. The path of a socket is short.
    pub(crate) fn place() -> TempDir {
        tempfile::Builder::new().prefix("strongroom-pg").tempdir_in("/tmp").unwrap()
    }

    fn start_in(dir: TempDir, arguments: Vec<String>) -> Self {
        let above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
        let script = above.map(|dir| dir.join("scripts/postgres")).find(|script| script.exists()).unwrap();
        let mut child = Command::new(script)
            .arg(dir.path())
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("scripts/postgres did not start: {error}"));
        let answers = BufReader::new(child.stdout.take().unwrap());
        let cluster = Self { dir, control: Mutex::new((child, answers)), databases: AtomicUsize::new(0) };
        cluster.await_answer("ready");
        cluster
    }

    /// Kills every process of the server with signal 9.
    pub(crate) fn kill(&self) {
        self.say("kill");
        self.await_answer("killed");
    }

    /// Makes a standby a primary.
    pub(crate) fn promote(&self) {
        self.say("promote");
        self.await_answer("promoted");
    }

    /// Starts it again.
    pub(crate) fn restart(&self) {
        self.say("start");
        self.await_answer("ready");
    }

    /// The directory of its socket.
    pub(crate) fn socket_dir(&self) -> &Path {
        self.dir.path()
    }

    /// The name of a new, empty database.
    pub(crate) fn database(&self) -> String {
        let name = format!("d{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.run("postgres", &format!("CREATE DATABASE {name} STRATEGY file_copy"));
        name
    }

    /// Runs a statement of the test's own.
    pub(crate) fn run(&self, database: &str, sql: &str) {
        let address = self.address(database);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (client, connection) =
                tokio_postgres::connect(&address, tokio_postgres::NoTls).await.unwrap();
            let connection = tokio::spawn(connection);
            client.batch_execute(sql).await.unwrap();
            drop(client);
            connection.await.unwrap().unwrap();
        });
    }

    /// What a query returns, as text.
    pub(crate) fn ask(&self, database: &str, query: &str) -> Vec<String> {
        ask(&self.address(database), query)
    }

    /// Waits until the server has ended every connection of this application name: what they sent is applied or never
    /// will be.
    pub(crate) fn await_end_of(&self, database: &str, application: &str) {
        let connections = format!(
            "SELECT FROM pg_stat_activity WHERE datname = '{database}' AND application_name = '{application}'"
        );
        let wait = "PERFORM pg_sleep(0.001); PERFORM pg_stat_clear_snapshot()";
        self.run(
            database,
            &format!("DO $$ BEGIN WHILE EXISTS ({connections}) LOOP {wait}; END LOOP; END $$"),
        );
    }

    /// Where a database is, as libpq writes it.
    pub(crate) fn address(&self, database: &str) -> String {
        format!("host={} user=strongroom dbname={database}", self.socket_dir().display())
    }

    pub(crate) fn options(&self, database: &str) -> PostgresOptions {
        let options = PostgresOptions::parse(&self.address(database)).unwrap();
        // A busy machine is no fault.
        options.connect_timeout(Duration::from_secs(60))
    }

    pub(crate) fn open(&self, database: &str) -> PostgresStore {
        PostgresStore::open(&self.options(database)).unwrap()
    }

    fn say(&self, word: &str) {
        let (child, _) = &mut *self.control.lock().unwrap();
        writeln!(child.stdin.as_mut().unwrap(), "{word}").unwrap();
    }

    fn await_answer(&self, expected: &str) {
        let (_, answers) = &mut *self.control.lock().unwrap();
        let mut line = String::new();
        answers.read_line(&mut line).unwrap();
        assert_eq!(line.trim_end(), expected, "scripts/postgres did not say so; its messages are above");
    }
}

/// What a query returns at this address, as text.
pub(crate) fn ask(address: &str, query: &str) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let messages = runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(address, tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        client.simple_query(query).await.unwrap()
    });
    let rows = messages.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    });
    rows.collect()
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let (child, _) = &mut *self.control.lock().unwrap();
        drop(child.stdin.take());
        let _ = child.wait();
    }
}
