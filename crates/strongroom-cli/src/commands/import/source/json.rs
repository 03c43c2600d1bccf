//! Names and values in JSON: one flat object, or the output of a secret manager, which is recognised.

use std::collections::HashSet;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;
use strongroom::Secret;
use zeroize::Zeroizing;

use super::{Entry, text};

/// The entries of a text, and the kind of document unless it is one flat object.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) entries: Vec<Entry>,
    pub(super) kind: Option<&'static str>,
    /// Names without a value, which comes from elsewhere.
    pub(super) without_value: Vec<String>,
}

/// Why a text is refused. It contains no text of the file: serde's own sentences may quote a value.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It is not JSON, or a name is repeated; the line and the column.
    Syntax(usize, usize),
    /// It is JSON of another shape.
    Shape(&'static str),
    /// The same, with what to do.
    Other(&'static str, &'static str),
}

impl Document {
    pub(super) fn parse(text: &str) -> Result<Self, Refusal> {
        let syntax = |error: serde_json::Error| Refusal::Syntax(error.line(), error.column());
        if text.trim_start().starts_with('[') {
            let items: Vec<&RawValue> = serde_json::from_str(text).map_err(syntax)?;
            if !items.is_empty() && items.iter().all(|item| item.get().starts_with('"')) {
                return Err(Refusal::Other(
                    "a list of texts, as `vault kv list` prints it, without a value",
                    "import what `vault kv get -format=json` prints",
                ));
            }
            return Self::of_kind("a list of names and values", pairs(&items)?);
        }
        let object: Object<'_> = serde_json::from_str(text).map_err(syntax)?;
        Self::of_object(&object)
    }

    fn of_object(object: &Object<'_>) -> Result<Self, Refusal> {
        if object.get("apiVersion").is_some() && object.get("kind").is_some() {
            return of_kubernetes(object);
        }
        if object
            .object("sops")
            .is_some_and(|sops| sops.get("mac").is_some() || sops.get("version").is_some())
        {
            return Err(Refusal::Other("encrypted by SOPS", DECRYPT_SOPS));
        }
        if object.list("SecretValues").is_some() {
            return Err(Refusal::Other(
                "several AWS secrets",
                "import them one by one, as `aws secretsmanager get-secret-value` prints them",
            ));
        }
        let is_aws = object.0.iter().all(|(name, _)| AWS_FIELDS.contains(&name.as_str()));
        if is_aws && object.get("SecretBinary").is_some() {
            return Err(Refusal::Other(
                "an AWS secret of bytes, without a name for them",
                "choose a name of format bytes: `jq -j .SecretBinary FILE | strongroom set NAME`",
            ));
        }
        if let Some(secret) = object.text("SecretString").filter(|_| is_aws) {
            let inner = serde_json::from_str::<Object<'_>>(&secret);
            let inner =
                inner.map_err(|_| Refusal::Shape("an AWS secret whose text is not one JSON object"))?;
            return Self::of_kind("an AWS secret", inner.entries());
        }
        if let Some(secrets) = object.object("secrets")
            && let Some(entries) = computed(&secrets)
        {
            return Self::of_kind("Doppler secrets", entries);
        }
        for (field, kind) in [("Parameter", "an AWS parameter"), ("secret", "an Infisical secret")] {
            let item = object.get(field).filter(|raw| raw.get().starts_with('{'));
            if let Some(entries) = item.and_then(|item| pairs(&[item]).ok()) {
                return Self::of_kind(kind, entries);
            }
        }
        for (field, kind) in [
            ("Parameters", "AWS parameters"),
            ("secrets", "Infisical secrets"),
            ("fields", "a 1Password item"),
        ] {
            let is_item = field != "fields" || ITEM_FIELDS.iter().any(|one| object.get(one).is_some());
            if let Some(items) = object.list(field).filter(|_| is_item) {
                return Self::of_kind(kind, pairs(&items)?);
            }
        }
        if let Some(data) = object.object("data") {
            if let Some(inner) = data.object("data") {
                return Self::of_kind("a Vault secret", inner.entries());
            }
            let has_version = object.object("metadata").is_some_and(|of| of.get("version").is_some());
            if has_version || object.get("lease_id").is_some() || object.get("request_id").is_some() {
                return Self::of_kind("a Vault secret", data.entries());
            }
        }
        if let Some(services) = object.object("services") {
            return of_compose(&services);
        }
        if let Some(entries) = computed(object) {
            return Self::of_kind("Doppler secrets", entries);
        }
        let is_output = |one: &Object<'_>| one.get("sensitive").is_some() && one.get("type").is_some();
        if let Some(entries) = each_field(object, "value", is_output) {
            return Self::of_kind("Terraform outputs", entries);
        }
        Ok(Self { entries: object.entries(), kind: None, without_value: Vec::new() })
    }

