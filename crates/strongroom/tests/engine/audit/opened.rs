//! Every row of a store, opened by what FORMAT.md says of keys, records and addresses, and by nothing else.

use std::collections::BTreeMap;

use strongroom::hazmat::{Context, Key, expand};

use super::cbor::Cbor;
use crate::rig::{Kind, RowKey, Rows};

/// The owner of a keyring: a tenant's prefix, and an account's id unless it is the org's.
pub(crate) type KeyScope = (Vec<u8>, Option<String>);

pub(crate) type KeyId = [u8; 16];

/// A store, read as a whole.
#[derive(Default)]
pub(crate) struct Opened {
    pub(crate) rows: BTreeMap<RowKey, Row>,
    pub(crate) keyrings: BTreeMap<KeyScope, Keyring>,
    /// The root key, and the former one while the `store` row holds it.
    pub(crate) roots: Vec<[u8; 32]>,
    /// What cannot be read, one line each.
    pub(crate) findings: Vec<String>,
}

/// One row: its clear part, and its plaintext.
pub(crate) struct Row {
    pub(crate) doc_id: Option<[u8; 12]>,
    pub(crate) revision: Option<u64>,
    /// The key and the nonce of its record.
    pub(crate) sealed: Option<(KeyId, [u8; 12])>,
    /// What is in a clear row, or in the record of a sealed one; `None` if its key was dropped.
    pub(crate) body: Option<Vec<u8>>,
}

/// The keys of one key scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Keyring {
    pub(crate) deks: Vec<Dek>,
    pub(crate) tombstones: Vec<KeyId>,
    pub(crate) min_version: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dek {
    pub(crate) id: KeyId,
    pub(crate) bytes: [u8; 32],
    pub(crate) generation: u64,
    pub(crate) is_active: bool,
}

/// What must never repeat: the key, the nonce and the revision of a sealed row, as they stand in the clear.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Mark {
    pub(crate) key: KeyId,
    pub(crate) nonce: [u8; 12],
    pub(crate) revision: u64,
}

impl Mark {
    /// `None` for rows that no data or root key seals.
    pub(crate) fn of(row: &[u8]) -> Option<Self> {
        let parts = Cbor::parse(row.get(3..)?)?;
        let (revision, record) = (parts.at(1)?.uint()?, parts.at(2)?.bytes()?);
        let (key, nonce) = (record.get(2..18)?.try_into().ok()?, record.get(18..30)?.try_into().ok()?);
        Some(Self { key, nonce, revision })
    }
}

/// What seals a row.
#[derive(Clone, Copy, PartialEq, Eq)]
enum SealedBy {
    Nothing,
    Slot,
    Root,
    DataKey,
}

impl Opened {
    /// Reads a vault that the raw key `base` opens.
    pub(crate) fn read(rows: &Rows, base: &[u8; 32]) -> Self {
        let mut opened = Self::default();
        if opened.read_rows(rows, base).is_none() {
            opened
                .findings
                .push("no slot leads to the root key, or the `store` row does not open".to_owned());
        }
        opened
    }

    fn read_rows(&mut self, rows: &Rows, base: &[u8; 32]) -> Option<()> {
        let store_id = clear_body(0x10, rows.get(&[0, 1][..])?)?.try_into().ok()?;
        let slots = rows.iter().filter(|(key, _)| RowKey::parse(key).kind == Kind::Slot);
        let root = slots.filter_map(|(key, row)| open_slot(&store_id, &key[2..], row, base)).next()?;
        self.roots = vec![root];
        let store_row = self.open_row(&store_id, &RowKey::parse(&[0, 3]), rows.get(&[0, 3][..])?)?.body?;
        if let Some(former) = Cbor::parse(&store_row)?.at(5) {
            self.roots.push(former.bytes()?.try_into().ok()?);
        }
        // In the order of keys a keyring comes before what its keys seal.
        for (bytes, row) in rows {
            let key = RowKey::parse(bytes);
            match self.open_row(&store_id, &key, row) {
                Some(row) if key.kind == Kind::Keyring => {
                    match row.body.as_deref().and_then(Keyring::parse) {
                        Some(keyring) => drop(self.keyrings.insert(scope_of(&key), keyring)),
                        None => self.findings.push(format!("{key} has another form")),
                    }
                    self.rows.insert(key, row);
                }
                Some(row) => drop(self.rows.insert(key, row)),
                None => self.findings.push(format!("{key} does not open at its address")),
            }
        }
        Some(())
    }

