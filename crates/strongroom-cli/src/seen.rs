//! What a run sees, from a store or from a server.

use strongroom::{DefinitionName, Org, Secret};
use strongroom_http::control::Resolution;

use crate::client::{Call, Client};
use crate::failure::{Failure, repeatable};
use crate::output::Output;
use crate::scope_args::{PathArgs, RunArgs};
use crate::suggest;

/// A variable as a run sees it.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) name: String,
    pub(crate) value: Secret,
}

/// Everything that a run sees.
#[derive(Debug)]
pub(crate) struct AllSeen {
    pub(crate) values: Vec<Seen>,
    /// Names of required variables without a value.
    pub(crate) missing_required: Vec<String>,
}

impl AllSeen {
    /// From a store. Refuses an account in the path that has nothing.
    pub(crate) async fn of(org: &Org, args: &RunArgs) -> Result<Self, Failure> {
        suggest::refuse_unknown_account(org, args.path.account()).await?;
        let found = org.resolve_all(&args.path.path()).await?;
        if found.values.is_empty() {
            suggest::refuse_unknown_environment(org).await?;
        }
        let has_any = !found.values.is_empty();
        let values = found.values.into_iter().filter_map(|one| {
            let name = args.name_in_run(&one.name)?.to_owned();
            Some(Seen { name, value: one.value })
        });
        let seen = Self { values: values.collect(), missing_required: missing(found.missing_required, args) };
        seen.refuse_vain_prefix(has_any, args)
    }

    /// From a server, with a key that may reveal. With `only`, no others are requested, since each value that is shown
    /// is noted.
    pub(crate) fn on_server(
        client: &Client,
        args: &RunArgs,
        only: &[DefinitionName],
    ) -> Result<Self, Failure> {
        if only.is_empty() {
            let found = resolve_on_server(client, &args.path, None, "true")?;
            let has_any = !found.values.is_empty();
            return Self::of_resolution(found, args).refuse_vain_prefix(has_any, args);
        }
        let mut all = Self { values: Vec::new(), missing_required: Vec::new() };
        for name in only {
            let name = args.name_in_vault(name.as_str());
            let found = resolve_on_server(client, &args.path, Some(&name), "true")?;
            all.values.extend(Self::of_resolution(found, args).values);
        }
        Ok(all)
    }

    pub(crate) fn of_resolution(found: Resolution, args: &RunArgs) -> Self {
        let values = found.values.into_iter().filter_map(|one| {
            let value = Secret::from(one.value?.as_str());
            Some(Seen { name: args.name_in_run(&one.name)?.to_owned(), value })
        });
        Self { values: values.collect(), missing_required: missing(found.missing_required, args) }
    }

    /// Fails if there are variables, but none with the prefix: it is probably mistyped.
    fn refuse_vain_prefix(self, has_any: bool, args: &RunArgs) -> Result<Self, Failure> {
        match &args.prefix {
            Some(prefix) if has_any && self.values.is_empty() && self.missing_required.is_empty() => {
                let prefix = repeatable::name(prefix).unwrap_or("that prefix");
                Err(Failure::not_found(format!("no variable of this run begins with {prefix}"))
                    .next("nothing was done; `strongroom resolve` lists the variables"))
            }
            _ => Ok(self),
        }
    }

    /// Fails if a required variable has no value.
    pub(crate) fn refuse_missing(self) -> Result<Vec<Seen>, Failure> {
        if self.missing_required.is_empty() {
            return Ok(self.values);
        }
        let names = self.missing_required.join(", ");
        Err(Failure::not_found(format!("required variables without a value: {names}"))
            .next("set them with `strongroom set NAME`; nothing was run"))
    }
}

/// Warns which required variables have no value, when something is made from the others.
pub(crate) fn warn_missing(names: &[String], output: &Output) {
    if !names.is_empty() {
        output.warn(&format!("required variables without a value: {}", names.join(", ")));
    }
}

/// The names that the run would get, as they are in the vault.
fn missing(names: Vec<String>, args: &RunArgs) -> Vec<String> {
    names.into_iter().filter(|name| args.name_in_run(name).is_some()).collect()
}

/// What a run sees on a server, or one variable of it, with encrypted values if `reveal` is `true`.
pub(crate) fn resolve_on_server(
    client: &Client,
    path: &PathArgs,
    name: Option<&str>,
    reveal: &str,
) -> Result<Resolution, Failure> {
    let name = name.map(|name| ("name", name)).into_iter();
    let query: Vec<_> = path.query().into_iter().chain(name).chain([("reveal", reveal)]).collect();
    client.control_get(Call { path: &["resolve"], query: &query })
}
