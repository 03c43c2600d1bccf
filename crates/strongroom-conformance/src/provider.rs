//! A key provider that fails as told.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use strongroom::provider::{
    Destruction, KeyProvider, ProviderError, ProviderErrorKind, ProviderKey, WrapContext, Wrapped,
};
use strongroom::{RawKey, Timestamp};

/// A key provider in memory, for the tests of those who use one. It encrypts nothing: what it wraps stays with it, and
/// the blob is a number.
///
/// Clones are handles on the same keys and the same plan.
///
/// ```
/// # futures_executor::block_on(async {
/// use std::sync::Arc;
/// use strongroom::provider::ProviderErrorKind::Unavailable;
/// use strongroom::{Error, Unlock, Vault};
/// use strongroom_conformance::FakeProvider;
/// let hsm = FakeProvider::new("hsm");
/// let store = Arc::new(strongroom_memory::MemoryStore::new());
/// Vault::create(store.clone(), Unlock::provider(Arc::new(hsm.clone()))).await?;
/// hsm.fail(Some(Unavailable));
/// let outage = Vault::open(store, Unlock::provider(Arc::new(hsm))).await;
/// assert!(matches!(outage, Err(Error::Provider(error)) if error.kind() == Unavailable));
/// # Ok::<(), Error>(()) }).unwrap();
/// ```
#[derive(Clone)]
pub struct FakeProvider {
    kind: String,
    state: Arc<Mutex<State>>,
}

struct State {
    current: ProviderKey,
    /// What is wrapped under each key that is there, by its blob.
    keys: HashMap<ProviderKey, HashMap<Vec<u8>, (WrapContext, RawKey)>>,
    fails: Option<ProviderErrorKind>,
    destruction: OnDestroy,
    calls_len: usize,
}

/// What a [`FakeProvider`] does with a key that is to be destroyed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnDestroy {
    /// Destroys it at once.
    Destroy,
    /// Keeps it, and names the day.
    Schedule(Timestamp),
    /// Keeps it, and says that it cannot.
    Refuse,
}

impl FakeProvider {
    /// A provider of this kind with one key, `key-1`, that destroys keys at once.
    #[must_use]
    pub fn new(kind: &str) -> Self {
        let current = ProviderKey::new("key-1", 1);
        let state = State {
            keys: HashMap::from([(current.clone(), HashMap::new())]),
            current,
            fails: None,
            destruction: OnDestroy::Destroy,
            calls_len: 0,
        };
        Self { kind: kind.to_owned(), state: Arc::new(Mutex::new(state)) }
    }

    /// From now on every call fails like this, or none.
    pub fn fail(&self, fails: Option<ProviderErrorKind>) {
        self.state().fails = fails;
    }

    /// What becomes of keys that are to be destroyed from now on.
    pub fn on_destroy(&self, destruction: OnDestroy) {
        self.state().destruction = destruction;
    }

    /// Makes a key, under which everything is wrapped from now on.
    pub fn use_key(&self, key: ProviderKey) {
        let mut state = self.state();
        state.keys.entry(key.clone()).or_default();
        state.current = key;
    }

    /// Lets go of a key, as on the day that was named for it.
    pub fn forget(&self, key: &ProviderKey) {
        self.state().keys.remove(key);
    }

    /// How many calls there were, whatever became of them.
    #[must_use]
    pub fn calls_len(&self) -> usize {
        self.state().calls_len
    }

    /// What stands behind this lock is whole at every point, so a panic elsewhere does not matter.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn call(&self) -> Result<MutexGuard<'_, State>, ProviderError> {
        let mut state = self.state();
        state.calls_len += 1;
        match state.fails {
            Some(kind) => Err(ProviderError::new(kind, "an injected fault")),
            None => Ok(state),
        }
    }
}

#[async_trait]
impl KeyProvider for FakeProvider {
    fn kind(&self) -> &str {
        &self.kind
    }

    async fn wrap(&self, key: &RawKey, context: &WrapContext) -> Result<Wrapped, ProviderError> {
        let mut state = self.call()?;
        let blob = state.calls_len.to_be_bytes().to_vec();
        let copy = RawKey::from_bytes(*key.expose());
        let current = state.current.clone();
        let wrapped = state.keys.get_mut(&current).ok_or_else(not_this_key)?;
        wrapped.insert(blob.clone(), (*context, copy));
        Ok(Wrapped::new(current, blob))
    }

    async fn unwrap(&self, wrapped: &Wrapped, context: &WrapContext) -> Result<RawKey, ProviderError> {
        let state = self.call()?;
        let known = state.keys.get(&wrapped.key).ok_or_else(not_this_key)?;
        match known.get(&wrapped.blob) {
            Some((bound, key)) if bound == context => Ok(RawKey::from_bytes(*key.expose())),
            _ => Err(ProviderError::new(ProviderErrorKind::Corrupt, "the blob is not one of this slot")),
        }
    }

    async fn destroy(&self, key: &ProviderKey) -> Result<Destruction, ProviderError> {
        let mut state = self.call()?;
        if !state.keys.contains_key(key) {
            return Err(not_this_key());
        }
        match state.destruction {
            OnDestroy::Schedule(until) => Ok(Destruction::Scheduled { until }),
            OnDestroy::Refuse => Ok(Destruction::NotSupported),
            OnDestroy::Destroy => {
                state.keys.remove(key);
                Ok(Destruction::Destroyed { evidence: "the key is gone from memory".to_owned() })
            }
        }
    }
}

/// Shows the names of keys alone.
impl fmt::Debug for FakeProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        f.debug_struct("FakeProvider")
            .field("kind", &self.kind)
            .field("current", &state.current)
            .finish_non_exhaustive()
    }
}

fn not_this_key() -> ProviderError {
    ProviderError::new(ProviderErrorKind::NotThisKey, "there is no such key")
}