    /// A row with other content, sealed under the key that sealed it: as a release writes it that knows more.
    pub(crate) fn with_content(&self, rows: &Rows, key: &[u8], content: &[u8]) -> Vec<u8> {
        let (place, row) = (RowKey::parse(key), &rows[key]);
        let known = &self.rows[&place];
        let (id, nonce) = known.sealed.unwrap();
        let deks = self.keyrings.values().flat_map(|keyring| &keyring.deks).map(|dek| &dek.bytes);
        let sealed_by = deks.chain(&self.roots).find(|bytes| key_id(bytes) == id).unwrap();
        let (code, _) = form_of(place.kind);
        let store_id = clear_body(0x10, &rows[&[0, 1][..]]).unwrap().try_into().unwrap();
        let address = Address::of(&place, code, known.doc_id).unwrap();
        let context = address.context(&store_id, known.revision.unwrap());
        let record = Key::derive(sealed_by).seal(&context, &nonce, content).unwrap();
        let former = Cbor::parse(&row[3..]).unwrap().at(2).unwrap().bytes().unwrap().len();
        let head = |len: usize| {
            if len < 256 {
                vec![0x58, len as u8]
            } else {
                [&[0x59][..], &(len as u16).to_be_bytes()].concat()
            }
        };
        let clear = &row[..row.len() - former - head(former).len()];
        [clear, &head(record.len()), &record].concat()
    }

    /// The public names of the roots.
    pub(crate) fn root_ids(&self) -> Vec<KeyId> {
        self.roots.iter().map(key_id).collect()
    }

    /// Opens a row under the only key that may have sealed it.
    fn open_row(&self, store_id: &[u8; 16], key: &RowKey, row: &[u8]) -> Option<Row> {
        let (code, sealed_by) = form_of(key.kind);
        let clear =
            |body: &[u8]| Some(Row { doc_id: None, revision: None, sealed: None, body: Some(body.to_vec()) });
        match sealed_by {
            SealedBy::Nothing => return clear(clear_body(code, row)?),
            SealedBy::Slot => return clear(slot_fields(&key.rest, row)?),
            SealedBy::Root | SealedBy::DataKey => {}
        }
        let parts = Cbor::parse(row.strip_prefix(&[0xd7, 1, code])?)?;
        let doc_id = parts.at(0).map(|id| id.bytes()?.try_into().ok());
        let doc_id: Option<[u8; 12]> = if let Some(id) = doc_id { Some(id?) } else { None };
        if doc_id.is_some() != matches!(code, 0x01 | 0x02 | 0x09 | 0x0a) || parts.keys().len() > 3 {
            return None;
        }
        let (revision, record) = (parts.at(1)?.uint()?, parts.at(2)?.bytes()?);
        if key.document().1.is_some_and(|named| named != revision) {
            return None;
        }
        let id: KeyId = record.get(2..18)?.try_into().ok()?;
        let sealed = Some((id, record.get(18..30)?.try_into().ok()?));
        let key_bytes = if sealed_by == SealedBy::Root {
            *self.roots.iter().find(|root| key_id(root) == id)?
        } else {
            let keyring = self.keyrings.get(&scope_of(key))?;
            match keyring.deks.iter().find(|dek| dek.id == id && dek.generation >= keyring.min_version) {
                Some(dek) => dek.bytes,
                None if keyring.tombstones.contains(&id) => {
                    return Some(Row { doc_id, revision: Some(revision), sealed, body: None });
                }
                None => return None,
            }
        };
        let address = Address::of(key, code, doc_id)?;
        let body = Key::derive(&key_bytes).open(&address.context(store_id, revision), record).ok()?;
        Some(Row { doc_id, revision: Some(revision), sealed, body: Some(body.expose().to_vec()) })
    }
}

