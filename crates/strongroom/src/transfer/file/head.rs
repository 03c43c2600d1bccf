//! The head, the ends of tenants and the trailer: closed CBOR maps.

use minicbor::{Decoder, Encoder};

use super::FileId;
use crate::clock::Timestamp;
use crate::envelope::StoreId;
use crate::error::{BackupFault, Error};
use crate::id::{Environment, OrgId};
use crate::row::{RowError, expect_key, finish, infallible};

/// What a file is a backup of, and what opens it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::transfer) struct FileHead {
    pub(in crate::transfer) file_id: FileId,
    /// The id that the rows of the file are bound to: the store's, or an id of its own for a file of one org.
    pub(in crate::transfer) store_id: StoreId,
    pub(in crate::transfer) created_at: Timestamp,
    /// The version of the engine that wrote the file.
    pub(in crate::transfer) engine: String,
    /// The rows of the key slots that lead to the root key of the file.
    pub(in crate::transfer) slots: Vec<Vec<u8>>,
    /// The `store` row; `None` in a file of one org.
    pub(in crate::transfer) store_row: Option<Vec<u8>>,
}

/// The end of one tenant's rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::transfer) struct TenantEnd {
    pub(in crate::transfer) org: OrgId,
    pub(in crate::transfer) environment: Environment,
    /// Whether its rows are all from one moment.
    pub(in crate::transfer) settled: bool,
}

/// The end of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::transfer) struct Trailer {
    /// How many frames come before this one.
    pub(in crate::transfer) frames: u64,
    /// How many rows there are, counting the latest version of each section.
    pub(in crate::transfer) rows: u64,
}

impl FileHead {
    pub(in crate::transfer) fn encode(&self) -> Vec<u8> {
        let mut body = Vec::new();
        let mut cbor = Encoder::new(&mut body);
        let written = (|| {
            cbor.map(5 + u64::from(self.store_row.is_some()))?;
            cbor.u8(0)?.bytes(&self.file_id)?.u8(1)?.bytes(&self.store_id)?;
            cbor.u8(2)?.u64(self.created_at.as_ms())?.u8(3)?.str(&self.engine)?;
            cbor.u8(4)?.array(self.slots.len() as u64)?;
            for slot in &self.slots {
                cbor.bytes(slot)?;
            }
            if let Some(row) = &self.store_row {
                cbor.u8(5)?.bytes(row)?;
            }
            cbor.ok()
        })();
        infallible(written);
        body
    }

    pub(in crate::transfer) fn decode(body: &[u8]) -> Result<Self, Error> {
        Self::parse(body).map_err(malformed)
    }

    fn parse(body: &[u8]) -> Result<Self, RowError> {
        let mut cbor = Decoder::new(body);
        let entries = cbor.map()?;
        let file_id = field_id(&mut cbor, 0)?;
        let store_id = field_id(&mut cbor, 1)?;
        expect_key(&mut cbor, 2)?;
        let created_at = Timestamp::from_ms(cbor.u64()?);
        expect_key(&mut cbor, 3)?;
        let engine = cbor.str()?.to_owned();
        expect_key(&mut cbor, 4)?;
        let slots_len = cbor.array()?.filter(|len| *len <= SLOTS_MAX).ok_or(RowError::Malformed)?;
        let slots = (0..slots_len).map(|_| Ok(cbor.bytes()?.to_vec())).collect::<Result<_, RowError>>()?;
        let store_row = match entries {
            Some(5) => None,
            Some(6) => {
                expect_key(&mut cbor, 5)?;
                Some(cbor.bytes()?.to_vec())
            }
            _ => return Err(RowError::Malformed),
        };
        finish(&cbor)?;
        Ok(Self { file_id, store_id, created_at, engine, slots, store_row })
    }
}

impl TenantEnd {
    pub(in crate::transfer) fn encode(&self) -> Vec<u8> {
        let mut body = Vec::new();
        let mut cbor = Encoder::new(&mut body);
        let written = (|| {
            cbor.map(3)?.u8(0)?.str(self.org.to_text().as_str())?;
            cbor.u8(1)?.str(self.environment.as_str())?.u8(2)?.bool(self.settled)?.ok()
        })();
        infallible(written);
        body
    }

    pub(in crate::transfer) fn decode(body: &[u8]) -> Result<Self, Error> {
        Self::parse(body).map_err(malformed)
    }

    fn parse(body: &[u8]) -> Result<Self, RowError> {
        let mut cbor = Decoder::new(body);
        if cbor.map()? != Some(3) {
            return Err(RowError::Malformed);
        }
        expect_key(&mut cbor, 0)?;
        let org = cbor.str()?.parse().map_err(|_| RowError::Malformed)?;
        expect_key(&mut cbor, 1)?;
        let environment = cbor.str()?.parse().map_err(|_| RowError::Malformed)?;
        expect_key(&mut cbor, 2)?;
        let settled = cbor.bool()?;
        finish(&cbor)?;
        Ok(Self { org, environment, settled })
    }
}

impl Trailer {
    pub(in crate::transfer) fn encode(self) -> Vec<u8> {
        let mut body = Vec::new();
        let mut cbor = Encoder::new(&mut body);
        infallible((|| cbor.map(2)?.u8(0)?.u64(self.frames)?.u8(1)?.u64(self.rows)?.ok())());
        body
    }

    pub(in crate::transfer) fn decode(body: &[u8]) -> Result<Self, Error> {
        Self::parse(body).map_err(malformed)
    }

    fn parse(body: &[u8]) -> Result<Self, RowError> {
        let mut cbor = Decoder::new(body);
        if cbor.map()? != Some(2) {
            return Err(RowError::Malformed);
        }
        expect_key(&mut cbor, 0)?;
        let frames = cbor.u64()?;
        expect_key(&mut cbor, 1)?;
        let rows = cbor.u64()?;
        finish(&cbor)?;
        Ok(Self { frames, rows })
    }
}

fn field_id(cbor: &mut Decoder<'_>, key: u8) -> Result<[u8; 16], RowError> {
    expect_key(cbor, key)?;
    cbor.bytes()?.try_into().map_err(|_| RowError::Malformed)
}

fn malformed(_: RowError) -> Error {
    Error::BadBackup(BackupFault::Altered)
}

/// More than any vault has. A head is decoded before its hash can be checked: its slots lead to the key for that.
const SLOTS_MAX: u64 = 64;