    fn of_kind(kind: &'static str, entries: Vec<Entry>) -> Result<Self, Refusal> {
        let mut names = HashSet::new();
        if entries.iter().all(|entry| names.insert(entry.name.as_str())) {
            return Ok(Self { entries, kind: Some(kind), without_value: Vec::new() });
        }
        Err(Refusal::Shape("a document in which a name is repeated"))
    }
}

fn computed(object: &Object<'_>) -> Option<Vec<Entry>> {
    each_field(object, "computed", |_| true)
}

/// This field of each object in an object, if there are objects and all have it.
fn each_field(object: &Object<'_>, field: &str, is_one: impl Fn(&Object<'_>) -> bool) -> Option<Vec<Entry>> {
    let entry = |(name, raw): &(String, &RawValue)| {
        let one = parse_object(raw).filter(&is_one)?;
        Some(Entry::of_raw(name, one.get(field)?))
    };
    let entries: Option<Vec<_>> = object.0.iter().map(entry).collect();
    entries.filter(|entries| !entries.is_empty())
}

/// The environment of the one service that has one: a mapping, or a list of `NAME=value`.
fn of_compose(services: &Object<'_>) -> Result<Document, Refusal> {
    let all = services.0.iter().filter_map(|(_, raw)| parse_object(raw)?.get("environment"));
    let all: Vec<_> = all.collect();
    let [raw] = all.as_slice() else {
        return Err(match all.is_empty() {
            true => Refusal::Shape("a compose file without a service that has an `environment`"),
            false => Refusal::Other(
                "a compose file with several services that have an `environment`",
                "import them one by one: leave one service in the file",
            ),
        });
    };
    let mut entries = match parse_object(raw) {
        Some(object) => object.entries(),
        None => {
            let lines: Vec<String> = serde_json::from_str(raw.get()).map_err(|_| {
                Refusal::Shape("a compose file whose `environment` is neither a mapping nor a list of texts")
            })?;
            let entry = |line: &String| match line.split_once('=') {
                Some((name, value)) => Entry::new(name, Ok(Secret::from(value))),
                None => Entry::new(line, Err(NOT_HERE)),
            };
            lines.iter().map(entry).collect()
        }
    };
    // Compose takes these from its own environment.
    let without_value = entries.extract_if(.., |entry| matches!(entry.value, Err(NULL | NOT_HERE)));
    let without_value = without_value.map(|entry| entry.name).collect();
    for entry in &mut entries {
        // Compose writes a `$` that it must not replace this way.
        if let Ok(value) = &entry.value
            && value.expose().contains("$$")
        {
            entry.value = Ok(Secret::from(value.expose().replace("$$", "$")));
        }
    }
    let document = Document::of_kind("the environment of a compose service", entries)?;
    Ok(Document { without_value, ..document })
}

