//! The socket beside a store, through which commands reach one that a server has open.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use strongroom::Store;
use strongroom::store::StoreErrorKind;
use strongroom_socket::{Door, DoorStore, SocketStore};

use crate::failure::{Exit, Failure};
use crate::files::refuse_foreign;

/// Opens the door to a store that this process serves.
pub(crate) fn open(store: &DoorStore, path: &Path) -> Result<Door, Failure> {
    let socket = socket_of(path);
    refuse_foreign(&socket, Exit::Store)?;
    store.open_door(&socket).map_err(|error| unusable(&socket, &error))
}

/// The store at `path`, through the door of the server that has it open; `None` if there is no such door.
pub(super) fn enter(path: &Path) -> Result<Option<Arc<dyn Store>>, Failure> {
    let socket = socket_of(path);
    if socket.symlink_metadata().is_err() {
        return Ok(None);
    }
    refuse_foreign(&socket, Exit::Store)?;
    match SocketStore::connect(&socket) {
        Ok(store) => Ok(Some(Arc::new(store))),
        // Left by a server that was killed, while a process other than a server has the store open.
        Err(error) if error.kind() == StoreErrorKind::Unavailable => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Beside the store, under its name: links are followed, since the store may be named by several.
fn socket_of(path: &Path) -> PathBuf {
    let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let mut name = real.into_os_string();
    name.push(".sock");
    name.into()
}

fn unusable(socket: &Path, error: &io::Error) -> Failure {
    Failure::new(Exit::Store, format!("{} cannot be made: {error}", socket.display()))
        .next("remove what lies there if it is yours; commands cannot reach the served store without it")
}