impl Keyring {
    fn parse(body: &[u8]) -> Option<Self> {
        let body = Cbor::parse(body)?;
        let dek = |dek: &Cbor<'_>| {
            let bytes: [u8; 32] = dek.at(1)?.bytes()?.try_into().ok()?;
            let (id, state) = (key_id(&bytes), dek.at(3)?.uint()?);
            let generation = dek.at(2)?.uint()?;
            (dek.at(0)?.bytes()? == id && state < 2).then_some(Dek {
                id,
                bytes,
                generation,
                is_active: state == 0,
            })
        };
        Some(Self {
            deks: body.at(0)?.array()?.iter().map(dek).collect::<Option<_>>()?,
            tombstones: {
                let ids = body.at(1)?.array()?.iter();
                ids.map(|id| id.bytes()?.try_into().ok()).collect::<Option<_>>()?
            },
            min_version: body.at(2)?.uint()?,
        })
    }
}

/// The number of a row's kind, and what seals it.
fn form_of(kind: Kind) -> (u8, SealedBy) {
    match kind {
        Kind::Header => (0x10, SealedBy::Nothing),
        Kind::DefinitionName | Kind::DefinitionValue | Kind::ValueId => (0x11, SealedBy::Nothing),
        Kind::Epoch | Kind::Generation => (0x12, SealedBy::Nothing),
        Kind::Retired | Kind::Marker | Kind::OrgRestore | Kind::Export => (0x13, SealedBy::Nothing),
        Kind::Slot => (0x04, SealedBy::Slot),
        Kind::StoreRow | Kind::Job | Kind::KeyJob => (0x07, SealedBy::Root),
        Kind::Keyring => (0x06, SealedBy::Root),
        Kind::Value => (0x01, SealedBy::DataKey),
        Kind::Credential => (0x02, SealedBy::DataKey),
        Kind::Definition => (0x05, SealedBy::DataKey),
        Kind::Count | Kind::Account | Kind::Integration | Kind::Record => (0x07, SealedBy::DataKey),
        Kind::Event | Kind::AuditHead | Kind::ChainHead | Kind::AuditFloor => (0x07, SealedBy::DataKey),
        Kind::FormerValue | Kind::FormerCredential => (0x09, SealedBy::DataKey),
        Kind::DeletedValue | Kind::DeletedCredential => (0x0a, SealedBy::DataKey),
        Kind::FormerDefinition => (0x0b, SealedBy::DataKey),
        Kind::DeletedDefinition => (0x0c, SealedBy::DataKey),
    }
}

/// The fields of a context, of a row in a store.
#[derive(Default)]
struct Address {
    org: String,
    environment: String,
    account: Option<String>,
    workflow: Option<String>,
    code: u8,
    name: String,
    key_name: String,
    doc_id: String,
}

