//! A raw key: 32 bytes that the host keeps.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write as _};
use std::path::Path;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::envelope::KeyMaterial;
use crate::error::{Error, KeyFileError};
use crate::random;
use crate::secret::Secret;

/// 32 uniform bytes, wiped on drop. Moving it does not copy them.
///
/// ```
/// let key: strongroom::RawKey = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff".parse()?;
/// assert_eq!(format!("{key:?}"), "[REDACTED]");
/// # Ok::<(), strongroom::Error>(())
/// ```
pub struct RawKey(pub(crate) KeyMaterial);

impl RawKey {
    /// A key of 32 random bytes from the operating system.
    ///
    /// # Errors
    /// [`SystemError::Random`](crate::SystemError::Random) if the operating system has none.
    pub fn generate() -> Result<Self, Error> {
        let mut bytes = KeyMaterial::default();
        random::fill(&mut **bytes)?;
        Ok(Self(bytes))
    }

    /// A key from the host's own bytes, which must be uniformly random.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Box::new(Zeroizing::new(bytes)))
    }

    /// A key copied from the host's own bytes; `None` unless there are exactly 32.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; 32] = bytes.try_into().ok()?;
        let mut key = KeyMaterial::default();
        key.copy_from_slice(bytes);
        Some(Self(key))
    }

    /// Reads a key from a file that only its owner can read: its text form, with at most one line break at the end.
    ///
    /// ```
    /// # #[cfg(unix)] {
    /// let refused = strongroom::RawKey::from_file("/dev/null").unwrap_err();
    /// assert_eq!(refused.to_string(), "/dev/null is not a regular file: read it with `RawKey::from_reader`");
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::KeyFile`] if it cannot be read, is not a regular file, or (on Unix) is accessible to others;
    /// [`Error::InvalidKey`] if it does not hold a key.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let unreadable = |source| KeyFileError::Unreadable { path: path.to_owned(), source };
        let not_a_file = || KeyFileError::NotAFile { path: path.to_owned() };
        // Whoever opens a named pipe waits for a writer.
        if !fs::metadata(path).map_err(unreadable)?.is_file() {
            return Err(not_a_file().into());
        }
        let file = File::open(path).map_err(unreadable)?;
        // Ask the open file as well: another file could take its place in between.
        let metadata = file.metadata().map_err(unreadable)?;
        if !metadata.is_file() {
            return Err(not_a_file().into());
        }
        if let Some(mode) = mode_of_others(&metadata) {
            return Err(KeyFileError::OpenToOthers { path: path.to_owned(), mode }.into());
        }
        Self::from_reader(file)
    }

    /// Creates a key file with a new random key in it, which [`from_file`](Self::from_file) reads: only its owner can
    /// read it (on Unix), and it is on the disk when this returns. A file that exists is never replaced.
    ///
    /// ```
    /// # #[cfg(unix)] {
    /// let path = std::env::temp_dir().join(format!("strongroom-key-{}", std::process::id()));
    /// let key = strongroom::RawKey::create_file(&path)?;
    /// assert_eq!(strongroom::RawKey::from_file(&path)?.expose(), key.expose());
    /// assert!(strongroom::RawKey::create_file(&path).is_err());
    /// std::fs::remove_file(path).unwrap();
    /// # }
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::KeyFile`] if the file exists, or cannot be created or written: then none is left behind.
    /// [`SystemError::Random`](crate::SystemError::Random) if the operating system has no random bytes.
    pub fn create_file(path: impl AsRef<Path>) -> Result<Self, Error> {
        let (path, key) = (path.as_ref(), Self::generate()?);
        let uncreated = |source| KeyFileError::Uncreated { path: path.to_owned(), source };
        let file = create_new(path).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => KeyFileError::Exists { path: path.to_owned() },
            _ => uncreated(error),
        })?;
        if let Err(error) = key.write_to(&file).and_then(|()| sync_folder(path)) {
            drop(file);
            // This call created the file, and half a key is of no use.
            let _ = fs::remove_file(path);
            return Err(uncreated(error).into());
        }
        Ok(key)
    }

    fn write_to(&self, mut file: &File) -> io::Result<()> {
        let mut line = Zeroizing::new([b'\n'; 65]);
        if let Some(digits) = line.first_chunk_mut::<64>() {
            hex::encode_to_slice(**self.0, digits).map_err(|_| io::ErrorKind::InvalidData)?;
        }
        file.write_all(&*line)?;
        file.sync_all()
    }

    /// Reads a key to the end of a reader, as [`from_file`](Self::from_file): from a pipe, standard input, or a file
    /// descriptor that the host was started with (`File::from(owned_fd)`). It does not check who else can read it.
    ///
    /// ```
    /// let file = b"ABEiM0RVZneImaq7zN3u/wARIjNEVWZ3iJmqu8zd7v8=\n";
    /// assert!(strongroom::RawKey::from_reader(&file[..]).is_ok());
    /// ```
    ///
    /// # Errors
    /// [`Error::KeyFile`] if reading fails, [`Error::InvalidKey`] if the text is not a key.
    pub fn from_reader(reader: impl Read) -> Result<Self, Error> {
        let mut text = Zeroizing::new([0; TEXT_BYTES_MAX + 1]);
        let len = read_up_to(reader, &mut *text).map_err(KeyFileError::Failed)?;
        let text =
            text.get(..len).and_then(|text| std::str::from_utf8(text).ok()).ok_or(Error::InvalidKey)?;
        let line = text.strip_suffix('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
        line.unwrap_or(text).parse()
    }

    /// The bytes. The engine does not wipe copies of them.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// The bytes as 64 hexadecimal digits. Keep them where no one else can read them.
    #[must_use]
    pub fn dangerously_export(&self) -> Secret {
        Secret::from(hex::encode(**self.0))
    }
}

