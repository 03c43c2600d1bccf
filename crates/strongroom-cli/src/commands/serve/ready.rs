//! What is printed when the server is ready.

use std::fmt::Write as _;
use std::net::SocketAddr;

use serde_json::json;
use strongroom::{Org, Secret};
use zeroize::Zeroizing;

use super::first_run::Contents;
use crate::failure::Failure;
use crate::output::Output;

/// A server that answers.
#[derive(Debug)]
pub(super) struct Ready {
    /// Scheme, host and port.
    url: String,
    contents: Contents,
}

impl Ready {
    pub(super) fn new(address: SocketAddr, contents: Contents) -> Self {
        Self { url: format!("http://{address}"), contents }
    }

    /// Prints one JSON line, or what a person can paste.
    pub(super) fn announce(&self, org: &Org, output: &Output) -> Result<(), Failure> {
        if output.is_json() {
            return output.verbatim(&self.json());
        }
        output.verbatim(&self.text(org))
    }

    fn json(&self) -> Zeroizing<String> {
        let Contents { api_key, definition, account } = &self.contents;
        let mut json = json!({
            "url": self.url,
            "variable_definition_id": definition.as_ref().map(ToString::to_string),
            "linked_account_id": account.as_ref().map(ToString::to_string),
        });
        if let (Some(key), Some(object)) = (api_key, json.as_object_mut()) {
            object.insert("api_key".to_owned(), key.expose().into());
        }
        Zeroizing::new(format!("{json}\n"))
    }

    fn text(&self, org: &Org) -> Zeroizing<String> {
        let mut text = Zeroizing::new(format!("serving {} (environment {})\n", self.url, org.environment()));
        let Contents { api_key, definition, account } = &self.contents;
        // Writing to a `String` cannot fail.
        let _ = match api_key {
            Some(key) => writeln!(text, "\nAPI key, shown this once:\n{}", key.expose()),
            None => writeln!(text, "\n`strongroom api-key create NAME` makes another API key."),
        };
        if let (Some(definition), Some(account)) = (definition, account) {
            let key = api_key.as_ref().map_or("$STRONGROOM_API_KEY", Secret::expose);
            let base = format!("{}/api/v2/public", self.url);
            let _ = write!(
                text,
                r#"
Set a value of a linked account:
curl -X POST '{base}/env/values' \
  -H "x-api-key: {key}" -H 'Content-Type: application/json' \
  -d '{{"variable_definition_id": "{definition}", "linked_account_id": "{account}", "value": "secret value"}}'

Add or update a credential of its default app:
curl -X PUT '{base}/linked-account/default-app/auth-credentials/api_key' \
  -H "x-api-key: {key}" -H 'linked_account_id: {account}' -H 'Content-Type: application/json' \
  -d '{{"value": "secret value"}}'
"#
            );
        }
        text
    }
}
