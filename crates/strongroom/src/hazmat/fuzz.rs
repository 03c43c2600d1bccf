//! Properties of private parts for fuzz targets to check. Each function takes any bytes and panics when a property
//! fails.

use zeroize::Zeroizing;

use crate::id::{DefinitionId, Environment, LinkedAccountId, WorkflowId};
use crate::keys::{Keyring, Slot};
use crate::model::Revision;
use crate::row::body::{Sweep, ValueBody, decode_definition, encode_definition};
use crate::row::{
    RowKind, SealedRow, TenantId, VaultRow, decode_header, decode_index, encode_header, encode_index,
};
use crate::scope::Scope;
use crate::store::Key;

/// A row that decodes encodes to the same bytes again: there is only one form.
pub fn row(data: &[u8]) {
    for kind in [
        RowKind::ScopedValue,
        RowKind::Credential,
        RowKind::Definition,
        RowKind::Keyring,
        RowKind::Sealed,
        RowKind::Former,
        RowKind::Deleted,
        RowKind::FormerDefinition,
        RowKind::DeletedDefinition,
    ] {
        if let Ok(row) = SealedRow::decode(kind, data) {
            assert!(row.encode(kind) == data, "a sealed row has one form");
        }
    }
    if let Ok(target) = decode_index(data) {
        assert!(encode_index(target) == data, "an index row has one form");
    }
    if let Ok(store_id) = decode_header(data) {
        assert!(encode_header(&store_id) == data, "a header has one form");
    }
}

/// The plaintext of a record, and the clear part of a slot, is refused or encodes to the same bytes again.
pub fn plaintext(data: &[u8]) {
    if let Ok(body) = ValueBody::decode(Zeroizing::new(data.to_vec())) {
        let again = ValueBody::encode(&body.value, body.times, &body.metadata);
        assert!(is_form_of(&again, data), "a value reads back");
    }
    if let (Some(id), revision) = (DefinitionId::from_bytes(&[1; 12]), Revision::from_u64(1))
        && let Ok(stored) = decode_definition(id, revision, data)
    {
        let again = decode_definition(id, revision, &encode_definition(&stored));
        assert!(again.is_ok_and(|again| again == stored), "a definition reads back");
    }
    if let Ok(sweep) = Sweep::decode(data) {
        assert!(Sweep::decode(&sweep.encode()).is_ok_and(|again| again == sweep), "a job reads back");
    }
    if let Ok(keyring) = Keyring::decode(data) {
        assert!(is_form_of(&keyring.encode(), data), "a keyring reads back");
    }
    if let Ok(slot) = Slot::decode(data) {
        assert!(is_form_of(&slot.encode(), data), "a slot reads back");
    }
}

/// The cipher libraries give the same bytes.
#[cfg(feature = "aws-lc")]
pub fn primitives(data: &[u8]) {
    let Some((key, rest)) = data.split_first_chunk() else { return };
    let Some((nonce, rest)) = rest.split_first_chunk() else { return };
    let (bound, plaintext) = rest.split_at(rest.len().min(rest.first().copied().unwrap_or_default().into()));
    crate::envelope::assert_alike(key, nonce, bound, plaintext);
}

/// CBOR can encode a thing in several ways. The engine writes only the shortest.
fn is_form_of(encoded: &[u8], read: &[u8]) -> bool {
    encoded == read || encoded.len() < read.len()
}

/// Bytes that parse as the key of a row are that row's key, and the rows of two scopes never share a range.
pub fn key(data: &[u8]) {
    let Some(tenant) = tenant() else { return };
    let read = Key::from(data);
    if let Some(row) = VaultRow::parse(&read) {
        assert!(row.key().as_bytes() == data, "a key of the whole store has one form");
    }
    if let Some(tenant) = TenantId::of_key(&read)
        && let Some(row) = tenant.parse(&read)
    {
        assert!(row.key().as_bytes() == data, "a key of a tenant has one form");
    }
    // With a tenant's prefix in front, more inputs reach the parsers of its rows.
    let owned = Key::from([tenant.prefix(), data].concat());
    if let Some(row) = tenant.parse(&owned) {
        assert!(row.key().as_bytes() == owned.as_bytes(), "a key of a tenant has one form");
    }
    let Some((text, id)) = data.split_last_chunk::<12>() else { return };
    let Some(definition) = DefinitionId::from_bytes(id) else { return };
    let middle = text.len() / 2;
    let (Some(one), Some(other)) = (text.get(..middle).and_then(scope), text.get(middle..).and_then(scope))
    else {
        return;
    };
    for row in [tenant.value(&one, &definition), tenant.definition_value(&definition, &one)] {
        assert!(tenant.parse(&row.key()) == Some(row), "a row is read back from its key");
    }
    let value = tenant.value(&one, &definition).key();
    assert!(
        tenant.values(&other).contains(value.as_bytes()) == (one == other),
        "a scope is a range of its own"
    );
}

fn tenant() -> Option<TenantId> {
    Some(TenantId::new("6500a1b2c3d4e5f6a7b8c9d0".parse().ok()?, Environment::test()))
}

/// A scope from bytes: an odd first byte means a workflow, an even one a linked account.
fn scope(bytes: &[u8]) -> Option<Scope> {
    let (kind, id) = bytes.split_first()?;
    let id = std::str::from_utf8(id).ok()?;
    if kind % 2 == 1 {
        return id.parse::<WorkflowId>().ok().map(Scope::Workflow);
    }
    id.parse::<LinkedAccountId>().ok().map(Scope::LinkedAccount)
}
