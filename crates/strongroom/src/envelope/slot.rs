//! Key slots: how a passphrase or a raw key leads to the root key.

use minicbor::{Decoder, Encoder};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::{Argon2Params, Context, Kind, OpenError, SealError, SealingKey, StoreId, slot_key};
use crate::record::{self, RowError, RowKind, expect_key, finish, infallible};

/// A slot as it stands in the store: who opens it, and the root key sealed under the slot's own key.
pub(crate) struct Slot {
    pub(crate) id: [u8; 16],
    /// As at creation, so that an exchanged header is told from a wrong key.
    pub(crate) store_id: StoreId,
    pub(crate) provider: Provider,
    /// How often the slot was written.
    pub(crate) revision: u64,
    sealed_root: Vec<u8>,
}

/// What a slot asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Provider {
    /// 32 raw bytes.
    RawKey,
    /// A passphrase, stretched by Argon2id.
    Passphrase { salt: [u8; 16], params: Argon2Params },
}

impl Provider {
    /// What a user calls it.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::RawKey => "a raw key",
            Self::Passphrase { .. } => "a passphrase",
        }
    }

    /// Its number in a row.
    pub(crate) fn tag(&self) -> u8 {
        match self {
            Self::RawKey => RAW_KEY,
            Self::Passphrase { .. } => PASSPHRASE,
        }
    }
}

/// Why a slot did not give the root key.
pub(crate) enum SlotError {
    /// The key is that of another slot or of none.
    WrongKey,
    /// The key is right and the sealed root key is not.
    Damaged,
    UnknownVersion(u8),
}

impl Slot {
    /// A new slot whose key, made from `base`, seals `root`.
    pub(crate) fn seal(
        id: [u8; 16],
        store_id: StoreId,
        provider: Provider,
        base: &[u8; 32],
        root: &[u8; 32],
    ) -> Result<Self, SealError> {
        let mut slot = Self { id, store_id, provider, revision: 1, sealed_root: Vec::new() };
        let key_name = hex::encode(slot.id);
        slot.sealed_root = slot.key(base).seal(&slot.context(&key_name), root)?;
        Ok(slot)
    }

    /// The root key, if `base` is what the slot was made with.
    pub(crate) fn open(&self, base: &[u8; 32]) -> Result<Zeroizing<[u8; 32]>, SlotError> {
        let key_name = hex::encode(self.id);
        let opened = self.key(base).open(&self.context(&key_name), &self.sealed_root);
        let plaintext = opened.map_err(|error| match error {
            OpenError::UnknownKey(_) => SlotError::WrongKey,
            OpenError::UnknownVersion(version) | OpenError::UnknownSuite(version) => {
                SlotError::UnknownVersion(version)
            }
            OpenError::Malformed | OpenError::Rejected => SlotError::Damaged,
        })?;
        let bytes: &[u8; 32] = plaintext.as_slice().try_into().map_err(|_| SlotError::Damaged)?;
        Ok(Zeroizing::new(*bytes))
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let clear = self.encode_clear();
        let mut row = record::start(RowKind::Slot, clear.len() + self.sealed_root.len() + 32);
        let mut cbor = Encoder::new(&mut row);
        let written = (|| {
            cbor.map(4)?.u8(0)?.bytes(&clear)?.u8(1)?.bytes(&check(&clear))?;
            cbor.u8(2)?.u64(self.revision)?.u8(3)?.bytes(&self.sealed_root)?.ok()
        })();
        infallible(written);
        row
    }

    /// Reads a slot, and checks its clear fields against their checksum.
    pub(crate) fn decode(row: &[u8]) -> Result<Self, RowError> {
        let mut cbor = Decoder::new(record::body(RowKind::Slot, row)?);
        if cbor.map()? != Some(4) {
            return Err(RowError::Malformed);
        }
        expect_key(&mut cbor, 0)?;
        let clear = cbor.bytes()?;
        expect_key(&mut cbor, 1)?;
        if cbor.bytes()? != check(clear) {
            return Err(RowError::Malformed);
        }
        expect_key(&mut cbor, 2)?;
        let revision = cbor.u64()?;
        expect_key(&mut cbor, 3)?;
        let sealed_root = cbor.bytes()?.to_vec();
        finish(&cbor)?;
        let (id, store_id, provider) = decode_clear(clear)?;
        Ok(Self { id, store_id, provider, revision, sealed_root })
    }

