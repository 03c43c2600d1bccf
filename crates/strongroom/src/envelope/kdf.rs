//! Keys from keys.

use zeroize::Zeroizing;

use super::primitives::expand;
use super::{Address, StoreId};

/// 32 bytes of a key, wiped on drop. They are on the heap, so that no future, channel or `Arc` that they pass through
/// keeps a copy.
pub(crate) type KeyMaterial = Box<Zeroizing<[u8; 32]>>;

/// The key of a slot, from the base that the passphrase, the raw key or the provider gave.
pub(crate) fn slot_key(base: &[u8; 32], store_id: &StoreId, slot_id: &[u8; 16]) -> Zeroizing<[u8; 32]> {
    const SLOT_ID_LEN: [u8; 4] = 16_u32.to_be_bytes();
    expand(base, &[b"strongroom/v1/slot", store_id, &SLOT_ID_LEN, slot_id])
}

/// The key of one checkpoint file, from the root key that the vault had when it was made.
pub(crate) fn checkpoint_key(root: &[u8; 32], store_id: &StoreId, file_id: &[u8; 16]) -> Zeroizing<[u8; 32]> {
    expand(root, &[b"strongroom/v1/checkpoint", store_id, file_id])
}

/// A new data key for the key scope whose keyring has this address, from the root and 32 random bytes that are not
/// kept. The address is that of a keyring that was not written yet: its revision is 0.
pub(crate) fn new_dek(root: &[u8; 32], keyring: &impl Address, fresh: &[u8; 32]) -> Zeroizing<[u8; 32]> {
    let mut scope = Vec::new();
    keyring.encode_into(&mut scope);
    expand(root, &[b"strongroom/v1/new-dek", &scope, fresh])
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
    fn a_new_data_key_is_that_of_the_format() {
        let scope = "010101010101010101010101010101010000000461636d6500000004746573740100000004757365720600000000\
                     076b657972696e6700000000000000000000000000000000";
        let scope = hex::decode(scope).unwrap();
        let dek = new_dek(&[3; 32], &scope, &[4; 32]);
        assert_eq!(hex::encode(*dek), "c307be70155bacf46e213a1cb1a168474357e53728f3a42aaacd63dc8569c24e");
    }
}
