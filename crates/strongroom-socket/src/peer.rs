//! Who is at the other end of a socket.

use std::io;
use std::os::unix::net::UnixStream;

/// Fails unless the other end is of this user, or of root, who could read and change everything anyway.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn refuse_others(stream: &UnixStream) -> io::Result<()> {
    let peer = rustix::net::sockopt::socket_peercred(stream)?;
    if peer.uid.is_root() || peer.uid == rustix::process::geteuid() {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::PermissionDenied, "the other end of the socket is another user's"))
}

/// Elsewhere the mode of the socket keeps others out.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) fn refuse_others(_: &UnixStream) -> io::Result<()> {
    Ok(())
}
