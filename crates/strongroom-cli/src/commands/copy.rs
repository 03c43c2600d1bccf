//! `copy`: values from one place to another, as an import without a file.

use std::collections::HashMap;

use strongroom::{DefinitionId, DefinitionName, VariableDefinition};

use super::import::{Entry, Plan, Unknown};
use super::place::Place;
use crate::consent::Consent;
use crate::failure::Failure;
use crate::output::{Output, counted};
use crate::pages;
use crate::session::Session;
use crate::typo::closest;

/// `copy` as it is typed.
#[derive(Debug, clap::Args)]
pub(crate) struct Copy {
    /// From here: `[ORG/]ENVIRONMENT`, and `@account:ID` or `@workflow:ID` for another scope than the org's
    #[arg(value_name = "A")]
    from: Place,
    /// To there
    #[arg(value_name = "B")]
    to: Place,
    /// Copy only this variable; repeat it for several
    #[arg(long, value_name = "NAME")]
    only: Vec<DefinitionName>,
    /// Show what would be done, and write nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    consent: Consent,
}

impl Copy {
    pub(crate) async fn run(self, session: &Session, output: &Output) -> Result<(), Failure> {
        let (entries, definitions) = self.read(session).await?;
        let to = self.to.org(session);
        let plan = Plan::of(&to, self.to.scope.clone(), entries, &Unknown::DefineAs(definitions)).await?;
        let (invalid, replaced) = (plan.count("invalid"), plan.count("update"));
        if self.dry_run || invalid > 0 {
            plan.report(true, output)?;
        }
        if invalid > 0 {
            return Err(Failure::invalid(format!("{invalid} cannot be set, so nothing was written"))
                .next("leave them out with --only, or change their definitions"));
        }
        if self.dry_run {
            return Ok(());
        }
        if replaced > 0 {
            self.consent.to(&format!("replace {} at {}", counted(replaced, "value"), self.to.as_str()))?;
        }
        plan.apply_in_parts(&to).await?;
        plan.report(false, output)
    }

    /// The values to copy, and every definition of the place that they are from.
    async fn read(
        &self,
        session: &Session,
    ) -> Result<(Vec<Entry>, HashMap<String, VariableDefinition>), Failure> {
        let org = self.from.org(session);
        let stored = pages::definitions(&org).await?;
        let names: HashMap<DefinitionId, &str> =
            stored.iter().map(|stored| (stored.id, stored.definition.name.as_str())).collect();
        if let Some(absent) =
            self.only.iter().find(|name| !names.values().any(|known| *known == name.as_str()))
        {
            return Err(Failure::undefined(absent).meant(closest(absent.as_str(), names.values().copied())));
        }
        let is_asked =
            |name: &str| self.only.is_empty() || self.only.iter().any(|only| only.as_str() == name);
        let mut entries: Vec<(&str, Entry)> = Vec::new();
        for value in pages::values(&org, &self.from.scope).await? {
            // One that was defined since the names were read is of the next copy.
            if let Some(name) = names.get(&value.definition_id).filter(|name| is_asked(name)) {
                entries.push((*name, Entry::new(name, Ok(value.value))));
            }
        }
        entries.sort_by_key(|(name, _)| *name);
        let entries = entries.into_iter().map(|(_, entry)| entry).collect();
        Ok((
            entries,
            stored.into_iter().map(|stored| (stored.definition.name.clone(), stored.definition)).collect(),
        ))
    }
}
