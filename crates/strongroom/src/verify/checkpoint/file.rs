//! The file of a checkpoint: sealed blocks of row keys and revisions, in key order.

use std::io::{self, Read, Write};

use crate::clock::Timestamp;
use crate::envelope::{
    Address, KeyMaterial, RECORD_LEN_MAX, SealedRecord, SealingKey, StoreId, checkpoint_key,
};
use crate::error::{CheckpointFault, Error};
use crate::keys::Roots;
use crate::model::Revision;
use crate::random;
use crate::store::{KEY_BYTES_MAX, Key};

/// What a block holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BlockKind {
    Head = 1,
    Rows = 2,
    End = 3,
}

/// The position of a block in its file. The key belongs to this file only.
struct BlockAddress {
    kind: BlockKind,
    sequence: u64,
}

impl Address for BlockAddress {
    fn encode_into(&self, out: &mut Vec<u8>) {
        out.push(self.kind as u8);
        out.extend_from_slice(&self.sequence.to_be_bytes());
    }
}

/// Writes a checkpoint: rows in key order, each once.
pub(super) struct CheckpointWriter<W> {
    out: W,
    key: SealingKey,
    sequence: u64,
    block: Vec<u8>,
    /// The key of the last row of the block; empty at its beginning.
    last: Vec<u8>,
    /// The key of the last row of the file.
    written: Option<Vec<u8>>,
    rows: u64,
}

impl<W: Write> CheckpointWriter<W> {
    pub(super) fn begin(
        mut out: W,
        root: &KeyMaterial,
        store_id: &StoreId,
        now: Timestamp,
    ) -> Result<Self, Error> {
        let mut file_id = FileId::default();
        random::fill(&mut file_id)?;
        for part in [MAGIC, &[VERSION], &file_id] {
            out.write_all(part).map_err(Error::BackupFile)?;
        }
        let key = SealingKey::derive(&checkpoint_key(root, store_id, &file_id));
        let block = Vec::with_capacity(BLOCK_BYTES_MAX);
        let mut writer = Self { out, key, sequence: 0, block, last: Vec::new(), written: None, rows: 0 };
        writer.write(BlockKind::Head, &now.as_ms().to_be_bytes())?;
        Ok(writer)
    }

