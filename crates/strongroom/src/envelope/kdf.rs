//! Keys from keys: HKDF-SHA256, the expand step only (RFC 5869 section 2.3).

use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::{Context, ContextTooLong, Kind, StoreId};

/// A key of 32 bytes from `prk`, which must be uniform, and the concatenation of `info`.
pub(crate) fn expand(prk: &[u8; 32], info: &[&[u8]]) -> Zeroizing<[u8; 32]> {
    let mut okm = Zeroizing::new([0; 32]);
    let hkdf = Hkdf::<Sha256>::from_prk(prk).expect("32 bytes are one output of SHA-256");
    hkdf.expand_multi_info(info, &mut *okm).expect("32 bytes are one output of SHA-256");
    okm
}

/// The key of a slot, from what the passphrase, the raw key or the provider gave.
pub(crate) fn slot_key(base: &[u8; 32], store_id: &StoreId, slot_id: &[u8; 16]) -> Zeroizing<[u8; 32]> {
    const SLOT_ID_LEN: [u8; 4] = 16_u32.to_be_bytes();
    expand(base, &[b"strongroom/v1/slot", store_id, &SLOT_ID_LEN, slot_id])
}

/// A new data key for the key scope of `keyring`, from the root and 32 bytes that are random and not kept.
///
/// # Errors
/// [`ContextTooLong`] for a field of more than `u32::MAX` bytes.
pub(crate) fn new_dek(
    root: &[u8; 32],
    keyring: &Context<'_>,
    fresh: &[u8; 32],
) -> Result<Zeroizing<[u8; 32]>, ContextTooLong> {
    let unwritten = Context { kind: Kind::Keyring, revision: 0, ..*keyring };
    let mut scope = Vec::with_capacity(unwritten.encoded_len());
    unwritten.encode_into(&mut scope)?;
    Ok(expand(root, &[b"strongroom/v1/new-dek", &scope, fresh]))
}
