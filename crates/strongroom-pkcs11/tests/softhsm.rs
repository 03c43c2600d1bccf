//! A vault whose key is on a token, with SoftHSM2 as the token.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod token;

use std::sync::Arc;

use futures_executor::block_on;
use strongroom::provider::{Destruction, KeyProvider, ProviderErrorKind, ProviderKey, WrapContext, Wrapped};
use strongroom::{Error, RawKey, SlotKind, Unlock, Vault, VaultOptions};
use strongroom_memory::MemoryStore;
use strongroom_pkcs11::{Token, TokenKey, Wrapping};

use token::{SoftHsm, on_softhsm};

const CONTEXT: WrapContext = WrapContext::from_bytes([1; 32]);
const BOTH: [Wrapping; 2] = [Wrapping::Gcm, Wrapping::KeyWrapPad];

#[test]
fn a_vault_is_opened_by_the_token_until_its_key_is_destroyed_and_by_a_passphrase_for_longer() {
    on_softhsm(async |hsm: &SoftHsm| {
        let token = hsm.open().await;
        let key = token.generate_key("vault-1").await.unwrap();
        let provider = Arc::new(token.key("vault-1"));
        let by_token = || Unlock::provider(Arc::clone(&provider) as Arc<dyn KeyProvider>);
        let store = Arc::new(MemoryStore::new());
        let options = VaultOptions::default().argon2(strongroom::Argon2Params::FLOOR);
        let vault = options.create(Arc::clone(&store), by_token()).await.unwrap();
        vault.slots().add(Unlock::passphrase("six words from a generator")).await.unwrap();
        let slots = vault.slots().list().await.unwrap();
        let of_token = SlotKind::Provider { kind: "pkcs11".to_owned(), key: key.clone() };
        assert!(slots.iter().any(|slot| slot.kind == of_token && slot.is_usable));

        let by_passphrase = || Unlock::passphrase("six words from a generator");
        for unlock in [by_token(), by_passphrase()] {
            let again = VaultOptions::default().without_slot_upgrade().open(Arc::clone(&store), unlock).await;
            assert_eq!(again.unwrap().root_id(), vault.root_id());
        }

        let gone = provider.destroy(&key).await.unwrap();
        let Destruction::Destroyed { evidence } = gone else { panic!("{gone:?}") };
        assert!(evidence.contains(&key.id) && evidence.contains(SoftHsm::LABEL), "{evidence}");
        let refused = Vault::open(Arc::clone(&store), by_token()).await;
        assert!(
            matches!(&refused, Err(Error::Provider(error)) if error.kind() == ProviderErrorKind::NotThisKey),
            "{refused:?}"
        );
        Vault::open(Arc::clone(&store), by_passphrase()).await.unwrap();

        // A new key with the old label is another key, and makes a slot of its own.
        let new_key = token.generate_key("vault-1").await.unwrap();
        assert_ne!(new_key, key);
        assert!(Vault::open(Arc::clone(&store), by_token()).await.is_err());
        vault.slots().add(by_token()).await.unwrap();
        Vault::open(store, by_token()).await.unwrap();
    });
}

#[test]
fn what_was_wrapped_is_unwrapped_by_the_mechanism_that_wrapped_it() {
    on_softhsm(async |hsm: &SoftHsm| {
        for (wrapping, label) in BOTH.into_iter().zip(["gcm", "pad"]) {
            let key = hsm.key(wrapping, label).await;
            let wrapped = key.wrap(&base(), &CONTEXT).await.unwrap();
            assert!(!wrapped.blob.windows(8).any(|bytes| bytes == [7; 8]), "{wrapping:?}");
            // A token that would choose the other mechanism now goes by what the blob says.
            for later in BOTH {
                let again = hsm.open_with(later).await.key("another label");
                let unwrapped = again.unwrap(&wrapped, &CONTEXT).await.unwrap();
                assert_eq!(unwrapped.expose(), base().expose(), "{wrapping:?}");
            }
            let again = key.wrap(&base(), &CONTEXT).await.unwrap();
            assert_eq!(again == wrapped, wrapping == Wrapping::KeyWrapPad, "GCM takes a new nonce");
        }
    });
}

#[test]
fn gcm_binds_what_it_wraps_to_its_context() {
    on_softhsm(async |hsm: &SoftHsm| {
        let key = hsm.key(Wrapping::Gcm, "k").await;
        let wrapped = key.wrap(&base(), &CONTEXT).await.unwrap();
        let elsewhere = key.unwrap(&wrapped, &WrapContext::from_bytes([2; 32])).await;
        assert_eq!(elsewhere.unwrap_err().kind(), ProviderErrorKind::Corrupt);
    });
}

#[test]
fn an_altered_blob_is_corrupt() {
    on_softhsm(async |hsm: &SoftHsm| {
        for (wrapping, label) in BOTH.into_iter().zip(["gcm", "pad"]) {
            let key = hsm.key(wrapping, label).await;
            let wrapped = key.wrap(&base(), &CONTEXT).await.unwrap();
            for byte in 0..wrapped.blob.len() {
                let mut blob = wrapped.blob.clone();
                blob[byte] ^= 1;
                let answer = key.unwrap(&Wrapped::new(wrapped.key.clone(), blob), &CONTEXT).await;
                assert_eq!(answer.unwrap_err().kind(), ProviderErrorKind::Corrupt, "{wrapping:?} {byte}");
            }
            for len in 0..wrapped.blob.len() {
                let blob = wrapped.blob[..len].to_vec();
                let answer = key.unwrap(&Wrapped::new(wrapped.key.clone(), blob), &CONTEXT).await;
                assert_eq!(answer.unwrap_err().kind(), ProviderErrorKind::Corrupt, "{wrapping:?} {len}");
            }
            assert!(key.unwrap(&wrapped, &CONTEXT).await.is_ok());
        }
    });
}

