//! Listing definitions.

use regex::{Regex, RegexBuilder};

use crate::engine::observer::Call;
use crate::error::{Error, Invalid};
use crate::id::DefinitionId;
use crate::limits::NAME_PATTERN_BYTES_MAX;
use crate::model::{Listing, PageRequest, StoredDefinition};
use crate::scope::{ScopeKind, Scopes};
use crate::tenant::List;
use crate::verbs::org::Org;

/// Which definitions to list: those that match every part of the filter. The default matches all.
///
/// ```
/// # strongroom_conformance::with_org(async |org| {
/// use strongroom::{DefinitionFilter, PageRequest, VarFormat, VariableDefinition};
/// org.define(VariableDefinition::new("HOST", VarFormat::Hostname)).await?;
/// org.define(VariableDefinition::new("PORT", VarFormat::Integer)).await?;
/// let filter = DefinitionFilter::all().names(["HOST", "PORT"]).format("integer").name_pattern("^P")?;
/// let page = org.definitions(&filter, PageRequest::first(100)).await?;
/// assert!(page.items.len() == 1 && page.items[0].definition.name == "PORT");
/// # Ok(()) });
/// ```
#[derive(Debug, Clone, Default)]
pub struct DefinitionFilter {
    scopes: Option<Scopes>,
    format: Option<String>,
    name: Option<Regex>,
    names: Option<Vec<String>>,
}

impl DefinitionFilter {
    /// Every definition.
    #[must_use]
    pub fn all() -> Self {
        Self::default()
    }

    /// Only definitions that allow a value at this scope; of several, at each of them.
    #[must_use]
    pub fn scope(mut self, scope: ScopeKind) -> Self {
        self.scopes = Some(self.scopes.map_or(Scopes::only(scope), |others| others.and(scope)));
        self
    }

    /// Only definitions whose format has this [name](crate::VarFormat::name).
    #[must_use]
    pub fn format(mut self, name: impl Into<String>) -> Self {
        self.format = Some(name.into());
        self
    }

    /// Only definitions with one of these names.
    #[must_use]
    pub fn names<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.names = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// Only definitions whose name contains a match of a regular expression. Matching takes time linear in the name.
    ///
    /// # Errors
    /// [`Invalid::NamePattern`](crate::Invalid::NamePattern) for a pattern of more than 1 KiB, one that is not a
    /// regular expression, or one that compiles to more than 64 KiB.
    pub fn name_pattern(mut self, pattern: &str) -> Result<Self, Error> {
        if pattern.len() > NAME_PATTERN_BYTES_MAX {
            return Err(Error::Invalid(Invalid::NamePattern));
        }
        // The pattern may come from a client, so its memory is bounded, and so is its text.
        let mut builder = RegexBuilder::new(pattern);
        builder.size_limit(PATTERN_SIZE_MAX).dfa_size_limit(PATTERN_SIZE_MAX);
        self.name = Some(builder.build().map_err(|_| Error::Invalid(Invalid::NamePattern))?);
        Ok(self)
    }

    fn takes(&self, stored: &StoredDefinition) -> bool {
        let definition = &stored.definition;
        self.scopes.is_none_or(|scopes| scopes.without(definition.scopes).is_none())
            && self.format.as_ref().is_none_or(|format| definition.var_format.name() == format)
            && self.names.as_ref().is_none_or(|names| names.contains(&definition.name))
            && self.name.as_ref().is_none_or(|pattern| pattern.is_match(&definition.name))
    }
}

