//! The address of the server: taken at the start, and listened on once requests can be answered.

use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpSocket};

use super::failed;
use crate::failure::Failure;

/// An address that nobody else can take. Nothing listens on it yet: a connection would be accepted and then wait, which
/// no probe understands.
pub(super) struct Address {
    socket: TcpSocket,
    address: SocketAddr,
}

impl Address {
    /// Before anything else, so that an address that is taken is told before a vault is made.
    pub(super) fn take(named: SocketAddr) -> Result<Self, Failure> {
        let socket = if named.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
        let taken = socket.and_then(|socket| {
            // Connections of a server that has just ended may still be closing.
            reuse(&socket, true)?;
            socket.bind(named)?;
            // While it is set, Linux lets another process bind the same address and listen first.
            reuse(&socket, false)?;
            let address = socket.local_addr()?;
            Ok(Self { socket, address })
        });
        taken.map_err(|error| cannot_listen(&named, &error))
    }

    /// Its port is the one that the system chose, if 0 was named.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn listen(self) -> Result<TcpListener, Failure> {
        let listening = reuse(&self.socket, true).and_then(|()| self.socket.listen(QUEUED_MAX));
        listening.map_err(|error| cannot_listen(&self.address, &error))
    }
}

/// Only where it is about connections that are closing: elsewhere it lets others take an address that is in use.
#[cfg(unix)]
fn reuse(socket: &TcpSocket, on: bool) -> io::Result<()> {
    socket.set_reuseaddr(on)
}

#[cfg(not(unix))]
#[allow(clippy::unnecessary_wraps, reason = "on Unix it can fail")]
fn reuse(_: &TcpSocket, _: bool) -> io::Result<()> {
    Ok(())
}

fn cannot_listen(address: &SocketAddr, error: &io::Error) -> Failure {
    failed(&format!("the server cannot listen on {address}"), error)
        .next("name another address with --listen")
}

/// How many connections the system keeps until they are accepted: as many as for any listener of the runtime.
const QUEUED_MAX: u32 = 1_024;
