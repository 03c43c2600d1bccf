//! `credential history`, `undo` and `revert`: a credential as it was.

use serde::Serialize;
use strongroom::{AppCredentials, CredentialKey, Error, Org, Revision, Version, WriteOptions};
use strongroom_http::control::{self, CredentialUndone, RestoreCredential, UndoCredential};

use super::credential::Place;
use super::history::{show, views};
use super::not_back::Wanted;
use super::undo::Replace;
use crate::client::{Call, Client};
use crate::consent::Consent;
use crate::failure::Failure;
use crate::output::{Output, time};
use crate::pages;
use crate::suggest;

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct History {
    /// The key of the credential
    key: CredentialKey,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Undo {
    /// The key of the credential
    key: CredentialKey,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    replace: Replace,
    #[command(flatten)]
    consent: Consent,
}

#[derive(Debug, Clone, clap::Args)]
#[command(disable_version_flag = true)]
pub(crate) struct Revert {
    /// The key of the credential
    key: CredentialKey,
    /// The version, as `credential history` lists it
    #[arg(long, value_name = "N")]
    version: u64,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    replace: Replace,
    #[command(flatten)]
    consent: Consent,
}

#[derive(Serialize)]
struct UndoneView<'a> {
    #[serde(flatten)]
    undone: &'a CredentialUndone,
    linked_account_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    app: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connection: Option<&'a str>,
}

/// A credential to restore, and its versions, the newest first.
struct Target<'t> {
    key: &'t CredentialKey,
    place: &'t Place,
    credentials: AppCredentials,
    versions: Vec<Version>,
}

impl History {
    pub(crate) async fn run(self, org: &Org, output: &Output) -> Result<(), Failure> {
        show(&views(&Target::find(org, &self.key, &self.place).await?.versions), UNDO, output)
    }

    pub(crate) fn on_server(self, client: &Client, output: &Output) -> Result<(), Failure> {
        let path = self.place.path_of(&self.key, &["history"]);
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        let versions: Vec<control::Version> =
            client.control_items(Call { path: &path, query: &self.place.query() })?;
        if versions.is_empty() {
            return Err(self.place.absent(&self.key));
        }
        show(&versions, UNDO, output)
    }
}

impl Undo {
    pub(crate) async fn run(self, org: &Org, output: &Output) -> Result<(), Failure> {
        let target = Target::find(org, &self.key, &self.place).await?;
        let Some(last) = Version::to_undo(&target.versions) else {
            return Err(Wanted::of_credential(&self.key, &self.place, None).none_of(&target.versions));
        };
        target.restore(last, (self.replace, self.consent), "undo", output).await
    }

    pub(crate) fn on_server(self, client: &Client, output: &Output) -> Result<(), Failure> {
        let Self { key, place, replace, consent } = self;
        consent.to_reversible(&format!(
            "set credential {key} of {} to what it was before its last change",
            place.shown()
        ))?;
        let Replace { replace_damaged } = replace;
        let body = UndoCredential { connection: place.connection(), replace_damaged };
        let path = place.path_of(&key, &["undo"]);
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        let wanted = Wanted::of_credential(&key, &place, None);
        let restored = client.control_post(&path, &body);
        done(&restored.map_err(|refused| wanted.refused(refused, || place.absent(&key)))?, &place, output)
    }
}

impl Revert {
    pub(crate) async fn run(self, org: &Org, output: &Output) -> Result<(), Failure> {
        let target = Target::find(org, &self.key, &self.place).await?;
        let wanted = Version::to_restore(&target.versions, Revision::from_u64(self.version));
        let Some(wanted) = wanted else {
            return Err(Wanted::of_credential(&self.key, &self.place, Some(self.version)).not_kept());
        };
        target.restore(wanted, (self.replace, self.consent), "revert", output).await
    }

    pub(crate) fn on_server(self, client: &Client, output: &Output) -> Result<(), Failure> {
        let Self { key, version, place, replace, consent } = self;
        consent.to_reversible(&format!(
            "set credential {key} of {} to what it was in version {version}",
            place.shown()
        ))?;
        let wanted = Wanted::of_credential(&key, &place, Some(version));
        let (version, connection) = (version.to_string(), place.connection());
        let Replace { replace_damaged } = replace;
        let body = RestoreCredential { version, connection, replace_damaged };
        let path = place.path_of(&key, &["restore"]);
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        let restored = client.control_post(&path, &body);
        done(&restored.map_err(|refused| wanted.refused(refused, || place.absent(&key)))?, &place, output)
    }
}

impl<'t> Target<'t> {
    /// The credential with its versions, of which there is at least one.
    async fn find(org: &Org, key: &'t CredentialKey, place: &'t Place) -> Result<Self, Failure> {
        let credentials = place.credentials(org);
        match pages::all(async |page| credentials.history(key.as_str(), page).await).await {
            Ok(versions) if versions.is_empty() => Err(place.absent(key)),
            Ok(versions) => Ok(Self { key, place, credentials, versions }),
            Err(error) => Err(suggest::of_account(org, &place.account, error).await),
        }
    }

    /// Sets the credential to its value in a version, unless it changed since the versions were read.
    async fn restore(
        &self,
        wanted: &Version,
        (replace, consent): (Replace, Consent),
        note: &str,
        output: &Output,
    ) -> Result<(), Failure> {
        let (key, place) = (self.key.as_str(), self.place);
        let written = time(wanted.written_at);
        let as_listed = replace.as_listed(&self.versions)?;
        consent.to_reversible(&format!(
            "set credential {key} of {} to what it was from {written} on",
            place.shown()
        ))?;
        let changed = |error| Wanted::of_credential(self.key, place, None).overtaken(error);
        let written = match self.versions.as_slice() {
            // It gets its former expiry back.
            [deletion, last, ..] if deletion.deleted && deletion.unreadable.is_none() && last == wanted => {
                let undeleted = self.credentials.undelete_with(key, WriteOptions::default().note(note)).await;
                undeleted.map_err(changed)?.ok_or_else(|| changed(Error::Unexpected { found: None }))?
            }
            _ => {
                let options = WriteOptions::expecting(as_listed).note(note);
                self.credentials.restore_with(key, wanted.revision, options).await.map_err(changed)?
            }
        };
        done(&CredentialUndone::of(&written.info, wanted), place, output)
    }
}

fn done(undone: &CredentialUndone, place: &Place, output: &Output) -> Result<(), Failure> {
    let (app, connection) = place.named();
    let view = UndoneView { undone, linked_account_id: place.account.as_str(), app, connection };
    let CredentialUndone { key, written_at, .. } = undone;
    output.done(
        &format!("credential {key} of {} is again what it was from {written_at} on", place.shown()),
        &view,
    )
}

const UNDO: &str = "credential undo KEY --account ID";
