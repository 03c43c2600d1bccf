//! What opens a vault: a passphrase, 32 raw bytes, or a key provider.

use std::fmt;
use std::sync::Arc;

use futures_channel::oneshot;
use subtle::ConstantTimeEq as _;

use crate::envelope::{Argon2Bounds, Argon2Error, Argon2Params, KeyMaterial, argon2id};
use crate::error::{Damage, Error, SlotError, SystemError};
use crate::keys::provider::{KeyProvider, ProviderError, ProviderErrorKind, WrapContext, is_kind};
use crate::keys::{ExternalKey, Provider, RawKey, Slot, SlotOpenError, SlotPlace};
use crate::random;
use crate::secret::Secret;

/// What a key slot is created with, and opened with later.
///
/// Every clone shares the one copy of the key, which is wiped with the last of them.
#[derive(Clone)]
pub struct Unlock(Inner);

#[derive(Clone)]
enum Inner {
    Passphrase(Arc<Secret>),
    RawKey(Arc<RawKey>),
    Provider(Arc<dyn KeyProvider>),
}

impl Unlock {
    /// The exact bytes of a passphrase, stretched by Argon2id (RFC 9106).
    pub fn passphrase(passphrase: impl Into<Secret>) -> Self {
        Self(Inner::Passphrase(Arc::new(passphrase.into())))
    }

    /// 32 bytes that the host keeps.
    #[must_use]
    pub fn raw_key(key: RawKey) -> Self {
        Self(Inner::RawKey(Arc::new(key)))
    }

    /// A key that stays where it is: in an HSM or a key management service.
    #[must_use]
    pub fn provider(provider: Arc<dyn KeyProvider>) -> Self {
        Self(Inner::Provider(provider))
    }

    /// The number of this kind of slot in its row.
    pub(crate) fn tag(&self) -> u8 {
        match &self.0 {
            Inner::RawKey(_) => Provider::RAW_KEY,
            Inner::Passphrase(_) => Provider::PASSPHRASE,
            Inner::Provider(_) => Provider::EXTERNAL,
        }
    }

    /// The cost of deriving the key of a new slot: checked against the bounds for a passphrase; not used for other
    /// keys.
    pub(crate) fn argon2_params(&self, bounds: &Argon2Bounds) -> Result<Argon2Params, Argon2Error> {
        match &self.0 {
            Inner::Passphrase(_) => bounds.check_new(),
            Inner::RawKey(_) | Inner::Provider(_) => Ok(bounds.today),
        }
    }

    /// Creates the slot at `place` for this key; `params` are those of a passphrase.
    pub(crate) async fn seal_slot(
        &self,
        place: SlotPlace,
        root: &[u8; 32],
        params: Argon2Params,
    ) -> Result<Slot, Error> {
        let (provider, base) = match &self.0 {
            Inner::RawKey(key) => (Provider::RawKey, key.0.clone()),
            Inner::Passphrase(passphrase) => {
                let mut salt = [0; 16];
                random::fill(&mut salt)?;
                let base = stretch(Arc::clone(passphrase), salt, params).await?;
                (Provider::Passphrase { salt, params }, base)
            }
            Inner::Provider(provider) => {
                let context = WrapContext::of_slot(&place.store_id, &place.id);
                let (external, base) = wrap_new_base(&**provider, &context).await?;
                (Provider::External(external), base)
            }
        };
        Ok(Slot::seal(place, provider, &base, root)?)
    }

    /// The root key in a slot.
    pub(crate) async fn open_slot(&self, slot: &Slot, bounds: &Argon2Bounds) -> Result<KeyMaterial, Error> {
        let base = match (&self.0, &slot.provider) {
            (Inner::RawKey(key), Provider::RawKey) => key.0.clone(),
            (Inner::Passphrase(passphrase), Provider::Passphrase { salt, params }) => {
                bounds.check_stored(params)?;
                stretch(Arc::clone(passphrase), *salt, *params).await?
            }
            (Inner::Provider(provider), Provider::External(key)) if key.kind == provider.kind() => {
                let context = WrapContext::of_slot(&slot.place.store_id, &slot.place.id);
                provider.unwrap(&key.wrapped, &context).await?.0
            }
            _ => return Err(Error::Slot(SlotError::NoneOfThisKind(slot.provider.name()))),
        };
        let damaged = || Error::damaged(slot.row_name(), Damage::Rejected);
        slot.open(&base).map_err(|error| match error {
            // The provider authenticated its key, so the slot's own content must be wrong.
            SlotOpenError::WrongKey if matches!(slot.provider, Provider::External(_)) => damaged(),
            SlotOpenError::WrongKey => Error::WrongKey,
            SlotOpenError::Damaged => damaged(),
            SlotOpenError::UnknownVersion(version) => Error::UnknownVersion { row: slot.row_name(), version },
        })
    }
}

/// Shows the kind, and nothing more.
impl fmt::Debug for Unlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Inner::Passphrase(_) => f.write_str("Unlock::Passphrase([REDACTED])"),
            Inner::RawKey(_) => f.write_str("Unlock::RawKey([REDACTED])"),
            Inner::Provider(provider) => write!(f, "Unlock::Provider({})", provider.kind()),
        }
    }
}

/// A new base, wrapped, and unwrapped once before anything relies on it: a provider that can wrap a key but may not
/// unwrap it would lock the vault.
async fn wrap_new_base(
    provider: &dyn KeyProvider,
    context: &WrapContext,
) -> Result<(ExternalKey, KeyMaterial), Error> {
    let corrupt = |message| ProviderError::new(ProviderErrorKind::Corrupt, message);
    let base = RawKey::generate()?;
    let wrapped = provider.wrap(&base, context).await?;
    if !is_kind(provider.kind()) || !wrapped.is_valid() {
        return Err(corrupt("the key provider's kind, key id or blob is outside of its bounds").into());
    }
    let again = provider.unwrap(&wrapped, context).await?;
    if !bool::from(base.expose().ct_eq(again.expose())) {
        return Err(corrupt("the key provider unwraps a different key from the one it wrapped").into());
    }
    Ok((ExternalKey { kind: provider.kind().to_owned(), wrapped }, base.0))
}

/// Runs Argon2id on its own thread, since the engine has no runtime and must not block the caller's.
async fn stretch(
    passphrase: Arc<Secret>,
    salt: [u8; 16],
    params: Argon2Params,
) -> Result<KeyMaterial, Error> {
    let (sender, receiver) = oneshot::channel();
    let derive = move || {
        // A caller that dropped its future no longer wants the result.
        let _ = sender.send(argon2id(passphrase.expose().as_bytes(), &salt, &params));
    };
    let thread = std::thread::Builder::new().name("strongroom-kdf".to_owned());
    thread.spawn(derive).map_err(|_| Error::System(SystemError::Thread))?;
    Ok(receiver.await.map_err(|_| Error::System(SystemError::Thread))??)
}