fn of_kubernetes(object: &Object<'_>) -> Result<Document, Refusal> {
    let text = |field: &str| object.object(field).map(|all| all.entries()).unwrap_or_default();
    match object.text("kind").as_deref().map(String::as_str) {
        Some("Secret") => {
            let mut entries: Vec<_> = text("data").into_iter().map(decoded).collect();
            // As in the cluster, plain text takes precedence over encoded text.
            let plain = text("stringData");
            entries.retain(|entry| plain.iter().all(|one| one.name != entry.name));
            entries.extend(plain.into_iter().map(with_bytes));
            Document::of_kind("a Kubernetes Secret", entries)
        }
        Some("ConfigMap") => {
            let plain = text("data").into_iter().map(with_bytes);
            let entries = plain.chain(text("binaryData").into_iter().map(decoded));
            Document::of_kind("a Kubernetes ConfigMap", entries.collect())
        }
        Some("List" | "SecretList" | "ConfigMapList") => Err(Refusal::Other(
            "a list of Kubernetes documents",
            "import them one by one, with `kubectl get` of each",
        )),
        _ => Err(Refusal::Shape("a Kubernetes document, but neither a Secret nor a ConfigMap")),
    }
}

/// An entry whose text is base64.
fn decoded(entry: Entry) -> Entry {
    // Kubernetes ignores line breaks in it.
    let decode = |text: Secret| {
        let text = Zeroizing::new(text.expose().replace(['\n', '\r'], ""));
        STANDARD.decode(text.as_str()).map(Zeroizing::new).map_err(|_| "it is not base64")
    };
    match entry.value.and_then(decode) {
        Err(reason) => Entry { value: Err(reason), ..entry },
        Ok(bytes) => Entry {
            bytes: Some(Secret::from_bytes(&bytes)),
            value: text(bytes).ok_or("it is not text, which only the format bytes takes"),
            ..entry
        },
    }
}

/// An entry whose text a pod sees as it is.
fn with_bytes(entry: Entry) -> Entry {
    let bytes = entry.value.as_ref().ok().map(|text| Secret::from_bytes(text.expose().as_bytes()));
    Entry { bytes, ..entry }
}

/// Items that each have a name and a value, in the fields of the usual tools.
fn pairs(items: &[&RawValue]) -> Result<Vec<Entry>, Refusal> {
    let mut entries = Vec::with_capacity(items.len());
    for item in items {
        let item = parse_object(item).ok_or(Refusal::Shape(UNNAMED))?;
        let fields =
            FIELDS.iter().find_map(|(name, value)| Some((*name, item.text(name)?, item.get(value)?)));
        let Some((field, name, raw)) = fields else {
            // 1Password lists empty fields without a value.
            if item.text("label").is_some() {
                continue;
            }
            return Err(Refusal::Shape(UNNAMED));
        };
        // A parameter of AWS is named by its path; elsewhere a `/` is a part of the name.
        let name = match field {
            AWS_NAME => name.rsplit('/').next().unwrap_or_default(),
            _ => name.as_str(),
        };
        entries.push(Entry::of_raw(name, raw));
    }
    Ok(entries)
}

/// One object, in its order; a repeated name is an error.
struct Object<'a>(Vec<(String, &'a RawValue)>);

impl<'a> Object<'a> {
    fn get(&self, field: &str) -> Option<&'a RawValue> {
        self.0.iter().find(|(name, _)| name == field).map(|(_, raw)| *raw)
    }

    fn text(&self, field: &str) -> Option<Zeroizing<String>> {
        serde_json::from_str(self.get(field)?.get()).ok().map(Zeroizing::new)
    }

    fn object(&self, field: &str) -> Option<Object<'a>> {
        parse_object(self.get(field)?)
    }

    fn list(&self, field: &str) -> Option<Vec<&'a RawValue>> {
        serde_json::from_str(self.get(field)?.get()).ok()
    }

    fn entries(&self) -> Vec<Entry> {
        self.0.iter().map(|(name, raw)| Entry::of_raw(name, raw)).collect()
    }
}

fn parse_object(raw: &RawValue) -> Option<Object<'_>> {
    serde_json::from_str(raw.get()).ok()
}

/// The text of a string, or the exact source of anything else: `1.50` stays `1.50`.
fn text_of(raw: &RawValue) -> Result<Secret, &'static str> {
    let source = raw.get();
    match source.as_bytes().first() {
        Some(b'"') => {
            serde_json::from_str::<String>(source).map(Secret::from).map_err(|_| "it is not valid text")
        }
        Some(b'n') => Err(NULL),
        _ => Ok(Secret::from(source)),
    }
}

