//! `revert`: sets a value to one of its versions.

use strongroom::{DefinitionName, Org, Revision, Version};
use strongroom_http::control::Restore;

use super::not_back::Wanted;
use super::undo::{Replace, Target, consent_to, ids, present_version, show};
use crate::client::Client;
use crate::consent::{Consent, Deed};
use crate::failure::Failure;
use crate::output::Output;
use crate::scope_args::ScopeArgs;

/// `revert` as it is typed.
#[derive(Debug, Clone, clap::Args)]
#[command(disable_version_flag = true)]
pub(crate) struct Revert {
    /// The name of the variable
    pub(crate) name: DefinitionName,
    /// The version, as `history` lists it
    #[arg(long, value_name = "N")]
    version: u64,
    #[command(flatten)]
    scope: ScopeArgs,
    #[command(flatten)]
    replace: Replace,
    #[command(flatten)]
    consent: Consent,
}

impl Revert {
    pub(crate) async fn run(self, org: &Org, output: &Output) -> Result<(), Failure> {
        let (name, scope) = (&self.name, self.scope.scope());
        let target = Target::find(org, name, &scope).await?;
        let wanted = Version::to_restore(&target.versions, Revision::from_u64(self.version));
        let Some(wanted) = wanted else {
            return Err(Wanted::of_value(name, &scope, Some(self.version)).not_kept());
        };
        target.restore(org, wanted, (self.replace, self.consent), "revert", output).await
    }

    pub(crate) fn on_server(self, client: &Client, output: &Output) -> Result<(), Failure> {
        let (name, scope, version) = (&self.name, self.scope.scope(), self.version.to_string());
        let deed = format!("set {name} at {scope} to what it was in version {version}");
        let deed = Deed::to(deed, present_version(client, name, &scope));
        consent_to(self.consent, deed, !client.keeps_nothing(name))?;
        let (linked_account_id, workflow_id) = ids(&scope);
        let body = Restore {
            version,
            linked_account_id,
            workflow_id,
            replace_damaged: self.replace.replace_damaged,
        };
        let restored = client.control_post(&["values", name.as_str(), "restore"], &body);
        let wanted = Wanted::of_value(name, &scope, Some(self.version));
        let restored =
            restored.map_err(|refused| wanted.refused(refused, || Failure::no_value(name, &scope)));
        show(&restored?, &scope, output)
    }
}
