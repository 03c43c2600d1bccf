//! The JSON and YAML files that `import` reads.

use std::collections::BTreeSet;

use serde_json::value::RawValue;
use strongroom::Secret;
use zeroize::Zeroizing;

use self::entry::Entry;
use self::json::Document;

// As the command line has them.
#[path = "../../crates/strongroom-cli/src/commands/import/source/entry.rs"]
#[allow(dead_code, reason = "the command reads what is not read here")]
mod entry;
#[path = "../../crates/strongroom-cli/src/commands/import/source/json.rs"]
#[allow(dead_code, reason = "the command tells what is not told here")]
mod json;
#[path = "../../crates/strongroom-cli/src/commands/import/source/yaml.rs"]
#[allow(dead_code, reason = "the command tells what is not told here")]
mod yaml;

/// Any text is read or refused. YAML becomes valid JSON; JSON reads the same as YAML; a name is there once; and what is
/// shown of an entry holds no value.
pub fn import(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let read = Document::parse(&text);
    if let Ok(document) = &read {
        is_readable(document);
    }
    let Ok(json) = yaml::to_json(&text) else { return };
    assert!(serde_json::from_str::<&RawValue>(&json).is_ok(), "YAML becomes valid JSON");
    let as_yaml = Document::parse(&json);
    if let Ok(document) = &as_yaml {
        is_readable(document);
    }
    if let (Ok(as_json), Ok(as_yaml)) = (read, as_yaml) {
        assert!(as_json.kind == as_yaml.kind, "a document is of another kind as YAML");
        assert!(plain(&as_json) == plain(&as_yaml), "a value is another one as YAML");
    }
}

fn is_readable(document: &Document) {
    let names: BTreeSet<_> = document.entries.iter().map(|entry| entry.name.as_str()).collect();
    assert!(names.len() == document.entries.len(), "a name is there more than once");
    for entry in &document.entries {
        let shown = format!("{entry:?}");
        let redacted = match &entry.value {
            Ok(_) => shown.contains("value: Ok(") && shown.contains("REDACTED"),
            Err(reason) => shown.contains(reason),
        };
        assert!(redacted, "an entry shows its value");
    }
}

/// Names and values, without those whose source is kept: white space in it is of the notation.
fn plain(document: &Document) -> Vec<(&str, Result<&str, &str>)> {
    let entries = document.entries.iter().filter(|entry| !entry.is_nested);
    entries
        .map(|entry| (entry.name.as_str(), entry.value.as_ref().map(Secret::expose).map_err(|no| *no)))
        .collect()
}

fn text(mut bytes: Zeroizing<Vec<u8>>) -> Option<Secret> {
    std::str::from_utf8(&bytes).ok()?;
    String::from_utf8(std::mem::take(&mut *bytes)).ok().map(Secret::from)
}
