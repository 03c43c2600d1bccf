//! The sealed `store` row: what must not be downgraded.

use minicbor::{Decode, Encode};

use crate::envelope::{Context, Kind, SealingKey, Slot, StoreId};
use crate::error::{Damage, Error};
use crate::model::Revision;
use crate::record::{RowError, RowKind, SealedRow};
use crate::store::Versioned;

/// What must not be downgraded, sealed under the root key.
#[derive(Encode, Decode)]
#[cbor(map)]
pub(super) struct StoreSheet {
    #[cbor(n(0), with = "minicbor::bytes")]
    root_id: [u8; 16],
    /// Whether a digest of all rows is kept, and over how many shards: not in this version.
    #[n(1)]
    digest: bool,
    #[n(2)]
    digest_shards: u16,
    /// Records of a lower suite are not accepted.
    #[n(3)]
    min_suite: u8,
    /// Which slots ever held which root.
    #[n(4)]
    slots: Vec<SlotHistory>,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct SlotHistory {
    #[cbor(n(0), with = "minicbor::bytes")]
    slot_id: [u8; 16],
    #[n(1)]
    provider: u8,
    #[cbor(n(2), with = "minicbor::bytes")]
    root_id: [u8; 16],
}

impl StoreSheet {
    pub(super) fn new(root: &SealingKey, slot: &Slot) -> Self {
        let root_id = *root.id().as_bytes();
        let history = SlotHistory { slot_id: slot.id, provider: slot.provider.tag(), root_id };
        Self { root_id, digest: false, digest_shards: 0, min_suite: SUITE, slots: vec![history] }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut plaintext = Vec::new();
        crate::record::infallible(minicbor::encode(self, &mut plaintext));
        plaintext
    }
}

pub(crate) fn check_store_row(
    store_id: &StoreId,
    root: &SealingKey,
    row: Option<&Versioned>,
) -> Result<(), Error> {
    let name = "the sealed `store` row";
    let row = row.ok_or_else(|| Error::damaged(name, Damage::Missing))?;
    let sealed = SealedRow::decode(RowKind::Sealed, &row.value).map_err(|error| Error::row(name, error))?;
    let context = Context { revision: sealed.revision.as_u64(), ..store_context(store_id) };
    let plaintext = root.open(&context, sealed.record).map_err(|error| Error::open(name, error))?;
    let decoded = minicbor::decode(&plaintext).map_err(RowError::from);
    let sheet: StoreSheet = decoded.map_err(|error| Error::row(name, error))?;
    if sheet.root_id != *root.id().as_bytes() {
        return Err(Error::damaged(name, Damage::Inconsistent));
    }
    if sheet.min_suite > SUITE {
        return Err(Error::UnknownVersion { row: name.to_owned(), version: sheet.min_suite });
    }
    Ok(())
}

pub(super) fn store_context(store_id: &StoreId) -> Context<'_> {
    Context {
        kind: Kind::Row,
        store_id,
        org: "",
        environment: "",
        linked_account: None,
        workflow: None,
        name: "store",
        key_name: "",
        doc_id: "",
        revision: FIRST.as_u64(),
    }
}

pub(super) const FIRST: Revision = Revision::from_u64(1);
const SUITE: u8 = 1;
