//! What a run sees, from a store or from a server.

use strongroom::{Org, Secret};
use strongroom_http::control::{Resolution, ResolvedValue};

use crate::client::{Call, Client};
use crate::failure::Failure;
use crate::scope_args::PathArgs;
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
    /// From a store. An account of the path that has nothing is refused.
    pub(crate) async fn of(org: &Org, path: &PathArgs) -> Result<Self, Failure> {
        suggest::refuse_unknown_account(org, path).await?;
        let found = org.resolve_all(&path.path()).await?;
        let values = found.values.into_iter().map(|one| Seen { name: one.name, value: one.value });
        Ok(Self { values: values.collect(), missing_required: found.missing_required })
    }

    /// From a server, with a key that may reveal.
    pub(crate) fn on_server(client: &Client, path: &PathArgs) -> Result<Self, Failure> {
        let found = resolve_on_server(client, path, "true")?;
        let values = found.values.into_iter().filter_map(Seen::revealed).collect();
        Ok(Self { values, missing_required: found.missing_required })
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

/// What a run sees on a server, with encrypted values where `reveal` is `true`.
pub(crate) fn resolve_on_server(
    client: &Client,
    path: &PathArgs,
    reveal: &str,
) -> Result<Resolution, Failure> {
    let query = [path.query(), vec![("reveal", reveal)]].concat();
    client.control_get(Call { path: &["resolve"], query: &query })
}

impl Seen {
    fn revealed(found: ResolvedValue) -> Option<Self> {
        Some(Self { value: Secret::from(found.value?.as_str()), name: found.name })
    }
}
