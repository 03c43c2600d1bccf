//! The text of a session token: a JWT (RFC 7519) with one header, HS256, and no way to name another algorithm.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use strongroom::{Environment, LinkedAccountId, OrgId};
use zeroize::Zeroizing;

/// The claims of a token, in the order of its JSON.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Claims {
    pub(crate) org_id: OrgId,
    pub(crate) linked_account_id: LinkedAccountId,
    pub(crate) environment: Environment,
    /// Seconds since the Unix epoch.
    pub(crate) iat: u64,
    pub(crate) exp: u64,
    pub(crate) jti: String,
}

/// The key that signs the tokens of one org in one environment.
pub(crate) struct SigningKey(Zeroizing<[u8; 32]>);

impl SigningKey {
    pub(crate) fn new(bytes: Zeroizing<[u8; 32]>) -> Self {
        Self(bytes)
    }

    /// The token of `claims`. The same claims are always the same token.
    pub(crate) fn sign(&self, claims: &Claims) -> Option<Zeroizing<String>> {
        let claims = URL_SAFE_NO_PAD.encode(serde_json::to_vec(claims).ok()?);
        let len = HEADER.len() + claims.len() + SIGNATURE_LEN + 2;
        // The signature goes where there is room for it: a buffer that grew would leave a copy of the token.
        let mut token = Zeroizing::new(String::with_capacity(len));
        token.extend([HEADER, ".", &claims]);
        let signature = self.mac(&token)?.finalize().into_bytes();
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        debug_assert_eq!(token.len(), len, "the buffer was of another size");
        Some(token)
    }

    /// Whether this key signed `token`, in constant time.
    pub(crate) fn has_signed(&self, token: &str) -> bool {
        let Some((signed, signature)) = token.rsplit_once('.') else { return false };
        let Ok(signature) = URL_SAFE_NO_PAD.decode(signature) else { return false };
        // `verify_slice` compares in constant time.
        self.mac(signed).is_some_and(|mac| mac.verify_slice(&signature).is_ok())
    }

    fn mac(&self, signed: &str) -> Option<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&*self.0).ok()?;
        mac.update(signed.as_bytes());
        Some(mac)
    }
}

impl Claims {
    /// The claims of a token before its signature is checked. They say only which key to check it with.
    pub(crate) fn read_unverified(token: &str) -> Option<Self> {
        let rest = token.strip_prefix(HEADER)?.strip_prefix('.')?;
        let (claims, _) = rest.split_once('.').filter(|_| token.len() <= TOKEN_LEN_MAX)?;
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()
    }
}

/// `{"alg":"HS256","typ":"JWT"}`. A token with any other header was not made here.
const HEADER: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9";
/// 32 bytes in base64.
const SIGNATURE_LEN: usize = 43;
/// Longer texts are not even decoded; our own have some 400 bytes.
const TOKEN_LEN_MAX: usize = 4 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn claims() -> Claims {
        Claims {
            org_id: "6500a1b2c3d4e5f6a7b8c9d0".parse().unwrap(),
            linked_account_id: "user_12345".parse().unwrap(),
            environment: Environment::test(),
            iat: 1_700_000_000,
            exp: 1_700_086_400,
            jti: "j".to_owned(),
        }
    }

    fn key(byte: u8) -> SigningKey {
        SigningKey::new(Zeroizing::new([byte; 32]))
    }

    /// The bytes that other JWT libraries produce from the same claims and key.
    #[test]
    fn a_token_is_a_jwt_with_hs256() {
        assert_eq!(URL_SAFE_NO_PAD.decode(HEADER).unwrap(), br#"{"alg":"HS256","typ":"JWT"}"#);
        let token = key(7).sign(&claims()).unwrap();
        assert_eq!(*token, include_str!("../../tests/fixtures/session-token.jwt").trim_end());
        assert!(key(7).has_signed(&token));
        assert!(Claims::read_unverified(&token) == Some(claims()));
    }

    #[test]
    fn a_token_that_was_altered_or_signed_by_another_is_refused() {
        let token = key(7).sign(&claims()).unwrap();
        assert!(!key(8).has_signed(&token));
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let unsigned = format!("{signed}.");
        let none = format!("eyJhbGciOiJub25lIn0.{}.", signed.split_once('.').unwrap().1);
        let longer = format!("{signed}x.{signature}");
        for bad in [unsigned.as_str(), &none, &longer, signed, "", "."] {
            assert!(!key(7).has_signed(bad));
        }
        assert!(Claims::read_unverified(&none).is_none());
    }
}
