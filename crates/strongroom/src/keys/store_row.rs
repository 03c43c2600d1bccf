//! The sealed `store` row: settings that must not be downgraded, and the history of which slot held which root.

use minicbor::{Decode, Encode};
use zeroize::Zeroizing;

use crate::clock::Timestamp;
use crate::envelope::{DekId, KeyMaterial, SealingKey, StoreId};
use crate::error::{Damage, Error, SlotError};
use crate::id::OrgId;
use crate::keys::floor::{self, Floor};
use crate::keys::provider::ProviderKey;
use crate::keys::{Document, Provider, Slot, seal};
use crate::model::{Revision, Settings};
use crate::row::{Row, RowError, RowKind, SealedRow, VaultRow, encode_secret};
use crate::store::{Expect, RowRevision, Versioned, WriteBatch};

/// The `store` row, opened.
pub(crate) struct StoreRow {
    pub(crate) body: StoreBody,
    pub(crate) row_revision: RowRevision,
    pub(crate) revision: Revision,
}

/// The content of the `store` row, sealed under the root key.
#[derive(Encode, Decode)]
#[cbor(map)]
pub(crate) struct StoreBody {
    #[cbor(n(0), with = "minicbor::bytes")]
    pub(crate) root_id: [u8; 16],
    /// Whether a digest of all rows is kept, and in how many shards: not used in this version.
    #[n(1)]
    digest: bool,
    #[n(2)]
    digest_shards: u16,
    /// Records of a lower suite are not accepted.
    #[n(3)]
    min_suite: u8,
    /// The history of which slot held which root.
    #[n(4)]
    pub(crate) slots: Vec<SlotHeld>,
    /// The former root, while rows are left under it.
    #[n(5)]
    pub(crate) retiring: Option<RetiringRoot>,
    /// The settings of every engine; absent in rows of the first release.
    #[n(6)]
    settings: Option<u64>,
    /// The count of the latest mark; it only grows.
    #[n(7)]
    mark: Option<u64>,
    /// The ids of data keys that were shredded, one after the other, oldest first.
    #[cbor(n(8), with = "minicbor::bytes")]
    shredded: Option<Vec<u8>>,
    /// The floors of shredded scopes, one after the other, oldest first.
    #[cbor(n(9), with = "minicbor::bytes")]
    floors: Option<Vec<u8>>,
    /// The ids of orgs that were backed up under another key, one after the other, oldest first.
    #[cbor(n(10), with = "minicbor::bytes")]
    exported: Option<Vec<u8>>,
}

/// The former root key; wiped on drop.
pub(crate) struct RetiringRoot(KeyMaterial);

impl<C> Encode<C> for RetiringRoot {
    fn encode<W: minicbor::encode::Write>(
        &self,
        cbor: &mut minicbor::Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        cbor.bytes(&**self.0)?.ok()
    }
}

impl<'b, C> Decode<'b, C> for RetiringRoot {
    fn decode(cbor: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        let exact: &[u8; 32] = cbor.bytes()?.try_into().map_err(minicbor::decode::Error::custom)?;
        let mut root = KeyMaterial::default();
        root.copy_from_slice(exact);
        Ok(Self(root))
    }
}

/// A slot that holds or held a root.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub(crate) struct SlotHeld {
    #[cbor(n(0), with = "minicbor::bytes")]
    pub(crate) slot_id: [u8; 16],
    /// The number of a slot's provider; see [`Provider::tag`].
    #[n(1)]
    pub(crate) provider: u8,
    #[cbor(n(2), with = "minicbor::bytes")]
    pub(crate) root_id: [u8; 16],
    /// When it began to hold the root; unknown for slots of the first release.
    #[n(3)]
    pub(crate) since_ms: Option<u64>,
    /// When it was removed or changed, or got another root.
    #[n(4)]
    pub(crate) until_ms: Option<u64>,
    /// The first valid revision of the slot's row: an older row was replaced.
    #[n(5)]
    revision: Option<u64>,
    /// The key of a key provider that wrapped it.
    #[n(6)]
    pub(crate) key: Option<KeyHeld>,
    /// What the provider said happened to that key.
    #[n(7)]
    pub(crate) end: Option<KeyEnd>,
}

