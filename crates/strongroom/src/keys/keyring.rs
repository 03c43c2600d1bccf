//! The keyring of one key scope: its data keys with their states, and the ids of dropped keys.
//!
//! It is an allowlist: a record opens only under a key that is listed here, looked up by id and never by trial.

use std::fmt;

use minicbor::Decoder;
use zeroize::Zeroizing;

use crate::clock::Timestamp;
use crate::envelope::{Address, DekId, SealError, SealingKey, new_dek};
use crate::random::{self, RandomError};
use crate::row::{RowError, encode_secret, expect_key, finish};

/// The data keys of one key scope, opened.
pub(crate) struct Keyring {
    /// The active key is last; the others are kept to open what they sealed.
    deks: Vec<Dek>,
    /// Keys that were dropped on purpose: what they sealed counts as deleted.
    tombstones: Vec<DekId>,
    /// Keys of a lower generation are not accepted.
    min_version: u32,
}

/// One data key.
struct Dek {
    key: SealingKey,
    bytes: Zeroizing<[u8; 32]>,
    generation: u32,
    state: DekState,
    created_at: Timestamp,
}

#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum DekState {
    Active = 0,
    DecryptOnly = 1,
}

/// The result of looking up a key.
pub(crate) enum KeyLookup<'k> {
    Listed(&'k SealingKey),
    Dropped,
    Unknown,
}

impl Keyring {
    /// A keyring without keys.
    pub(crate) fn empty() -> Self {
        Self { deks: Vec::new(), tombstones: Vec::new(), min_version: 0 }
    }

    /// A keyring with one new key for the scope of the keyring at `address`, derived from the root.
    pub(crate) fn generate(
        root: &[u8; 32],
        address: &impl Address,
        now: Timestamp,
    ) -> Result<Self, SealError> {
        let mut keyring = Self::empty();
        keyring.add_dek(root, address, now)?;
        Ok(keyring)
    }

    /// A keyring with the one key that this root derives for the scope of the keyring at `address`. Only for a root
    /// that is used once, such as that of a file: its writer derives the key again whenever it needs it.
    pub(crate) fn derive(root: &[u8; 32], address: &impl Address, now: Timestamp) -> Result<Self, SealError> {
        let bytes = new_dek(root, address, &[0; 32]);
        let key = SealingKey::derive(&bytes);
        let dek = Dek { key, bytes, generation: 1, state: DekState::Active, created_at: now };
        Ok(Self { deks: vec![dek], tombstones: Vec::new(), min_version: 0 })
    }

    /// The same keyring with a new active key.
    pub(crate) fn renew(
        &self,
        root: &[u8; 32],
        address: &impl Address,
        now: Timestamp,
    ) -> Result<Self, SealError> {
        let deks = copies(&self.deks, 1, |_| true);
        let mut renewed = Self { deks, tombstones: self.tombstones.clone(), min_version: self.min_version };
        renewed.add_dek(root, address, now)?;
        Ok(renewed)
    }

    /// The same keyring with only its active key: the others are destroyed, and no key of their generations is accepted
    /// again.
    pub(crate) fn destroy_retired(&self) -> Self {
        let active = self.deks.iter().rfind(|dek| dek.state == DekState::Active);
        let min_version = active.map_or(self.min_version, |dek| dek.generation);
        let deks = active.map(Dek::copy).into_iter().collect();
        Self { deks, tombstones: self.tombstones.clone(), min_version }
    }

    /// How many keys are kept only to open what they sealed.
    pub(crate) fn retired_len(&self) -> usize {
        self.deks.iter().filter(|dek| dek.state == DekState::DecryptOnly).count()
    }

    /// When the active key was made.
    pub(crate) fn active_since(&self) -> Option<Timestamp> {
        self.deks.iter().rfind(|dek| dek.state == DekState::Active).map(|dek| dek.created_at)
    }

    /// The ids of keys that were dropped, oldest first.
    pub(crate) fn dropped(&self) -> impl Iterator<Item = &DekId> {
        self.tombstones.iter()
    }

