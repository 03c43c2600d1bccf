//! A standalone server: HTTP/1.1 with limits on headers and connections, which finishes accepted requests.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ConnectInfo;
use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tower::Layer as _;

#[cfg(feature = "tls")]
use crate::connection::OwnTls;
use crate::connection::Patient;
use crate::limits::Limits;
use crate::load::{ClientAddress, Party};
use crate::router::router;
use crate::service::Service;

/// Serves `service` on `listener` until `stop` is ready. Then it accepts only the connections that are already waiting,
/// answers every request that has arrived, and returns. At the latest it returns after the limits' drain time, when it
/// cuts off the rest, plus five seconds for notes of reads.
///
/// Put TLS in front of it, or use `serve_tls`. It speaks only HTTP/1.1, so that no layer below it ever logs a header.
pub async fn serve(listener: TcpListener, service: Service, stop: impl Future<Output = ()>) {
    let app = router(service.clone());
    serve_by(listener, (service, app), stop, |stream| std::future::ready(Some(stream))).await;
}

/// The same over TLS. A handshake has as long as the headers of a request.
#[cfg(feature = "tls")]
pub async fn serve_tls(
    listener: TcpListener,
    service: Service,
    tls: crate::tls::Tls,
    stop: impl Future<Output = ()>,
) {
    let (acceptor, patience) = (tls.acceptor(), service.inner.limits.header_timeout);
    let app = router(service.clone()).layer(Extension(OwnTls));
    let shake = move |stream| {
        let handshake = acceptor.accept(stream);
        async move { tokio::time::timeout(patience, handshake).await.ok()?.ok() }
    };
    // If a service is served twice, the metrics show the certificate of the first server.
    let _ = service.inner.tls.set(tls.clone());
    tokio::select! {
        () = serve_by(listener, (service, app), stop, shake) => {}
        () = tls.watch_expiry() => {}
    }
}

/// Serves what `prepare` makes of each connection; connections are prepared side by side. `None` drops the connection.
async fn serve_by<S, F>(
    listener: TcpListener,
    (service, app): (Service, Router),
    stop: impl Future<Output = ()>,
    prepare: impl Fn(Patient<TcpStream>) -> F,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    F: Future<Output = Option<S>> + Send + 'static,
{
    let limits = service.inner.limits;
    let http = protocol(&limits);
    let permits = Arc::new(Semaphore::new(limits.connections_max));
    let connections = GracefulShutdown::new();
    // Dropped when this function ends or is dropped: no connection outlives its server.
    let mut tasks = JoinSet::new();
    let next = async || {
        // The permit comes first, so that an excess connection waits in the listener's queue and not in memory.
        let permit = Arc::clone(&permits).acquire_owned().await;
        (permit, accept(&listener).await)
    };
    let answer = |tasks: &mut JoinSet<()>, (permit, (stream, peer)): (_, (TcpStream, SocketAddr))| {
        // Before anything is read, so that one address does not get all connections.
        let party = Party::Connected(ClientAddress::of_ip(peer.ip()));
        let Ok(place) = service.inner.load.place(&party) else { return };
        let app = Extension(ConnectInfo::<SocketAddr>(peer)).layer(app.clone());
        let stream = Patient::new(stream, limits.send_timeout);
        let (http, watcher, prepared) = (http.clone(), connections.watcher(), prepare(stream));
        tasks.spawn(async move {
            if let Some(stream) = prepared.await {
                let connection = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(app));
                // An error is the client's: it went away, or broke the protocol.
                let _ = watcher.watch(connection).await;
            }
            drop((permit, place));
        });
    };
    let mut stop = pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => break,
            accepted = next() => answer(&mut tasks, accepted),
            // Removed as they end.
            Some(_) = tasks.join_next() => {}
        }
    }
    service.drain();
    let deadline = Instant::now() + limits.drain_timeout;
    // A client in the listener's queue believes that it is connected, and may have sent its request.
    for _ in 0..QUEUE_MAX {
        let last_call = deadline.min(Instant::now() + LAST_CALL);
        let Ok(accepted) = tokio::time::timeout_at(last_call, next()).await else { break };
        answer(&mut tasks, accepted);
    }
    drop(listener);
    tracing::info!(connections = connections.count(), "stopping");
    if tokio::time::timeout_at(deadline, connections.shutdown()).await.is_err() {
        tracing::warn!("some connections were cut off");
    }
    drop(tasks);
    note_last_reads(&service).await;
}

fn protocol(limits: &Limits) -> http1::Builder {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        // Heads and small bodies in one piece: handing over two costs more than copying one.
        .writev(false)
        .header_read_timeout(limits.header_timeout)
        // Twice the limit, so that headers just over it reach the service, which refuses them with a body.
        .max_buf_size(limits.header_bytes_max.saturating_mul(2).max(BUFFER_BYTES_MIN));
    http
}

/// Writes the last notes before the vault is closed, which may be as soon as the server returns.
async fn note_last_reads(service: &Service) {
    match tokio::time::timeout(NOTES_TIMEOUT, service.write_read_notes()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::error!(%error, "reads were not noted in the audit"),
        Err(_) => tracing::error!("reads were not noted in the audit in time"),
    }
}

/// The next connection. While none can be accepted, for example for lack of file descriptors, it waits.
async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                // Without it, small responses are only slower.
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

/// The least that the HTTP library accepts.
const BUFFER_BYTES_MIN: usize = 8 << 10;
/// A stopping server has accepted all clients in the queue once none came for this long.
const LAST_CALL: Duration = Duration::from_millis(20);
/// At most this many of them, so that a flood of new clients cannot hold up the stop.
const QUEUE_MAX: usize = 1_024;
/// The time for waiting notes of reads when the server stops.
const NOTES_TIMEOUT: Duration = Duration::from_secs(5);
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
