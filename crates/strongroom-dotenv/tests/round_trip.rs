//! What is written reads back the same.

use std::collections::BTreeMap;

use proptest::prelude::*;
use strongroom_dotenv::{EnvFile, parse, write};

fn pairs(file: &EnvFile) -> Vec<(&str, &str)> {
    file.entries.iter().map(|entry| (entry.name(), entry.expose())).collect()
}

/// Any text, and text that is mostly made of what the format gives a meaning.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![any::<String>(), "[ab'\"`\\\\$#=: \t\r\n\u{feff}\u{a0}]{0,40}"]
}

#[test]
fn what_zsh_expands_at_the_start_of_a_path_is_quoted() {
    for (value, expected) in [
        ("=ls", "'=ls'"),
        ("/bin:=ls", "'/bin:=ls'"),
        (r"=\\ls", r#""=\\\\ls""#),
        ("a=b", "a=b"),
        ("Zg==", "Zg=="),
    ] {
        assert_eq!(write([("A", value)]).unwrap(), format!("A={expected}\n"));
    }
}

#[test]
fn what_has_a_meaning_to_a_shell_is_quoted() {
    let means_nothing = |c: &char| c.is_ascii_alphanumeric() || "_-./:@%+=,\\".contains(*c);
    for c in (' '..='~').filter(|c| !means_nothing(c)) {
        let written = write([("A", format!("{c}b").as_str())]).unwrap();
        assert!(written.starts_with("A='") || written.starts_with("A=\""), "{written}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_value_reads_back(values in prop::collection::btree_map("[A-Za-z0-9_.-]{1,8}", text(), 0..5)) {
        let values: BTreeMap<String, String> = values;
        let expected: Vec<_> = values.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let written = write(expected.iter().copied()).unwrap();
        let file = parse(&written).unwrap();
        prop_assert_eq!(pairs(&file), expected);
        prop_assert!(file.notes.is_empty());
    }

    #[test]
    fn what_was_read_from_any_text_reads_back(text in text()) {
        if let Ok(file) = parse(&text) {
            let written = write(pairs(&file)).unwrap();
            let again = parse(&written).unwrap();
            prop_assert_eq!(pairs(&again), pairs(&file));
        }
    }

    #[test]
    fn line_ending_changes_nothing(text in text()) {
        let unix = text.replace("\r\n", "\n").replace('\r', "\n");
        let (as_is, unix) = (parse(&text), parse(&unix));
        prop_assert_eq!(as_is.as_ref().err(), unix.as_ref().err());
        prop_assert_eq!(as_is.as_ref().map(pairs).ok(), unix.as_ref().map(pairs).ok());
    }
}