    /// The same keyring with every key dropped: tombstones, of which the latest [`TOMBSTONES_MAX`] are kept.
    pub(crate) fn drop_keys(&self) -> Self {
        self.drop_those(|_| true)
    }

    /// The same keyring with these keys dropped; `None` if it lists none of them.
    pub(crate) fn without(&self, is_dropped: impl Fn(&DekId) -> bool) -> Option<Self> {
        self.ids().any(&is_dropped).then(|| self.drop_those(is_dropped))
    }

    fn drop_those(&self, is_dropped: impl Fn(&DekId) -> bool) -> Self {
        let mut tombstones = self.tombstones.clone();
        tombstones.extend(self.ids().filter(|id| is_dropped(id)));
        let surplus = tombstones.len().saturating_sub(TOMBSTONES_MAX);
        tombstones.drain(..surplus);
        let deks = copies(&self.deks, 0, |dek| !is_dropped(dek.key.id()));
        Self { deks, tombstones, min_version: self.min_version }
    }

    /// The key that seals new records; `None` once all keys were dropped.
    pub(crate) fn active(&self) -> Option<&SealingKey> {
        self.deks.iter().rfind(|dek| dek.state == DekState::Active).map(|dek| &dek.key)
    }

    /// Looks `id` up among the keys that may open a record.
    pub(crate) fn key(&self, id: &DekId) -> KeyLookup<'_> {
        let listed = self.deks.iter().rfind(|dek| dek.key.id() == id && dek.generation >= self.min_version);
        match listed {
            Some(dek) => KeyLookup::Listed(&dek.key),
            // A scope without keys was deleted, including any key that the store withheld at that time.
            None if self.deks.is_empty() || self.tombstones.contains(id) => KeyLookup::Dropped,
            None => KeyLookup::Unknown,
        }
    }

    /// The ids of the keys that may open a record, the oldest first.
    pub(crate) fn ids(&self) -> impl Iterator<Item = &DekId> {
        self.deks.iter().map(|dek| dek.key.id())
    }

    /// The plaintext of the keyring's record.
    pub(crate) fn encode(&self) -> Zeroizing<Vec<u8>> {
        let len_max = 64 + self.deks.len() * 96 + self.tombstones.len() * 17;
        encode_secret(len_max, |cbor| {
            cbor.map(3)?.u8(0)?.array(self.deks.len() as u64)?;
            for dek in &self.deks {
                cbor.map(5)?.u8(0)?.bytes(dek.key.id().as_bytes())?.u8(1)?.bytes(&*dek.bytes)?;
                cbor.u8(2)?.u32(dek.generation)?.u8(3)?.u8(dek.state as u8)?;
                cbor.u8(4)?.u64(dek.created_at.as_ms())?;
            }
            cbor.u8(1)?.array(self.tombstones.len() as u64)?;
            for id in &self.tombstones {
                cbor.bytes(id.as_bytes())?;
            }
            cbor.u8(2)?.u32(self.min_version)?.ok()
        })
    }

    /// Reads a keyring, and checks that every key has the id that it is listed under.
    pub(crate) fn decode(plaintext: &[u8]) -> Result<Self, RowError> {
        let mut cbor = Decoder::new(plaintext);
        if cbor.map()? != Some(3) {
            return Err(RowError::Malformed);
        }
        expect_key(&mut cbor, 0)?;
        let deks = list(&mut cbor, Dek::decode)?;
        expect_key(&mut cbor, 1)?;
        let tombstones = list(&mut cbor, decode_id)?;
        expect_key(&mut cbor, 2)?;
        let min_version = cbor.u32()?;
        finish(&cbor)?;
        Ok(Self { deks, tombstones, min_version })
    }

    fn add_dek(&mut self, root: &[u8; 32], address: &impl Address, now: Timestamp) -> Result<(), SealError> {
        let bytes = fresh_dek(root, address)?;
        for dek in &mut self.deks {
            dek.state = DekState::DecryptOnly;
        }
        let generation =
            self.deks.last().map_or(1, |dek| dek.generation.saturating_add(1)).max(self.min_version);
        let key = SealingKey::derive(&bytes);
        self.deks.push(Dek { key, bytes, generation, state: DekState::Active, created_at: now });
        Ok(())
    }
}

