//! A server of its own: HTTP/1.1 with limits on headers and connections, which finishes what it accepted.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::ConnectInfo;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tower::Layer as _;

use crate::router::router;
use crate::service::Service;

/// Serves `service` on `listener` until `stop` is ready. Then it accepts only the connections that wait already,
/// answers every request that has come, and returns, at the latest after the limits' drain time.
///
/// Put TLS in front of it. It speaks only HTTP/1.1, so that no layer below it ever logs a header.
pub async fn serve(listener: TcpListener, service: Service, stop: impl Future<Output = ()>) {
    let limits = service.inner.limits;
    let app = router(service.clone());
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_buf_size(limits.header_bytes_max.saturating_mul(2).max(BUFFER_BYTES_MIN));
    let permits = Arc::new(Semaphore::new(limits.connections_max));
    let connections = GracefulShutdown::new();
    let next = async || {
        // No permit, no accept: what waits, waits in the listener's own queue.
        let permit = Arc::clone(&permits).acquire_owned().await;
        (permit, accept(&listener).await)
    };
    let answer = |(permit, (stream, peer))| {
        let app = Extension(ConnectInfo::<SocketAddr>(peer)).layer(app.clone());
        let connection = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(app));
        let connection = connections.watch(connection);
        tokio::spawn(async move {
            // The client went away, or broke the protocol: its own affair.
            let _ = connection.await;
            drop(permit);
        });
    };
    let mut stop = pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => break,
            accepted = next() => answer(accepted),
        }
    }
    service.drain();
    // Who waits in the listener's queue is connected, for all it knows, and may have sent its request.
    for _ in 0..QUEUE_MAX {
        let Ok(accepted) = tokio::time::timeout(LAST_CALL, next()).await else { break };
        answer(accepted);
    }
    drop(listener);
    tracing::info!(connections = connections.count(), "stopping");
    if tokio::time::timeout(limits.drain_timeout, connections.shutdown()).await.is_err() {
        tracing::warn!("some connections were cut off");
    }
}

/// The next connection. Where none can be had, as for lack of descriptors, it waits.
async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                // It only speeds small answers up.
                let _ = stream.set_nodelay(true);
                return (stream, peer);
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "no connection can be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// The least that the HTTP library takes.
const BUFFER_BYTES_MIN: usize = 8 << 10;
/// For this long no one must come before a server that stops has seen all who are there.
const LAST_CALL: Duration = Duration::from_millis(20);
/// How many of them it takes at most.
const QUEUE_MAX: usize = 1_024;
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