    pub(super) fn push(&mut self, key: &[u8], revision: Revision) -> Result<(), Error> {
        // A row made during the walk may be reported after those that follow it. It is newer than the checkpoint.
        if self.written.as_deref().is_some_and(|last| last >= key) {
            return Ok(());
        }
        if self.block.len() + ENTRY_OVERHEAD + key.len() > BLOCK_BYTES_MAX {
            self.flush()?;
        }
        let shared = key.iter().zip(&self.last).take_while(|(one, other)| one == other).count();
        let own = key.get(shared..).unwrap_or_default();
        for len in [shared, own.len()] {
            // A key of a row is at most 1,024 bytes.
            self.block.extend_from_slice(&u16::try_from(len).unwrap_or(u16::MAX).to_be_bytes());
        }
        self.block.extend_from_slice(own);
        self.block.extend_from_slice(&revision.as_u64().to_be_bytes());
        self.last.truncate(shared);
        self.last.extend_from_slice(own);
        self.written = Some(key.to_vec());
        self.rows += 1;
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<(), Error> {
        self.flush()?;
        self.write(BlockKind::End, &self.rows.to_be_bytes())?;
        self.out.flush().map_err(Error::BackupFile)
    }

    fn flush(&mut self) -> Result<(), Error> {
        if self.block.is_empty() {
            return Ok(());
        }
        let mut block = std::mem::take(&mut self.block);
        self.write(BlockKind::Rows, &block)?;
        block.clear();
        self.block = block;
        self.last.clear();
        Ok(())
    }

    fn write(&mut self, kind: BlockKind, plaintext: &[u8]) -> Result<(), Error> {
        let record = self.key.seal(&BlockAddress { kind, sequence: self.sequence }, plaintext)?;
        self.sequence += 1;
        let len = u32::try_from(record.len()).unwrap_or(u32::MAX).to_be_bytes();
        for part in [&[kind as u8], len.as_slice(), &record] {
            self.out.write_all(part).map_err(Error::BackupFile)?;
        }
        Ok(())
    }
}

/// Reads a checkpoint, row by row.
pub(super) struct CheckpointReader<R> {
    input: R,
    key: SealingKey,
    /// When the checkpoint was begun.
    pub(super) started_at: Timestamp,
    sequence: u64,
    block: Vec<u8>,
    at: usize,
    /// The key of the last row of the block; empty at its beginning.
    last: Vec<u8>,
    rows: u64,
    is_over: bool,
}

impl<R: Read> CheckpointReader<R> {
    pub(super) fn begin(mut input: R, roots: &Roots, store_id: &StoreId) -> Result<Self, Error> {
        let mut magic = Vec::with_capacity(MAGIC.len());
        input.by_ref().take(MAGIC.len() as u64).read_to_end(&mut magic).map_err(Error::BackupFile)?;
        if magic != MAGIC {
            let is_cut = !magic.is_empty() && MAGIC.starts_with(&magic);
            return Err(fault(if is_cut {
                CheckpointFault::Truncated
            } else {
                CheckpointFault::NotACheckpoint
            }));
        }
        let [version] = read_array(&mut input)?;
        if version != VERSION {
            return Err(Error::UnknownVersion { row: "the checkpoint file".to_owned(), version });
        }
        let file_id: FileId = read_array(&mut input)?;
        let (kind, record) = read_block(&mut input)?;
        let id = SealedRecord::parse(&record).map_err(|_| altered())?.dek_id();
        let known = [Some(&roots.active), roots.retiring.as_ref()].into_iter().flatten();
        let mut keys = known.map(|root| SealingKey::derive(&checkpoint_key(&root.bytes, store_id, &file_id)));
        let key = keys.find(|key| *key.id() == id).ok_or_else(|| fault(CheckpointFault::OtherKey))?;
        let (block, last) = (Vec::new(), Vec::new());
        let started_at = Timestamp::from_ms(0);
        let mut reader =
            Self { input, key, started_at, sequence: 0, block, at: 0, last, rows: 0, is_over: false };
        if reader.open(kind, &record)? != BlockKind::Head {
            return Err(altered());
        }
        let started_ms = reader.block.as_slice().try_into().map_err(|_| altered())?;
        reader.started_at = Timestamp::from_ms(u64::from_be_bytes(started_ms));
        reader.block.clear();
        Ok(reader)
    }

    /// The next row; `None` at the end of the file.
    pub(super) fn next(&mut self) -> Result<Option<(Key, Revision)>, Error> {
        while self.at == self.block.len() {
            if self.is_over {
                return Ok(None);
            }
            let (kind, record) = read_block(&mut self.input)?;
            match self.open(kind, &record)? {
                BlockKind::Rows if !self.block.is_empty() => {}
                BlockKind::End => self.end()?,
                BlockKind::Head | BlockKind::Rows => return Err(altered()),
            }
        }
        let entry = self.take_entry().ok_or_else(altered)?;
        self.rows += 1;
        Ok(Some(entry))
    }

    fn open(&mut self, kind: u8, record: &[u8]) -> Result<BlockKind, Error> {
        let kinds = [BlockKind::Head, BlockKind::Rows, BlockKind::End];
        let kind = kinds.into_iter().find(|known| *known as u8 == kind).ok_or_else(altered)?;
        let address = BlockAddress { kind, sequence: self.sequence };
        let plaintext = self.key.open(&address, record).map_err(|_| altered())?;
        self.sequence += 1;
        self.last.clear();
        self.at = 0;
        self.block.clear();
        self.block.extend_from_slice(&plaintext);
        Ok(kind)
    }