#[test]
fn another_key_of_the_token_is_not_tried() {
    on_softhsm(async |hsm: &SoftHsm| {
        let one = hsm.key(Wrapping::Gcm, "one").await;
        let other = hsm.key(Wrapping::Gcm, "other").await;
        let wrapped = one.wrap(&base(), &CONTEXT).await.unwrap();
        let others = other.wrap(&base(), &CONTEXT).await.unwrap();
        let mixed = Wrapped::new(others.key, wrapped.blob);
        assert_eq!(other.unwrap(&mixed, &CONTEXT).await.unwrap_err().kind(), ProviderErrorKind::Corrupt);
        for id in ["one", "one:", "one:00", "one:zz", "", "none:00"] {
            let missing = Wrapped::new(ProviderKey::new(id, 0), mixed.blob.clone());
            let answer = one.unwrap(&missing, &CONTEXT).await;
            // Without an id the label alone leads to the key.
            assert_eq!(answer.is_ok(), id == "one:", "{id}");
            if let Err(error) = answer {
                assert_eq!(error.kind(), ProviderErrorKind::NotThisKey, "{id}");
            }
        }
    });
}

#[test]
fn a_label_without_a_key_makes_no_slot() {
    on_softhsm(async |hsm: &SoftHsm| {
        let missing = hsm.open().await.key("missing");
        let refused = missing.wrap(&base(), &CONTEXT).await.unwrap_err();
        assert_eq!(refused.kind(), ProviderErrorKind::NotThisKey);
        let destroyed = missing.destroy(&ProviderKey::new("missing:00", 0)).await.unwrap_err();
        assert_eq!(destroyed.kind(), ProviderErrorKind::NotThisKey);
    });
}

#[test]
fn a_label_names_one_key() {
    on_softhsm(async |hsm: &SoftHsm| {
        let token = hsm.open().await;
        token.generate_key("k").await.unwrap();
        assert_eq!(token.generate_key("k").await.unwrap_err().kind(), ProviderErrorKind::Denied);
    });
}

#[test]
fn a_wrong_pin_is_denied_and_a_missing_token_is_out_of_reach() {
    on_softhsm(async |hsm: &SoftHsm| {
        let wrong = Token::open(hsm.options_with_pin("0000")).await.unwrap_err();
        assert_eq!(wrong.kind(), ProviderErrorKind::Denied);
        assert!(!format!("{wrong:?}").contains("0000"));
        let missing = Token::open(hsm.options_of_token("elsewhere")).await.unwrap_err();
        assert_eq!(missing.kind(), ProviderErrorKind::Unavailable);
        let library = Token::open(hsm.options_of_module("/nowhere/libpkcs11.so")).await.unwrap_err();
        assert_eq!(library.kind(), ProviderErrorKind::Unavailable);
        hsm.open().await;
    });
}

#[test]
fn a_label_that_several_tokens_have_is_refused() {
    on_softhsm(async |hsm: &SoftHsm| {
        hsm.open().await;
        hsm.initialise_another();
        let refused = Token::open(hsm.options()).await.unwrap_err();
        assert_eq!(refused.kind(), ProviderErrorKind::Unsupported);
        assert!(refused.to_string().contains("several tokens"), "{refused}");
    });
}

#[test]
fn a_session_that_is_lost_is_opened_anew_and_never_taken_for_a_lost_key() {
    on_softhsm(async |hsm: &SoftHsm| {
        let key = hsm.key(Wrapping::Gcm, "k").await;
        let wrapped = key.wrap(&base(), &CONTEXT).await.unwrap();
        for lose in [SoftHsm::log_out, SoftHsm::finalise] {
            lose(hsm);
            let back = key.unwrap(&wrapped, &CONTEXT).await.unwrap();
            assert_eq!(back.expose(), base().expose());
            lose(hsm);
            let destroyed = key.destroy(&ProviderKey::new("k:00", 0)).await;
            assert!(matches!(destroyed, Err(error) if error.kind() == ProviderErrorKind::NotThisKey));
        }
    });
}

#[test]
fn a_key_that_could_leave_the_token_is_not_used_and_one_that_was_imported_is_not_destroyed() {
    on_softhsm(async |hsm: &SoftHsm| {
        let token = hsm.open().await;
        hsm.import_key("imported", false);
        hsm.import_key("extractable", true);
        let refused = token.key("extractable").wrap(&base(), &CONTEXT).await.unwrap_err();
        assert_eq!(refused.kind(), ProviderErrorKind::Unsupported);
        let imported = token.key("imported");
        let wrapped = imported.wrap(&base(), &CONTEXT).await.unwrap();
        let refused = imported.destroy(&wrapped.key).await.unwrap_err();
        assert_eq!(refused.kind(), ProviderErrorKind::Unsupported);
        assert!(imported.unwrap(&wrapped, &CONTEXT).await.is_ok(), "it is still there");
    });
}

#[test]
fn many_callers_share_one_token() {
    on_softhsm(async |hsm: &SoftHsm| {
        let key = hsm.key(Wrapping::Gcm, "k").await;
        let wrap = |byte: u8| {
            let key: TokenKey = key.clone();
            std::thread::spawn(move || {
                let base = RawKey::from_bytes([byte; 32]);
                let wrapped = block_on(key.wrap(&base, &CONTEXT)).unwrap();
                assert_eq!(block_on(key.unwrap(&wrapped, &CONTEXT)).unwrap().expose(), base.expose());
            })
        };
        let callers: Vec<_> = (0..16).map(wrap).collect();
        callers.into_iter().for_each(|caller| caller.join().unwrap());
    });
}

fn base() -> RawKey {
    RawKey::from_bytes([7; 32])
}
