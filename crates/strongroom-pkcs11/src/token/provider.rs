//! A key of a token as the engine's key provider.

use std::sync::Arc;

use async_trait::async_trait;
use strongroom::RawKey;
use strongroom::provider::{
    Destruction, KeyProvider, ProviderError, ProviderErrorKind, ProviderKey, WrapContext, Wrapped,
};

use super::Token;
use crate::key::{self, Wanted};
use crate::wrapping;

/// A key of a [`Token`]: new slots are wrapped under the key with its label, and every slot is unwrapped under the key
/// that wrapped it.
#[derive(Debug, Clone)]
pub struct TokenKey {
    token: Token,
    label: Arc<str>,
}

impl TokenKey {
    pub(crate) fn new(token: Token, label: &str) -> Self {
        Self { token, label: label.into() }
    }
}

#[async_trait]
impl KeyProvider for TokenKey {
    fn kind(&self) -> &str {
        "pkcs11"
    }

    async fn wrap(&self, base: &RawKey, context: &WrapContext) -> Result<Wrapped, ProviderError> {
        let (label, context) = (Arc::clone(&self.label), *context);
        let base = RawKey::from_slice(base.expose());
        let work = move |open: &_| {
            let found = key::find(open, Wanted::Label(&label))?;
            let base = base.as_ref().ok_or_else(empty)?;
            Ok(Wrapped::new(found.key, wrapping::wrap(open, found.handle, base, &context)?))
        };
        self.token.run(move |link| link.with(work)).await
    }

    async fn unwrap(&self, wrapped: &Wrapped, context: &WrapContext) -> Result<RawKey, ProviderError> {
        let (wrapped, context) = (wrapped.clone(), *context);
        let work = move |open: &_| {
            let found = key::find(open, Wanted::Key(&wrapped.key))?;
            wrapping::unwrap(open, found.handle, &wrapped.blob, &context)
        };
        self.token.run(move |link| link.with(work)).await
    }

    async fn destroy(&self, key: &ProviderKey) -> Result<Destruction, ProviderError> {
        let key = key.clone();
        self.token
            .run(move |link| {
                let token = link.with(|open| {
                    key::destroy(open, &key)?;
                    Ok(open.token.clone())
                })?;
                // Looked for in a new session, which remembers nothing.
                link.renew();
                if link.with(|open| key::exists(open, &key))? {
                    let message = "the token still has the key that it was to destroy";
                    return Err(ProviderError::new(ProviderErrorKind::Denied, message));
                }
                let evidence = format!("C_DestroyObject of {} on {token}; it is found there no more", key.id);
                Ok(Destruction::Destroyed { evidence })
            })
            .await
    }
}

fn empty() -> ProviderError {
    ProviderError::new(ProviderErrorKind::Corrupt, "there is nothing to wrap")
}