/// What happened to a provider's key that was to be destroyed. Both fields are empty while the provider is being asked.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub(crate) struct KeyEnd {
    /// When the key will be destroyed, if its deletion was scheduled.
    #[n(0)]
    pub(crate) until_ms: Option<u64>,
    /// How the provider knows that it is destroyed.
    #[n(1)]
    pub(crate) evidence: Option<String>,
}

/// A key of a key provider.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub(crate) struct KeyHeld {
    #[n(0)]
    pub(crate) kind: String,
    #[n(1)]
    pub(crate) id: String,
    #[n(2)]
    pub(crate) version: u64,
}

impl KeyHeld {
    /// Whether both are the same key of a provider, in any version: it is destroyed with all its versions.
    pub(crate) fn is_version_of(&self, other: &Self) -> bool {
        (&self.kind, &self.id) == (&other.kind, &other.id)
    }

    pub(crate) fn name(&self) -> ProviderKey {
        ProviderKey::new(self.id.clone(), self.version)
    }
}

impl StoreRow {
    /// Opens the row and checks its content against the vault.
    pub(crate) fn open(store_id: &StoreId, root: &SealingKey, found: &Versioned) -> Result<Self, Error> {
        let sealed = SealedRow::decode(RowKind::Sealed, &found.value)
            .map_err(|error| Error::row(ROW.name(), error))?;
        let opened = root.open(&ROW.address(store_id, None, sealed.revision), sealed.record);
        let plaintext = opened.map_err(|error| Error::open(ROW.name(), error))?;
        let decoded = minicbor::decode(&plaintext).map_err(RowError::from);
        let body: StoreBody = decoded.map_err(|error| Error::content(ROW.name(), error))?;
        // It opens under this root, so its writer knew the root: an engine is at fault, and it is not a forgery.
        if body.root_id != *root.id().as_bytes() {
            return Err(Error::damaged(ROW.name(), Damage::Inconsistent));
        }
        // This release would write records that the vault no longer accepts.
        if body.min_suite > SUITE {
            return Err(Error::UnknownVersion { row: ROW.name(), version: body.min_suite });
        }
        // Check before anything is written: this release must not lose a setting or an entry, of a slot too, that it
        // does not know.
        body.settings()?;
        if *body.plaintext() != *plaintext {
            return Err(Error::UnknownVersion { row: ROW.name(), version: SUITE + 1 });
        }
        Ok(Self { body, row_revision: found.revision, revision: sealed.revision })
    }

    /// Adds the row with the present body to a batch, which expects the row as it was read.
    pub(crate) fn put_in(
        &self,
        batch: &mut WriteBatch,
        store_id: &StoreId,
        root: &SealingKey,
    ) -> Result<(), Error> {
        let row = self.body.seal(store_id, root, self.revision.next())?;
        batch.expect(VaultRow::Store.key(), Expect::Revision(self.row_revision));
        batch.put(VaultRow::Store.key(), row);
        Ok(())
    }
}

impl StoreBody {
    /// The body of a new vault.
    pub(crate) fn new(root_id: &DekId) -> Self {
        let root_id = *root_id.as_bytes();
        Self {
            root_id,
            digest: false,
            digest_shards: 0,
            min_suite: SUITE,
            slots: Vec::new(),
            retiring: None,
            settings: None,
            mark: None,
            shredded: None,
            floors: None,
            exported: None,
        }
    }

    /// Advances the count of marks, to the time in milliseconds if that is higher. So a store restored from an old
    /// backup is still ahead of the marks that were made after the backup. Returns the new count.
    pub(crate) fn move_mark(&mut self, now: Timestamp) -> u64 {
        let next = self.mark().saturating_add(1).max(now.as_ms());
        self.mark = Some(next);
        next
    }

    /// The count of the latest mark; 0 if there was none.
    pub(crate) fn mark(&self) -> u64 {
        self.mark.unwrap_or(0)
    }

    /// Fails if the count is below that of a mark that was kept.
    pub(crate) fn refuse_before(&self, seen: u64) -> Result<(), Error> {
        let found = self.mark();
        if found >= seen {
            Ok(())
        } else {
            Err(Error::RolledBack { row: "the store".to_owned(), seen, found })
        }
    }