    /// The end of the file says how many rows there were, and nothing follows it.
    fn end(&mut self) -> Result<(), Error> {
        let is_right = self.block == self.rows.to_be_bytes();
        self.block.clear();
        self.is_over = true;
        // Unlike `read`, `copy` continues after a signal.
        let next = io::copy(&mut self.input.by_ref().take(1), &mut io::sink()).map_err(Error::BackupFile)?;
        if is_right && next == 0 { Ok(()) } else { Err(altered()) }
    }

    fn take_entry(&mut self) -> Option<(Key, Revision)> {
        let rest = self.block.get(self.at..)?;
        let (shared, rest) = rest.split_first_chunk::<2>()?;
        let (own_len, rest) = rest.split_first_chunk::<2>()?;
        let shared = usize::from(u16::from_be_bytes(*shared));
        let (own, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*own_len)))?;
        let (revision, rest) = rest.split_first_chunk::<8>()?;
        if shared > self.last.len() || shared + own.len() > KEY_BYTES_MAX {
            return None;
        }
        self.last.truncate(shared);
        self.last.extend_from_slice(own);
        self.at = self.block.len() - rest.len();
        Some((Key::from(self.last.as_slice()), Revision::from_u64(u64::from_be_bytes(*revision))))
    }
}

fn read_block(input: &mut impl Read) -> Result<(u8, Vec<u8>), Error> {
    let [kind] = read_array(input)?;
    let len = u32::from_be_bytes(read_array(input)?) as usize;
    if len > RECORD_LEN_MAX {
        return Err(altered());
    }
    let mut record = vec![0; len];
    read_exact(input, &mut record)?;
    Ok((kind, record))
}

fn read_array<const N: usize>(input: &mut impl Read) -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    read_exact(input, &mut bytes)?;
    Ok(bytes)
}

fn read_exact(input: &mut impl Read, bytes: &mut [u8]) -> Result<(), Error> {
    input.read_exact(bytes).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => fault(CheckpointFault::Truncated),
        _ => Error::BackupFile(error),
    })
}

fn altered() -> Error {
    fault(CheckpointFault::Altered)
}

fn fault(fault: CheckpointFault) -> Error {
    Error::BadCheckpoint(fault)
}

type FileId = [u8; 16];

