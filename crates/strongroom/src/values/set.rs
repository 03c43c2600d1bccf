//! Setting values: one or many, in one batch.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::clock::Timestamp;
use crate::definitions::{Definition, MadeDefinitions};
use crate::envelope::{Context, Kind};
use crate::error::Error;
use crate::id::{DefinitionId, DocumentId, LinkedAccountId};
use crate::model::{DefinitionRef, Expected, Revision, StoredDefinition, Upsert, ValueWritten};
use crate::options::WriteOptions;
use crate::org::Org;
use crate::record::{RowKind, SealedRow, Sheet};
use crate::scope::Scope;
use crate::secret::Secret;
use crate::store::Versioned;
use crate::tenant::{Draft, SealedPut, Standing, Tenant, until_landed};

/// A value to be set by [`Org::set_values`].
#[derive(Debug)]
pub struct NewValue<'a> {
    pub(super) definition: DefinitionRef<'a>,
    pub(super) scope: Cow<'a, Scope>,
    pub(super) value: Secret,
    expected: Expected,
}

impl<'a> NewValue<'a> {
    /// `value` for a definition at `scope`, whatever stands there.
    pub fn new(
        definition: impl Into<DefinitionRef<'a>>,
        scope: impl Into<Cow<'a, Scope>>,
        value: impl Into<Secret>,
    ) -> Self {
        Self {
            definition: definition.into(),
            scope: scope.into(),
            value: value.into(),
            expected: Expected::Any,
        }
    }

    /// The same, only if the value that stands there is as expected.
    #[must_use]
    pub fn expecting(mut self, expected: Expected) -> Self {
        self.expected = expected;
        self
    }
}

impl Org {
    /// Sets the value of a definition at a scope: adds it, or updates it and keeps its id and creation time.
    ///
    /// The value is checked against the definition's format and sealed, whether or not the definition is marked
    /// encrypted.
    ///
    /// ```
    /// # futures_executor::block_on(async { let org = strongroom::Vault::create(strongroom_memory::MemoryStore::new(), strongroom::Unlock::raw_key(strongroom::RawKey::generate()?)).await?.org("6500a1b2c3d4e5f6a7b8c9d0".parse()?, strongroom::Environment::test());
    /// use strongroom::{Error, Scope, Upsert, VarFormat, VariableDefinition};
    /// org.define(VariableDefinition::new("PORT", VarFormat::Integer)).await?;
    /// let written = org.set_value("PORT", Scope::Org, "8080").await?;
    /// assert_eq!(written.action, Upsert::Added);
    /// assert!(matches!(org.set_value("PORT", Scope::Org, "http").await, Err(Error::InvalidValue { .. })));
    /// # Ok::<(), strongroom::Error>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// [`Error::DefinitionNotFound`]; [`Error::ScopeNotAllowed`]; [`Error::InvalidValue`] and [`Error::TooLong`],
    /// which never show the value; [`Error::Contended`] when other writers won 16 times in a row.
    pub async fn set_value(
        &self,
        definition: impl Into<DefinitionRef<'_>>,
        scope: impl Into<Cow<'_, Scope>>,
        value: impl Into<Secret>,
    ) -> Result<ValueWritten, Error> {
        self.set_value_with(definition, scope, value, WriteOptions::default()).await
    }

    /// [`set_value`](Self::set_value), with conditions and companions.
    ///
    /// ```
    /// # futures_executor::block_on(async { let org = strongroom::Vault::create(strongroom_memory::MemoryStore::new(), strongroom::Unlock::raw_key(strongroom::RawKey::generate()?)).await?.org("6500a1b2c3d4e5f6a7b8c9d0".parse()?, strongroom::Environment::test());
    /// use strongroom::{Error, Expected, Scope, VarFormat, VariableDefinition, WriteOptions};
    /// org.define(VariableDefinition::new("PORT", VarFormat::Integer)).await?;
    /// let known = org.set_value("PORT", Scope::Org, "8080").await?.revision;
    /// let if_known = || WriteOptions::expecting(Expected::Revision(known));
    /// org.set_value_with("PORT", Scope::Org, "8081", if_known()).await?;
    /// let late = org.set_value_with("PORT", Scope::Org, "8082", if_known()).await;
    /// assert!(matches!(late, Err(Error::Unexpected { .. })));
    /// # Ok::<(), strongroom::Error>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// Those of `set_value`, and [`Error::Unexpected`].
    pub async fn set_value_with(
        &self,
        definition: impl Into<DefinitionRef<'_>>,
        scope: impl Into<Cow<'_, Scope>>,
        value: impl Into<Secret>,
        options: WriteOptions,
    ) -> Result<ValueWritten, Error> {
        let value = NewValue::new(definition.into(), scope.into(), value);
        let mut written = self.set_values_with(&[value], options).await?;
        written.pop().ok_or(Error::Contended(0))
    }

