//! The floor: what hand-rolled code would do, with the same cipher, wiped, and nothing else.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;

use aes::Aes256Enc;
use aes_gcm_siv::AesGcmSiv;
use aes_gcm_siv::aead::{AeadInOut as _, KeyInit as _};
use strongroom::hazmat::Context;
use zeroize::Zeroizing;

use crate::population::{DEFINITIONS, Place, Population, Request, VALUE};

/// AES-256-GCM-SIV and no more: no commitment, no padding.
pub struct Cipher(AesGcmSiv<Aes256Enc>);

impl Cipher {
    /// A cipher under a fixed key.
    #[must_use]
    pub fn new() -> Self {
        Self(AesGcmSiv::new(&[7; 32].into()))
    }

    /// `plaintext` as ciphertext and tag.
    #[must_use]
    pub fn seal(&self, aad: &[u8], plaintext: &[u8]) -> Vec<u8> {
        let mut sealed = Vec::with_capacity(plaintext.len() + TAG_LEN);
        sealed.extend_from_slice(plaintext);
        let tag = self.0.encrypt_inout_detached(&NONCE.into(), aad, sealed.as_mut_slice().into());
        sealed.extend_from_slice(&tag.expect("the plaintext is short"));
        sealed
    }

    /// What [`seal`](Self::seal) sealed, in a buffer that is wiped.
    #[must_use]
    pub fn open(&self, aad: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (body, tag) = sealed.split_last_chunk::<TAG_LEN>()?;
        let mut plaintext = Zeroizing::new(body.to_vec());
        let buffer = plaintext.as_mut_slice().into();
        self.0.decrypt_inout_detached(&NONCE.into(), aad, buffer, tag.into()).ok()?;
        Some(plaintext)
    }
}

impl Default for Cipher {
    fn default() -> Self {
        Self::new()
    }
}

/// A population in one ordered map, sealed under one key.
pub struct OrderedMap {
    rows: BTreeMap<Vec<u8>, Vec<u8>>,
    cipher: Cipher,
    key: Vec<u8>,
}

impl OrderedMap {
    /// Every value of `population`.
    #[must_use]
    pub fn of(population: Population) -> Self {
        let cipher = Cipher::new();
        let mut rows = BTreeMap::new();
        for org in 0..population.orgs {
            for (place, definition) in population.values() {
                let mut key = Vec::new();
                write_key(&mut key, org, place, Some(definition));
                rows.insert(key, cipher.seal(b"", VALUE.as_bytes()));
            }
        }
        Self { rows, cipher, key: Vec::with_capacity(128) }
    }

    /// Three probes, most specific first, and an open of the first row that was found.
    pub fn resolve(&mut self, request: &Request) -> Option<Zeroizing<Vec<u8>>> {
        let mut found = None;
        for place in request.places() {
            write_key(&mut self.key, request.org, place, Some(request.definition));
            let row = self.rows.get(self.key.as_slice());
            found = found.or(row);
        }
        self.cipher.open(b"", found?)
    }

    /// Three range scans, and an open of the most specific row of every definition.
    pub fn resolve_all(&mut self, request: &Request) -> Vec<Zeroizing<Vec<u8>>> {
        let mut winners = [None; DEFINITIONS];
        for place in request.places().into_iter().rev() {
            write_key(&mut self.key, request.org, place, None);
            let prefix = self.key.as_slice();
            let rows = self.rows.range::<[u8], _>((Bound::Included(prefix), Bound::Unbounded));
            for (key, row) in rows.take_while(|(key, _)| key.starts_with(prefix)) {
                let index = key.last().map_or(0, |index| usize::from(*index));
                if let Some(winner) = winners.get_mut(index) {
                    *winner = Some(row);
                }
            }
        }
        winners.iter().flatten().filter_map(|row| self.cipher.open(b"", row)).collect()
    }
}

impl fmt::Debug for Cipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cipher")
    }
}

impl fmt::Debug for OrderedMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OrderedMap({} rows)", self.rows.len())
    }
}

/// The bytes of a context, as `FORMAT.md` lays them out, behind a header of the length that a record has.
#[must_use]
pub fn context_bytes(context: &Context<'_>) -> Vec<u8> {
    let mut bytes = vec![1; 30];
    bytes.extend_from_slice(&context.store_id);
    let optional = |bytes: &mut Vec<u8>, text: Option<&str>| {
        bytes.push(u8::from(text.is_some()));
        text.inspect(|text| put(bytes, text));
    };
    put(&mut bytes, context.org);
    put(&mut bytes, context.environment);
    optional(&mut bytes, context.linked_account);
    bytes.push(context.kind);
    optional(&mut bytes, context.workflow);
    for text in [context.name, context.key_name, context.doc_id] {
        put(&mut bytes, text);
    }
    bytes.extend_from_slice(&context.revision.to_be_bytes());
    bytes
}

fn put(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend_from_slice(&(text.len() as u32).to_be_bytes());
    bytes.extend_from_slice(text.as_bytes());
}

/// `org | environment | scope | id | definition`, written into a buffer that is used again.
fn write_key(key: &mut Vec<u8>, org: usize, place: Place, definition: Option<usize>) {
    key.clear();
    key.extend_from_slice(b"6500a1b2c3d4e5f6");
    key.extend_from_slice(&(org as u64).to_be_bytes());
    key.extend_from_slice(b"\0test\0");
    match place {
        Place::Org => key.push(0),
        Place::Account(account) => {
            key.extend_from_slice(b"\x01user_");
            key.push(account as u8);
        }
        Place::Workflow(workflow) => {
            key.extend_from_slice(b"\x02workflow_");
            key.push(workflow as u8);
        }
    }
    if let Some(definition) = definition {
        key.extend_from_slice(b"\0VARIABLE_");
        key.push(definition as u8);
    }
}

const TAG_LEN: usize = 16;
const NONCE: [u8; 12] = [9; 12];
