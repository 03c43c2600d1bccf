//! What a run sees, packed by `resolve_all` so that later resolves of the path read nothing.

use std::sync::Arc;

use crate::clock::Timestamp;
use crate::engine::cache::pack::{OpenPack, Outcome, Pack, Packing, Winner};
use crate::engine::cache::packs::Stamp;
use crate::engine::cache::{Cached, Catalog, Definition, Share};
use crate::error::Error;
use crate::model::{DefinitionRef, Origin, Resolution, Resolved, StoredDefinition};
use crate::scope::{Scope, ScopePath};
use crate::secret::Secret;
use crate::store::Key;
use crate::tenant::Tenant;

/// What is known of a run without a read.
pub(crate) enum Recalled<T> {
    Known(T),
    NotKept,
}

/// The place of a pack that may be kept once its rows were read.
pub(crate) struct PackPlace {
    key: Key,
    stamp: Stamp,
    since: Timestamp,
}

/// A pack, with the key that it is kept and sealed under.
type KeyedPack = (Key, Share<Arc<Pack>>);

impl Tenant {
    /// Everything that a run at `path` sees, if it is kept.
    pub(crate) fn recall_all(&self, path: &ScopePath) -> Result<Recalled<Resolution>, Error> {
        let Some((key, pack)) = self.pack(path)? else { return Ok(Recalled::NotKept) };
        let Some(open) = pack.open(key.as_bytes()) else { return Ok(Recalled::NotKept) };
        let mut resolution = Resolution::new(Vec::with_capacity(pack.outcomes().len()), Vec::new());
        for (definition, outcome) in pack.catalog.iter().zip(pack.outcomes()) {
            let resolved = cut(&definition.stored, outcome, path, &open);
            if resolved.is_none() && outcome.winner != Winner::Nothing {
                return Ok(Recalled::NotKept);
            }
            resolution.add(&definition.stored, resolved);
        }
        self.engine.caches.counts.add(Cached::Runs, 1, 0);
        Ok(Recalled::Known(resolution))
    }

    /// What a definition resolves to for a run at `path`, if that run is kept.
    pub(crate) fn recall_one(
        &self,
        reference: &DefinitionRef<'_>,
        path: &ScopePath,
    ) -> Result<Recalled<Option<Resolved>>, Error> {
        let Some((key, pack)) = self.pack(path)? else { return Ok(Recalled::NotKept) };
        let Some((definition, outcome)) = self.slot_of(&pack, reference) else {
            return Ok(Recalled::NotKept);
        };
        let Some(open) = pack.open_part(key.as_bytes(), outcome) else { return Ok(Recalled::NotKept) };
        let resolved = cut(&definition.stored, outcome, path, &open);
        if resolved.is_none() && outcome.winner != Winner::Nothing {
            return Ok(Recalled::NotKept);
        }
        self.engine.caches.counts.add(Cached::Runs, 1, 0);
        Ok(Recalled::Known(resolved))
    }

    /// Where the result of a `resolve_all` that is about to read may be kept. Call this before the first read: later
    /// writes are not in the pack.
    pub(crate) fn pack_place(&self, path: &ScopePath) -> Option<PackPlace> {
        if !self.engine.may_keep_runs() {
            return None;
        }
        let key = self.pack_key(path);
        self.engine.caches.counts.add(Cached::Runs, 0, 1);
        let stamp = self.engine.caches.packs.stamp(self.id.prefix(), &key)?;
        Some(PackPlace { key, stamp, since: self.engine.now() })
    }