    /// Sets values in one batch: all of them, or none.
    ///
    /// ```
    /// # futures_executor::block_on(async { let org = strongroom::Vault::create(strongroom_memory::MemoryStore::new(), strongroom::Unlock::raw_key(strongroom::RawKey::generate()?)).await?.org("6500a1b2c3d4e5f6a7b8c9d0".parse()?, strongroom::Environment::test());
    /// use strongroom::{NewValue, Scope, VarFormat, VariableDefinition};
    /// for name in ["HOST", "REGION"] {
    ///     org.define(VariableDefinition::new(name, VarFormat::String)).await?;
    /// }
    /// let new = |name, value| NewValue::new(name, Scope::Org, value);
    /// org.set_values(&[new("HOST", "eu.example.com"), new("REGION", "eu")]).await?;
    /// # Ok::<(), strongroom::Error>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// Those of [`set_value`](Self::set_value), for the first value that fails; [`Error::DuplicateValue`]; and
    /// [`Error::Store`] with `TooLarge` when the store takes no batch of that size.
    pub async fn set_values(&self, values: &[NewValue<'_>]) -> Result<Vec<ValueWritten>, Error> {
        self.set_values_with(values, WriteOptions::default()).await
    }

    /// [`set_values`](Self::set_values), with companions. A condition holds for each of the values, beside the one that
    /// it has itself.
    ///
    /// ```
    /// # futures_executor::block_on(async { let org = strongroom::Vault::create(strongroom_memory::MemoryStore::new(), strongroom::Unlock::raw_key(strongroom::RawKey::generate()?)).await?.org("6500a1b2c3d4e5f6a7b8c9d0".parse()?, strongroom::Environment::test());
    /// # org.define(strongroom::VariableDefinition::new("PORT", strongroom::VarFormat::Integer)).await?;
    /// use strongroom::{Expected, NewValue, Scope, WriteOptions};
    /// let values = [NewValue::new("PORT", Scope::Org, "80")];
    /// org.set_values_with(&values, WriteOptions::expecting(Expected::Absent)).await?;
    /// # Ok::<(), strongroom::Error>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// Those of `set_values`, and [`Error::Unexpected`].
    pub async fn set_values_with(
        &self,
        values: &[NewValue<'_>],
        options: WriteOptions,
    ) -> Result<Vec<ValueWritten>, Error> {
        let none = MadeDefinitions::none();
        until_landed!(|freshness| self.try_define_and_set(&none, values, &options, freshness))
            .map(|written| written.values)
    }
}

impl Definition {
    /// Refuses a scope at which the definition allows no value.
    pub(crate) fn check_scope(&self, scope: &Scope) -> Result<(), Error> {
        let scope = scope.kind();
        if self.stored.definition.scopes.allows(scope) {
            return Ok(());
        }
        let StoredDefinition { id, definition, .. } = &self.stored;
        Err(Error::ScopeNotAllowed { definition: *id, name: definition.name.clone(), scope })
    }
}

impl Draft<'_> {
    pub(super) fn put_value(
        &mut self,
        definition: &Definition,
        new: &NewValue<'_>,
        row: Option<&Versioned>,
        now: Timestamp,
        options: &WriteOptions,
    ) -> Result<ValueWritten, Error> {
        let definition_id = definition.stored.id;
        let tenant = self.tenant();
        let key = tenant.keys.value(&new.scope, &definition_id);
        let id_text = definition_id.to_text();
        let context = tenant.value_context(&new.scope, id_text.as_str());
        let standing = match row {
            Some(row) => self.standing(new.scope.linked_account(), &context, row)?,
            None => None,
        };
        if let (None, Some(row)) = (&standing, row) {
            self.delete_left_value_id(row);
        }
        let found = standing.as_ref().map(|standing| standing.revision);
        options.check(found)?;
        WriteOptions::expecting(new.expected).check(found)?;

        let action = if standing.is_some() { Upsert::Updated } else { Upsert::Added };
        let Standing { id, revision, created_at } = match standing {
            Some(standing) => {
                if definition.stored.format_changes > 0 {
                    self.put_definition_value(&new.scope, &definition_id);
                }
                Standing { revision: standing.revision.next(), ..standing }
            }
            None => self.new_value(&new.scope, &definition_id, now)?,
        };
        self.expect_definition(definition);
        self.expect_as_read(key.clone(), row.map(|row| row.revision));
        let plaintext = Sheet::encode(&new.value, created_at, now);
        let account = new.scope.linked_account();
        let put = SealedPut { key, context, doc_id: Some(id), revision, plaintext: &plaintext };
        self.put_sealed(account, put)?;

        let shown = options.ciphertext && definition.stored.definition.encrypted;
        let ciphertext =
            if shown { Some(self.show(account, &context, id, revision, &plaintext)?) } else { None };
        let scope = new.scope.clone().into_owned();
        Ok(ValueWritten {
            action,
            id,
            definition_id,
            scope,
            revision,
            created_at,
            updated_at: now,
            ciphertext,
        })
    }

    /// What stands in `row` was sealed under a dropped key: the index row of its id goes with it.
    fn delete_left_value_id(&mut self, row: &Versioned) {
        let left = SealedRow::decode(RowKind::ScopedValue, &row.value).ok().and_then(|row| row.doc_id);
        if let Some(id) = left {
            self.delete_value_id(&id);
        }
    }

    fn new_value(
        &mut self,
        scope: &Scope,
        definition: &DefinitionId,
        created_at: Timestamp,
    ) -> Result<Standing, Error> {
        let id = self.new_id()?;
        self.put_value_index(&id, scope, definition);
        Ok(Standing { id, revision: Revision::first()?, created_at })
    }

    /// The same value sealed afresh as a ciphertext to be shown: a copy of it can never be planted as a row.
    fn show(
        &mut self,
        account: Option<&LinkedAccountId>,
        context: &Context<'_>,
        id: DocumentId,
        revision: Revision,
        plaintext: &[u8],
    ) -> Result<String, Error> {
        let id_text = id.to_text();
        let shown =
            Context { kind: Kind::Shown, doc_id: id_text.as_str(), revision: revision.as_u64(), ..*context };
        let keys = self.scope_keys(account)?;
        Ok(STANDARD.encode(Tenant::active_key(&keys, &shown)?.seal(&shown, plaintext)?))
    }
}
