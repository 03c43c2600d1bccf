//! Rows as a backend sees them.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_executor::block_on;
use strongroom::store::{Key, KeyRange, ReadBatch, Scan, Store, WriteBatch};
use strongroom_memory::MemoryStore;

/// Every row of a store.
pub(crate) type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

/// Reads all rows of a store.
pub(crate) fn rows(store: &impl Store) -> Rows {
    let mut rows = Rows::new();
    let mut rest = KeyRange::all();
    loop {
        let request = ReadBatch { gets: Vec::new(), scans: vec![Scan::new(rest.clone(), 1_000)] };
        let page = block_on(store.read(&request)).unwrap().scans.pop().unwrap();
        let last = page.rows.last().map(|(key, _)| key.as_bytes().to_vec());
        rows.extend(page.rows.into_iter().map(|(key, row)| (key.into(), row.value)));
        match last {
            Some(last) if page.more => rest = rest.after(&last),
            _ => return rows,
        }
    }
}

/// Stores in which the first row of this kind and with this rest of its key is altered, in each way that it can no
/// longer be read.
pub(crate) fn altered(whole: &Rows, kind: Kind, rest: &[u8]) -> Vec<Arc<MemoryStore>> {
    let is_it = |key: &&Vec<u8>| RowKey::parse(key).kind == kind && RowKey::parse(key).rest.starts_with(rest);
    let key = whole.keys().find(is_it).unwrap();
    let row = &whole[key];
    let ways = [Vec::new(), b"junk".to_vec(), row[..row.len() - 1].to_vec(), [&row[..], &[0]].concat()];
    ways.into_iter()
        .map(|altered| {
            let mut rows = whole.clone();
            rows.insert(key.clone(), altered);
            load(&rows)
        })
        .collect()
}

/// A new store that holds exactly these rows.
pub(crate) fn load(rows: &Rows) -> Arc<MemoryStore> {
    block_on(fill(rows))
}

/// The same for a caller that is driven itself.
pub(crate) async fn fill(rows: &Rows) -> Arc<MemoryStore> {
    let store = Arc::new(MemoryStore::new());
    let mut batch = WriteBatch::default();
    for (key, value) in rows {
        batch.put(Key::from(key.as_slice()), value.clone());
    }
    store.commit(Arc::new(batch)).await.unwrap();
    store
}

/// What the key of a row says it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Header,
    Slot,
    StoreRow,
    Job,
    KeyJob,
    /// The vault was moved to another store.
    Retired,
    /// A copy or restore is not finished.
    Marker,
    OrgRestore,
    Export,
    Keyring,
    Epoch,
    Generation,
    Count,
    Definition,
    DefinitionName,
    DefinitionValue,
    Value,
    ValueId,
    Account,
    Integration,
    Credential,
    Record,
    Event,
    AuditHead,
    ChainHead,
    AuditFloor,
    FormerValue,
    DeletedValue,
    FormerCredential,
    DeletedCredential,
    FormerDefinition,
    DeletedDefinition,
}

/// The parts of a row's key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RowKey {
    /// `org 00 environment 00`; empty for rows of the whole store.
    pub(crate) tenant: Vec<u8>,
    pub(crate) kind: Kind,
    pub(crate) rest: Vec<u8>,
}

impl RowKey {
    pub(crate) fn parse(key: &[u8]) -> Self {
        match key {
            [0, kind, rest @ ..] => {
                let kind = match kind {
                    1 => Kind::Header,
                    2 => Kind::Slot,
                    3 => Kind::StoreRow,
                    4 => Kind::Job,
                    5 => Kind::KeyJob,
                    0x10 => Kind::Retired,
                    0x11 => Kind::Marker,
                    0x12 => Kind::OrgRestore,
                    0x13 => Kind::Export,
                    _ => panic!("a row of an unknown kind"),
                };
                Self { tenant: Vec::new(), kind, rest: rest.to_vec() }
            }
            [1, rest @ ..] => Self::parse_tenant(rest),
            _ => panic!("a key outside of the vault"),
        }
    }