    /// The settings that every engine of the vault obeys.
    ///
    /// # Errors
    /// [`Error::UnknownVersion`] for a setting of a later release, which must not be ignored.
    pub(crate) fn settings(&self) -> Result<Settings, Error> {
        let settings = Settings::from_bits(self.settings.unwrap_or(0));
        settings.ok_or_else(|| Error::UnknownVersion { row: ROW.name(), version: SUITE + 1 })
    }

    pub(crate) fn set_settings(&mut self, settings: Settings) {
        // Default settings leave the row as in the first release.
        self.settings = (settings != Settings::default()).then(|| settings.as_bits());
    }

    /// Seals the body into the bytes of its row.
    pub(crate) fn seal(
        &self,
        store_id: &StoreId,
        root: &SealingKey,
        revision: Revision,
    ) -> Result<Vec<u8>, Error> {
        seal(root, store_id, &ROW, &Document { id: None, revision, body: &self.plaintext() })
    }

    /// The next revision of a slot that is rewritten without the key that opens it. Only what is sealed here counts:
    /// the revision in the slot's row is in the clear, and whoever holds the store can change it.
    pub(crate) fn next_revision(&self, slot_id: &[u8; 16]) -> u64 {
        let held = self.slots.iter().filter(|held| held.slot_id == *slot_id);
        held.map(|held| held.revision.unwrap_or(UNNOTED_MAX)).max().unwrap_or(0).saturating_add(1)
    }

    /// Notes that `slot` holds the root from now on, in place of what it held before. Refuses a key that was destroyed
    /// or is about to be.
    pub(crate) fn hold(&mut self, slot: &Slot, now: Timestamp) -> Result<(), Error> {
        let held = SlotHeld::of(slot, self.root_id, now);
        let ending =
            self.slots.iter().filter(|known| known.end.is_some()).filter_map(|known| known.key.as_ref());
        if let Some(key) = &held.key
            && ending.into_iter().any(|known| known.is_version_of(key))
        {
            return Err(Error::Slot(SlotError::KeyShredded(key.name())));
        }
        let known = self.slots.iter_mut().find(|known| known.is_current() && known.is_same(&held));
        if let Some(known) = known {
            // A row of this slot that was written before must never count again.
            if held.revision <= known.revision {
                return Err(Error::damaged(slot.row_name(), Damage::Inconsistent));
            }
            known.revision = held.revision;
            return Ok(());
        }
        self.release(&slot.place.id, now);
        self.slots.push(held);
        self.prune()
    }

    /// The same for a slot that its host gives a key. A raw key or a passphrase counts as another one, since nothing
    /// tells it from the one before.
    pub(crate) fn hold_given(&mut self, slot: &Slot, now: Timestamp) -> Result<(), Error> {
        self.hold(slot, now)?;
        let given = self.slots.iter_mut().find(|held| held.slot_id == slot.place.id && held.is_current());
        if let Some(held) = given.filter(|held| held.key.is_none()) {
            held.since_ms = Some(now.as_ms());
        }
        Ok(())
    }

    /// Notes that `root` replaces the former root, which is kept while rows are left under it. No slot holds the new
    /// one yet.
    pub(crate) fn turn(&mut self, before: &KeyMaterial, root: &DekId, now: Timestamp) {
        self.retiring = Some(RetiringRoot(before.clone()));
        self.root_id = *root.as_bytes();
        for held in &mut self.slots {
            // No slot holds the new root until that is noted. A slot that ended earlier keeps its own time.
            held.until_ms.get_or_insert(now.as_ms());
        }
    }

    /// The former root.
    pub(crate) fn retiring(&self) -> Option<KeyMaterial> {
        self.retiring.as_ref().map(|root| root.0.clone())
    }

    /// The ids of data keys that were shredded: no keyring may list one again.
    pub(crate) fn shredded(&self) -> impl Iterator<Item = DekId> {
        let (ids, _) = self.shredded.as_deref().unwrap_or_default().as_chunks::<16>();
        ids.iter().map(|id| DekId::from_bytes(*id))
    }