    /// Keeps the result of a resolve, sealed. Nothing depends on it, so a failure only costs the next resolve a read.
    pub(crate) fn keep_pack(
        &self,
        place: PackPlace,
        path: &ScopePath,
        catalog: &Catalog,
        resolution: &Resolution,
    ) {
        let values_len = resolution.values.iter().map(|resolved| resolved.value.len()).sum();
        let mut packing = Packing::new(catalog.len(), values_len);
        let mut values = resolution.values.iter().peekable();
        for definition in catalog.iter() {
            match values.next_if(|resolved| resolved.definition_id == definition.stored.id) {
                None => packing.add(Winner::Nothing, 0, ""),
                Some(Resolved { found: Some(found), scope, shadowed, value, .. }) => {
                    // A scope outside the path cannot win. If one did, keep nothing rather than something wrong.
                    let Some(number) = number_of(scope, path) else { return };
                    let bits = shadowed.iter().filter_map(|origin| number_of(origin, path));
                    let shadowed = bits.fold(0, |bits, number| bits | 1 << number);
                    packing.add(Winner::Scope(number, *found), shadowed, value.expose());
                }
                Some(_) => packing.add(Winner::Default, 0, ""),
            }
        }
        let PackPlace { key, stamp, since } = place;
        if let Ok(Some(pack)) = packing.seal(key.as_bytes(), Arc::clone(catalog), stamp, since) {
            self.engine.caches.packs.keep(self.id.prefix(), key, pack);
        }
    }

    /// The valid pack of a path.
    fn pack(&self, path: &ScopePath) -> Result<Option<KeyedPack>, Error> {
        if !self.engine.may_keep_runs() {
            return Ok(None);
        }
        self.engine.refuse_locked_tenant(&self.id)?;
        // A pack holds values of keyrings whose age the host has limited.
        self.engine.drop_old_keys();
        let key = self.pack_key(path);
        let pack = self.engine.caches.packs.get(self.id.prefix(), &key);
        Ok(pack.map(|pack| (key, pack)))
    }

    /// The definition that `reference` names, and what it resolves to.
    fn slot_of<'p>(
        &self,
        pack: &'p Pack,
        reference: &DefinitionRef<'_>,
    ) -> Option<(&'p Arc<Definition>, &'p Outcome)> {
        let id = match reference {
            DefinitionRef::Id(id) => *id,
            DefinitionRef::Name(name) => self.known_name(name)?,
        };
        let index = pack.catalog.binary_search_by_key(&id, |definition| definition.stored.id).ok()?;
        let definition = pack.catalog.get(index).filter(|definition| reference.is(&definition.stored))?;
        Some((definition, pack.outcomes().get(index)?))
    }

    /// The key of a path in memory: no id holds a NUL.
    fn pack_key(&self, path: &ScopePath) -> Key {
        let mut key = self.id.prefix_key();
        for scope in path.scopes() {
            match scope {
                Scope::Org => {}
                Scope::LinkedAccount(id) => {
                    key.push(b'a');
                    key.extend(id.as_str().as_bytes());
                    key.push(0);
                }
                Scope::Workflow(id) => {
                    key.push(b'w');
                    key.extend(id.as_str().as_bytes());
                    key.push(0);
                }
            }
        }
        key
    }
}

/// The number of a scope in its path, most specific first; `None` for the default.
fn number_of(origin: &Origin, path: &ScopePath) -> Option<u8> {
    let Origin::Scope(scope) = origin else { return None };
    (0..).zip(path.scopes()).find(|(_, other)| *other == scope).map(|(number, _)| number)
}

/// Cuts a value out of an opened pack. `None` if there is none, or it is not where it should be.
fn cut(
    stored: &StoredDefinition,
    outcome: &Outcome,
    path: &ScopePath,
    open: &OpenPack<'_>,
) -> Option<Resolved> {
    let default = stored.definition.default.as_deref();
    let (scope, found, value) = match outcome.winner {
        Winner::Nothing => return None,
        Winner::Default => (Origin::Default, None, Secret::from(default?)),
        Winner::Scope(number, found) => {
            let scope = path.scopes().nth(number.into())?;
            (Origin::Scope(scope.clone()), Some(found), Secret::from(open.value(outcome)?))
        }
    };
    let mut shadowed = Vec::new();
    if outcome.shadowed != 0 {
        let numbered = (0_u8..).zip(path.scopes()).filter(|(number, _)| outcome.shadowed >> number & 1 == 1);
        shadowed.extend(numbered.map(|(_, scope)| Origin::Scope(scope.clone())));
    }
    if default.is_some() && found.is_some() {
        shadowed.push(Origin::Default);
    }
    Some(Resolved::new(stored, scope, shadowed, found, value))
}
