//! The former versions of variable definitions.

use std::slice;

use crate::engine::cache::Definition;
use crate::engine::observer::Call;
use crate::error::{Error, Invalid};
use crate::id::{DefinitionId, DefinitionName};
use crate::jobs::definition::{finish_deletes, sweep_again};
use crate::jobs::narrow::{Narrowing, put_narrowing};
use crate::jobs::{JobId, run_job, until_landed};
use crate::model::{DefinitionRef, Expected, Listing, PageRequest, Revision, StoredDefinition, Version};
use crate::row::body::Sweep;
use crate::row::{Row, Subject, TenantRow};
use crate::scope::Scopes;
use crate::store::{RowRevision, Versioned};
use crate::tenant::names::leads_to;
use crate::tenant::{
    Attempt, Draft, Expiry, Freshness, List, Needs, Tenant, View, WriteOptions, check_definition,
    fresh_if_stale,
};
use crate::verbs::org::Org;

/// What remains to be done after a definition was restored.
pub(super) struct Restored {
    stored: StoredDefinition,
    recheck: Option<JobId>,
    narrowing: Option<Narrowing>,
}

/// What a definition is restored to.
#[derive(Clone, Copy)]
pub(super) enum Wanted<'w> {
    /// A former version.
    Former(&'w StoredDefinition),
    /// What somebody says that it is, since no version of it can be read.
    Stated(&'w StoredDefinition),
}

/// A definition to restore to a former version.
enum ToRestore {
    Present(Definition),
    /// It cannot be opened, or is gone: its newest version, and the row that this replaces, if there is one.
    Lost(StoredDefinition, Option<RowRevision>),
}

impl Org {
    /// The versions of a definition, the newest first: who wrote each and when. The first is the present one, unless
    /// the definition was deleted; then only its id names it.
    /// [`VaultOptions::history_versions`](crate::VaultOptions::history_versions) sets how many are kept, unless the
    /// definition sets its own number. A version that cannot be read is listed too, and [`Version::unreadable`] says
    /// why.
    ///
    /// ```
    /// # strongroom_conformance::with_port(async |org| {
    /// use strongroom::{DefinitionChange, PageRequest};
    /// org.update_definition("PORT", DefinitionChange::new().description("of the server")).await?;
    /// assert_eq!(org.definition_history("PORT", PageRequest::default()).await?.items.len(), 2);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::DefinitionNotFound`] if there is neither the definition nor a version of it; [`Error::Damaged`] and
    /// [`Error::UnknownVersion`] if the keys cannot be read.
    pub async fn definition_history(
        &self,
        definition: impl Into<DefinitionRef<'_>>,
        page: PageRequest,
    ) -> Result<Listing<Version>, Error> {
        let reference = definition.into();
        let run = async {
            let tenant = &*self.tenant;
            let moment = tenant.engine.caches.moment();
            let id = match tenant.definition(&reference).await {
                Ok(found) => found.stored.id,
                Err(error) if error.is_damage() || matches!(error, Error::DefinitionNotFound(_)) => {
                    let id = tenant.definition_id(&reference, Freshness::Fresh).await?;
                    let current = tenant.current_version(&Subject::Definition(id)).await?;
                    // The name may lead to a definition that now has another name, or none.
                    let is_lost = current.as_ref().is_some_and(|current| current.unreadable.is_some());
                    if !is_lost && matches!(reference, DefinitionRef::Name(_)) {
                        return Err(error);
                    }
                    id
                }
                Err(error) => return Err(error),
            };
            let subject = Subject::Definition(id);
            let (current, listing) = tenant.present_and_former(&subject, &page).await?;
            if let Some(current) = current.iter().find(|current| current.unreadable.is_none()) {
                tenant.engine.caches.refuse_older(&tenant.current(&subject), current.revision, moment)?;
            }
            if current.is_none() && listing.items.is_empty() && page.after.is_none() {
                return Err(Error::DefinitionNotFound(reference.clone().into_owned()));
            }
            Ok(tenant.with_current(&subject, listing, current, page.limit))
        };
        self.tenant.observed(Call::of("definition_history").definition(&reference), run).await
    }

    /// One version of a definition, current or former.
    ///
    /// ```
    /// # strongroom_conformance::with_port(async |org| {
    /// use strongroom::DefinitionChange;
    /// let first = org.definition("PORT").await?.unwrap().revision;
    /// org.update_definition("PORT", DefinitionChange::new().description("of the server")).await?;
    /// assert_eq!(org.definition_version("PORT", first).await?.definition.description, None);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::VersionNotFound`] for a version that is not kept, or that notes the deletion of the definition;
    /// [`Error::DefinitionNotFound`] for a name that no definition has.
    pub async fn definition_version(
        &self,
        definition: impl Into<DefinitionRef<'_>>,
        revision: Revision,
    ) -> Result<StoredDefinition, Error> {
        let definition = definition.into();
        let read = fresh_if_stale(|freshness| self.try_definition_version(&definition, revision, freshness));
        self.tenant.observed(Call::of("definition_version").definition(&definition), read).await
    }

    /// Restores a definition to a former version. This is a new version, under the present rules. Values that do not
    /// match its format are grandfathered, as with a change of the format.
    ///
    /// ```
    /// # strongroom_conformance::with_port(async |org| {
    /// use strongroom::DefinitionChange;
    /// let first = org.definition("PORT").await?.unwrap().revision;
    /// org.update_definition("PORT", DefinitionChange::new().name("HTTP_PORT")).await?;
    /// org.restore_definition("HTTP_PORT", first).await?;
    /// assert!(org.definition("PORT").await?.is_some());
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::VersionNotFound`]; [`Invalid::Definition`] if the definition was marked encrypted since, which cannot
    /// be undone; those of [`update_definition`](Self::update_definition); if the format changes, those of
    /// [`change_format`](Self::change_format) for a value that cannot be read.
    ///
    /// A definition that cannot be opened is restored only with [`Expected::Unreadable`]
    /// ([`restore_definition_with`](Self::restore_definition_with)). Its content is then lost; whether it was marked
    /// encrypted is taken from its newest readable version.
    pub async fn restore_definition(
        &self,
        definition: impl Into<DefinitionRef<'_>>,
        revision: Revision,
    ) -> Result<StoredDefinition, Error> {
        self.restore_definition_with(definition, revision, WriteOptions::default()).await
    }

    /// [`restore_definition`](Self::restore_definition) with [`WriteOptions`].
    ///
    /// ```
    /// # strongroom_conformance::with_port(async |org| {
    /// use strongroom::{DefinitionChange, WriteOptions};
    /// let first = org.definition("PORT").await?.unwrap().revision;
    /// org.update_definition("PORT", DefinitionChange::new().name("HTTP_PORT")).await?;
    /// let noted = WriteOptions::default().note("scripts use the old name");
    /// org.restore_definition_with("HTTP_PORT", first, noted).await?;
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// Those of `restore_definition`, and [`Error::Unexpected`].
    pub async fn restore_definition_with(
        &self,
        definition: impl Into<DefinitionRef<'_>>,
        revision: Revision,
        options: WriteOptions,
    ) -> Result<StoredDefinition, Error> {
        let (tenant, definition) = (&*self.tenant, definition.into());
        let restore = async {
            let version =
                fresh_if_stale(|freshness| self.try_definition_version(&definition, revision, freshness));
            let former = version.await?;
            let wanted = Wanted::Former(&former);
            until_landed(tenant, |freshness| self.try_restore_definition(wanted, &options, freshness)).await
        };
        let call = Call::of("restore_definition").definition(&definition);
        self.finish_restore(tenant.observed(call, restore).await?).await
    }

    /// Runs the jobs of a restored definition.
    pub(super) async fn finish_restore(&self, restored: Restored) -> Result<StoredDefinition, Error> {
        let (tenant, Restored { stored, recheck, narrowing }) = (&*self.tenant, restored);
        if let Some(job) = recheck {
            run_job(tenant, &job).await?;
        }
        if let Some(Narrowing { job, removed }) = narrowing {
            run_job(&tenant.without_actor(), &job).await?;
            // Again, after the change: a value may have been set between the first check and the commit.
            tenant.refuse_in_use(stored.id, removed).await?;
        }
        Ok(stored)
    }

    /// The definitions that were deleted with [`WriteOptions::keep_history`] and not defined again, each as it was or
    /// with the reason why it cannot be read. It costs reading the kept versions of all definitions. A page may be
    /// shorter than its limit and still have a next one.
    ///
    /// ```
    /// # strongroom_conformance::with_port(async |org| {
    /// use strongroom::{PageRequest, WriteOptions};
    /// org.delete_definition_with("PORT", WriteOptions::default().keep_history()).await?;
    /// let deleted = org.deleted_definitions(PageRequest::default()).await?.items;
    /// assert_eq!(deleted[0].as_ref().unwrap().definition.name, "PORT");
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::Damaged`] and [`Error::UnknownVersion`] if the org's keys cannot be read; [`Error::Store`].
    pub async fn deleted_definitions(
        &self,
        page: PageRequest,
    ) -> Result<Listing<Result<StoredDefinition, Error>>, Error> {
        let run = async {
            let tenant = &*self.tenant;
            let kept = tenant.id.definitions_history();
            tenant
                .list(List::new("deleted_definitions", &kept).fresh().sparse(), &page, |view, key, row| {
                    // The rows also include its former versions.
                    let Some(place) = tenant.id.parse(key) else { return Ok(None) };
                    let Row::Tenant(_, TenantRow::Deleted(Subject::Definition(id))) = place else {
                        return Ok(None);
                    };
                    match tenant.open_definition_at(view, id, &place, row) {
                        Err(error) if error.is_damage() => Ok(Some(Err(error))),
                        opened => Ok(opened?.map(Ok)),
                    }
                })
                .await
        };
        self.tenant.observed(Call::of("deleted_definitions"), run).await
    }

    /// Brings back a definition that was deleted with [`WriteOptions::keep_history`], under its id, without its values.
    /// Returns `None` if no deletion is kept.
    ///
    /// ```
    /// # strongroom_conformance::with_port(async |org| {
    /// use strongroom::WriteOptions;
    /// let id = org.definition("PORT").await?.unwrap().id;
    /// org.delete_definition_with(id, WriteOptions::default().keep_history()).await?;
    /// assert_eq!(org.undelete_definition(id).await?.unwrap().definition.name, "PORT");
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::Unexpected`] if there is such a definition; [`Error::DefinitionExists`] if another one took its name;
    /// [`Error::TooManyDefinitions`]; [`Invalid::Definition`] and others if it breaks a rule of today.
    pub async fn undelete_definition(&self, id: DefinitionId) -> Result<Option<StoredDefinition>, Error> {
        let undelete = until_landed(&self.tenant, |freshness| self.try_undelete_definition(id, freshness));
        let definition = DefinitionRef::Id(id);
        self.tenant.observed(Call::of("undelete_definition").definition(&definition), undelete).await
    }

    async fn try_definition_version(
        &self,
        reference: &DefinitionRef<'_>,
        revision: Revision,
        freshness: Freshness,
    ) -> Result<StoredDefinition, Error> {
        let tenant = &*self.tenant;
        let id = tenant.definition_id(reference, freshness).await?;
        let needs = Needs::org_keys().freshness(freshness);
        let place = tenant.id.former(&Subject::Definition(id), revision);
        let (view, [current, row]) =
            tenant.read(&needs, [tenant.id.definition(&id).key(), place.key()]).await?;
        let current = match current {
            Some(row) => match tenant.open_definition(view.keys(None), id, &row, view.moment) {
                Ok(Some(known)) if !reference.is(&known.stored) => {
                    return Err(Error::DefinitionNotFound(reference.clone().into_owned()));
                }
                Ok(Some(known)) if known.stored.revision == revision => return Ok(known.stored),
                Err(error) if !error.is_damage() => return Err(error),
                current => current.err(),
            },
            None => None,
        };
        // If the present one cannot be opened, it may be this version.
        let row = row.ok_or_else(|| current.unwrap_or(Error::VersionNotFound(revision)))?;
        let stored = tenant.open_definition_at(&view, id, &place, &row)?;
        stored.filter(|stored| !stored.metadata.is_deletion()).ok_or(Error::VersionNotFound(revision))
    }

    /// The definition to restore. If it cannot be opened or is gone, and the write expects that, its newest readable
    /// version, or what it is said to be if there is none, at a revision above all that were lost.
    async fn to_restore(
        &self,
        view: &View<'_>,
        id: DefinitionId,
        row: Option<&Versioned>,
        (wanted, options): (Wanted<'_>, &WriteOptions),
    ) -> Result<ToRestore, Error> {
        let tenant = &*self.tenant;
        let not_found = || Error::DefinitionNotFound(DefinitionRef::Id(id));
        let error = match row.map(|row| tenant.open_definition(view.keys(None), id, row, view.moment)) {
            Some(Ok(known)) => {
                let known = known.ok_or_else(not_found)?;
                options.check(Some(known.stored.revision))?;
                return Ok(ToRestore::Present(known));
            }
            Some(Err(error)) if !view.freshness.is_lost(&error) => return Err(error),
            Some(Err(error)) => error,
            None => not_found(),
        };
        if options.expected != Expected::Unreadable {
            return Err(error);
        }
        let mut stored = match (wanted, tenant.newest_definition(view, id).await?) {
            (Wanted::Former(_), newest) => newest.ok_or(error)?,
            (Wanted::Stated(_), Some(newest)) => {
                return Err(Error::Unexpected { found: Some(newest.revision) });
            }
            (Wanted::Stated(stored), None) => stored.clone(),
        };
        stored.revision = tenant.above_lost(stored.revision, stored.updated_at);
        Ok(ToRestore::Lost(stored, row.map(|row| row.revision)))
    }

    pub(super) async fn try_restore_definition(
        &self,
        wanted: Wanted<'_>,
        options: &WriteOptions,
        freshness: Freshness,
    ) -> Result<Attempt<Restored>, Error> {
        let (Wanted::Former(former) | Wanted::Stated(former)) = wanted;
        let (tenant, id) = (&*self.tenant, former.id);
        let name: DefinitionName = former.definition.name.parse()?;
        let deletion = tenant.id.deleted(&Subject::Definition(id)).key();
        let (place, count) = (tenant.id.definition(&id).key(), tenant.id.count().key());
        let gets = [tenant.id.definition_name(&name).key(), place, deletion.clone(), count];
        let (view, [taken, row, deleted, count]) =
            tenant.read(&Needs::org_keys().freshness(freshness), gets).await?;
        // A deleted definition is brought back in another way, unless its deletion cannot be read.
        let deleted = deleted.filter(|_| row.is_none());
        if let Some(deleted) = &deleted {
            refuse_readable_deletion(tenant, &view, id, deleted, options)?;
        }
        let found = self.to_restore(&view, id, row.as_ref(), (wanted, options)).await?;
        let (before, is_lost) = match &found {
            ToRestore::Present(definition) => (&definition.stored, false),
            ToRestore::Lost(stored, _) => (stored, true),
        };
        // Versions that an unfinished delete has left are not a lost definition.
        if row.is_none() && finish_deletes(tenant, &id).await? {
            return Ok(Attempt::AGAIN);
        }
        let mut after = restored(tenant, before, former, options)?;
        // For a lost definition, nobody knows its scopes, its format and its name.
        let allowed = if is_lost { Scopes::ALL } else { before.definition.scopes };
        let removed = allowed.without(after.definition.scopes);
        if let Some(removed) = removed {
            tenant.refuse_in_use(id, removed).await?;
        }
        let changes_format = is_lost
            || (&before.definition.var_format, before.definition.length)
                != (&after.definition.var_format, after.definition.length);
        after.format_changes = before.format_changes.saturating_add(u32::from(changes_format));

        let mut draft = Draft::new(tenant, &view);
        if let Some(deleted) = deleted {
            draft.delete_as_read(deletion, deleted.revision);
        }
        match &found {
            ToRestore::Present(definition) => draft.put_definition(&after, Some(definition))?,
            ToRestore::Lost(_, read) => {
                draft.replace_definition(&after, *read).await?;
                if read.is_none() {
                    draft.recount_definitions(count.as_ref(), (&id, true), freshness).await?;
                }
            }
        }
        let has_name = match is_lost {
            true => taken.as_ref().is_some_and(|row| leads_to(row, &id)),
            // If its row is lost, it is made again.
            false => taken.is_some() && after.definition.name == before.definition.name,
        };
        if !has_name {
            draft.take_definition_name(&name, id, taken.as_ref(), freshness).await?;
            if let ToRestore::Present(definition) = &found {
                draft.delete_definition_name(definition).await?;
            }
        }
        let recheck = if changes_format { Some(draft.put_job(&Sweep::Recheck(id))?) } else { None };
        let narrowing = match removed {
            Some(removed) => Some(put_narrowing(&mut draft, &after, removed)?),
            None => None,
        };
        draft.put_companions(options).await?;
        Ok(draft.commit().await?.map(|_| Restored { stored: after, recheck, narrowing }))
    }

    async fn try_undelete_definition(
        &self,
        id: DefinitionId,
        freshness: Freshness,
    ) -> Result<Attempt<Option<StoredDefinition>>, Error> {
        let (tenant, options) = (&*self.tenant, WriteOptions::default());
        let needs = Needs::org_keys().definitions(slice::from_ref(&id)).freshness(freshness);
        let gets = [tenant.id.deleted(&Subject::Definition(id)).key(), tenant.id.count().key()];
        let (view, [deleted, count]) = tenant.read(&needs, gets).await?;
        if let Some(known) = view.definitions.first().and_then(Option::as_ref) {
            return Err(Error::Unexpected { found: Some(known.stored.revision) });
        }
        let Some(deleted) = deleted else { return Ok(Attempt::Landed(None)) };
        // Otherwise values that the delete has not swept yet would come back with it.
        if finish_deletes(tenant, &id).await? || sweep_again(tenant, &view, &id).await? {
            return Ok(Attempt::AGAIN);
        }
        let mut draft = Draft::new(tenant, &view);
        let Some(stored) = draft.put_deleted_definition(id, &deleted, &options)? else {
            return Ok(Attempt::Landed(None));
        };
        let name = check_definition(&stored.definition, &tenant.engine.formats)?;
        let taken = tenant.engine.get(tenant.id.definition_name(&name).key()).await?;
        // If it leads here, somebody else has just brought it back, which this batch runs into.
        if !taken.as_ref().is_some_and(|row| leads_to(row, &id)) {
            draft.take_definition_name(&name, id, taken.as_ref(), freshness).await?;
        }
        draft.put_definition_count(count.as_ref(), (None, 1), freshness).await?;
        Ok(draft.commit().await?.map(|_| Some(stored)))
    }
}

/// Refuses to restore a definition whose deletion can be read, or was not expected to be unreadable.
fn refuse_readable_deletion(
    tenant: &Tenant,
    view: &View<'_>,
    id: DefinitionId,
    deleted: &Versioned,
    options: &WriteOptions,
) -> Result<(), Error> {
    let place = tenant.id.deleted(&Subject::Definition(id));
    match tenant.open_definition_at(view, id, &place, deleted) {
        Err(error) if !view.freshness.is_lost(&error) => Err(error),
        Err(_) if options.expected == Expected::Unreadable => Ok(()),
        _ => Err(Error::DefinitionNotFound(DefinitionRef::Id(id))),
    }
}

/// A definition as it will be with the rules of a former version.
fn restored(
    tenant: &Tenant,
    before: &StoredDefinition,
    former: &StoredDefinition,
    options: &WriteOptions,
) -> Result<StoredDefinition, Error> {
    if before.definition.encrypted && !former.definition.encrypted {
        let name = &before.definition.name;
        return Err(Invalid::definition(name, "what is marked encrypted stays so"));
    }
    let mut after = before.clone();
    after.definition.clone_from(&former.definition);
    after.definition.author = None;
    after.updated_at = tenant.engine.now();
    after.describe(&tenant.metadata(options, after.updated_at, Expiry::Refused)?);
    check_definition(&after.definition, &tenant.engine.formats)?;
    after.revision = before.revision.next();
    Ok(after)
}
