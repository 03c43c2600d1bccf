//! `credential reveal`: a credential in plain text, as it is or was.

use serde::Serialize;
use strongroom::{CredentialKey, Error, Org, Revision, Secret};
use strongroom_http::control::{CredentialShown, Reason};

use super::credential::Place;
use super::get::{refuse_shown_bytes, show_alone};
use super::not_back::Wanted;
use crate::client::{Call, Client};
use crate::failure::Failure;
use crate::output::{Output, time};
use crate::suggest;

#[derive(Debug, Clone, clap::Args)]
#[command(disable_version_flag = true)]
pub(crate) struct Reveal {
    /// The key of the credential
    key: CredentialKey,
    #[command(flatten)]
    place: Place,
    /// What it was in this version, as `credential history` lists it
    #[arg(long, value_name = "N")]
    version: Option<u64>,
    /// For a credential in base64: the bytes that it encodes
    #[arg(long)]
    bytes: bool,
}

#[derive(Serialize)]
struct RevealedView<'a> {
    key: &'a str,
    linked_account_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    app: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connection: Option<&'a str>,
    value: &'a str,
    updated_at: String,
}

impl Reveal {
    pub(crate) async fn run(self, org: &Org, output: &Output) -> Result<(), Failure> {
        refuse_shown_bytes(self.bytes, output)?;
        let credentials = self.place.credentials(org);
        let found = match self.version {
            Some(version) => {
                credentials.version(self.key.as_str(), Revision::from_u64(version)).await.map(Some)
            }
            None => credentials.get(self.key.as_str()).await,
        };
        match found {
            Ok(Some(found)) => self.show(&found.value, time(found.info.updated_at), output),
            Ok(None) => Err(self.place.absent(&self.key)),
            Err(Error::VersionNotFound(_)) => Err(self.not_kept()),
            Err(error) => Err(suggest::of_account(org, &self.place.account, error).await),
        }
    }

    pub(crate) fn on_server(self, client: &Client, output: &Output) -> Result<(), Failure> {
        refuse_shown_bytes(self.bytes, output)?;
        let path = self.place.path_of(&self.key, &[]);
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        let version = self.version.map(|version| version.to_string());
        let version = version.iter().map(|version| ("version", version.as_str()));
        let query: Vec<_> = self.place.query().into_iter().chain(version).collect();
        let found = client.control_get(Call { path: &path, query: &query });
        let found: CredentialShown = match self.place.told_of_app(client, found) {
            Err(refused) if refused.is(Reason::VersionNotFound) => return Err(self.not_kept()),
            Err(refused) if refused.is(Reason::CredentialNotFound) => {
                return Err(self.place.absent(&self.key));
            }
            found => found?,
        };
        self.show(&Secret::from(found.value.as_str()), found.updated_at, output)
    }

    fn not_kept(&self) -> Failure {
        Wanted::of_credential(&self.key, &self.place, self.version).not_kept()
    }

    /// The credential and nothing else, unless it is JSON.
    fn show(&self, value: &Secret, updated_at: String, output: &Output) -> Result<(), Failure> {
        if !output.is_json() {
            return show_alone(&format!("credential {}", self.key), value, self.bytes, output);
        }
        let ((app, connection), linked_account_id) = (self.place.named(), self.place.account.as_str());
        let (key, value) = (self.key.as_str(), value.expose());
        output.json(&RevealedView { key, linked_account_id, app, connection, value, updated_at })
    }
}