impl Dek {
    fn decode(cbor: &mut Decoder<'_>) -> Result<Self, RowError> {
        if cbor.map()? != Some(5) {
            return Err(RowError::Malformed);
        }
        expect_key(cbor, 0)?;
        let id = decode_id(cbor)?;
        expect_key(cbor, 1)?;
        let mut bytes = Zeroizing::new([0; 32]);
        let exact: &[u8; 32] = cbor.bytes()?.try_into().map_err(|_| RowError::Malformed)?;
        bytes.copy_from_slice(exact);
        let key = SealingKey::derive(&bytes);
        // The id is derived from the key: a key listed under another id would be used by mistake.
        if *key.id() != id {
            return Err(RowError::Malformed);
        }
        expect_key(cbor, 2)?;
        let generation = cbor.u32()?;
        expect_key(cbor, 3)?;
        let state = match cbor.u8()? {
            0 => DekState::Active,
            1 => DekState::DecryptOnly,
            _ => return Err(RowError::Malformed),
        };
        expect_key(cbor, 4)?;
        Ok(Self { key, bytes, generation, state, created_at: Timestamp::from_ms(cbor.u64()?) })
    }

    fn copy(&self) -> Self {
        Self { key: SealingKey::derive(&self.bytes), bytes: self.bytes.clone(), ..*self }
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids: Vec<_> = self.deks.iter().map(|dek| dek.key.id()).collect();
        f.debug_struct("Keyring").field("deks", &ids).field("tombstones", &self.tombstones).finish()
    }
}

/// Copies of the keys that `keep` takes, with room for more: a list that grows would leave keys behind.
fn copies(deks: &[Dek], more: usize, keep: impl Fn(&Dek) -> bool) -> Vec<Dek> {
    let mut copies = Vec::with_capacity(deks.len() + more);
    copies.extend(deks.iter().filter(|dek| keep(dek)).map(Dek::copy));
    copies
}

fn fresh_dek(root: &[u8; 32], address: &impl Address) -> Result<Zeroizing<[u8; 32]>, SealError> {
    let mut fresh = Zeroizing::new([0; 32]);
    random::fill(&mut *fresh).map_err(|error: RandomError| SealError::Random(error))?;
    Ok(new_dek(root, address, &fresh))
}

