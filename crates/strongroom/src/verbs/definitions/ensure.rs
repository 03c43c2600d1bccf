//! The catalogue that a host needs, compared with the one that is stored.

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::ATTEMPTS_MAX;
use crate::error::{Error, Invalid};
use crate::model::{Expected, StoredDefinition, VariableDefinition};
use crate::tenant::WriteOptions;
use crate::verbs::definitions::DefinitionChange;
use crate::verbs::org::Org;

/// What [`Org::ensure_definitions`] found and did, by names in the given order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Ensured {
    /// Those that were defined.
    pub added: Vec<String>,
    /// Those that got another description or allow more scopes now.
    pub changed: Vec<String>,
    /// Those that were stored as they were asked for.
    pub unchanged: Vec<String>,
    /// Those that are stored otherwise. They stay as they are.
    pub differing: Vec<DefinitionDiffers>,
}

/// A definition that differs from what was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct DefinitionDiffers {
    /// Its name.
    pub name: String,
    /// In what.
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
}

impl Org {
    /// Makes sure that these variables are defined, at every start of a service, say. What is missing is defined; a
    /// description that differs is changed, and scopes are added, since neither can break a value or a run. Anything
    /// else that differs stays, and is shown: [`Ensured::differing`]. Definitions that are not given stay as they are.
    ///
    /// If it is cancelled or fails, some of it may be done; the next call does the rest. Of several processes that
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
    /// Those of [`define`](Self::define); [`Invalid::Definition`](crate::Invalid::Definition) for two with the same
    /// name; [`Error::Contended`] if others change the definitions all the time.
    pub async fn ensure_definitions(&self, wanted: &[VariableDefinition]) -> Result<Ensured, Error> {
        let names: BTreeSet<&str> = wanted.iter().map(|wanted| wanted.name.as_str()).collect();
        if names.len() < wanted.len() {
            return Err(Error::Invalid(Invalid::Definition("two definitions have one name")));
        }
        let mut ensured = Ensured::default();
        // Where others are faster, what they did is looked at again.
        for _ in 0..ATTEMPTS_MAX {
            match self.try_ensure(wanted, &mut ensured).await {
                Err(Error::DefinitionExists(_) | Error::DefinitionNotFound(_) | Error::Unexpected { .. }) => {
                }
                Err(error) => return Err(error),
                Ok(()) => return Ok(ensured),
            }
        }
        Err(Error::Contended(ATTEMPTS_MAX))
    }

    async fn try_ensure(&self, wanted: &[VariableDefinition], ensured: &mut Ensured) -> Result<(), Error> {
        let catalog = self.tenant.catalog().await?;
        let stored: BTreeMap<&str, &StoredDefinition> =
            catalog.iter().map(|known| (known.stored.definition.name.as_str(), &known.stored)).collect();
        let missing: Vec<VariableDefinition> =
            wanted.iter().filter(|wanted| !stored.contains_key(wanted.name.as_str())).cloned().collect();
        for some in missing.chunks(DEFINED_AT_ONCE) {
            self.define_and_set(some, &[]).await?;
            ensured.added.extend(some.iter().map(|definition| definition.name.clone()));
        }
        // What an attempt before found may have changed since. What it did stays done.
        ensured.unchanged.clear();
        ensured.differing.clear();
        for wanted in wanted {
            let Some(stored) = stored.get(wanted.name.as_str()) else { continue };
            let parts = differing_parts(wanted, &stored.definition);
            if !parts.is_empty() {
                ensured.differing.push(DefinitionDiffers { name: wanted.name.clone(), parts });
                continue;
            }
            let Some(change) = safe_change(wanted, &stored.definition) else {
                if !ensured.added.contains(&wanted.name) && !ensured.changed.contains(&wanted.name) {
                    ensured.unchanged.push(wanted.name.clone());
                }
                continue;
            };
            let as_read = WriteOptions::expecting(Expected::Revision(stored.revision));
            self.update_definition_with(stored.id, change, as_read).await?;
            ensured.changed.push(wanted.name.clone());
        }
        Ok(())
    }
}

fn differing_parts(wanted: &VariableDefinition, stored: &VariableDefinition) -> Vec<DefinitionPart> {
    let format = wanted.var_format != stored.var_format || wanted.length != stored.length;
    let differs = [
        (DefinitionPart::Format, format),
        (DefinitionPart::Encrypted, wanted.encrypted != stored.encrypted),
        (DefinitionPart::Default, wanted.default != stored.default),
        (DefinitionPart::Required, wanted.required != stored.required),
        (DefinitionPart::Scopes, stored.scopes.without(wanted.scopes).is_some()),
    ];
    differs.into_iter().filter(|(_, differs)| *differs).map(|(part, _)| part).collect()
}

/// What can be changed without breaking a value or a run, where nothing else differs.
fn safe_change(wanted: &VariableDefinition, stored: &VariableDefinition) -> Option<DefinitionChange> {
    if wanted.description == stored.description && wanted.scopes == stored.scopes {
        return None;
    }
    let change = DefinitionChange::new().scopes(wanted.scopes);
    Some(match &wanted.description {
        Some(text) => change.description(text.as_str()),
        None => change.no_description(),
    })
}

/// Few enough for the batch of any store.
const DEFINED_AT_ONCE: usize = 50;