    /// Notes data keys as shredded; the latest [`SHREDDED_MAX`] are kept. Returns whether one of them is new. More than
    /// that at once are not noted, since they would only displace others.
    pub(crate) fn note_shredded(&mut self, keys: &[DekId]) -> Result<bool, Error> {
        if keys.len() > SHREDDED_MAX {
            return Ok(false);
        }
        let mut noted: Vec<DekId> = self.shredded().collect();
        let before = noted.len();
        for key in keys {
            if !noted.contains(key) {
                noted.push(*key);
            }
        }
        if noted.len() == before {
            return Ok(false);
        }
        noted.drain(..noted.len().saturating_sub(SHREDDED_MAX));
        self.shredded = Some(noted.iter().flat_map(|id| *id.as_bytes()).collect());
        self.prune().map(|()| true)
    }

    /// The floors of shredded scopes.
    pub(crate) fn floors(&self) -> impl Iterator<Item = Floor> {
        let (floors, _) = self.floors.as_deref().unwrap_or_default().as_chunks::<{ floor::LEN }>();
        floors.iter().filter_map(Floor::from_bytes)
    }

    /// Notes that keyrings below a floor do not count; the latest [`FLOORS_MAX`] are kept, or as many as there is room
    /// for. Returns whether it is new.
    pub(crate) fn note_floor(&mut self, floor: Floor) -> Result<bool, Error> {
        if self.floors().any(|known| known.covers(&floor)) {
            return Ok(false);
        }
        let mut noted: Vec<Floor> = self.floors().filter(|known| !floor.covers(known)).collect();
        noted.push(floor);
        noted.drain(..noted.len().saturating_sub(FLOORS_MAX));
        self.floors = Some(noted.into_iter().flat_map(Floor::to_bytes).collect());
        self.prune().map(|()| true)
    }

    /// Whether it is noted that an org was backed up under another key.
    pub(crate) fn was_exported(&self, org: &OrgId) -> bool {
        self.exported().contains(org.as_bytes())
    }

    /// Notes that orgs are backed up under another key; the latest [`EXPORTED_MAX`] are kept. Returns whether one is
    /// new.
    pub(crate) fn note_exported(&mut self, orgs: &[OrgId]) -> Result<bool, Error> {
        let mut noted = self.exported().to_vec();
        let before = noted.len();
        noted.extend(orgs.iter().filter(|org| !self.was_exported(org)).map(|org| *org.as_bytes()));
        if noted.len() == before {
            return Ok(false);
        }
        noted.drain(..noted.len().saturating_sub(EXPORTED_MAX));
        self.exported = Some(noted.concat());
        self.prune().map(|()| true)
    }

    fn exported(&self) -> &[[u8; 12]] {
        self.exported.as_deref().unwrap_or_default().as_chunks().0
    }

    /// Whether the history has the entry `held`: a slot of the same kind, with the same root under the same key.
    pub(crate) fn knows(&self, held: &SlotHeld) -> bool {
        self.slots.iter().any(|known| known.stands_for(held))
    }

    /// Notes that a slot no longer holds a root.
    pub(crate) fn release(&mut self, slot_id: &[u8; 16], now: Timestamp) {
        for held in &mut self.slots {
            if held.slot_id == *slot_id && held.is_current() {
                held.until_ms = Some(now.as_ms());
            }
        }
    }

    /// The entry of `slot`, if it holds the active root; `None` for a row that was removed or replaced since.
    pub(crate) fn held(&self, slot: &Slot) -> Option<&SlotHeld> {
        let held = SlotHeld::of(slot, self.root_id, Timestamp::from_ms(0));
        let revision = slot.place.revision;
        self.slots.iter().find(|known| {
            known.is_current() && known.is_same(&held) && known.revision.is_none_or(|first| revision >= first)
        })
    }

