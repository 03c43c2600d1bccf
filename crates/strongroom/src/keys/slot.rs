//! Key slots: how a passphrase, a raw key or a key provider leads to the root key.

use minicbor::{Decoder, Encoder};
use sha2::{Digest as _, Sha256};

use super::Provider;
use crate::envelope::{KeyMaterial, OpenError, SealError, SealingKey, StoreId, slot_key};
use crate::model::Revision;
use crate::random::{self, RandomError};
use crate::row::{
    Address, Row, RowError, RowKind, VaultRow, expect_key, finish, infallible, row_body, start,
};

/// A slot as it is in the store: what opens it, and the root key sealed under the slot's own key.
pub(crate) struct Slot {
    pub(crate) place: SlotPlace,
    pub(crate) provider: Provider,
    sealed_root: Vec<u8>,
}

/// Which slot of which store, and how often it was rewritten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SlotPlace {
    pub(crate) id: [u8; 16],
    /// The store's id when the slot was created, so that a replaced header can be told from a wrong key.
    pub(crate) store_id: StoreId,
    /// How often the slot was written.
    pub(crate) revision: u64,
}

impl SlotPlace {
    /// The place of a new slot.
    pub(crate) fn generate(store_id: StoreId) -> Result<Self, RandomError> {
        let mut id = [0; 16];
        random::fill(&mut id)?;
        Ok(Self { id, store_id, revision: 1 })
    }

    /// The same slot in its next rewrite.
    pub(crate) fn next(self) -> Self {
        Self { revision: self.revision.wrapping_add(1), ..self }
    }
}

/// Why a slot did not give the root key.
pub(crate) enum SlotOpenError {
    /// The key does not belong to this slot.
    WrongKey,
    /// The key is right, but the sealed root key is damaged.
    Damaged,
    UnknownVersion(u8),
}

impl Slot {
    /// Its row's name in an error.
    pub(crate) fn row_name(&self) -> String {
        Row::Vault(VaultRow::Slot(self.place.id)).name()
    }

    /// A new slot whose key, made from `base`, seals `root`.
    pub(crate) fn seal(
        place: SlotPlace,
        provider: Provider,
        base: &[u8; 32],
        root: &[u8; 32],
    ) -> Result<Self, SealError> {
        let mut slot = Self { place, provider, sealed_root: Vec::new() };
        slot.sealed_root = slot.key(base).seal(&slot.address(&slot.row()), root)?;
        Ok(slot)
    }

    /// The root key, if the slot was created with `base`.
    pub(crate) fn open(&self, base: &[u8; 32]) -> Result<KeyMaterial, SlotOpenError> {
        let opened = self.key(base).open(&self.address(&self.row()), &self.sealed_root);
        let plaintext = opened.map_err(|error| match error {
            OpenError::UnknownKey(_) => SlotOpenError::WrongKey,
            OpenError::UnknownVersion(version) | OpenError::UnknownSuite(version) => {
                SlotOpenError::UnknownVersion(version)
            }
            OpenError::Malformed | OpenError::Rejected => SlotOpenError::Damaged,
        })?;
        let bytes: &[u8; 32] = plaintext.as_slice().try_into().map_err(|_| SlotOpenError::Damaged)?;
        let mut root = KeyMaterial::default();
        root.copy_from_slice(bytes);
        Ok(root)
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let clear = self.encode_clear();
        let mut row = start(RowKind::Slot, clear.len() + self.sealed_root.len() + 32);
        let mut cbor = Encoder::new(&mut row);
        let written = (|| {
            cbor.map(4)?.u8(0)?.bytes(&clear)?.u8(1)?.bytes(&check(&clear))?;
            cbor.u8(2)?.u64(self.place.revision)?.u8(3)?.bytes(&self.sealed_root)?.ok()
        })();
        infallible(written);
        row
    }