    fn parse_tenant(rest: &[u8]) -> Self {
        let mut ends = rest.iter().enumerate().filter(|(_, byte)| **byte == 0).map(|(index, _)| index + 1);
        let end = ends.nth(1).unwrap();
        let (tenant, rest) = rest.split_at(end);
        let (kind, rest) = rest.split_first().unwrap();
        if *kind == 0x50 {
            let (kind, rest) = parse_history(rest);
            return Self { tenant: tenant.to_vec(), kind, rest: rest.to_vec() };
        }
        let kind = match kind {
            0x01 => Kind::Keyring,
            0x02 => Kind::Epoch,
            0x03 => Kind::Count,
            0x04 => Kind::Generation,
            0x10 => Kind::Definition,
            0x11 => Kind::DefinitionName,
            0x12 => Kind::DefinitionValue,
            0x20 => Kind::Value,
            0x21 => Kind::ValueId,
            0x30 => Kind::Account,
            0x31 => Kind::Integration,
            0x32 => Kind::Credential,
            0x40 => Kind::Record,
            0x60 => Kind::Event,
            0x61 => Kind::AuditHead,
            0x62 => Kind::ChainHead,
            0x63 => Kind::AuditFloor,
            _ => panic!("a row of an unknown kind"),
        };
        Self { tenant: tenant.to_vec(), kind, rest: rest.to_vec() }
    }

    /// Org and environment as texts.
    pub(crate) fn tenant_ids(&self) -> (String, String) {
        let mut ids = self.tenant.split(|byte| *byte == 0).map(|id| String::from_utf8(id.to_vec()).unwrap());
        (ids.next().unwrap(), ids.next().unwrap())
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let kind = match self.kind {
            Kind::Header => return [&[0, 1], &*self.rest].concat(),
            Kind::Slot => return [&[0, 2], &*self.rest].concat(),
            Kind::StoreRow => return [&[0, 3], &*self.rest].concat(),
            Kind::Job => return [&[0, 4], &*self.rest].concat(),
            Kind::KeyJob => return [&[0, 5], &*self.rest].concat(),
            Kind::Retired => return [&[0, 0x10], &*self.rest].concat(),
            Kind::Marker => return [&[0, 0x11], &*self.rest].concat(),
            Kind::OrgRestore => return [&[0, 0x12], &*self.rest].concat(),
            Kind::Export => return [&[0, 0x13], &*self.rest].concat(),
            Kind::Keyring => 0x01,
            Kind::Epoch => 0x02,
            Kind::Count => 0x03,
            Kind::Generation => 0x04,
            Kind::Definition => 0x10,
            Kind::DefinitionName => 0x11,
            Kind::DefinitionValue => 0x12,
            Kind::Value => 0x20,
            Kind::ValueId => 0x21,
            Kind::Account => 0x30,
            Kind::Integration => 0x31,
            Kind::Credential => 0x32,
            Kind::Record => 0x40,
            Kind::Event => 0x60,
            Kind::AuditHead => 0x61,
            Kind::ChainHead => 0x62,
            Kind::AuditFloor => 0x63,
            Kind::FormerValue | Kind::DeletedValue => return self.of_history(0x20),
            Kind::FormerCredential | Kind::DeletedCredential => return self.of_history(0x32),
            Kind::FormerDefinition | Kind::DeletedDefinition => return self.of_history(0x10),
        };
        [&[1], &*self.tenant, &[kind], &*self.rest].concat()
    }

    fn of_history(&self, kind: u8) -> Vec<u8> {
        [&[1], &*self.tenant, &[0x50, kind], &*self.rest].concat()
    }

    /// What of `rest` names the document, and in the key of a former version its revision.
    pub(crate) fn document(&self) -> (&[u8], Option<u64>) {
        match self.kind {
            Kind::FormerValue | Kind::FormerCredential | Kind::FormerDefinition => {
                let (document, complement) = self.rest.split_last_chunk::<8>().unwrap();
                (document, Some(!u64::from_be_bytes(*complement)))
            }
            _ => (&self.rest, None),
        }
    }

    /// Whether a data key seals the row.
    pub(crate) fn is_data(&self) -> bool {
        self.is_sealed() && !self.tenant.is_empty() && self.kind != Kind::Keyring
    }