    fn key(&self, base: &[u8; 32]) -> SealingKey {
        SealingKey::derive(&slot_key(base, &self.store_id, &self.id))
    }

    fn context<'a>(&'a self, key_name: &'a str) -> Context<'a> {
        Context {
            kind: Kind::Slot,
            store_id: &self.store_id,
            org: "",
            environment: "",
            linked_account: None,
            workflow: None,
            name: "slot",
            key_name,
            doc_id: "",
            revision: self.revision,
        }
    }

    /// `{0: slot id, 1: store id, 2: provider, 3: salt, 4: KiB, 5: passes, 6: lanes}`, the last four of a
    /// passphrase alone.
    fn encode_clear(&self) -> Vec<u8> {
        let mut clear = Vec::with_capacity(80);
        let mut cbor = Encoder::new(&mut clear);
        let written = (|| {
            cbor.map(if self.provider == Provider::RawKey { 3 } else { 7 })?;
            cbor.u8(0)?.bytes(&self.id)?.u8(1)?.bytes(&self.store_id)?.u8(2)?;
            match &self.provider {
                Provider::RawKey => cbor.u8(RAW_KEY)?.ok(),
                Provider::Passphrase { salt, params } => {
                    cbor.u8(PASSPHRASE)?.u8(3)?.bytes(salt)?.u8(4)?.u32(params.memory_kib())?;
                    cbor.u8(5)?.u32(params.iterations())?.u8(6)?.u32(params.lanes())?.ok()
                }
            }
        })();
        infallible(written);
        clear
    }
}

fn decode_clear(clear: &[u8]) -> Result<([u8; 16], StoreId, Provider), RowError> {
    let mut cbor = Decoder::new(clear);
    let entries = cbor.map()?;
    expect_key(&mut cbor, 0)?;
    let id = sixteen(&mut cbor)?;
    expect_key(&mut cbor, 1)?;
    let store_id = sixteen(&mut cbor)?;
    expect_key(&mut cbor, 2)?;
    let provider = match (cbor.u8()?, entries) {
        (RAW_KEY, Some(3)) => Provider::RawKey,
        (PASSPHRASE, Some(7)) => {
            expect_key(&mut cbor, 3)?;
            let salt = sixteen(&mut cbor)?;
            expect_key(&mut cbor, 4)?;
            let memory_kib = cbor.u32()?;
            expect_key(&mut cbor, 5)?;
            let iterations = cbor.u32()?;
            expect_key(&mut cbor, 6)?;
            Provider::Passphrase { salt, params: Argon2Params::new(memory_kib, iterations, cbor.u32()?) }
        }
        _ => return Err(RowError::Malformed),
    };
    finish(&cbor)?;
    Ok((id, store_id, provider))
}

fn sixteen(cbor: &mut Decoder<'_>) -> Result<[u8; 16], RowError> {
    cbor.bytes()?.try_into().map_err(|_| RowError::Malformed)
}

/// Tells a rotten salt from a wrong passphrase. It guards against decay, not against an attacker.
fn check(clear: &[u8]) -> [u8; 8] {
    let [check @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] =
        <[u8; 32]>::from(Sha256::digest(clear));
    check
}

const RAW_KEY: u8 = 0;
const PASSPHRASE: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: [u8; 32] = [3; 32];
    const ROOT: [u8; 32] = [4; 32];

    fn slot(provider: Provider) -> Slot {
        Slot::seal([1; 16], [2; 16], provider, &BASE, &ROOT).unwrap()
    }

    #[test]
    fn a_slot_reads_back_and_gives_the_root_to_its_own_key_alone() {
        let params = Argon2Params::default();
        for provider in [Provider::RawKey, Provider::Passphrase { salt: [5; 16], params }] {
            let read = Slot::decode(&slot(provider).encode()).unwrap();
            assert_eq!(read.provider, provider);
            assert!(read.open(&BASE).is_ok_and(|root| *root == ROOT));
            assert!(matches!(read.open(&[9; 32]), Err(SlotError::WrongKey)));
        }
    }

    #[test]
    fn every_flipped_bit_is_refused() {
        let row = slot(Provider::Passphrase { salt: [5; 16], params: Argon2Params::default() }).encode();
        for bit in 0..row.len() * 8 {
            let mut altered = row.clone();
            altered[bit / 8] ^= 1 << (bit % 8);
            let opens = Slot::decode(&altered).is_ok_and(|slot| slot.open(&BASE).is_ok());
            assert!(!opens, "bit {bit}");
        }
    }
}
