//! What the log says of an outage of the store.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use support::Fixture;
use tracing::subscriber::DefaultGuard;

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    /// Takes what this thread logs, as long as the guard lives.
    fn taken(&self) -> DefaultGuard {
        let writer = self.clone();
        let lines = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
        tracing::subscriber::set_default(lines)
    }

    /// Waits until the log has this text so many times.
    async fn until(&self, text: &str, times: usize) {
        for _ in 0..10_000 {
            if self.text().matches(text).count() == times {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("not {times} times {text:?}: {}", self.text());
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn an_outage_is_logged_when_it_begins_and_when_it_ends_and_each_refusal_with_its_request() {
    let (log, (fixture, _, gate)) = (Log::default(), Fixture::gated().await);
    let _taken = log.taken();
    fixture.register("a").await;
    tokio::time::pause();
    gate.fail_commits_after(0);
    let path = "/linked-account/default-app/auth-credentials/k";
    let set = async || {
        let call = fixture.call("PUT", path).header("linked_account_id", "a");
        call.json(r#"{"value":"k1"}"#).await.status.as_u16()
    };
    for _ in 0..20 {
        assert_eq!(set().await, 503);
    }
    log.until("not ready", 1).await;
    gate.fail_commits_after(usize::MAX);
    log.until("is ready", 1).await;
    assert_eq!(set().await, 200);
    let text = log.text();
    let count = |part: &str| text.lines().filter(|line| line.contains(part)).count();
    assert_eq!((count("WARN"), count("ERROR")), (2, 0), "{text}");
    let refused = |line: &&str| line.contains("status=503") && line.contains("auth-credentials/{key}");
    let refused: Vec<_> = text.lines().filter(refused).collect();
    assert!(refused.len() == 20 && refused.iter().all(|line| line.contains("the disk is gone")), "{text}");
}

#[tokio::test]
async fn an_outage_after_another_is_logged_too() {
    let (log, (fixture, _, gate)) = (Log::default(), Fixture::gated().await);
    let _taken = log.taken();
    fixture.register("a").await;
    tokio::time::pause();
    gate.fail_commits_after(0);
    let path = "/linked-account/default-app/auth-credentials/k?linked_account_id=a";
    assert_eq!(fixture.call("PUT", path).json(r#"{"value":"k1"}"#).await.status, 503);
    log.until("not ready", 1).await;
    gate.fail_commits_after(usize::MAX);
    log.until("is ready", 1).await;
    gate.close();
    assert_eq!(fixture.call("GET", "/env/definitions").send().await.status, 503);
    log.until("not ready", 2).await;
    gate.open();
    log.until("is ready", 2).await;
}