    /// Reads a slot, and checks its clear fields against their checksum.
    pub(crate) fn decode(row: &[u8]) -> Result<Self, RowError> {
        let mut cbor = Decoder::new(row_body(RowKind::Slot, row)?);
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
        let slot = Self { place: SlotPlace { id, store_id, revision }, provider, sealed_root };
        // A row has one valid form: every other encoding of the same slot is refused.
        if slot.encode() == row { Ok(slot) } else { Err(RowError::Malformed) }
    }

    fn key(&self, base: &[u8; 32]) -> SealingKey {
        SealingKey::derive(&slot_key(base, &self.place.store_id, &self.place.id))
    }

    fn row(&self) -> Row<'static> {
        Row::Vault(VaultRow::Slot(self.place.id))
    }

    fn address<'a>(&'a self, row: &'a Row<'a>) -> Address<'a> {
        row.address(&self.place.store_id, None, Revision::from_u64(self.place.revision))
    }

    /// `{0: slot id, 1: store id}` and the fields of the provider.
    fn encode_clear(&self) -> Vec<u8> {
        let mut clear = Vec::with_capacity(96);
        let mut cbor = Encoder::new(&mut clear);
        let written = (|| {
            cbor.map(2 + self.provider.fields_len())?;
            cbor.u8(0)?.bytes(&self.place.id)?.u8(1)?.bytes(&self.place.store_id)?;
            self.provider.encode(&mut cbor)
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
    let provider = Provider::decode(&mut cbor)?;
    finish(&cbor)?;
    if entries == Some(2 + provider.fields_len()) {
        return Ok((id, store_id, provider));
    }
    Err(RowError::Malformed)
}

fn sixteen(cbor: &mut Decoder<'_>) -> Result<[u8; 16], RowError> {
    cbor.bytes()?.try_into().map_err(|_| RowError::Malformed)
}

/// A checksum, so that a decayed salt is not taken for a wrong passphrase. It guards against decay, not against an
/// attacker.
fn check(clear: &[u8]) -> [u8; 8] {
    let [check @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] =
        <[u8; 32]>::from(Sha256::digest(clear));
    check
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::Argon2Params;
    use crate::keys::ExternalKey;
    use crate::keys::provider::{ProviderKey, Wrapped};

    const BASE: [u8; 32] = [3; 32];
    const ROOT: [u8; 32] = [4; 32];

    fn slot(provider: Provider) -> Slot {
        let place = SlotPlace { id: [1; 16], store_id: [2; 16], revision: 1 };
        Slot::seal(place, provider, &BASE, &ROOT).unwrap()
    }

    fn providers() -> [Provider; 3] {
        let wrapped = Wrapped::new(ProviderKey::new("label", 7), vec![9; 64]);
        [
            Provider::RawKey,
            Provider::Passphrase { salt: [5; 16], params: Argon2Params::default() },
            Provider::External(ExternalKey { kind: "pkcs11".to_owned(), wrapped }),
        ]
    }

    #[test]
    fn a_slot_reads_back_and_gives_the_root_to_its_own_key_alone() {
        for provider in providers() {
            let read = Slot::decode(&slot(provider.clone()).encode()).unwrap();
            assert_eq!(read.provider, provider);
            assert!(read.open(&BASE).is_ok_and(|root| **root == ROOT));
            assert!(matches!(read.open(&[9; 32]), Err(SlotOpenError::WrongKey)));
        }
    }

    #[test]
    fn a_provider_of_an_odd_kind_or_with_an_odd_key_is_refused() {
        let decoded = |kind: &str, key: &str, blob_len| {
            let wrapped = Wrapped::new(ProviderKey::new(key, 7), vec![9; blob_len]);
            let external = ExternalKey { kind: kind.to_owned(), wrapped };
            Slot::decode(&slot(Provider::External(external)).encode()).map(drop)
        };
        assert_eq!(decoded("pkcs11", "label", 64), Ok(()));
        for (kind, key, blob_len) in [("An HSM", "label", 64), ("pkcs11", "", 64), ("pkcs11", "label", 4_097)]
        {
            assert_eq!(decoded(kind, key, blob_len), Err(RowError::Malformed));
        }
    }

    #[test]
    fn every_flipped_bit_is_refused() {
        for provider in providers() {
            let row = slot(provider).encode();
            for bit in 0..row.len() * 8 {
                let mut altered = row.clone();
                altered[bit / 8] ^= 1 << (bit % 8);
                let opens = Slot::decode(&altered).is_ok_and(|slot| slot.open(&BASE).is_ok());
                assert!(!opens, "bit {bit}");
            }
        }
    }

    #[test]
    fn a_head_that_is_longer_than_need_be_is_refused() {
        for provider in providers() {
            let row = slot(provider).encode();
            // `2: 1`, the revision, lies before the record, whose head is of two bytes.
            let at = row.len() - slot_record_len(&row) - 2 - 2;
            assert_eq!(row[at - 1..at + 2], [2, 1, 3]);
            let mut longer = row.clone();
            longer.splice(at..=at, [0x18, 1]);
            assert!(matches!(Slot::decode(&longer), Err(RowError::Malformed)));
            let clear = longer_clear(&row);
            assert!(matches!(Slot::decode(&clear), Err(RowError::Malformed)));
        }
    }

    fn slot_record_len(row: &[u8]) -> usize {
        Slot::decode(row).unwrap().sealed_root.len()
    }

    /// The row with a longer head in its clear fields, and the checksum of those.
    fn longer_clear(row: &[u8]) -> Vec<u8> {
        let slot = Slot::decode(row).unwrap();
        let mut clear = slot.encode_clear();
        let map = clear[0];
        clear.splice(0..1, [0xb8, map & 0x1f]);
        let mut longer = start(RowKind::Slot, 256);
        let mut cbor = Encoder::new(&mut longer);
        cbor.map(4).unwrap().u8(0).unwrap().bytes(&clear).unwrap().u8(1).unwrap();
        cbor.bytes(&check(&clear)).unwrap().u8(2).unwrap().u64(1).unwrap().u8(3).unwrap();
        cbor.bytes(&slot.sealed_root).unwrap();
        longer
    }

    #[test]
    fn slots_that_earlier_releases_wrote_open() {
        for (row, provider) in [(GOLDEN_RAW_KEY, "a raw key"), (GOLDEN_PASSPHRASE, "a passphrase")] {
            let slot = Slot::decode(&hex::decode(row).unwrap()).unwrap();
            assert_eq!(slot.provider.name(), provider);
            assert_eq!(hex::encode(slot.encode()), row);
            assert!(slot.open(&BASE).is_ok_and(|root| **root == ROOT));
        }
    }

    const GOLDEN_RAW_KEY: &str = "\
        d70104a4005827a300500101010101010101010101010101010101500202020202020202020202020202020202000148\
        c5a7912c1b32169f020103588e0101ba18f1d6f64f3ad03f4b80cfbdea67f30852db8ae88199770e35035cba370da501\
        b51e484d21229e820816f344aa7722f228d0f30eea369062b5637e684fcf5d96f70f4dbac872f200d60fa8b5fafbe92c\
        0881e388d8d92f0305b688ece47b4376ccf4391487a07239a437f684c879f88ac39473dff0dbc8694b20f30696d818ed\
        0fd1ca9439de3fe7c8a450";
    const GOLDEN_PASSPHRASE: &str = "\
        d70104a4005843a700500101010101010101010101010101010101500202020202020202020202020202020202010350\
        05050505050505050505050505050505041a000100000503060401486f54146602632b11020103588e0101ba18f1d6f6\
        4f3ad03f4b80cfbdea67f334ef64a4659ccd2e01e9dc941fbd69a49f7e1bbac25cea415968612ce82c671918d640fae0\
        fd95e42cc900fdc193f51c66b6612a465963d92546d84f3af045bb8c20d05c67c8ca513b33f5aab8adeeee248a696446\
        0cd14281e59513fe64d063c14694b9df913c9a73b499aa64272b0806c51e74fc8378eb365d62ab";
}
