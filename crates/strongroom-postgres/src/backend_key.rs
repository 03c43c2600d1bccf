//! The process id by which a server lets a session be cancelled. A server gives the id of the session's own process,
//! and a pooler gives one that it made up.
//!
//! The driver does not expose it, but writes it to any stream that a request to cancel is sent on.

use std::future::{Ready, ready};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::Client;
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};

/// The process id that the other end gave this session; `None` if the driver does not write it.
pub(crate) async fn process_id(client: &Client) -> Option<i32> {
    let written = Written::default();
    client.cancel_token().cancel_query_raw(written.clone(), AsIs).await.ok()?;
    let request = written.0.lock().unwrap_or_else(PoisonError::into_inner);
    // The request ends with the id and a secret, four bytes each.
    let id = request.last_chunk::<8>()?.first_chunk::<4>()?;
    Some(i32::from_be_bytes(*id))
}

/// A stream that keeps what is written. It accepts TLS, which is then not used: nothing leaves this process.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl AsyncRead for Written {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        into.put_slice(b"S");
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Written {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl TlsStream for Written {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

struct AsIs;

impl TlsConnect<Written> for AsIs {
    type Stream = Written;
    type Error = io::Error;
    type Future = Ready<io::Result<Written>>;

    fn connect(self, stream: Written) -> Self::Future {
        ready(Ok(stream))
    }
}