    /// Keeps the row within its size limit. Among slots that no longer hold a root, one entry is enough for all that
    /// held the same root under the same key, or under any raw key, or under any passphrase.
    fn prune(&mut self) -> Result<(), Error> {
        while self.plaintext().len() > BODY_BYTES_MAX {
            let surplus = self.slots.iter().enumerate().position(|(at, held)| {
                let mut others = self.slots.iter().enumerate().filter(|(other, _)| *other != at);
                !held.is_current() && others.any(|(_, other)| other.stands_for(held))
            });
            if surplus.is_none() && self.floors.as_ref().is_some_and(|floors| floors.len() > floor::LEN) {
                // From now on, a receipt of that shred says no more than logical.
                self.floors.iter_mut().for_each(|floors| drop(floors.drain(..floor::LEN)));
                continue;
            }
            let Some(surplus) = surplus else {
                return Err(Error::TooLong { what: "the history of key slots", max: BODY_BYTES_MAX });
            };
            self.slots.remove(surplus);
        }
        Ok(())
    }

    fn plaintext(&self) -> Zeroizing<Vec<u8>> {
        let held_len = |held: &SlotHeld| {
            let key = held.key.iter().flat_map(|key| [&key.kind, &key.id]);
            let evidence = held.end.iter().flat_map(|end| &end.evidence);
            key.chain(evidence).map(String::len).sum::<usize>() + 160
        };
        let noted_len =
            [&self.shredded, &self.floors, &self.exported].into_iter().flatten().map(Vec::len).sum::<usize>();
        let len_max = self.slots.iter().map(held_len).sum::<usize>() + noted_len + 128;
        encode_secret(len_max, |cbor| cbor.encode(self).map(drop))
    }
}

impl SlotHeld {
    fn of(slot: &Slot, root_id: [u8; 16], since: Timestamp) -> Self {
        let key = match &slot.provider {
            Provider::RawKey | Provider::Passphrase { .. } => None,
            Provider::External(key) => {
                let (id, version) = (key.wrapped.key.id.clone(), key.wrapped.key.version);
                Some(KeyHeld { kind: key.kind.clone(), id, version })
            }
        };
        Self {
            slot_id: slot.place.id,
            provider: slot.provider.tag(),
            root_id,
            since_ms: Some(since.as_ms()),
            until_ms: None,
            revision: Some(slot.place.revision),
            key,
            end: None,
        }
    }

    pub(crate) fn is_current(&self) -> bool {
        self.until_ms.is_none()
    }

    /// Whether both held the same root under the same key, or under any raw key, or under any passphrase.
    fn stands_for(&self, other: &Self) -> bool {
        (self.provider, self.root_id, &self.key) == (other.provider, other.root_id, &other.key)
    }

    /// Whether both are the same slot with the same root under the same key.
    fn is_same(&self, other: &Self) -> bool {
        let identity = |held: &Self| (held.slot_id, held.provider, held.root_id);
        identity(self) == identity(other) && self.key == other.key
    }
}

const ROW: Row<'static> = Row::Vault(VaultRow::Store);

pub(crate) const FIRST: Revision = Revision::from_u64(1);
const SUITE: u8 = 1;
/// No slot was rewritten this often while its revision was not noted.
const UNNOTED_MAX: u64 = u32::MAX as u64;
/// Below the 64 KiB of a record, so that the row can always be sealed.
const BODY_BYTES_MAX: usize = 60 << 10;
/// A quarter of the row.
pub(crate) const SHREDDED_MAX: usize = 1_024;
/// Two fifths of the row, so that the history of slots has the rest.
const FLOORS_MAX: usize = 1_024;
/// 3 KiB.
const EXPORTED_MAX: usize = 256;

impl StoreRow {
    pub(crate) fn set_end(&mut self, key: &KeyHeld, end: Option<&KeyEnd>) {
        for held in self.body.slots.iter_mut().filter(|held| held.key.as_ref() == Some(key)) {
            held.end = end.cloned();
        }
    }
}

impl KeyEnd {
    /// The provider is about to be asked.
    pub(crate) const BEGUN: Self = Self { until_ms: None, evidence: None };

    /// Whether the provider said that the key is gone.
    pub(crate) fn is_confirmed(&self) -> bool {
        self.evidence.is_some()
    }

