//! Compares the definitions that a host needs with those that are stored.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::engine::cache::Definition;
use crate::engine::observer::Call;
use crate::error::{Error, Invalid};
use crate::jobs::until_landed;
use crate::model::VariableDefinition;
use crate::tenant::{
    Attempt, Draft, Expiry, Freshness, Needs, NewDefinitions, WriteOptions, check_definition,
};
use crate::verbs::definitions::DefinitionChange;
use crate::verbs::org::Org;

/// What [`Org::ensure_definitions`] found and did, by names in the given order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Ensured {
    /// Those that were defined.
    pub added: Vec<String>,
    /// Those that got another description, or that now allow more scopes.
    pub changed: Vec<String>,
    /// Those already stored as requested.
    pub unchanged: Vec<String>,
    /// Those stored differently. Their differences are left unchanged.
    pub differing: Vec<DefinitionDiffers>,
}

/// A stored definition that differs from the requested one.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct DefinitionDiffers {
    /// Its name.
    pub name: String,
    /// The parts that differ.
    pub parts: Vec<DefinitionPart>,
}

/// A part of a definition whose change may break runs or values, so that somebody has to decide on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum DefinitionPart {
    /// [`Org::change_format`] changes the format and the bounds on the length.
    Format,
    /// Marking values as secret changes what clients see; it cannot be undone.
    Encrypted,
    /// Another default changes what runs see.
    Default,
    /// Whether a run without a value is reported.
    Required,
    /// The stored definition allows scopes that were not asked for.
    Scopes,
    /// How many former versions are kept, or for how long, was asked for and is stored differently.
    History,
}

impl Org {
    /// Makes sure that these variables are defined, for example at every start of a service. Missing definitions are
    /// added. A different description is replaced, and scopes are added, since neither can break a value or a run. Any
    /// other difference is left unchanged and reported in [`Ensured::differing`]. A stored description also stays if
    /// none is given, as does what it says of former versions, and so do definitions that are not given. Services that
    /// describe the same variable differently change it at each start.
    ///
    /// It is one batch: if it fails, nothing was written, and the result was true at one moment. All definitions that
    /// an org may have fit into a batch of most stores, and some 50 new ones into a batch of etcd. If several processes
    /// start at once, each finds what the others did.
    ///
    /// ```
    /// # strongroom_conformance::with_org(async |org| {
    /// use strongroom::{DefinitionPart, VarFormat, VariableDefinition};
    /// let port = |format| VariableDefinition::new("PORT", format).description("where to listen");
    /// assert_eq!(org.ensure_definitions(&[port(VarFormat::Integer)]).await?.added, ["PORT"]);
    /// assert_eq!(org.ensure_definitions(&[port(VarFormat::Integer)]).await?.unchanged, ["PORT"]);
    /// let told = org.ensure_definitions(&[port(VarFormat::String)]).await?;
    /// assert_eq!(told.differing[0].parts, [DefinitionPart::Format]);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// Those of [`define`](Self::define), for the first definition that fails, even one that is already stored;
    /// [`Invalid::Definition`](crate::Invalid::Definition) for two with the same name; [`Error::Contended`] if others
    /// change definitions all the time; [`Error::Store`] with `TooLarge` for more than a batch takes.
    pub async fn ensure_definitions(&self, wanted: &[VariableDefinition]) -> Result<Ensured, Error> {
        let ensure = async {
            let mut names = BTreeSet::new();
            for wanted in wanted {
                check_definition(wanted, &self.tenant.engine.formats)?;
                if !names.insert(wanted.name.as_str()) {
                    return Err(Invalid::definition(&wanted.name, "two definitions have this name"));
                }
            }
            until_landed(&self.tenant, |freshness| self.try_ensure(wanted, freshness)).await
        };
        self.tenant.observed(Call::of("ensure_definitions"), ensure).await
    }

