//! A backup as a stream.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_core::Stream;
use futures_executor::block_on;
use strongroom::{AuditNote, Error, ErrorKind};
use tokio::sync::mpsc;

use super::BASE;
use super::operator::{Operator, full};
use crate::auth::Right;
use crate::error::Failure;
use crate::openapi::Refusals;
use crate::status::ErrorStatus;

/// A backup of the whole vault, sealed as it is stored
///
/// The file is the same as `strongroom backup` writes. An interrupted stream is not a backup: `strongroom restore`
/// refuses a truncated file. At most four are written at a time; another one is refused with 429.
#[utoipa::path(
    get, context_path = BASE, path = "/backup", tag = "control: vault",
    responses((status = 200, content_type = "application/octet-stream", body = Vec<u8>), Refusals),
    security(("api_key" = [])),
)]
pub(crate) async fn backup(operator: Operator) -> Result<Response, Failure> {
    operator.may(Right::Operate)?;
    let backups = Arc::clone(&operator.service.inner.backups);
    let place = backups.try_acquire_owned().map_err(|_| Failure::too_many_at_once())?;
    // Only once there is a place, so that what is noted also happens.
    note(&operator).await?;
    let (sender, receiver) = mpsc::channel(CHUNKS_MAX);
    let runtime = tokio::runtime::Handle::current();
    let patience = operator.service.inner.limits.send_timeout;
    // The engine writes on the thread that polls it, which waits for a slow client: so it must not be a thread of the
    // runtime.
    tokio::task::spawn_blocking(move || {
        let _place = place;
        // A store may need the runtime, but the thread must not be driven by it, since then it could not wait.
        let _entered = runtime.enter();
        let held = Vec::with_capacity(CHUNK_BYTES);
        let mut out = Chunks { sender: sender.clone(), held, runtime: runtime.clone(), patience };
        let written = block_on(operator.vault().backup(&mut out, |_| ()));
        let ended = written.map_err(io::Error::other).and_then(|_| out.flush());
        if let Err(error) = ended {
            tracing::error!(%error, "a backup was broken off");
            // The failure itself matters more than that it could not be noted.
            let _ = block_on(operator.note_operation("backup: failed"));
            // The client sees a truncated body, or no end at all if it does not read.
            let _ = sender.try_send(Err(error));
        }
    });
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"vault.backup\""),
    ];
    Ok((headers, Body::from_stream(Received(receiver))).into_response())
}

/// Notes the backup in the audit, unless the disk of the store is full, the vault was moved, or the keys of the
/// environment cannot be read: a backup is sealed and reveals nothing, and it may be needed before the store takes
/// writes.
async fn note(operator: &Operator) -> Result<(), Failure> {
    match operator.org.note(&[AuditNote::vault_operated("backup")]).await {
        Err(error) if goes_on_after(&error) => {
            tracing::warn!(%error, "a backup is not noted in the audit");
            Ok(())
        }
        noted => noted.map(drop).map_err(full),
    }
}

fn goes_on_after(error: &Error) -> bool {
    let is_disk_full = ErrorStatus::of(error).status == StatusCode::INSUFFICIENT_STORAGE;
    is_disk_full || matches!(error, Error::Retired) || error.kind() == ErrorKind::Damaged
}

/// Writes to a channel in chunks of one size.
struct Chunks {
    sender: mpsc::Sender<io::Result<Bytes>>,
    held: Vec<u8>,
    runtime: tokio::runtime::Handle,
    /// How long a chunk waits for a client that does not read.
    patience: Duration,
}

impl Write for Chunks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.held.extend_from_slice(bytes);
        if self.held.len() >= CHUNK_BYTES {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.held.is_empty() {
            return Ok(());
        }
        let chunk = std::mem::replace(&mut self.held, Vec::with_capacity(CHUNK_BYTES));
        // Made inside the runtime, whose timer it needs.
        let sent = async { tokio::time::timeout(self.patience, self.sender.send(Ok(chunk.into()))).await };
        match self.runtime.block_on(sent) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(io::Error::new(io::ErrorKind::BrokenPipe, "the client went away")),
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "the client reads nothing")),
        }
    }
}

/// The chunks from the channel.
struct Received(mpsc::Receiver<io::Result<Bytes>>);

impl Stream for Received {
    type Item = io::Result<Bytes>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        self.0.poll_recv(context)
    }
}

const CHUNK_BYTES: usize = 256 << 10;
/// How many chunks wait for a slow client.
const CHUNKS_MAX: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn a_backup_ends_when_its_client_reads_nothing() {
        let (sender, _receiver) = mpsc::channel(CHUNKS_MAX);
        let (runtime, patience) = (tokio::runtime::Handle::current(), Duration::from_millis(10));
        let mut out = Chunks { sender, held: Vec::new(), runtime, patience };
        let written = std::thread::spawn(move || {
            let chunk = vec![0; CHUNK_BYTES];
            (0..=CHUNKS_MAX).try_for_each(|_| out.write_all(&chunk))
        });
        assert_eq!(written.join().unwrap().unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
