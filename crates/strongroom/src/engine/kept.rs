//! The key that opened the vault, kept so that a root key made active by another engine can be taken up.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::engine::Engine;
use crate::engine::head::read_head;
use crate::engine::turns::Turns;
use crate::envelope::{Argon2Error, DekId};
use crate::error::{Error, ErrorKind};
use crate::keys::Unlock;
use crate::model::SlotId;
use crate::row::{Row, VaultRow};
use crate::store::RowRevision;

/// The key that a host which follows root key rotations left with the engine, and the slot that it opened.
#[derive(Default)]
pub(crate) struct Kept {
    state: Mutex<State>,
    /// Opening a slot may cost a key derivation, so it is done once for all verbs that find the root rotated.
    turns: Turns,
}

#[derive(Default)]
struct State {
    /// Whether the host asked for it.
    follows: bool,
    /// `None` while the vault is locked.
    unlock: Option<Unlock>,
    /// The `store` row whose root the key did not open: it is not tried on the same row again.
    refused: Option<RowRevision>,
    /// The slot that last opened or unlocked the vault.
    slot: Option<SlotId>,
}

impl Kept {
    pub(crate) fn of(unlock: Option<Unlock>, slot: Option<SlotId>) -> Self {
        let state = State { follows: unlock.is_some(), unlock, refused: None, slot };
        Self { state: Mutex::new(state), turns: Turns::default() }
    }

    /// Whether rows under an unknown root may open, since the root can be taken up.
    pub(crate) fn follows(&self) -> bool {
        self.state().follows
    }

    /// Forgets the key, with the others of the vault.
    pub(crate) fn lock(&self) {
        self.state().unlock = None;
    }

    /// The slot that opened the vault.
    pub(crate) fn slot(&self) -> Option<SlotId> {
        self.state().slot
    }

    /// Keeps the key that ended the lock, if the host asked for it, and which slot it opened.
    pub(crate) fn unlock(&self, unlock: Unlock, slot: SlotId) {
        let mut state = self.state();
        state.slot = Some(slot);
        if state.follows {
            (state.unlock, state.refused) = (Some(unlock), None);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Engine {
    /// Takes up the root that another engine made active in place of the one with the id `known`.
    ///
    /// # Errors
    /// [`Error::RootRotated`] if no key is kept, or the kept one does not open it.
    pub(crate) async fn take_up_root(&self, known: DekId) -> Result<(), Error> {
        if self.kept.state().unlock.is_none() {
            return Err(Error::RootRotated);
        }
        // Not the turn at the row itself: a verb that lost a race for that row holds it while it waits here.
        let _turn = self.kept.turns.take(&BTreeSet::from([VaultRow::Store.key()])).await;
        if self.roots.id() != known {
            return Ok(());
        }
        let moment = self.caches.moment();
        let head = read_head(&*self.store).await?;
        let read = head.store_row.as_ref().map(|row| row.revision);
        let unlock = {
            let state = self.kept.state();
            state.unlock.clone().filter(|_| state.refused.is_none() || state.refused != read)
        };
        let Some(unlock) = unlock.filter(|_| head.store_id == self.store_id) else {
            return Err(Error::RootRotated);
        };
        let (roots, slot) = match head.open_roots(&unlock, &self.argon2).await {
            Ok(opened) => opened,
            Err(error) if !is_about_key(&error) => return Err(error),
            Err(_) => {
                self.kept.state().refused = read;
                return Err(Error::RootRotated);
            }
        };
        // In one step, like `lock`: otherwise this could bring the root back after a lock in between.
        let learns = self.locks.set(|held| {
            if held.vault {
                return Err(Error::Locked);
            }
            // Every rotation raises the revision, so a former root comes from an older copy of the store.
            self.caches.refuse_older(&Row::Vault(VaultRow::Store), roots.store_revision, moment)?;
            let learns = self.roots.change(|now| match *now.active.key.id() == known {
                true => roots.clone().with_coming(now.coming.clone()),
                false => now.clone(),
            });
            self.kept.state().slot = Some(slot);
            Ok(learns)
        })?;
        self.forget_shredded_if(learns);
        Ok(())
    }
}

/// Whether the key is the reason why no slot opened. A key provider that is out of reach, or a process without threads
/// or memory, says nothing about it.
fn is_about_key(error: &Error) -> bool {
    let is_starved = matches!(error, Error::System(_) | Error::KeyDerivation(Argon2Error::NoMemory));
    !is_starved && error.kind() != ErrorKind::Busy
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::SystemError;

    #[test]
    fn a_key_is_not_refused_for_what_the_process_lacks_at_the_moment() {
        let starved = [Error::System(SystemError::Thread), Error::KeyDerivation(Argon2Error::NoMemory)];
        assert!(!starved.iter().any(is_about_key));
        assert!([Error::WrongKey, Error::KeyDerivation(Argon2Error::TooCostly)].iter().all(is_about_key));
    }
}