/// The first byte is one that no text file starts with.
const MAGIC: &[u8] = b"\xd7strongroom checkpoint\n";
const VERSION: u8 = 1;
/// Two lengths and a revision.
const ENTRY_OVERHEAD: usize = 2 + 2 + 8;
/// With the byte that ends it, this is a padded length.
const BLOCK_BYTES_MAX: usize = 61_439;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::Root;
    use crate::store::RowRevision;

    const STORE: StoreId = [1; 16];

    fn roots(byte: u8) -> Roots {
        let mut bytes = KeyMaterial::default();
        bytes.fill(byte);
        Roots::first(Root::new(bytes), RowRevision(1))
    }

    fn rows() -> Vec<(Vec<u8>, u64)> {
        let key = |number: u64| format!("a row with a long name {number:08}").into_bytes();
        (0..9_000).map(|number| (key(number), number * 7)).collect()
    }

    fn file(rows: &[(Vec<u8>, u64)]) -> Vec<u8> {
        let mut out = Vec::new();
        let now = Timestamp::from_ms(5);
        let mut writer = CheckpointWriter::begin(&mut out, &roots(3).active.bytes, &STORE, now).unwrap();
        for (key, revision) in rows {
            writer.push(key, Revision::from_u64(*revision)).unwrap();
        }
        writer.finish().unwrap();
        out
    }

    fn read(file: &[u8], roots: &Roots) -> Result<Vec<(Vec<u8>, u64)>, Error> {
        let mut reader = CheckpointReader::begin(file, roots, &STORE)?;
        let mut rows = Vec::new();
        while let Some((key, revision)) = reader.next()? {
            rows.push((key.as_bytes().to_vec(), revision.as_u64()));
        }
        Ok(rows)
    }

    #[test]
    fn what_was_written_reads_back_and_a_row_out_of_order_is_left_out() {
        let rows = rows();
        let written = file(&rows);
        assert!(written.len() < rows.len() * 30, "{} bytes", written.len());
        assert_eq!(read(&written, &roots(3)).unwrap(), rows);
        assert_eq!(read(&file(&[]), &roots(3)).unwrap(), []);
        let unordered: Vec<_> = [&rows[5], &rows[2], &rows[7]].map(Clone::clone).into();
        let read = read(&file(&unordered), &roots(3)).unwrap();
        assert_eq!(read, [rows[5].clone(), rows[7].clone()]);
    }

    #[test]
    fn the_longest_key_of_a_row_reads_back() {
        let rows = [(vec![7; KEY_BYTES_MAX], 1)];
        assert_eq!(read(&file(&rows), &roots(3)).unwrap(), rows);
    }

    #[test]
    fn a_block_of_rows_without_any_is_refused() {
        let (mut out, roots) = (Vec::new(), roots(3));
        let now = Timestamp::from_ms(5);
        let mut writer = CheckpointWriter::begin(&mut out, &roots.active.bytes, &STORE, now).unwrap();
        writer.write(BlockKind::Rows, &[]).unwrap();
        writer.finish().unwrap();
        let refused = read(&out, &roots);
        assert!(matches!(refused, Err(Error::BadCheckpoint(CheckpointFault::Altered))), "{refused:?}");
    }

    #[test]
    fn a_row_that_shares_more_than_the_last_one_has_or_is_too_long_is_refused() {
        let of = |shared: u16, own: usize| {
            let own_len = u16::try_from(own).unwrap().to_be_bytes();
            [&shared.to_be_bytes()[..], &own_len, &vec![7; own], &[0; 8]].concat()
        };
        let first = of(0, 10);
        for (second, is_read) in [(of(10, 1), true), (of(11, 1), false), (of(10, KEY_BYTES_MAX - 9), false)] {
            let (mut out, roots, now) = (Vec::new(), roots(3), Timestamp::from_ms(5));
            let mut writer = CheckpointWriter::begin(&mut out, &roots.active.bytes, &STORE, now).unwrap();
            writer.write(BlockKind::Rows, &[&first[..], &second].concat()).unwrap();
            writer.rows = 2;
            writer.finish().unwrap();
            assert_eq!(read(&out, &roots).is_ok(), is_read);
        }
    }

    #[test]
    fn a_file_that_is_cut_altered_or_of_another_root_is_refused() {
        let written = file(&rows());
        assert!(matches!(read(&written, &roots(4)), Err(Error::BadCheckpoint(CheckpointFault::OtherKey))));
        for len in (0..written.len()).step_by(997) {
            assert!(read(&written[..len], &roots(3)).is_err(), "cut to {len}");
        }
        for at in (0..written.len()).step_by(499) {
            let mut altered = written.clone();
            altered[at] ^= 1;
            assert!(read(&altered, &roots(3)).is_err(), "byte {at}");
        }
        let longer = [written.as_slice(), b"x"].concat();
        assert!(matches!(read(&longer, &roots(3)), Err(Error::BadCheckpoint(CheckpointFault::Altered))));
    }

    #[test]
    fn blocks_cannot_change_places_or_be_left_out() {
        let written = file(&rows());
        let mut blocks = Vec::new();
        let start = MAGIC.len() + 1 + 16;
        let mut at = start;
        while at < written.len() {
            let len = u32::from_be_bytes(written[at + 1..at + 5].try_into().unwrap()) as usize;
            blocks.push(written[at..at + 5 + len].to_vec());
            at += 5 + len;
        }
        assert!(blocks.len() >= 4, "a head, two of rows, an end");
        let file_of = |blocks: &[Vec<u8>]| [&written[..start], &blocks.concat()].concat();
        assert_eq!(file_of(&blocks), written);
        let mut swapped = blocks.clone();
        swapped.swap(1, 2);
        assert!(read(&file_of(&swapped), &roots(3)).is_err());
        for left_out in 0..blocks.len() {
            let mut fewer = blocks.clone();
            fewer.remove(left_out);
            assert!(read(&file_of(&fewer), &roots(3)).is_err(), "without block {left_out}");
        }
    }
}