impl Entry {
    /// Keeps the exact source of anything but a string.
    fn of_raw(name: &str, raw: &RawValue) -> Self {
        Self { is_nested: raw.get().starts_with(['{', '[']), ..Self::new(name, text_of(raw)) }
    }
}

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;

        impl<'de> Visitor<'de> for Fields {
            type Value = Object<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("one object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let (mut fields, mut names) = (Vec::new(), HashSet::new());
                while let Some((name, raw)) = map.next_entry::<String, &RawValue>()? {
                    if !names.insert(name.clone()) {
                        return Err(A::Error::custom("a repeated name"));
                    }
                    fields.push((name, raw));
                }
                Ok(Object(fields))
            }
        }

        deserializer.deserialize_map(Fields)
    }
}

/// The fields for the name and the value of an item: of most tools, of AWS, of Infisical, of 1Password.
const FIELDS: &[(&str, &str)] = &[
    ("key", "value"),
    ("name", "value"),
    (AWS_NAME, "Value"),
    ("Key", "Value"),
    ("secretKey", "secretValue"),
    ("label", "value"),
];
const AWS_NAME: &str = "Name";
/// The fields that `get-secret-value` prints.
const AWS_FIELDS: &[&str] =
    &["ARN", "Name", "VersionId", "SecretString", "SecretBinary", "VersionStages", "CreatedDate"];
