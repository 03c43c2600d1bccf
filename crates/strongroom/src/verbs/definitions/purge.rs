//! Permanently deletes everything left of a definition.

use crate::engine::observer::Call;
use crate::error::Error;
use crate::id::DefinitionId;
use crate::jobs::definition::run_purge;
use crate::jobs::{JobId, until_landed};
use crate::model::{AuditChange, DefinitionRef, EventKind};
use crate::row::Subject;
use crate::row::body::Sweep;
use crate::tenant::{Attempt, Draft, Freshness, Needs, WriteOptions};
use crate::verbs::org::Org;

impl Org {
    /// Permanently deletes a definition with its values and all its versions, even if it was already deleted with
    /// [`WriteOptions::keep_history`], or cannot be opened. It is named only by its id, since a name is only as
    /// reliable as the definition that it leads to. A value whose index row is lost goes too: for that, the keys of all
    /// values of the org are read.
    ///
    /// ```
    /// # strongroom_conformance::with_port(async |org| {
    /// use strongroom::WriteOptions;
    /// let id = org.definition("PORT").await?.unwrap().id;
    /// org.delete_definition_with(id, WriteOptions::default().keep_history()).await?;
    /// org.purge_definition(id).await?;
    /// assert!(org.undelete_definition(id).await?.is_none());
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::DefinitionNotFound`] if there is neither the definition nor a version or value of it, nor a name that
    /// leads to it; [`Error::UnknownVersion`] for one of a later release.
    ///
    /// # Cancellation
    /// As for [`delete_definition`](Self::delete_definition). A value whose index row is lost may then stay: call it
    /// again.
    pub async fn purge_definition(&self, id: DefinitionId) -> Result<(), Error> {
        let purge = async {
            let job = until_landed(&self.tenant, |freshness| self.try_purge(id, freshness)).await?;
            run_purge(&self.tenant, &id, &job).await
        };
        self.tenant.observed(Call::of("purge_definition").definition(&DefinitionRef::Id(id)), purge).await
    }

    async fn try_purge(&self, id: DefinitionId, freshness: Freshness) -> Result<Attempt<JobId>, Error> {
        let (tenant, subject, reference) = (&*self.tenant, Subject::Definition(id), DefinitionRef::Id(id));
        let needs = Needs::org_keys().freshness(freshness);
        let place = tenant.id.definition(&id).key();
        let (view, [row, count]) = tenant.read(&needs, [place.clone(), tenant.id.count().key()]).await?;
        let opened =
            row.as_ref().map(|row| tenant.open_definition(view.keys(None), id, row, view.moment)).transpose();
        match opened.map(Option::flatten) {
            Ok(None) => {}
            Ok(Some(_)) => {
                let options = WriteOptions::default();
                return self.try_delete_definition(&reference, &options, freshness).await;
            }
            Err(error) if freshness.is_lost(&error) => {}
            Err(error) => return Err(error),
        }
        let history = tenant.history_to_delete(&subject).await?;
        if row.is_none() && !tenant.is_still_absent(&subject, None, &history).await? {
            return Ok(Attempt::AGAIN);
        }
        let was = tenant.newest_definition(&view, id).await?;
        let mut draft = Draft::new(tenant, &view);
        draft.makes_room();
        let has_name = draft.free_names(&id, None).await?;
        let is_gone = !has_name && row.is_none() && history.is_empty();
        if is_gone && tenant.values_by_key(&id).await?.is_empty() {
            return Err(Error::DefinitionNotFound(reference));
        }
        draft.recount_definitions(count.as_ref(), (&id, false), freshness).await?;
        draft.delete_history(history);
        draft.delete_definition_row(place, row.map(|row| row.revision));
        draft.note(|| AuditChange {
            definition_id: Some(id),
            name: was.map(|was| was.definition.name),
            ..AuditChange::new(EventKind::DefinitionDeleted)
        });
        let job = draft.put_job(&Sweep::Definition(id))?;
        Ok(draft.commit().await?.map(|_| job))
    }
}
