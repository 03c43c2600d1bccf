//! Many connections that each send one request after the other, on one thread.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use futures_util::future::join_all;
use rustix::time::ClockId;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};

use crate::run::processor_time;

/// Connections that are kept open from round to round.
pub(super) struct Load {
    runtime: Runtime,
    connections: Vec<Connection>,
}

/// What one round of a load found.
#[derive(Debug)]
pub(super) struct Round {
    requests: usize,
    time: Duration,
    pub(super) p99: Duration,
    server_time: Duration,
}

struct Connection {
    stream: TcpStream,
    request: Arc<[u8]>,
    buffer: Vec<u8>,
}

impl Load {
    /// One connection for each of `requests`.
    pub(super) fn connect(address: SocketAddr, requests: &[Vec<u8>]) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime can be had");
        let connections = requests.iter().map(|request| Connection::to(address, request));
        let connections = runtime.block_on(join_all(connections));
        Self { runtime, connections }
    }

    /// Sends for about `time`.
    pub(super) fn round(&mut self, time: Duration) -> Round {
        let (start, server_start) = (Instant::now(), time_of_others());
        let until = start + time;
        let connections = std::mem::take(&mut self.connections);
        let done = self.runtime.block_on(async {
            let tasks = connections.into_iter().map(|mut connection| {
                tokio::spawn(async move {
                    let taken = connection.send_until(until).await;
                    (connection, taken)
                })
            });
            join_all(tasks).await
        });
        let (time, server_time) = (start.elapsed(), time_of_others() - server_start);
        let mut taken = Vec::new();
        for done in done {
            let (connection, times) = done.expect("no connection panics");
            self.connections.push(connection);
            taken.extend(times);
        }
        taken.sort_unstable();
        let p99 = taken.get(taken.len() * 99 / 100).copied().unwrap_or_default();
        Round { requests: taken.len(), time, p99, server_time }
    }
}

impl Round {
    pub(super) fn per_sec(&self) -> f64 {
        self.requests as f64 / self.time.as_secs_f64()
    }

    pub(super) fn server_secs(&self) -> f64 {
        self.server_time.as_secs_f64() / self.requests.max(1) as f64
    }
}

impl Connection {
    async fn to(address: SocketAddr, request: &[u8]) -> Self {
        let stream = TcpStream::connect(address).await.expect("the server listens");
        stream.set_nodelay(true).expect("a socket can be");
        Self { stream, request: request.into(), buffer: Vec::with_capacity(4_096) }
    }

    /// How long each request took.
    async fn send_until(&mut self, until: Instant) -> Vec<Duration> {
        let mut taken = Vec::new();
        let mut start = Instant::now();
        while start < until {
            self.send().await;
            let now = Instant::now();
            taken.push(now - start);
            start = now;
        }
        taken
    }

    /// Sends the request and reads the whole answer; answers where its body starts.
    async fn send(&mut self) -> usize {
        self.stream.write_all(&self.request).await.expect("the server reads");
        self.buffer.clear();
        loop {
            let read = self.stream.read_buf(&mut self.buffer).await.expect("the server answers");
            assert!(read > 0, "the server keeps the connection open");
            if let Some(body) = whole_answer(&self.buffer) {
                return body;
            }
        }
    }
}

/// Where the body starts, if all of it is there. Anything but 200 ends the run: it would be counted as work.
fn whole_answer(answer: &[u8]) -> Option<usize> {
    let body = answer.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(answer.get(..body)?).expect("a head is text");
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    let (_, length) = head.split_once("content-length: ").expect("an answer has a length");
    let length: usize = length.split('\r').next()?.parse().expect("a length is a number");
    (answer.len() == body + length).then_some(body)
}

/// The body that `request` is answered.
pub(super) fn body_of(address: SocketAddr, request: &[u8]) -> Bytes {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime can be had");
    runtime.block_on(async {
        let mut connection = Connection::to(address, request).await;
        let body = connection.send().await;
        Bytes::copy_from_slice(connection.buffer.get(body..).unwrap_or_default())
    })
}

/// The processor time of all threads but this one.
fn time_of_others() -> Duration {
    let [all, own] = [ClockId::ProcessCPUTime, ClockId::ThreadCPUTime].map(processor_time);
    all.saturating_sub(own)
}
