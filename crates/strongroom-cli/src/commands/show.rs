//! `show`: everything about one definition.

use serde::Serialize;
use strongroom::{DefinitionName, Org, ScopeKind, StoredDefinition, VarFormat};
use strongroom_http::control;

use crate::client::docs::Definition;
use crate::client::{Call, Client};
use crate::failure::Failure;
use crate::output::{Output, age, time, yes};
use crate::suggest;

/// `show` as it is typed.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Show {
    /// The name of the variable
    pub(crate) name: DefinitionName,
}

/// A definition with all that it requires of a value. Fields that a server does not return are null.
#[derive(Serialize)]
struct DefinitionView {
    id: String,
    name: String,
    description: Option<String>,
    var_format: String,
    /// The format with its parameters, as `var_format` of a new definition has them.
    parameters: Option<VarFormat>,
    bytes_min: Option<usize>,
    bytes_max: Option<usize>,
    scopes: Option<Vec<ScopeKind>>,
    encrypted: bool,
    required: Option<bool>,
    default: Option<String>,
    history_versions: Option<u8>,
    history_age_secs: Option<u64>,
    author: Option<String>,
    /// How often the format was changed: values from before a change may not match it.
    format_changes: Option<u32>,
    created_at: Option<String>,
    updated_at: Option<String>,
}

impl Show {
    pub(crate) async fn run(self, org: &Org, output: &Output) -> Result<(), Failure> {
        match org.definition(&self.name).await? {
            Some(stored) => DefinitionView::of(stored).show(output),
            None => Err(suggest::undefined(org, &self.name).await),
        }
    }

    pub(crate) fn on_server(self, client: &Client, output: &Output) -> Result<(), Failure> {
        let by_control = |client: &Client| {
            let path = ["definitions", self.name.as_str()];
            client.control_get(Call { path: &path, query: &[] }).map(DefinitionView::of_control)
        };
        let by_document = |client: &Client| {
            let pattern = format!("^{}$", regex::escape(self.name.as_str()));
            let docs: Vec<Definition> =
                client.pages(Call { path: &["env", "definitions"], query: &[("name", &pattern)] })?;
            let found = docs.into_iter().find(|doc| doc.name == self.name.as_str());
            found.map(DefinitionView::of_doc).ok_or_else(|| Failure::undefined(&self.name))
        };
        client.either(by_control, by_document)?.show(output)
    }
}

impl DefinitionView {
    fn of(stored: StoredDefinition) -> Self {
        let definition = stored.definition;
        Self {
            id: stored.id.to_string(),
            name: definition.name,
            description: definition.description,
            var_format: definition.var_format.name().to_owned(),
            parameters: Some(definition.var_format),
            bytes_min: definition.length.map(|bounds| bounds.min()),
            bytes_max: definition.length.map(|bounds| bounds.max()),
            scopes: Some(definition.scopes.iter().collect()),
            encrypted: definition.encrypted,
            required: Some(definition.required),
            default: definition.default,
            history_versions: definition.history_versions,
            history_age_secs: definition.history_age_secs,
            author: definition.author,
            format_changes: Some(stored.format_changes),
            created_at: Some(time(stored.created_at)),
            updated_at: Some(time(stored.updated_at)),
        }
    }

    fn of_control(definition: control::Definition) -> Self {
        Self {
            id: definition.id,
            name: definition.name,
            description: definition.description,
            var_format: definition.var_format,
            parameters: Some(definition.parameters),
            bytes_min: definition.bytes_min,
            bytes_max: definition.bytes_max,
            scopes: Some(definition.scopes),
            encrypted: definition.encrypted,
            required: Some(definition.required),
            default: definition.default,
            history_versions: definition.history_versions,
            history_age_secs: definition.history_age_secs,
            author: definition.author,
            format_changes: Some(definition.format_changes),
            created_at: Some(definition.created_at),
            updated_at: Some(definition.updated_at),
        }
    }

    fn of_doc(doc: Definition) -> Self {
        Self {
            id: doc.id,
            name: doc.name,
            description: Some(doc.description).filter(|text| !text.is_empty()),
            var_format: doc.var_format,
            parameters: None,
            bytes_min: None,
            bytes_max: None,
            scopes: None,
            encrypted: doc.encrypted,
            required: None,
            default: None,
            history_versions: None,
            history_age_secs: None,
            author: None,
            format_changes: None,
            created_at: doc.created_at,
            updated_at: doc.updated_at,
        }
    }

    /// One line for each field that is set.
    fn show(&self, output: &Output) -> Result<(), Failure> {
        let scopes = self.scopes.as_ref().map(|kinds| {
            let names: Vec<_> = kinds.iter().map(|kind| kind.as_str()).collect();
            names.join(", ")
        });
        let length =
            self.bytes_max.map(|max| format!("{} to {max} bytes", self.bytes_min.unwrap_or_default()));
        let changes = self.format_changes.filter(|count| *count > 0).map(|count| count.to_string());
        let lines = [
            ("name", Some(self.name.clone())),
            ("description", self.description.clone()),
            ("format", Some(self.var_format.clone())),
            ("scopes", scopes),
            ("length", length),
            ("encrypted", Some(yes(self.encrypted)).filter(|yes| !yes.is_empty())),
            ("required", self.required.map(yes).filter(|yes| !yes.is_empty())),
            ("default", self.default.clone()),
            ("versions kept", self.history_versions.map(|count| count.to_string())),
            ("versions kept for", self.history_age_secs.map(age)),
            ("author", self.author.clone()),
            ("format changes", changes),
            ("id", Some(self.id.clone())),
            ("created", self.created_at.clone()),
            ("updated", self.updated_at.clone()),
        ];
        let mut rows: Vec<[String; 2]> =
            lines.into_iter().filter_map(|(field, text)| Some([field.to_owned(), text?])).collect();
        // After the format.
        let place = rows.iter().position(|[field, _]| field == "format").map_or(0, |place| place + 1);
        rows.splice(place..place, self.parameters.iter().flat_map(parameters));
        output.list(["FIELD", "VALUE"], rows, self)
    }
}

/// The parameters of a format.
fn parameters(format: &VarFormat) -> Vec<[String; 2]> {
    let each = |field: &str, texts: Vec<&str>| {
        texts.into_iter().map(|text| [field.to_owned(), text.to_owned()]).collect()
    };
    match format {
        VarFormat::Enum(list) => each("one of", list.values().collect()),
        VarFormat::UrlWithScheme(schemes) => each("scheme", schemes.schemes().collect()),
        VarFormat::Pattern(pattern) => {
            let mut rows: Vec<[String; 2]> = each("pattern", vec![pattern.pattern()]);
            rows.extend(pattern.is_unicode().then(|| ["unicode".to_owned(), yes(true)]));
            rows.extend(each("matches", pattern.must_match().collect()));
            rows.extend(each("does not match", pattern.must_not_match().collect()));
            rows
        }
        _ => Vec::new(),
    }
}
