//! Changing a definition: every field but the format, whose change is planned first.

use std::slice;

use super::check;
use crate::error::Error;
use crate::id::{DefinitionId, DefinitionName};
use crate::keyspace::parse_definition_value;
use crate::model::{DefinitionRef, StoredDefinition};
use crate::options::WriteOptions;
use crate::org::Org;
use crate::scope::{Scope, ScopeKind, Scopes};
use crate::store::{Key, ReadBatch, Versioned};
use crate::tenant::{Draft, Freshness, Needs, until_landed};

/// What to change of a definition; what is not named stays.
///
/// ```
/// use strongroom::DefinitionChange;
/// let change = DefinitionChange::new().name("API_URL").no_description().required();
/// ```
#[derive(Debug, Clone, Default)]
pub struct DefinitionChange {
    name: Option<String>,
    description: Option<Option<String>>,
    default: Option<Option<String>>,
    required: Option<bool>,
    encrypted: bool,
    scopes: Option<Scopes>,
    author: Option<String>,
}

impl DefinitionChange {
    /// No change.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Another name. Values, ids and times stay.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Another description.
    #[must_use]
    pub fn description(mut self, text: impl Into<String>) -> Self {
        self.description = Some(Some(text.into()));
        self
    }

    /// No description.
    #[must_use]
    pub fn no_description(mut self) -> Self {
        self.description = Some(None);
        self
    }

    /// Another default.
    #[must_use]
    pub fn default_value(mut self, value: impl Into<String>) -> Self {
        self.default = Some(Some(value.into()));
        self
    }

    /// No default.
    #[must_use]
    pub fn no_default_value(mut self) -> Self {
        self.default = Some(None);
        self
    }

    /// Required from now on.
    #[must_use]
    pub fn required(mut self) -> Self {
        self.required = Some(true);
        self
    }

    /// No longer required.
    #[must_use]
    pub fn optional(mut self) -> Self {
        self.required = Some(false);
        self
    }

    /// Secret from now on; there is no way back.
    #[must_use]
    pub fn encrypted(mut self) -> Self {
        self.encrypted = true;
        self
    }

    /// Other allowed scopes. One at which a value stands cannot be removed.
    #[must_use]
    pub fn scopes(mut self, scopes: Scopes) -> Self {
        self.scopes = Some(scopes);
        self
    }

    /// Who makes the change.
    #[must_use]
    pub fn author(mut self, who: impl Into<String>) -> Self {
        self.author = Some(who.into());
        self
    }

    fn apply(&self, stored: &StoredDefinition) -> StoredDefinition {
        let mut changed = stored.clone();
        let definition = &mut changed.definition;
        definition.author.clone_from(&self.author);
        definition.encrypted |= self.encrypted;
        if let Some(name) = &self.name {
            definition.name.clone_from(name);
        }
        if let Some(description) = &self.description {
            definition.description.clone_from(description);
        }
        if let Some(default) = &self.default {
            definition.default.clone_from(default);
        }
        definition.required = self.required.unwrap_or(definition.required);
        definition.scopes = self.scopes.unwrap_or(definition.scopes);
        changed
    }
}

impl Org {
    /// Changes a definition, and answers it as it stands then.
    ///
    /// ```
    /// # futures_executor::block_on(async { let org = strongroom::Vault::create(strongroom_memory::MemoryStore::new(), strongroom::Unlock::raw_key(strongroom::RawKey::generate()?)).await?.org("6500a1b2c3d4e5f6a7b8c9d0".parse()?, strongroom::Environment::test());
    /// use strongroom::{DefinitionChange, VarFormat, VariableDefinition};
    /// org.define(VariableDefinition::new("URL", VarFormat::Url)).await?;
    /// let changed = org.update_definition("URL", DefinitionChange::new().name("API_URL")).await?;
    /// assert_eq!(changed.definition.name, "API_URL");
    /// # Ok::<(), strongroom::Error>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// [`Error::DefinitionNotFound`]; [`Error::DefinitionExists`] for a name that is taken; [`Error::ScopeInUse`]
    /// for a scope that is removed while a value stands there; the rules of [`Org::define`].
    pub async fn update_definition(
        &self,
        definition: impl Into<DefinitionRef<'_>>,
        change: DefinitionChange,
    ) -> Result<StoredDefinition, Error> {
        self.update_definition_with(definition, change, WriteOptions::default()).await
    }

    /// [`update_definition`](Self::update_definition), with conditions and companions.
    ///
    /// # Errors
    /// Those of `update_definition`, and [`Error::Unexpected`].
    pub async fn update_definition_with(
        &self,
        definition: impl Into<DefinitionRef<'_>>,
        change: DefinitionChange,
        options: WriteOptions,
    ) -> Result<StoredDefinition, Error> {
        let definition = definition.into();
        let (before, after) =
            until_landed!(|freshness| self.try_update_definition(&definition, &change, &options, freshness))?;
        self.undo_if_in_use(before.definition.scopes, after).await
    }

