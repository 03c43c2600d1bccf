//! Frames: `kind | sequence | length | body | checksum | MAC`.

use std::io::{self, Read, Write};

use super::FileId;
use crate::envelope::{MacKey, MacTag, RunningMac, checksum};
use crate::error::{BackupFault, Error};

/// The kind of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(in crate::transfer) enum FrameKind {
    Head = 1,
    Rows = 2,
    TenantEnd = 3,
    Trailer = 4,
}

impl FrameKind {
    fn parse(kind: u8) -> Option<Self> {
        [Self::Head, Self::Rows, Self::TenantEnd, Self::Trailer]
            .into_iter()
            .find(|known| *known as u8 == kind)
    }
}

/// Writes frames, each with its own number.
pub(in crate::transfer) struct FrameWriter<W> {
    out: W,
    mac: MacKey,
    file_id: FileId,
    sequence: u64,
    bytes_len: u64,
}

impl<W: Write> FrameWriter<W> {
    /// Writes magic and version.
    pub(in crate::transfer) fn begin(mut out: W, mac: MacKey, file_id: FileId) -> Result<Self, Error> {
        out.write_all(MAGIC).and_then(|()| out.write_all(&[VERSION])).map_err(Error::BackupFile)?;
        Ok(Self { out, mac, file_id, sequence: 0, bytes_len: MAGIC.len() as u64 + 1 })
    }

    pub(in crate::transfer) fn write(&mut self, kind: FrameKind, body: &[u8]) -> Result<(), Error> {
        let len = u32::try_from(body.len()).ok().filter(|len| *len <= BODY_LEN_MAX);
        let Some(len) = len else { return Err(Error::BackupFile(io::ErrorKind::InvalidInput.into())) };
        let start = encode_start(kind as u8, self.sequence, len);
        let sum = checksum(&[&start, body]);
        let tag = hash(&self.mac, &self.file_id, &start, body).finish();
        for part in [start.as_slice(), body, &sum, &tag] {
            self.out.write_all(part).map_err(Error::BackupFile)?;
            self.bytes_len += part.len() as u64;
        }
        self.sequence += 1;
        Ok(())
    }

    /// Flushes, and returns how many bytes were written.
    pub(in crate::transfer) fn finish(mut self) -> Result<u64, Error> {
        self.out.flush().map_err(Error::BackupFile)?;
        Ok(self.bytes_len)
    }
}

/// Reads frames in order. It verifies only their checksums; [`RawFrame::check`] verifies who wrote them.
pub(in crate::transfer) struct FrameReader<R> {
    input: R,
    sequence: u64,
}

/// A frame as it was read.
pub(in crate::transfer) struct RawFrame {
    pub(in crate::transfer) kind: FrameKind,
    pub(in crate::transfer) body: Vec<u8>,
    start: [u8; START_LEN],
    tag: MacTag,
}

impl<R: Read> FrameReader<R> {
    /// Reads magic and version.
    pub(in crate::transfer) fn begin(mut input: R) -> Result<Self, Error> {
        let mut magic = Vec::with_capacity(MAGIC.len());
        input.by_ref().take(MAGIC.len() as u64).read_to_end(&mut magic).map_err(Error::BackupFile)?;
        if magic != MAGIC {
            let cut = !magic.is_empty() && MAGIC.starts_with(&magic);
            return Err(Error::BadBackup(if cut { BackupFault::Truncated } else { BackupFault::NotABackup }));
        }
        let mut version = [0];
        read_exact(&mut input, &mut version)?;
        match version {
            [VERSION] => Ok(Self { input, sequence: 0 }),
            [version] => Err(Error::UnknownVersion { row: "the backup file".to_owned(), version }),
        }
    }

    /// Continues at the frame with this number, where the input is positioned.
    pub(in crate::transfer) fn resume(input: R, sequence: u64) -> Self {
        Self { input, sequence }
    }

    /// The number of the next frame.
    pub(in crate::transfer) fn sequence(&self) -> u64 {
        self.sequence
    }

    pub(in crate::transfer) fn next(&mut self) -> Result<RawFrame, Error> {
        let mut start = [0; START_LEN];
        read_exact(&mut self.input, &mut start)?;
        let (kind, sequence, len) = decode_start(&start);
        if len > BODY_LEN_MAX {
            return Err(Error::BadBackup(BackupFault::Decayed));
        }
        let mut body = vec![0; len as usize];
        read_exact(&mut self.input, &mut body)?;
        let mut sum = [0; 8];
        read_exact(&mut self.input, &mut sum)?;
        let mut tag = MacTag::default();
        read_exact(&mut self.input, &mut tag)?;
        if sum != checksum(&[&start, &body]) {
            return Err(Error::BadBackup(BackupFault::Decayed));
        }
        let kind = FrameKind::parse(kind).filter(|_| sequence == self.sequence);
        let Some(kind) = kind else { return Err(Error::BadBackup(BackupFault::Altered)) };
        self.sequence += 1;
        Ok(RawFrame { kind, body, start, tag })
    }

    /// Whether the file ends here.
    pub(in crate::transfer) fn is_at_end(&mut self) -> Result<bool, Error> {
        // Unlike `read`, `copy` continues after a signal.
        let next = io::copy(&mut self.input.by_ref().take(1), &mut io::sink());
        Ok(next.map_err(Error::BackupFile)? == 0)
    }
}

impl RawFrame {
    /// Refuses a frame whose keyed hash is not that of this file at this place.
    pub(in crate::transfer) fn check(&self, mac: &MacKey, file_id: &FileId) -> Result<(), Error> {
        if hash(mac, file_id, &self.start, &self.body).is(&self.tag) {
            return Ok(());
        }
        Err(Error::BadBackup(BackupFault::Altered))
    }
}

fn hash(mac: &MacKey, file_id: &FileId, start: &[u8; START_LEN], body: &[u8]) -> RunningMac {
    let mut hash = mac.start();
    for part in [file_id.as_slice(), start, body] {
        hash.update(part);
    }
    hash
}

fn encode_start(kind: u8, sequence: u64, len: u32) -> [u8; START_LEN] {
    let mut start = [0; START_LEN];
    let bytes = [kind].into_iter().chain(sequence.to_be_bytes()).chain(len.to_be_bytes());
    start.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
    start
}

fn decode_start(start: &[u8; START_LEN]) -> (u8, u64, u32) {
    let [kind, sequence @ .., l0, l1, l2, l3] = *start;
    (kind, u64::from_be_bytes(sequence), u32::from_be_bytes([l0, l1, l2, l3]))
}

fn read_exact(input: &mut impl Read, bytes: &mut [u8]) -> Result<(), Error> {
    input.read_exact(bytes).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => Error::BadBackup(BackupFault::Truncated),
        _ => Error::BackupFile(error),
    })
}

/// The first byte is one that no text file starts with.
const MAGIC: &[u8] = b"\xd7strongroom backup\n";
const VERSION: u8 = 1;
const START_LEN: usize = 1 + 8 + 4;
/// More than any frame holds. It bounds what a reader allocates before it knows who wrote the file.
const BODY_LEN_MAX: u32 = 2 << 20;
