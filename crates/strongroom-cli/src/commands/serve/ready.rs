//! What `serve` prints when it is ready.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use serde::Serialize;
use strongroom::{LinkedAccountId, Org};
use zeroize::Zeroizing;

use super::first_key::FirstKey;
use super::first_run::Contents;
use crate::failure::Failure;
use crate::output::Output;

/// A server that accepts requests.
#[derive(Debug)]
pub(super) struct Ready {
    /// Scheme, host and port.
    url: String,
    console: bool,
    contents: Contents,
}

#[derive(Serialize)]
struct ReadyView<'a> {
    url: &'a str,
    variable_definition_id: Option<String>,
    linked_account_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    api_key: Option<&'a str>,
    /// The file of the key, unless the key is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    api_key_file: Option<&'a Path>,
}

impl<'a> ReadyView<'a> {
    fn of(ready: &'a Ready) -> Self {
        let Contents { api_key, definition, account } = &ready.contents;
        Self {
            url: &ready.url,
            variable_definition_id: definition.as_ref().map(ToString::to_string),
            linked_account_id: account.as_ref().map(LinkedAccountId::as_str),
            api_key: match api_key {
                Some(FirstKey::Shown(key)) => Some(key.expose()),
                Some(FirstKey::File(_)) | None => None,
            },
            api_key_file: match api_key {
                Some(FirstKey::File(file)) => Some(file),
                Some(FirstKey::Shown(_)) | None => None,
            },
        }
    }
}

impl Ready {
    pub(super) fn new((scheme, address): (&str, SocketAddr), console: bool, contents: Contents) -> Self {
        Self { url: format!("{scheme}://{address}"), console, contents }
    }

    /// Prints one JSON line, or lines that a person can paste.
    pub(super) fn announce(&self, org: &Org, output: &Output) -> Result<(), Failure> {
        if output.is_json() {
            return output.json_line(&ReadyView::of(self));
        }
        output.verbatim(&self.text(org))
    }

    fn text(&self, org: &Org) -> Zeroizing<String> {
        let mut text = Zeroizing::new(format!("serving {} (environment {})\n", self.url, org.environment()));
        let Contents { api_key, definition, account } = &self.contents;
        // Writing to a `String` cannot fail.
        let _ = writeln!(text, "API reference: {}/docs", self.url);
        if self.console {
            let key = "log in with a key of `strongroom api-key create NAME --right read`";
            let _ = writeln!(text, "console: {}/ ({key}, and other rights)", self.url);
        }
        let _ = match api_key {
            Some(FirstKey::Shown(key)) => writeln!(text, "\nAPI key, shown only now:\n{}", key.expose()),
            Some(FirstKey::File(file)) => {
                writeln!(text, "\nThe API key is in a file that only you can read:\n{}", file.display())
            }
            None => writeln!(text, "\n`strongroom api-key create NAME` creates another API key."),
        };
        if let (Some(definition), Some(account)) = (definition, account) {
            let key = match api_key {
                Some(FirstKey::Shown(key)) => Zeroizing::new(key.expose().to_owned()),
                Some(FirstKey::File(file)) => Zeroizing::new(format!("$(cat '{}')", file.display())),
                None => Zeroizing::new("$STRONGROOM_API_KEY".to_owned()),
            };
            let key = key.as_str();
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
            if self.url.starts_with("https:") {
                let _ = writeln!(
                    text,
                    "\nIf an authority of your own issued its certificate, name that one with --cacert FILE."
                );
            }
        }
        text
    }
}
