//! The bytes of a backup file: a magic, a version, and frames that each prove their place.

mod frame;
mod head;
mod rows;

use crate::envelope::{MacKey, StoreId};

pub(super) use frame::{FrameKind, FrameReader, FrameWriter, RawFrame};
pub(super) use head::{FileHead, TenantEnd, Trailer};
pub(super) use rows::{RowsFrame, SECTION_HEAD_LEN, push_row, start_rows};

/// The id of one backup file: 16 random bytes.
pub(super) type FileId = [u8; 16];

/// The key under which the frames of one file are hashed.
pub(super) fn mac_key(root: &[u8; 32], store_id: &StoreId, file_id: &FileId) -> MacKey {
    MacKey::derive(root, &[b"strongroom/v1/backup", store_id, file_id])
}