    /// Whether the date that the provider named is still to come.
    pub(crate) fn is_pending(&self, now: Timestamp) -> bool {
        self.until_ms > Some(now.as_ms())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::provider::{ProviderKey, Wrapped};
    use crate::keys::{ExternalKey, SlotPlace};

    fn slot(id: u16, revision: u64, key: Option<&str>) -> Slot {
        let mut place = SlotPlace { id: [0; 16], store_id: [2; 16], revision };
        place.id[..2].copy_from_slice(&id.to_be_bytes());
        let provider = key.map_or(Provider::RawKey, |key| {
            let wrapped = Wrapped::new(ProviderKey::new(key, 1), vec![1]);
            Provider::External(ExternalKey { kind: "test".to_owned(), wrapped })
        });
        Slot::seal(place, provider, &[3; 32], &[4; 32]).unwrap()
    }

    /// The name of a provider's key, so long that some fifty fill the row.
    fn long_key(number: u16) -> String {
        format!("{number:0>1000}")
    }

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_ms(ms)
    }

    pub(crate) fn body() -> StoreBody {
        StoreBody::new(&DekId::from_bytes([5; 16]))
    }

    #[test]
    fn a_body_of_the_first_release_reads_and_says_the_same() {
        // {0: root, 1: false, 2: 0, 3: 1, 4: [{0: slot, 1: 0, 2: root}]}
        let (root, slot_id) = ("05".repeat(16), "00".repeat(16));
        let bytes = format!("a50050{root}01f4020003010481a30050{slot_id}01000250{root}");
        let read: StoreBody = minicbor::decode(&hex::decode(&bytes).unwrap()).unwrap();
        assert!(read.held(&slot(0, 1, None)).is_some());
        assert_eq!(hex::encode(&*read.plaintext()), bytes);
    }

    #[test]
    fn a_slot_of_the_first_release_that_is_changed_does_not_count_as_it_was() {
        let (mut body, old) = (body(), slot(1, 3, None));
        body.hold(&old, at(1)).unwrap();
        // The first release noted neither.
        (body.slots[0].since_ms, body.slots[0].revision) = (None, None);
        assert!(body.held(&old).is_some());
        let changed = slot(1, body.next_revision(&old.place.id), None);
        body.hold(&changed, at(2)).unwrap();
        assert!(body.held(&changed).is_some() && body.held(&old).is_none());
    }

    #[test]
    fn a_body_of_any_length_fits_its_buffer_and_reads_back() {
        for (slots_len, key, is_full) in [(0, None, false), (9, None, true), (9, Some("a"), true)] {
            let mut body = body();
            for id in 0..slots_len {
                body.hold(&slot(id, u64::MAX, key), at(u64::MAX)).unwrap();
                body.slots[usize::from(id)].until_ms = Some(u64::MAX);
            }
            if is_full {
                body.retiring = Some(RetiringRoot(KeyMaterial::default()));
                (body.settings, body.mark) = (Some(0), Some(u64::MAX));
                for noted in [&mut body.shredded, &mut body.floors, &mut body.exported] {
                    *noted = Some(vec![7; 48 * 20]);
                }
                let end = KeyEnd { until_ms: Some(u64::MAX), evidence: Some("e".repeat(300)) };
                body.slots
                    .iter_mut()
                    .filter(|held| held.key.is_some())
                    .for_each(|held| held.end = Some(end.clone()));
            }
            let plaintext = body.plaintext();
            let read: StoreBody = minicbor::decode(&plaintext).unwrap();
            assert_eq!(*read.plaintext(), *plaintext);
        }
    }

    #[test]
    fn a_body_with_a_mark_is_that_of_the_format() {
        let mut body = body();
        assert_eq!((body.mark(), body.move_mark(at(1_700_000_000_000))), (0, 1_700_000_000_000));
        assert_eq!(body.move_mark(at(1)), 1_700_000_000_001, "a clock that goes back");
        // {0: root, 1: false, 2: 0, 3: 1, 4: [], 7: mark}
        let bytes = format!("a60050{}01f4020003010480071b0000018bcfe56801", "05".repeat(16));
        assert_eq!(hex::encode(&*body.plaintext()), bytes);
        let read: StoreBody = minicbor::decode(&hex::decode(&bytes).unwrap()).unwrap();
        assert_eq!(read.mark(), 1_700_000_000_001);
    }