    async fn try_ensure(
        &self,
        wanted: &[VariableDefinition],
        freshness: Freshness,
    ) -> Result<Attempt<Ensured>, Error> {
        let (tenant, options) = (&*self.tenant, WriteOptions::default());
        // Read first: every change of a definition changes it, so the rest of the read is still valid if it is
        // unchanged when the batch lands.
        let epoch = tenant.id.epoch().key();
        let moment = tenant.engine.get(epoch.clone()).await?.map(|row| row.revision);
        let catalog = tenant.snapshot(&[], &[], freshness).await?.catalog;
        let (ensured, changes) = compare(wanted, &catalog);
        if ensured.added.is_empty() && changes.is_empty() {
            return Ok(Attempt::Landed(ensured));
        }
        let missing = wanted.iter().filter(|wanted| ensured.added.contains(&wanted.name));
        let missing: Vec<VariableDefinition> = missing.cloned().collect();
        let made = NewDefinitions::of(&missing, tenant, &options)?;
        let (view, taken) =
            tenant.read(&Needs::org_keys().freshness(freshness), made.gets(&tenant.id)).await?;
        // The names of a shredded org may not be swept yet. They do not count as taken.
        if tenant.has_unfinished_shred(&view).await? {
            return Ok(Attempt::AfterShred);
        }
        let mut draft = Draft::new(tenant, &view);
        draft.expect_as_read(epoch, moment);
        match draft.put_new_definitions(&made, &taken, None, freshness).await {
            // Another caller has defined it since the catalog was read.
            Err(Error::DefinitionExists(_)) => return Ok(Attempt::AGAIN),
            put => put?,
        }
        for (before, change) in changes {
            let mut after = change.apply(&before.stored);
            check_definition(&after.definition, &tenant.engine.formats)?;
            after.updated_at = tenant.engine.now();
            after.describe(&tenant.metadata(&options, after.updated_at, Expiry::Refused)?);
            after.revision = before.stored.revision.next();
            draft.put_definition(&after, Some(before))?;
        }
        Ok(draft.commit().await?.map(|_| ensured))
    }
}

/// What has to be done to store the wanted definitions: those to add, and changes of others.
fn compare<'c>(
    wanted: &[VariableDefinition],
    catalog: &'c [Arc<Definition>],
) -> (Ensured, Vec<(&'c Definition, DefinitionChange)>) {
    let stored: BTreeMap<&str, &Definition> =
        catalog.iter().map(|known| (known.stored.definition.name.as_str(), &**known)).collect();
    let (mut ensured, mut changes) = (Ensured::default(), Vec::new());
    for wanted in wanted {
        let Some(known) = stored.get(wanted.name.as_str()) else {
            ensured.added.push(wanted.name.clone());
            continue;
        };
        let parts = differing_parts(wanted, &known.stored.definition);
        let differs = !parts.is_empty();
        if differs {
            ensured.differing.push(DefinitionDiffers { name: wanted.name.clone(), parts });
        }
        if let Some(change) = safe_change(wanted, &known.stored.definition) {
            ensured.changed.push(wanted.name.clone());
            changes.push((*known, change));
        } else if !differs {
            ensured.unchanged.push(wanted.name.clone());
        }
    }
    (ensured, changes)
}

fn differing_parts(wanted: &VariableDefinition, stored: &VariableDefinition) -> Vec<DefinitionPart> {
    let format = wanted.var_format != stored.var_format || wanted.length != stored.length;
    let versions = wanted.history_versions.is_some() && wanted.history_versions != stored.history_versions;
    let age = wanted.history_age_secs.is_some() && wanted.history_age_secs != stored.history_age_secs;
    let differs = [
        (DefinitionPart::Format, format),
        (DefinitionPart::Encrypted, wanted.encrypted != stored.encrypted),
        (DefinitionPart::Default, wanted.default != stored.default),
        (DefinitionPart::Required, wanted.required != stored.required),
        (DefinitionPart::Scopes, stored.scopes.without(wanted.scopes).is_some()),
        (DefinitionPart::History, versions || age),
    ];
    differs.into_iter().filter(|(_, differs)| *differs).map(|(part, _)| part).collect()
}

/// The changes that cannot break a value or a run.
fn safe_change(wanted: &VariableDefinition, stored: &VariableDefinition) -> Option<DefinitionChange> {
    let scopes = stored.scopes.union(wanted.scopes);
    let description =
        wanted.description.as_deref().filter(|text| stored.description.as_deref() != Some(*text));
    if scopes == stored.scopes && description.is_none() {
        return None;
    }
    let change = DefinitionChange::new().scopes(scopes);
    Some(description.into_iter().fold(change, DefinitionChange::description))
}