impl Org {
    /// The definitions that match `filter`, in the order in which they were defined.
    ///
    /// ```
    /// # strongroom_conformance::with_org(async |org| {
    /// use strongroom::{DefinitionFilter, PageRequest, VarFormat, VariableDefinition};
    /// org.define(VariableDefinition::new("API_URL", VarFormat::Url)).await?;
    /// org.define(VariableDefinition::new("PORT", VarFormat::Integer)).await?;
    /// let page = org.definitions(&DefinitionFilter::all().name_pattern("^API_")?, PageRequest::first(10)).await?;
    /// assert_eq!(page.items.len(), 1);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::UnknownVersion`] and [`Error::Store`]: a definition that cannot be read fails the
    /// whole list. [`each_definition`](Self::each_definition) returns the others.
    pub async fn definitions(
        &self,
        filter: &DefinitionFilter,
        page: PageRequest,
    ) -> Result<Listing<StoredDefinition>, Error> {
        let range = self.tenant.id.definitions();
        let list = self.list_definitions(List::new(DEFINITIONS, &range), &page, |found| {
            Ok(Some(found?).filter(|stored| filter.takes(stored)))
        });
        self.tenant.observed(Call::of("definitions"), list).await
    }

    /// The same, but a definition that cannot be read does not fail the list: its place holds the error, which says
    /// which one it is and why. It may or may not match the filter.
    ///
    /// ```
    /// # strongroom_conformance::with_port(async |org| {
    /// use strongroom::{DefinitionFilter, PageRequest};
    /// let page = org.each_definition(&DefinitionFilter::all(), PageRequest::default()).await?;
    /// let (readable, damaged): (Vec<_>, Vec<_>) = page.items.into_iter().partition(Result::is_ok);
    /// assert_eq!((readable.len(), damaged.len()), (1, 0));
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::Damaged`] and [`Error::UnknownVersion`] if the org's keys cannot be read; [`Error::Store`].
    pub async fn each_definition(
        &self,
        filter: &DefinitionFilter,
        page: PageRequest,
    ) -> Result<Listing<Result<StoredDefinition, Error>>, Error> {
        let range = self.tenant.id.definitions();
        // With keys that may be out of date, all of them would seem to be damaged.
        let list =
            self.list_definitions(List::new(DEFINITIONS, &range).fresh(), &page, |found| match found {
                Ok(stored) => Ok(filter.takes(&stored).then_some(Ok(stored))),
                Err(error) if error.is_damage() => Ok(Some(Err(error))),
                Err(error) => Err(error),
            });
        self.tenant.observed(Call::of("each_definition"), list).await
    }

    async fn list_definitions<T>(
        &self,
        list: List<'_>,
        page: &PageRequest,
        take: impl Fn(Result<StoredDefinition, Error>) -> Result<Option<T>, Error>,
    ) -> Result<Listing<T>, Error> {
        let tenant = &*self.tenant;
        tenant
            .list(list, page, |view, key, row| {
                let id = key.as_bytes().last_chunk::<12>().and_then(|id| DefinitionId::from_bytes(id));
                let Some(id) = id else { return Ok(None) };
                let opened = tenant.open_definition(view.keys(None), id, row, view.moment).transpose();
                opened.map_or(Ok(None), |found| take(found.map(|definition| definition.stored)))
            })
            .await
    }

    /// The number of definitions that match `filter`.
    ///
    /// ```
    /// # strongroom_conformance::with_org(async |org| {
    /// use strongroom::{VarFormat, VariableDefinition};
    /// org.define(VariableDefinition::new("REGION", VarFormat::String)).await?;
    /// assert_eq!(org.count_definitions(&strongroom::DefinitionFilter::all()).await?, 1);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// Those of [`definitions`](Self::definitions).
    pub async fn count_definitions(&self, filter: &DefinitionFilter) -> Result<usize, Error> {
        let run = async {
            let catalog = self.tenant.catalog().await?;
            Ok(catalog.iter().filter(|definition| filter.takes(&definition.stored)).count())
        };
        self.tenant.observed(Call::of("count_definitions"), run).await
    }
}

/// The list of all definitions.
const DEFINITIONS: &str = "definitions";
/// The most bytes that a compiled name pattern may have.
const PATTERN_SIZE_MAX: usize = 64 << 10;
