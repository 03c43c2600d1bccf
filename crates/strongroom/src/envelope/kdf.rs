//! Keys from keys: HKDF-SHA256, the expand step only (RFC 5869 section 2.3).

use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::Context;
use crate::envelope::ContextTooLong;
use crate::envelope::Kind;
use crate::envelope::StoreId;

/// 32 bytes of a key, wiped on drop. They stay where they are when it is moved, so that no future, channel or `Arc`
/// that it passes through keeps a copy.
pub(crate) type KeyMaterial = Box<Zeroizing<[u8; 32]>>;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_key_is_that_of_the_format() {
        let key = slot_key(&[3; 32], &[1; 16], &[2; 16]);
        assert_eq!(hex::encode(*key), "a41123b76f020ad03c51ed4b800106d94fcfdfc5be1ba4c0186f473734d10c79");
    }

    #[test]
    fn a_new_data_key_is_that_of_the_format_whatever_the_revision_of_the_keyring() {
        for revision in [0, 7] {
            let keyring = Context {
                kind: Kind::Keyring,
                store_id: &[1; 16],
                org: "acme",
                environment: "test",
                linked_account: Some("user"),
                workflow: None,
                name: "keyring",
                key_name: "",
                doc_id: "",
                revision,
            };
            let dek = new_dek(&[3; 32], &keyring, &[4; 32]).unwrap();
            assert_eq!(hex::encode(*dek), "c307be70155bacf46e213a1cb1a168474357e53728f3a42aaacd63dc8569c24e");
        }
    }
}
