//! The file of a socket: found, made and removed without trusting what lies there.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{self, Path, PathBuf};

use crate::peer;

/// A socket that this process listens on. Its file is removed with it, unless another one has taken its place.
#[derive(Debug)]
pub(crate) struct Listening {
    pub(crate) listener: UnixListener,
    path: PathBuf,
    inode: (u64, u64),
}

impl Listening {
    /// Listens at `path`, in place of a socket of this user's that nobody listens on any more.
    pub(crate) fn at(path: &Path) -> io::Result<Self> {
        // Its file is removed at the end, and the process may change its directory.
        let path = path::absolute(path)?;
        if let Some(there) = look(&path)? {
            refuse_foreign(&there)?;
        }
        // Under another name first, so that the socket never stands there with a wider mode, or not listened on.
        let new = with_suffix(&path, &format!(".{}.new", std::process::id()));
        remove(&new)?;
        let place = Place::of(&new)?;
        let listener = UnixListener::bind(&place.address)?;
        let made = (|| {
            fs::set_permissions(&new, Permissions::from_mode(OWNER_ONLY))?;
            let metadata = fs::symlink_metadata(&new)?;
            fs::rename(&new, &path)?;
            Ok((metadata.dev(), metadata.ino()))
        })();
        match made {
            Ok(inode) => Ok(Self { listener, path, inode }),
            Err(error) => {
                let _ = remove(&new);
                Err(error)
            }
        }
    }

    /// Wakes up who waits for the next connection, also if the file of the socket is gone.
    pub(crate) fn wake(&self) {
        let ended = rustix::net::shutdown(&self.listener, rustix::net::Shutdown::Read);
        // Elsewhere than on Linux, a socket that listens may not take that.
        if ended.is_ok() {
            return;
        }
        if let Ok(place) = Place::of(&self.path) {
            let _ = UnixStream::connect(&place.address);
        }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let is_own = |there: &fs::Metadata| (there.dev(), there.ino()) == self.inode;
        if fs::symlink_metadata(&self.path).is_ok_and(|there| is_own(&there)) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// A connection to the socket at `path`, if this user listens there.
pub(crate) fn connect(path: &Path) -> io::Result<UnixStream> {
    refuse_foreign(&fs::symlink_metadata(path)?)?;
    let place = Place::of(path)?;
    // A signal may end the wait for room in the queue; each try has a socket of its own.
    let stream = loop {
        match UnixStream::connect(&place.address) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            connected => break connected?,
        }
    };
    peer::refuse_others(&stream)?;
    Ok(stream)
}

/// How a socket is addressed. The system takes only short addresses, so a long one goes by way of its directory.
struct Place {
    address: PathBuf,
    /// Open for as long as the address is in use.
    _directory: Option<File>,
}

impl Place {
    fn of(path: &Path) -> io::Result<Self> {
        if path.as_os_str().len() < ADDRESS_BYTES_MAX {
            return Ok(Self { address: path.to_owned(), _directory: None });
        }
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let directory = File::open(parent.unwrap_or(Path::new(".")))?;
        let address = Path::new("/proc/self/fd").join(directory.as_raw_fd().to_string()).join(name);
        Ok(Self { address, _directory: Some(directory) })
    }
}

fn look(path: &Path) -> io::Result<Option<fs::Metadata>> {
    match fs::symlink_metadata(path) {
        Ok(there) => Ok(Some(there)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Fails for what is no socket, such as a link to one, and for another user's.
fn refuse_foreign(there: &fs::Metadata) -> io::Result<()> {
    let own = rustix::process::geteuid().as_raw();
    if !there.file_type().is_socket() || there.uid() != own && there.uid() != 0 {
        let message = "what lies there is not a socket of this user's";
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, message));
    }
    Ok(())
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

const OWNER_ONLY: u32 = 0o600;
/// What the systems take: 108 bytes on Linux, 104 on others, and the byte at the end.
const ADDRESS_BYTES_MAX: usize = 100;