fn list<T>(
    cbor: &mut Decoder<'_>,
    decode: impl Fn(&mut Decoder<'_>) -> Result<T, RowError>,
) -> Result<Vec<T>, RowError> {
    let len = cbor.array()?.ok_or(RowError::Malformed)?;
    // Room for all at once, since a list of keys that grows would leave some behind. Each item holds an id.
    let room = usize::try_from(len).ok().filter(|len| *len <= cbor.input().len() / size_of::<DekId>());
    let mut items = Vec::with_capacity(room.ok_or(RowError::Malformed)?);
    for _ in 0..len {
        items.push(decode(cbor)?);
    }
    Ok(items)
}

fn decode_id(cbor: &mut Decoder<'_>) -> Result<DekId, RowError> {
    cbor.bytes()?.try_into().map(DekId::from_bytes).map_err(|_| RowError::Malformed)
}

/// Beyond this, the oldest tombstones are forgotten: what those keys sealed is then an error instead of absent.
const TOMBSTONES_MAX: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: [u8; 32] = [1; 32];

    /// Keys are made for an address, whatever it is.
    fn address() -> Vec<u8> {
        vec![2; 16]
    }

    fn keyring() -> Keyring {
        Keyring::generate(&ROOT, &address(), Timestamp::from_ms(9)).unwrap()
    }

    #[test]
    fn a_keyring_reads_back_with_the_same_keys() {
        let keyring = keyring().renew(&ROOT, &address(), Timestamp::from_ms(10)).unwrap();
        let read = Keyring::decode(&keyring.encode()).unwrap();
        assert_eq!(read.active().unwrap().id(), keyring.active().unwrap().id());
        assert_eq!(read.deks.len(), 2);
        assert!(read.deks[0].state == DekState::DecryptOnly && read.deks[1].generation == 2);
    }

    #[test]
    fn a_keyring_of_any_length_fits_its_buffer_and_nothing_may_follow_it() {
        for (deks_len, tombstones_len) in [(0, TOMBSTONES_MAX), (1, 0), (3, 0), (300, TOMBSTONES_MAX)] {
            let mut dek = keyring().deks.remove(0);
            (dek.generation, dek.created_at) = (u32::MAX, Timestamp::from_ms(u64::MAX));
            let deks = (0..deks_len).map(|_| dek.copy()).collect();
            let tombstones = vec![*dek.key.id(); tombstones_len];
            let plaintext = Keyring { deks, tombstones, min_version: u32::MAX }.encode();
            assert!(Keyring::decode(&plaintext).is_ok());
            let longer = [&plaintext[..], &[0]].concat();
            assert_eq!(Keyring::decode(&longer).err(), Some(RowError::Malformed));
        }
    }

    /// A list that grew would have left the keys in it where it was before.
    #[test]
    fn no_list_of_keys_grows_whatever_is_made_of_a_keyring() {
        let renewed = |keyring: Keyring| keyring.renew(&ROOT, &address(), Timestamp::from_ms(10)).unwrap();
        let three = renewed(renewed(keyring()));
        let read = Keyring::decode(&three.encode()).unwrap();
        let kept = read.drop_those(|_| false);
        for keyring in [three, read, kept] {
            assert_eq!((keyring.deks.len(), keyring.deks.capacity()), (3, 3));
        }
    }

    #[test]
    fn a_key_listed_under_another_id_is_refused() {
        let mut keyring = keyring();
        keyring.deks[0].bytes[0] ^= 1;
        assert_eq!(Keyring::decode(&keyring.encode()).err(), Some(RowError::Malformed));
    }

    #[test]
    fn a_dropped_key_is_known_as_dropped_and_a_new_one_is_fresh() {
        let keyring = keyring();
        let old = *keyring.active().unwrap().id();
        let dropped = Keyring::decode(&keyring.drop_keys().encode()).unwrap();
        assert!(dropped.active().is_none());
        assert!(matches!(dropped.key(&old), KeyLookup::Dropped));
        let renewed = dropped.renew(&ROOT, &address(), Timestamp::from_ms(11)).unwrap();
        assert!(matches!(renewed.key(&old), KeyLookup::Dropped));
        assert_ne!(*renewed.active().unwrap().id(), old);
    }

    #[test]
    fn of_too_many_dropped_keys_the_oldest_are_forgotten() {
        let mut full = keyring();
        let ids = (0_u128..).map(|number| DekId::from_bytes(number.to_be_bytes()));
        full.tombstones = ids.take(TOMBSTONES_MAX).collect();
        let newest = *full.active().unwrap().id();
        assert_eq!(full.drop_keys().tombstones, [&full.tombstones[1..], &[newest]].concat());
    }

    #[test]
    fn a_destroyed_key_is_unknown_and_its_generation_never_comes_back() {
        let old = keyring();
        let old_id = *old.active().unwrap().id();
        let turned = old.renew(&ROOT, &address(), Timestamp::from_ms(10)).unwrap();
        assert!(matches!(turned.key(&old_id), KeyLookup::Listed(_)));
        let alone = Keyring::decode(&turned.destroy_retired().encode()).unwrap();
        assert!(matches!(alone.key(&old_id), KeyLookup::Unknown));
        assert_eq!((alone.deks.len(), alone.min_version, alone.retired_len()), (1, 2, 0));
        assert_eq!(alone.active().unwrap().id(), turned.active().unwrap().id());
        let next = alone.drop_keys().renew(&ROOT, &address(), Timestamp::from_ms(11)).unwrap();
        assert!(next.active().is_some() && next.deks[0].generation >= 2);
        assert!(matches!(next.key(next.active().unwrap().id()), KeyLookup::Listed(_)));
    }

    #[test]
    fn a_key_below_the_floor_is_unknown() {
        let mut keyring = keyring();
        keyring.min_version = 2;
        let id = *keyring.active().unwrap().id();
        assert!(matches!(keyring.key(&id), KeyLookup::Unknown));
    }
}
