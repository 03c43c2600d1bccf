//! The rows of a section: `section | version | (key length | key | value length | value)*`.

use crate::error::{BackupFault, Error};
use crate::store::{KEY_BYTES_MAX, VALUE_BYTES_MAX};

/// Rows of one section. A later version of a section replaces all rows of the earlier ones.
pub(in crate::transfer) struct RowsFrame<'b> {
    pub(in crate::transfer) section: u32,
    pub(in crate::transfer) version: u32,
    rows: &'b [u8],
}

impl<'b> RowsFrame<'b> {
    /// Reads the frame to its end, so that all of it is known to be well-formed rows.
    pub(in crate::transfer) fn decode(body: &'b [u8]) -> Result<Self, Error> {
        let malformed = || Error::BadBackup(BackupFault::Altered);
        let (section, rest) = take_u32(body).ok_or_else(malformed)?;
        let (version, rows) = take_u32(rest).ok_or_else(malformed)?;
        let mut rest = rows;
        while !rest.is_empty() {
            let (_, _, after) = take_row(rest).ok_or_else(malformed)?;
            rest = after;
        }
        Ok(Self { section, version, rows })
    }

    /// Keys and values, in the order of the file.
    pub(in crate::transfer) fn rows(&self) -> impl Iterator<Item = (&'b [u8], &'b [u8])> + use<'b> {
        let mut rest = self.rows;
        std::iter::from_fn(move || {
            let (key, value, after) = take_row(rest)?;
            rest = after;
            Some((key, value))
        })
    }
}

/// Begins the body of a frame of rows.
pub(in crate::transfer) fn start_rows(body: &mut Vec<u8>, section: u32, version: u32) {
    body.clear();
    body.extend_from_slice(&section.to_be_bytes());
    body.extend_from_slice(&version.to_be_bytes());
}

/// Adds a row, within the limits that every store holds.
pub(in crate::transfer) fn push_row(body: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    for part in [key, value] {
        body.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
        body.extend_from_slice(part);
    }
}

/// A key, a value and what follows them.
type Row<'b> = (&'b [u8], &'b [u8], &'b [u8]);

fn take_row(bytes: &[u8]) -> Option<Row<'_>> {
    let (key, rest) = take(bytes, KEY_BYTES_MAX)?;
    let (value, rest) = take(rest, VALUE_BYTES_MAX)?;
    if key.is_empty() { None } else { Some((key, value, rest)) }
}

fn take(bytes: &[u8], len_max: usize) -> Option<(&[u8], &[u8])> {
    let (len, rest) = take_u32(bytes)?;
    let len = usize::try_from(len).ok().filter(|len| *len <= len_max)?;
    rest.split_at_checked(len)
}

fn take_u32(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (number, rest) = bytes.split_first_chunk::<4>()?;
    Some((u32::from_be_bytes(*number), rest))
}

/// The bytes before the first row.
pub(in crate::transfer) const SECTION_HEAD_LEN: usize = 8;