    async fn try_update_definition(
        &self,
        reference: &DefinitionRef<'_>,
        change: &DefinitionChange,
        options: &WriteOptions,
        freshness: Freshness,
    ) -> Result<Option<(StoredDefinition, StoredDefinition)>, Error> {
        let tenant = &*self.tenant;
        let id = tenant.definition_id(reference, freshness).await?;
        let needs = Needs::org_keys().definitions(slice::from_ref(&id)).freshness(freshness);
        let wanted: Option<DefinitionName> = change.name.as_deref().map(str::parse).transpose()?;
        let gets = wanted.iter().map(|name| tenant.keys.definition_name(name)).collect();
        let (ground, mut set) = tenant.read(&needs, ReadBatch { gets, scans: Vec::new() }).await?;
        let definition = ground.definition(0, reference)?;
        let before = &definition.stored;
        options.check(Some(before.revision))?;
        let mut after = change.apply(before);
        let name = check::definition(&after.definition, &tenant.engine)?;
        self.refuse_in_use(id, before.definition.scopes, after.definition.scopes).await?;
        after.revision = before.revision.next();
        after.updated_at = tenant.engine.now();

        let mut draft = Draft::new(tenant, &ground);
        draft.put_definition(&after, Some(definition.row))?;
        if after.definition.name != before.definition.name {
            if let Some(taken) = set.gets.pop().flatten() {
                return Err(Error::DefinitionExists(super::rows::read_hint(&taken)?));
            }
            draft.delete_definition_name(definition)?;
            draft.put_definition_name(&name, &id);
        }
        draft.put_records(&options.records).await?;
        Ok(draft.commit().await?.map(|_| (before.clone(), after)))
    }

    /// A writer that read the definition before it was narrowed may have set a value at a removed scope just before
    /// the change landed. None can after it, so one more look decides, and the scopes are given back if need be.
    async fn undo_if_in_use(
        &self,
        before: Scopes,
        after: StoredDefinition,
    ) -> Result<StoredDefinition, Error> {
        let in_use = self.refuse_in_use(after.id, before, after.definition.scopes).await;
        if matches!(in_use, Err(Error::ScopeInUse { .. })) {
            let wide = DefinitionChange { scopes: Some(before), ..DefinitionChange::default() };
            let (id, options) = (DefinitionRef::Id(after.id), WriteOptions::default());
            until_landed!(|freshness| self.try_update_definition(&id, &wide, &options, freshness))?;
        }
        in_use.map(|()| after)
    }

    async fn refuse_in_use(&self, id: DefinitionId, before: Scopes, after: Scopes) -> Result<(), Error> {
        for kind in before.iter().filter(|kind| !after.allows(*kind)) {
            if let Some(scope) = self.value_at(id, kind).await? {
                return Err(Error::ScopeInUse { definition: id, scope });
            }
        }
        Ok(())
    }

    /// Some scope of `kind` at which the definition has a value. Its index leads to rows that may be as good as gone.
    async fn value_at(&self, id: DefinitionId, kind: ScopeKind) -> Result<Option<Scope>, Error> {
        let keys = &self.tenant.keys;
        let mut rest = keys.definition_values_at(&id, kind);
        loop {
            let page = self.tenant.engine.scan(rest.clone(), INDEX_PAGE).await?;
            let scope = |(key, _): &(Key, Versioned)| parse_definition_value(keys, &id, key.as_bytes());
            let scopes: Vec<Scope> = page.rows.iter().filter_map(scope).collect();
            if let Some(scope) = self.first_standing(id, &scopes).await? {
                return Ok(Some(scope));
            }
            match page.rows.last() {
                Some((last, _)) if page.more => rest = rest.after(last.as_bytes()),
                _ => return Ok(None),
            }
        }
    }

    async fn first_standing(&self, id: DefinitionId, scopes: &[Scope]) -> Result<Option<Scope>, Error> {
        if scopes.is_empty() {
            return Ok(None);
        }
        let tenant = &*self.tenant;
        let accounts: Vec<_> = scopes.iter().filter_map(Scope::linked_account).collect();
        let gets = scopes.iter().map(|scope| tenant.keys.value(scope, &id)).collect();
        let needs = Needs::org_keys().accounts(&accounts);
        let (ground, set) = tenant.read(&needs, ReadBatch { gets, scans: Vec::new() }).await?;
        for (scope, row) in scopes.iter().zip(&set.gets) {
            if let Some(row) = row
                && tenant.find_in_row(&ground, scope, &id, row)?.is_some()
            {
                return Ok(Some(scope.clone()));
            }
        }
        Ok(None)
    }
}

/// With a value and a keyring for each row, one read holds them all.
const INDEX_PAGE: usize = 32;