    #[test]
    fn a_body_with_shredded_keys_reads_and_says_the_same() {
        // {0: root, 1: false, 2: 0, 3: 1, 4: [], 8: ids}
        let (root, ids) = ("05".repeat(16), "07".repeat(16) + &"08".repeat(16));
        let bytes = format!("a60050{root}01f4020003010480085820{ids}");
        let read: StoreBody = minicbor::decode(&hex::decode(&bytes).unwrap()).unwrap();
        assert!(read.shredded().eq([7, 8].map(|byte| DekId::from_bytes([byte; 16]))));
        assert_eq!(hex::encode(&*read.plaintext()), bytes);
    }

    #[test]
    fn the_latest_shredded_keys_are_kept_and_each_is_noted_once() {
        let id = |number: usize| {
            let mut id = [0; 16];
            id[..8].copy_from_slice(&number.to_be_bytes());
            DekId::from_bytes(id)
        };
        let mut body = body();
        let ids: Vec<_> = (0..SHREDDED_MAX + 3).map(id).collect();
        assert!(!body.note_shredded(&ids).unwrap());
        assert!(body.note_shredded(&ids[..4]).unwrap());
        assert!(body.note_shredded(&ids[3..]).unwrap());
        assert!(!body.note_shredded(&ids[3..]).unwrap());
        assert!(body.shredded().eq(ids[3..].iter().copied()));
        assert!(body.plaintext().len() <= BODY_BYTES_MAX);
    }

    #[test]
    fn a_body_with_floors_and_backed_up_orgs_reads_and_says_the_same() {
        // {0: root, 1: false, 2: 0, 3: 1, 4: [], 9: floors, 10: orgs}
        let (root, orgs) = ("05".repeat(16), "0a".repeat(12));
        let floors = "09".repeat(16) + "0000000000000007";
        let bytes = format!("a70050{root}01f4020003010480095818{floors}0a4c{orgs}");
        let read: StoreBody = minicbor::decode(&hex::decode(&bytes).unwrap()).unwrap();
        assert_eq!(read.floors().map(|floor| floor.revision).collect::<Vec<_>>(), [7]);
        assert!(read.was_exported(&orgs.parse().unwrap()));
        assert_eq!(hex::encode(&*read.plaintext()), bytes);
    }

    #[test]
    fn the_latest_floors_and_orgs_are_kept_and_floors_make_room_for_slots() {
        let tenant = |number: u32| {
            let org = format!("{number:024x}").parse().unwrap();
            crate::row::TenantId::new(org, crate::id::Environment::test())
        };
        let floor = |number| Floor::of(&tenant(number).keyring(None), Revision::from_u64(7));
        let mut body = body();
        body.floors = Some((0..1_020).flat_map(|number| floor(number).to_bytes()).collect());
        body.exported = Some((764..1_020).flat_map(|number| *tenant(number).org.as_bytes()).collect());
        for number in 1_020..1_030 {
            assert!(body.note_floor(floor(number)).unwrap() && !body.note_floor(floor(number)).unwrap());
            assert!(body.note_exported(&[tenant(number).org]).unwrap());
            assert!(!body.note_exported(&[tenant(number).org]).unwrap());
        }
        let has = |body: &StoreBody, number| {
            let sought = floor(number);
            body.floors().any(|known| known == sought)
        };
        assert!(!has(&body, 5) && has(&body, 6) && has(&body, 1_029));
        assert!(!body.was_exported(&tenant(773).org) && body.was_exported(&tenant(774).org));
        let mut hold = |id| {
            let held = body.hold(&slot(id, 1, Some(&long_key(id))), at(1));
            body.release(&slot(id, 1, None).place.id, at(2));
            assert!(body.plaintext().len() <= BODY_BYTES_MAX || held.is_err());
            (held, body.floors().count(), has(&body, 1_029))
        };
        let mut floors_len = 1_024;
        for id in 0..80 {
            let (held, left, has_last) = hold(id);
            if id < 20 {
                assert_eq!(left, 1_024, "there is room for all");
            }
            assert!(
                has_last && left <= floors_len && left > 0,
                "the oldest make room, and never the last one"
            );
            floors_len = left;
            if held.is_err() {
                break;
            }
        }
        assert_eq!(floors_len, 1);
    }

