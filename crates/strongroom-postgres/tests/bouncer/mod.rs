//! A PgBouncer before a server, started by `scripts/pgbouncer` and gone with its value or the process.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    dead_code,
    reason = "a test that cannot go on fails; not every one needs all"
)]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use strongroom_postgres::PostgresOptions;
use tempfile::TempDir;

use crate::cluster::{self, Cluster};

pub(crate) struct Bouncer {
    dir: TempDir,
    child: Child,
}

impl Bouncer {
    /// Pools connections to a server in this mode, with more settings.
    pub(crate) fn start(server: &Cluster, mode: &str, settings: &[&str]) -> Self {
        let dir = Cluster::place();
        let above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
        let script = above.map(|dir| dir.join("scripts/pgbouncer")).find(|script| script.exists()).unwrap();
        let mut child = Command::new(script)
            .args([dir.path(), server.socket_dir()])
            .arg(mode)
            .args(settings)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("scripts/pgbouncer did not start: {error}"));
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line.trim_end(), "ready", "scripts/pgbouncer did not say so; its messages are above");
        Self { dir, child }
    }

    pub(crate) fn options(&self, database: &str, rest: &str) -> PostgresOptions {
        let address = format!("{} {rest}", self.address(database));
        PostgresOptions::parse(&address).unwrap().connect_timeout(Duration::from_secs(60))
    }

    /// What a query of another client returns, as text.
    pub(crate) fn ask(&self, database: &str, query: &str) -> Vec<String> {
        cluster::ask(&self.address(database), query)
    }

    pub(crate) fn address(&self, database: &str) -> String {
        format!("host={} port=6432 user=strongroom dbname={database}", self.dir.path().display())
    }
}

impl Drop for Bouncer {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}