/// What an item of 1Password has besides its fields.
const ITEM_FIELDS: &[&str] = &["category", "vault", "title", "sections"];
const NULL: &str = "null is not a value";
const NOT_HERE: &str = "it has no value here";
pub(super) const DECRYPT_SOPS: &str = "import what `sops decrypt` prints";
const UNNAMED: &str = "a list whose items have no name and value that import knows";

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<(String, Option<String>)>, Refusal> {
        let entries = Document::parse(text)?.entries.into_iter();
        Ok(entries.map(|entry| (entry.name, entry.value.ok().map(|v| v.expose().to_owned()))).collect())
    }

    #[test]
    fn what_is_not_a_string_keeps_its_source() {
        let read = read(r#"{"A": "x\ny", "B": 1.50, "C": {"k": [1, 2]}, "D": null}"#).unwrap();
        let values: Vec<_> = read.iter().map(|(_, value)| value.as_deref()).collect();
        assert_eq!(values, [Some("x\ny"), Some("1.50"), Some(r#"{"k": [1, 2]}"#), None]);
    }

    #[test]
    fn each_tools_output_is_read_as_what_it_is() {
        for (kind, text) in [
            ("a list", r#"[{"key": "A", "value": "x"}, {"name": "B", "value": 2}]"#),
            (
                "Infisical",
                r#"{"secrets": [{"secretKey": "A", "secretValue": "x"}, {"secretKey": "B", "secretValue": "2"}]}"#,
            ),
            ("Doppler", r#"{"A": {"computed": "x", "note": ""}, "B": {"computed": "2", "note": ""}}"#),
            (
                "Doppler",
                r#"{"secrets": {"A": {"raw": "r", "computed": "x"}, "B": {"raw": "r", "computed": "2"}}, "success": true}"#,
            ),
            (
                "Terraform",
                r#"{"A": {"sensitive": true, "type": "string", "value": "x"}, "B": {"sensitive": false, "type": "number", "value": 2}}"#,
            ),
            ("Vault", r#"{"data": {"A": "x", "B": "2"}, "metadata": {"version": 3}}"#),
            (
                "1Password",
                r#"{"title": "t", "fields": [{"label": "A", "value": "x"}, {"label": "B", "value": "2"}]}"#,
            ),
            ("Vault", r#"{"request_id": "r", "data": {"data": {"A": "x", "B": 2}, "metadata": {}}}"#),
            ("Vault", r#"{"lease_id": "", "data": {"A": "x", "B": "2"}}"#),
            ("AWS secret", r#"{"ARN": "a", "SecretString": "{\"A\": \"x\", \"B\": 2}"}"#),
            (
                "AWS param",
                r#"{"Parameters": [{"Name": "/app/A", "Value": "x"}, {"Name": "B", "Value": "2"}]}"#,
            ),
            (
                "Kubernetes Secret",
                r#"{"apiVersion": "v1", "kind": "Secret", "data": {"A": "eA==", "B": "eQ=="}, "stringData": {"B": "2"}}"#,
            ),
            ("ConfigMap", r#"{"apiVersion": "v1", "kind": "ConfigMap", "data": {"A": "x", "B": "2"}}"#),
            (
                "compose",
                r#"{"services": {"db": {"image": "x"}, "web": {"environment": {"A": "x", "B": 2}}}}"#,
            ),
            ("compose", r#"{"services": {"web": {"environment": ["A=x", "B=2"]}}}"#),
            (
                "1Password",
                r#"{"id": "i", "category": "LOGIN", "fields": [{"label": "A", "value": "x"}, {"label": "notes"}, {"label": "B", "value": "2"}]}"#,
            ),
        ] {
            let expected = [("A".to_owned(), Some("x".to_owned())), ("B".to_owned(), Some("2".to_owned()))];
            assert_eq!(read(text).unwrap(), expected, "{kind}");
            assert!(Document::parse(text).unwrap().kind.unwrap().contains(kind), "{kind}");
        }
    }

    #[test]
    fn one_item_is_read_as_a_list_of_one() {
        for text in [
            r#"{"Parameter": {"Name": "/app/A", "Type": "SecureString", "Value": "x"}}"#,
            r#"{"secret": {"secretKey": "A", "secretValue": "x"}}"#,
        ] {
            assert_eq!(read(text).unwrap(), [("A".to_owned(), Some("x".to_owned()))]);
        }
    }

    #[test]
    fn what_compose_passes_through_has_no_value_here() {
        for text in [
            r#"{"services": {"a": {"environment": ["A=x", "B"]}}}"#,
            r#"{"services": {"a": {"environment": {"A": "x", "B": null}}}}"#,
        ] {
            let document = Document::parse(text).unwrap();
            assert_eq!((document.entries.len(), document.without_value), (1, vec!["B".to_owned()]));
        }
    }

    #[test]
    fn what_only_resembles_a_tools_output_is_one_flat_object() {
        for flat in [
            r#"{"data": "x"}"#,
            r#"{"fields": []}"#,
            r#"{"secrets": "x"}"#,
            r#"{"kind": "Secret"}"#,
            r#"{"A": {"computed": 1}, "B": 2}"#,
            r#"{"SecretString": "{}", "B": 2}"#,
            r#"{"Parameter": "x", "secret": {"A": 1}}"#,
            r#"{"A": {"value": 1}, "B": {"value": 2}}"#,
            "{}",
        ] {
            assert_eq!(Document::parse(flat).unwrap().kind, None, "{flat}");
        }
    }

    #[test]
    fn other_shapes_and_repeated_names_are_refused_without_their_text() {
        for bad in [
            r#""hunter2""#,
            r#"{"A": "hunter2", "A": "hunter2"}"#,
            r#"{"A": hunter2}"#,
            r#"{"A": "hunter2"} x"#,
            r#"["hunter2"]"#,
            r#"[{"hunter2": 1}]"#,
            r#"[{"key": "A", "value": 1}, {"key": "A", "value": 2}]"#,
            r#"{"apiVersion": "v1", "kind": "hunter2"}"#,
            r#"{"SecretString": "hunter2"}"#,
            r#"{"services": {"hunter2": {}}}"#,
            r#"["hunter2", "hunter3/"]"#,
            r#"{"SecretValues": [{"Name": "hunter2", "SecretString": "hunter2"}], "Errors": []}"#,
            r#"{"A": "ENC[hunter2]", "sops": {"mac": "hunter2"}}"#,
            r#"{"apiVersion": "v1", "kind": "List", "items": ["hunter2"]}"#,
            r#"{"services": {"a": {"environment": ["hunter2=1"]}, "b": {"environment": []}}}"#,
        ] {
            assert!(!format!("{:?}", read(bad).unwrap_err()).contains("hunter"), "{bad}");
        }
    }
}