/// Reads 64 hexadecimal digits, or standard base64 with padding of exactly 32 bytes.
impl FromStr for RawKey {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let mut bytes = KeyMaterial::default();
        if text.len() == 64 {
            hex::decode_to_slice(text, &mut **bytes).map_err(|_| Error::InvalidKey)?;
            return Ok(Self(bytes));
        }
        let mut decoded = Zeroizing::new([0; 33]);
        let len = STANDARD.decode_slice(text, &mut *decoded).map_err(|_| Error::InvalidKey)?;
        match decoded.first_chunk::<32>() {
            Some(exact) if len == 32 => {
                bytes.copy_from_slice(exact);
                Ok(Self(bytes))
            }
            _ => Err(Error::InvalidKey),
        }
    }
}

impl fmt::Debug for RawKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[REDACTED]")
    }
}

/// Creates a file that only its owner can open, from its first moment on. A link in its place counts as a file.
fn create_new(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Makes the name of a new file outlast a power cut.
#[cfg(unix)]
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

/// Other systems open no folder as a file.
#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

/// The permission bits of a file, if others than its owner have any.
#[cfg(unix)]
fn mode_of_others(metadata: &std::fs::Metadata) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = metadata.permissions().mode() & 0o7777;
    (mode & 0o077 != 0).then_some(mode)
}

/// Other systems have other kinds of permissions, which are for the host to set.
#[cfg(not(unix))]
fn mode_of_others(_: &std::fs::Metadata) -> Option<u32> {
    None
}

/// Reads until the reader or the buffer ends. A buffer that grows would leave copies of the key behind.
fn read_up_to(mut reader: impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut len = 0;
    while let Some(rest) = buffer.get_mut(len..).filter(|rest| !rest.is_empty()) {
        match reader.read(rest) {
            Ok(0) => break,
            Ok(read) => len += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(len)
}

/// Hexadecimal digits and a line break.
const TEXT_BYTES_MAX: usize = 66;

#[cfg(test)]
mod tests {
    use super::*;

    /// A reader that is interrupted before each byte, and fails at the end.
    struct Interrupted<'b>(&'b [u8], bool);

    impl Read for Interrupted<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.1 = !self.1;
            match (self.1, self.0.split_first()) {
                (true, _) => Err(io::ErrorKind::Interrupted.into()),
                (false, None) => Err(io::ErrorKind::BrokenPipe.into()),
                (false, Some((byte, rest))) => {
                    (buffer[0], self.0) = (*byte, rest);
                    Ok(1)
                }
            }
        }
    }

    #[test]
    fn a_reader_that_is_interrupted_is_read_to_its_end_and_one_that_fails_is_not() {
        let mut buffer = [0; 3];
        assert_eq!(read_up_to(Interrupted(b"key", false), &mut buffer).unwrap(), 3);
        assert_eq!(&buffer, b"key");
        let failed = read_up_to(Interrupted(b"ke", false), &mut buffer);
        assert_eq!(failed.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }

    #[test]
    fn a_key_of_a_slice_has_exactly_32_bytes() {
        let key = RawKey::from_slice(&[7; 32]).unwrap();
        assert_eq!(key.expose(), RawKey::from_bytes([7; 32]).expose());
        assert!([0, 31, 33].into_iter().all(|len| RawKey::from_slice(&vec![7; len]).is_none()));
    }

    #[test]
    fn a_raw_key_is_read_strictly() {
        let hex = "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF";
        let key: RawKey = hex.parse().unwrap();
        let base64 = STANDARD.encode(*key.expose());
        assert_eq!(base64.parse::<RawKey>().unwrap().expose(), key.expose());
        let short = &hex[1..];
        let newline = format!("{hex}\n");
        for bad in
            ["", short, newline.as_str(), "AAAA", base64.trim_end_matches('='), &STANDARD.encode([0; 33])]
        {
            assert!(bad.parse::<RawKey>().is_err(), "{bad:?}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_key_file_is_created_for_its_owner_alone_and_replaces_nothing() {
        use std::os::unix::fs::{PermissionsExt as _, symlink};
        let folder = std::env::temp_dir().join(format!("strongroom-raw-key-{}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        let path = folder.join("root.key");
        let key = RawKey::create_file(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.strip_suffix('\n').unwrap(), key.dangerously_export().expose());
        symlink(folder.join("nowhere"), folder.join("link")).unwrap();
        for taken in [&path, &folder.join("link"), &folder] {
            let refused = RawKey::create_file(taken);
            assert!(matches!(refused, Err(Error::KeyFile(KeyFileError::Exists { .. }))), "{refused:?}");
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
        let refused = RawKey::create_file(folder.join("none").join("root.key"));
        assert!(matches!(refused, Err(Error::KeyFile(KeyFileError::Uncreated { .. }))));
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn one_line_break_at_the_end_is_no_part_of_a_key() {
        let hex = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
        for end in ["", "\n", "\r\n"] {
            assert!(RawKey::from_reader(format!("{hex}{end}").as_bytes()).is_ok(), "{end:?}");
        }
        for bad in ["\n\n", " ", "\r", "\r\n\n", "0"] {
            let read = RawKey::from_reader(format!("{hex}{bad}").as_bytes());
            assert!(matches!(read, Err(Error::InvalidKey)), "{bad:?}");
        }
    }
}
