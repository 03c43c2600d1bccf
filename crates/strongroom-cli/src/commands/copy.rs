//! `copy`: values from one place to another, as an import without a file.

use std::collections::HashMap;

use strongroom::{DefinitionId, DefinitionName, Secret, VariableDefinition};

use super::import::{Entry, Plan, Unknown};
use super::place::{OtherKey, Place};
use crate::client::Client;
use crate::consent::{Consent, Deed};
use crate::failure::Failure;
use crate::output::{Output, counted};
use crate::pages;
use crate::scope_args::{account_of, to_set};
use crate::session::Session;
use crate::suggest;
use crate::typo::closest;

/// `copy` as it is typed.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Copy {
    /// Copy from `[ORG/]ENVIRONMENT`; add `@account:ID` or `@workflow:ID` for a scope other than the org's
    #[arg(value_name = "A")]
    from: Place,
    /// Copy to, written like A
    #[arg(value_name = "B")]
    to: Place,
    /// Copy only this variable; repeat it for several
    #[arg(long, value_name = "NAME")]
    only: Vec<DefinitionName>,
    /// Show what would be done, and write nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    consent: Consent,
    #[command(flatten)]
    other_key: OtherKey,
}

/// What is to be copied, and every definition of the source.
struct Taken {
    entries: Vec<Entry>,
    definitions: HashMap<String, VariableDefinition>,
}

impl Copy {
    pub(crate) async fn run(self, session: &Session, output: &Output) -> Result<(), Failure> {
        self.other_key.refuse_on_store()?;
        self.from.refuse_unknown(session).await?;
        self.from.refuse_unknown_scope(session, &[&self.from]).await?;
        let Taken { entries, definitions } = self.read(session).await?;
        let to = self.to.org(session);
        suggest::note_new_environment(&session.vault, &to, output).await;
        let scope = to_set(self.to.scope.clone())?;
        if let Some(account) = account_of(&scope) {
            suggest::note_new_account(&to, account, output).await;
        }
        let plan = Plan::of(&to, scope, entries, &Unknown::DefineAs(definitions)).await?;
        if self.agrees_to(&plan, output)? {
            plan.apply_in_parts(&to).await?;
            plan.report(false, output)?;
        }
        Ok(())
    }

    /// With a key for A that may reveal, unless all values are plain, and one for B that may read and write.
    pub(crate) fn on_server(mut self, client: &Client, output: &Output) -> Result<(), Failure> {
        self.from.refuse_elsewhere(client)?;
        if self.only.is_empty() {
            self.from.refuse_narrowed(client)?;
        }
        let definitions = client.definitions()?.into_iter();
        let definitions: HashMap<_, _> =
            definitions.map(|definition| (definition.name.clone(), definition)).collect();
        let values = self.from.shown_values(client, &self.only)?;
        if let (Some(account), true) = (account_of(&self.from.scope), values.is_empty()) {
            client.refuse_unknown_account(account)?;
        }
        let Taken { entries, definitions } = self.take(definitions, values)?;

        let other_key = std::mem::take(&mut self.other_key);
        let of_b = other_key.client(client, output)?;
        let of_b = of_b.as_ref().unwrap_or(client);
        self.to.refuse_elsewhere(of_b)?;
        if let Some(account) = account_of(&self.to.scope) {
            of_b.note_new_account(account, output);
        }
        let known: Vec<_> = of_b.definitions()?.into_iter().map(|definition| definition.name).collect();
        let versions = self.to.values(of_b, "false")?.into_iter().map(|one| (one.name, one.version));
        let versions = versions.collect();
        let unknown = Unknown::DefineAs(definitions);
        let mut plan = Plan::for_server(&self.to.scope, entries, &known, &unknown)?;
        plan.try_on(of_b)?;
        let plan = plan.over(&versions);
        if self.agrees_to(&plan, output)? {
            plan.apply_on(of_b)?;
            plan.report(false, output)?;
        }
        Ok(())
    }

    /// Whether the plan should be carried out.
    fn agrees_to(&self, plan: &Plan, output: &Output) -> Result<bool, Failure> {
        let (invalid, replaced) = (plan.count("invalid"), plan.count("update"));
        if self.dry_run || invalid > 0 {
            plan.report(self.dry_run, output)?;
        }
        if invalid > 0 {
            return Err(Failure::invalid(format!("{invalid} cannot be set, so nothing was written"))
                .next("leave them out with --only, or change their definitions"));
        }
        if replaced > 0 && !self.dry_run {
            let deed = format!("replace {} at {}", counted(replaced, "value"), self.to.as_str());
            let deed = Deed::to(deed, plan.replaced());
            if !self.consent.is_given_to(&deed) {
                plan.preview(output)?;
            }
            self.consent.to(deed)?;
        }
        Ok(!self.dry_run)
    }

    async fn read(&self, session: &Session) -> Result<Taken, Failure> {
        let org = self.from.org(session);
        let stored = pages::definitions(&org).await?;
        let names: HashMap<DefinitionId, &str> =
            stored.iter().map(|stored| (stored.id, stored.definition.name.as_str())).collect();
        let values = pages::values(&org, &self.from.scope).await?.into_iter();
        // A variable that was defined since the names were read is left to the next copy.
        let values =
            values.filter_map(|value| Some(((*names.get(&value.definition_id)?).to_owned(), value.value)));
        let values = values.collect();
        let definitions = stored.into_iter().map(|stored| {
            let mut definition = stored.definition;
            // Whoever copies it is the author of the copy.
            definition.author = None;
            (definition.name.clone(), definition)
        });
        let definitions = definitions.collect();
        self.take(definitions, values)
    }

    /// The requested part of what is there.
    fn take(
        &self,
        definitions: HashMap<String, VariableDefinition>,
        mut values: Vec<(String, Secret)>,
    ) -> Result<Taken, Failure> {
        if let Some(absent) = self.only.iter().find(|name| !definitions.contains_key(name.as_str())) {
            let known = definitions.keys().map(String::as_str);
            return Err(Failure::undefined(absent).meant(closest(absent.as_str(), known)));
        }
        if !self.only.is_empty() {
            values.retain(|(name, _)| self.only.iter().any(|only| only.as_str() == name));
        }
        values.sort_by(|(one, _), (other, _)| one.cmp(other));
        let entries = values.into_iter().map(|(name, value)| Entry::new(&name, Ok(value))).collect();
        Ok(Taken { entries, definitions })
    }
}