impl Address {
    fn of(key: &RowKey, code: u8, doc_id: Option<[u8; 12]>) -> Option<Self> {
        let doc_id = doc_id.map(|id| hex(&id)).unwrap_or_default();
        let mut address = Self { code, doc_id, ..Self::default() };
        let (document, _) = key.document();
        let mut ids = document.split(|byte| *byte == 0).map(|id| String::from_utf8_lossy(id).into_owned());
        let mut next = || ids.next().unwrap_or_default();
        if !key.tenant.is_empty() {
            (address.org, address.environment) = key.tenant_ids();
        }
        match key.kind {
            Kind::StoreRow => "store".clone_into(&mut address.name),
            Kind::Job => {
                (address.org, address.environment) = (next(), next());
                "job".clone_into(&mut address.name);
                address.key_name = hex(key.rest.last_chunk::<12>()?);
            }
            Kind::KeyJob => {
                "job".clone_into(&mut address.name);
                address.key_name = hex(&key.rest);
            }
            Kind::Keyring => {
                "keyring".clone_into(&mut address.name);
                address.account = Some(next()).filter(|id| !id.is_empty());
            }
            Kind::Value | Kind::FormerValue | Kind::DeletedValue => {
                let (scope, definition) = document.split_last_chunk::<12>()?;
                address.name = hex(definition);
                let id = || Some(String::from_utf8_lossy(scope[1..].strip_suffix(&[0])?).into_owned());
                match scope[0] {
                    0 => {}
                    1 => address.account = Some(id()?),
                    _ => address.workflow = Some(id()?),
                }
            }
            Kind::Credential | Kind::FormerCredential | Kind::DeletedCredential => {
                (address.account, address.name, address.key_name) = (Some(next()), next(), next());
            }
            Kind::Definition | Kind::FormerDefinition | Kind::DeletedDefinition => {
                address.name = hex(document);
            }
            Kind::Count => "count".clone_into(&mut address.name),
            Kind::Account => {
                "account".clone_into(&mut address.name);
                address.key_name = next();
                address.account = Some(address.key_name.clone());
            }
            Kind::Integration => {
                "integration".clone_into(&mut address.name);
                (address.account, address.key_name) = (Some(next()), next());
            }
            Kind::Record => {
                "record".clone_into(&mut address.name);
                address.key_name = format!("{}\0{}", next(), next());
            }
            Kind::Event => {
                "event".clone_into(&mut address.name);
                address.key_name = hex(&key.rest);
            }
            Kind::AuditHead => "audit".clone_into(&mut address.name),
            Kind::AuditFloor => "floor".clone_into(&mut address.name),
            Kind::ChainHead => {
                "chain".clone_into(&mut address.name);
                address.key_name = hex(&key.rest);
            }
            Kind::Header
            | Kind::Slot
            | Kind::Epoch
            | Kind::Generation
            | Kind::DefinitionName
            | Kind::DefinitionValue
            | Kind::ValueId
            | Kind::Retired
            | Kind::Marker
            | Kind::OrgRestore
            | Kind::Export => return None,
        }
        Some(address)
    }

    fn context<'a>(&'a self, store_id: &[u8; 16], revision: u64) -> Context<'a> {
        Context {
            kind: self.code,
            store_id: *store_id,
            org: &self.org,
            environment: &self.environment,
            linked_account: self.account.as_deref(),
            workflow: self.workflow.as_deref(),
            name: &self.name,
            key_name: &self.key_name,
            doc_id: &self.doc_id,
            revision,
        }
    }
}

/// The scope of the keyring that a row is, or whose keys seal it.
pub(crate) fn scope_of(key: &RowKey) -> KeyScope {
    let account = match key.kind {
        Kind::Keyring => key.rest.strip_suffix(&[0]).map(|id| String::from_utf8_lossy(id).into_owned()),
        _ => key.scope_account(),
    };
    (key.tenant.clone(), account)
}

/// The root key in a slot that this raw key opens.
fn open_slot(store_id: &[u8; 16], id: &[u8], row: &[u8], base: &[u8; 32]) -> Option<[u8; 32]> {
    let slot = Cbor::parse(row.strip_prefix(&[0xd7, 1, 4])?)?;
    let info = [&b"strongroom/v1/slot"[..], store_id, &[0, 0, 0, 16], id].concat();
    let key_name = hex(id);
    let context = Context {
        kind: 4,
        store_id: *store_id,
        name: "slot",
        key_name: &key_name,
        revision: slot.at(2)?.uint()?,
        ..Context::default()
    };
    let opened = Key::derive(&expand(base, &info)).open(&context, slot.at(3)?.bytes()?).ok()?;
    opened.expose().try_into().ok()
}

/// The clear fields of a slot, whose id is that of its key.
fn slot_fields<'b>(id: &[u8], row: &'b [u8]) -> Option<&'b [u8]> {
    let fields = Cbor::parse(row.strip_prefix(&[0xd7, 1, 4])?)?.at(0)?.bytes()?;
    (Cbor::parse(fields)?.at(0)?.bytes()? == id).then_some(fields)
}

fn clear_body(code: u8, row: &[u8]) -> Option<&[u8]> {
    let body = Cbor::parse(row.strip_prefix(&[0xd7, 1, code])?)?;
    if body.keys() == [0] { body.at(0)?.bytes() } else { None }
}

/// The public name of a sealing key.
fn key_id(key: &[u8; 32]) -> KeyId {
    *expand(key, b"strongroom/v1/dek-id").first_chunk().unwrap()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