    #[test]
    fn an_entry_of_a_later_release_is_refused_before_it_could_be_lost() {
        let root = SealingKey::derive(&KeyMaterial::default());
        let mut body = StoreBody::new(root.id());
        body.hold(&slot(1, 1, Some("a")), at(1)).unwrap();
        let plaintext = body.plaintext();
        let opened = |plaintext: &[u8]| {
            let document = Document { id: None, revision: FIRST, body: plaintext };
            let value = seal(&root, &[2; 16], &ROW, &document).unwrap();
            StoreRow::open(&[2; 16], &root, &Versioned { value, revision: RowRevision(1) }).map(drop)
        };
        opened(&plaintext).unwrap();
        body.settings = Some(u64::MAX);
        let of_settings = body.plaintext().to_vec();
        (body.settings, body.min_suite) = (None, 2);
        let of_suite = body.plaintext().to_vec();
        let of_row = [&[plaintext[0] + 1], &plaintext[1..], &[0x0b, 0x01]].concat();
        // The last entry is the list of slots, and the last one of its slot is that of the provider's key.
        let key = plaintext.iter().rposition(|byte| *byte == 0xa3).unwrap();
        let mut of_key = [&plaintext[..], &[0x18, 0x20, 0x01]].concat();
        of_key[key] += 1;
        for later in [of_row, of_key, of_settings, of_suite] {
            assert!(matches!(opened(&later), Err(Error::UnknownVersion { version: 2, .. })));
        }
    }

    #[test]
    fn a_slot_that_was_removed_or_changed_stays_in_the_history_and_holds_no_more() {
        let mut body = body();
        body.hold(&slot(1, 1, None), at(1)).unwrap();
        body.hold(&slot(1, 2, Some("a")), at(2)).unwrap();
        body.hold(&slot(1, 3, Some("a")), at(3)).unwrap();
        assert!(body.held(&slot(1, 1, None)).is_none());
        assert!(body.held(&slot(1, 2, Some("a"))).is_none(), "an older row of the same key");
        assert!(body.held(&slot(1, 3, Some("a"))).is_some());
        body.release(&slot(1, 3, None).place.id, at(4));
        assert!(body.held(&slot(1, 3, Some("a"))).is_none());
        let history: Vec<_> = body.slots.iter().map(|held| (held.since_ms, held.until_ms)).collect();
        assert_eq!(history, [(Some(1), Some(2)), (Some(2), Some(4))]);
    }

    #[test]
    fn no_slot_that_holds_the_root_makes_room_in_the_history() {
        let (mut body, key) = (body(), long_key(0));
        let current = [slot(500, 1, Some(&key)), slot(501, 1, Some(&key)), slot(502, 1, None)];
        for slot in &current {
            body.hold(slot, at(1)).unwrap();
        }
        for id in 0..80 {
            body.hold(&slot(id, 1, Some(&key)), at(2)).unwrap();
            body.release(&slot(id, 1, None).place.id, at(3));
            assert!(current.iter().all(|slot| body.held(slot).is_some()), "{id}");
        }
        assert!(body.slots.len() < 80, "others made room");
    }

    #[test]
    fn the_history_is_bounded_and_forgets_no_kind_of_key() {
        let (mut body, key) = (body(), long_key(0));
        for id in 0..80 {
            body.hold(&slot(id, 1, Some(&key)), at(1)).unwrap();
            body.release(&slot(id, 1, None).place.id, at(2));
            body.hold(&slot(id, 2, None), at(3)).unwrap();
            body.release(&slot(id, 2, None).place.id, at(4));
        }
        assert!(body.plaintext().len() <= BODY_BYTES_MAX);
        for provider in [Provider::RAW_KEY, Provider::EXTERNAL] {
            assert!(body.slots.iter().any(|held| held.provider == provider));
        }
        let different = (0..80).try_for_each(|id| {
            let held = body.hold(&slot(id, 3, Some(&long_key(id))), at(5));
            body.release(&slot(id, 3, None).place.id, at(6));
            held
        });
        assert!(matches!(different, Err(Error::TooLong { .. })));
    }
}