    /// The account whose key seals the row, if it is not the org's.
    pub(crate) fn scope_account(&self) -> Option<String> {
        let id = match (self.kind, self.rest.as_slice()) {
            (Kind::Value | Kind::FormerValue | Kind::DeletedValue, [1, id @ ..]) => id,
            (Kind::Credential | Kind::FormerCredential | Kind::DeletedCredential, id) => id,
            _ => return None,
        };
        id.split(|byte| *byte == 0).next().map(|id| String::from_utf8(id.to_vec()).unwrap())
    }

    /// Whether the row carries a sealed record.
    pub(crate) fn is_sealed(&self) -> bool {
        !self.is_index()
            && !self.is_note()
            && !matches!(self.kind, Kind::Header | Kind::Epoch | Kind::Generation)
    }

    fn is_note(&self) -> bool {
        matches!(self.kind, Kind::Retired | Kind::Marker | Kind::OrgRestore | Kind::Export)
    }

    pub(crate) fn is_index(&self) -> bool {
        matches!(self.kind, Kind::DefinitionName | Kind::DefinitionValue | Kind::ValueId)
    }
}

/// The kind of a row of a history, and its key from there on.
fn parse_history(rest: &[u8]) -> (Kind, &[u8]) {
    let (kind, rest) = rest.split_first().unwrap();
    let end_of = |id: usize| {
        let mut ends = rest.iter().enumerate().filter(|(_, byte)| **byte == 0).map(|(index, _)| index + 1);
        ends.nth(id).unwrap()
    };
    let (document_len, kinds) = match (kind, rest.first()) {
        (0x20, Some(0)) => (1 + 12, [Kind::DeletedValue, Kind::FormerValue]),
        (0x20, _) => (end_of(0) + 12, [Kind::DeletedValue, Kind::FormerValue]),
        (0x32, _) => (end_of(2), [Kind::DeletedCredential, Kind::FormerCredential]),
        (0x10, _) => (12, [Kind::DeletedDefinition, Kind::FormerDefinition]),
        _ => panic!("a history of an unknown kind"),
    };
    match rest.len().checked_sub(document_len) {
        Some(0) => (kinds[0], rest),
        Some(8) => (kinds[1], rest),
        _ => panic!("a row of a history has a key of another form"),
    }
}

/// The kind, and what of the key is text.
impl std::fmt::Display for RowKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = [&*self.tenant, &*self.rest].concat();
        write!(f, "{:?} {}", self.kind, text.escape_ascii())
    }
}

pub(crate) fn is_of_tenant(key: &[u8]) -> bool {
    !RowKey::parse(key).tenant.is_empty()
}

/// A key as a failed assertion shows it.
pub(crate) fn shown(key: &[u8]) -> String {
    format!("{:?} {:?}", RowKey::parse(key).kind, String::from_utf8_lossy(key))
}

/// Flips one bit of a row: of its last byte where it has no such byte.
pub(crate) fn flip(row: &mut [u8], byte: usize, bit: u8) {
    let byte = byte.min(row.len() - 1);
    row[byte] ^= 1 << bit;
}

/// The document id in the clear part of a value's or credential's row.
pub(crate) fn doc_id(row: &[u8]) -> Vec<u8> {
    assert_eq!(row[3..6], [0xa3, 0x00, 0x4c], "a map of three whose first entry is twelve bytes");
    row[6..18].to_vec()
}

/// The id of the key that sealed a row.
pub(crate) fn dek_id(row: &[u8]) -> Vec<u8> {
    let mut rest = if row[3] == 0xa3 { &row[18..] } else { &row[4..] };
    assert_eq!(rest[0], 1, "the revision");
    rest = &rest[2 + [0, 1, 2, 4, 8][usize::from((rest[1] & 31).saturating_sub(23))]..];
    assert_eq!(rest[0], 2, "the record");
    rest = &rest[2 + [0, 1, 2][usize::from((rest[1] & 31).saturating_sub(23))]..];
    assert_eq!(rest[..2], [1, 1], "version and suite");
    rest[2..18].to_vec()
}

/// What an index row leads to.
pub(crate) fn target(row: &[u8]) -> &[u8] {
    assert_eq!(row[3..5], [0xa1, 0x00]);
    match row[5] {
        0x58 => &row[7..],
        0x59 => &row[8..],
        _ => &row[6..],
    }
}
