//! `export`: the real reader of each target reads back byte for byte what was exported for it.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

mod shell;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::{Value, json};
use shell::Shell;
use strongroom_dotenv::Reader;

type Pairs = BTreeMap<String, String>;

/// Every target, and the rules of its reader; those without any take every value.
const TARGETS: [(&str, Option<Reader>); 11] = [
    ("dotenv-node", Some(Reader::DotenvNode)),
    ("node", Some(Reader::Node)),
    ("python", Some(Reader::Python)),
    ("docker", Some(Reader::Docker)),
    ("compose", Some(Reader::Compose)),
    ("shell", Some(Reader::Shell)),
    ("systemd", Some(Reader::Systemd)),
    ("github-actions", Some(Reader::GithubActions)),
    ("json", None),
    ("yaml", None),
    ("k8s", None),
];

#[test]
fn each_target_reads_back_exactly_what_it_was_given() {
    let (shell, values) = vault(&awkward());
    for (target, reader) in TARGETS {
        let held = |name: &str, value: &str| reader.is_none_or(|reader| reader.holds(name, value));
        let (taken, refused): (Pairs, Pairs) = values.clone().into_iter().partition(|(n, v)| held(n, v));
        let text = shell.ok(&only(&["export", "--for", target, "--reveal"], &taken));
        assert_reads(&shell, target, &text, &taken);
        for (name, value) in refused.iter().take(5) {
            let ran = shell.run(&["export", "--for", target, "--reveal", "--only", name]);
            assert_eq!((ran.code, ran.stdout.as_str()), (4, ""), "{target} and {value:?}");
            assert!(ran.stderr.contains(name) && ran.stderr.contains("json"), "{}", ran.stderr);
        }
    }
}

#[test]
fn what_people_keep_can_be_given_to_every_target() {
    let kept = [
        "",
        "hello world",
        "it's",
        "say \"hi\"",
        "a#b",
        "a #b",
        " x ",
        "p$ss",
        "C:\\dir",
        "é",
        "{\"a\": 1}",
        "a\\nb",
    ];
    let lines = "-----BEGIN X-----\nZm8=\n-----END X-----\n";
    for (target, reader) in TARGETS {
        for value in kept.into_iter().chain([lines].into_iter().filter(|_| target != "docker")) {
            assert!(reader.is_none_or(|reader| reader.holds("A", value)), "{target} and {value:?}");
        }
    }
    for value in awkward() {
        assert!(Reader::Shell.holds("A", &value) && Reader::Compose.holds("A", &value), "{value:?}");
    }
}

#[test]
fn without_a_target_every_reader_reads_the_same() {
    let plain = ["", "8080", "a-b_c.d", "https://h:1/a+b,c@d=e%20", "Zm8=", "/usr/bin:/bin"];
    let (shell, values) = vault(&plain.map(str::to_owned));
    let text = shell.ok(&["export", "--reveal"]);
    for (target, _) in TARGETS.iter().filter(|(_, reader)| reader.is_some()) {
        assert_reads(&shell, target, &text, &values);
    }
    shell.ok_with("hello $USER\n", &["set", "V0001"]);
    let ran = shell.run(&["export", "--reveal"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (4, ""));
    assert!(ran.stderr.contains("V0001") && !ran.stderr.contains("hello"), "{}", ran.stderr);
    assert!(ran.stderr.contains("`--for` with one of dotenv-node, node, python, compose"), "{}", ran.stderr);
}

#[test]
fn a_shell_is_given_no_variable_that_it_sets_or_computes_itself() {
    let own = "for name in ${(k)parameters}; do case $parameters[$name] in \
               (*integer*|*float*|*array*|*association*|*readonly*) print -r -- $name;; esac; done";
    let ran = Command::new("zsh").args(["-f", "-c", own]).output().expect("zsh is installed");
    let names = String::from_utf8(ran.stdout).unwrap();
    let names = names.lines().filter(|name| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'));
    let names: Vec<_> = names.filter(|name| !name.starts_with(|c: char| c.is_ascii_digit())).collect();
    assert!(names.len() > 50 && names.contains(&"HISTSIZE"), "{names:?}");
    for name in names {
        assert!(!Reader::Shell.holds(name, "1"), "{name}");
    }
}

#[test]
fn a_variable_that_changes_which_code_runs_is_exported_only_if_it_is_allowed() {
    let shell = Shell::with_vault();
    for name in ["PROMPT_COMMAND", "LD_PRELOAD"] {
        shell.define(name, "string");
        shell.ok_with("planted", &["set", name]);
    }
    for (target, reader) in TARGETS.into_iter().filter(|(target, _)| !matches!(*target, "json" | "yaml")) {
        let ran = shell.run(&["export", "--for", target, "--reveal", "--allow", "LD_PRELOAD"]);
        assert_eq!((ran.code, ran.stdout.as_str()), (4, ""), "{target}");
        assert!(ran.stderr.contains("--allow PROMPT_COMMAND"), "{}", ran.stderr);
        let allowed = ["--allow", "LD_PRELOAD", "--allow", "PROMPT_COMMAND"];
        let text = shell.ok(&[&["export", "--for", target, "--reveal"], &allowed[..]].concat());
        assert!(reader.is_none() || text.contains("planted"), "{text}");
    }
    assert_eq!(shell.run(&["export", "--reveal"]).code, 4);
    // What is data sets no environment.
    shell.ok(&["export", "--for", "json", "--reveal"]);
    shell.ok(&["export", "--format", "env", "--reveal"]);
}

#[test]
fn only_some_are_exported_and_a_name_without_a_value_is_3() {
    let (shell, _) = vault(&["1", "2", "3"].map(str::to_owned));
    shell.define("EMPTY", "string");
    assert_eq!(shell.ok(&["export", "--reveal", "--only", "V0002", "--only", "V0000"]), "V0000=1\nV0002=3\n");
    for (name, step) in [("V000", "did you mean V000"), ("EMPTY", "strongroom explain EMPTY")] {
        let ran = shell.run(&["export", "--reveal", "--only", name]);
        assert_eq!((ran.code, ran.stdout.as_str()), (3, ""));
        assert!(ran.stderr.contains(step), "{}", ran.stderr);
    }
}

#[test]
fn a_file_of_values_is_new_and_its_owners() {
    use std::os::unix::fs::PermissionsExt;
    let (shell, _) = vault(&["hunter2".to_owned()]);
    let written = shell.json(&["export", "--for", "systemd", "--reveal", "--output", "a.env"]);
    assert_eq!(written, json!({"file": "a.env", "variables": 1}));
    assert_eq!(std::fs::read_to_string(shell.path("a.env")).unwrap(), "V0000=hunter2\n");
    assert_eq!(std::fs::metadata(shell.path("a.env")).unwrap().permissions().mode() & 0o777, 0o600);
    let ran = shell.run(&["export", "--reveal", "--output", "a.env"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""));
    assert!(ran.stderr.contains("a new file"), "{}", ran.stderr);
}

#[test]
fn with_json_each_target_is_one_document() {
    let (shell, _) = vault(&["a b".to_owned()]);
    assert_eq!(shell.json(&["export", "--reveal"]), json!({"V0000": "a b"}));
    assert_eq!(shell.json(&["export", "--reveal", "--for", "json"]), json!({"V0000": "a b"}));
    let shown = shell.json(&["export", "--reveal", "--for", "shell"]);
    assert_eq!(shown, json!({"for": "shell", "text": "export V0000='a b'\n"}));
    let shown = shell.json(&["export", "--reveal", "--format", "env"]);
    let text = shell.ok(&["export", "--reveal", "--format", "env"]);
    assert_eq!(shown, json!({"for": "env", "text": text}));
    let shown = shell.json(&["export", "--reveal", "--format", "yaml"]);
    assert_eq!(shown, json!({"for": "yaml", "text": "\"V0000\": \"a b\"\n"}));
}

#[test]
fn a_secret_has_the_bytes_of_a_variable_whose_prefix_is_removed() {
    let shell = Shell::with_vault();
    shell.define("WEB_KEYTAB", "bytes");
    shell.ok_with(b"\x05\x02\0\xff", &["set", "WEB_KEYTAB", "--bytes"]);
    let exported = shell.ok(&["export", "--for", "k8s", "--prefix", "WEB_", "--reveal"]);
    assert!(exported.contains("\"KEYTAB\": \"BQIA/w==\""), "{exported}");
}

#[test]
fn a_secret_has_only_a_name_that_kubernetes_accepts() {
    let shell = Shell::with_vault();
    shell.define("A", "string");
    shell.ok_with("x", &["set", "A"]);
    let export =
        |name: &str| shell.run(&["export", "--for", "k8s", "--reveal", &format!("--secret-name={name}")]);
    for bad in ["", "Up", "a_b", "-a", "a-", "a..b", "a\"b", "a\nb", &"a".repeat(254)] {
        let refused = export(bad);
        assert_eq!((refused.code, refused.stdout.as_str()), (2, ""), "{bad}");
    }
    let named = export("a.b-1");
    assert!(named.code == 0 && named.stdout.contains("a.b-1"), "{}", named.stderr);
}

/// A vault with these values, named by their place.
fn vault(values: &[String]) -> (Shell, Pairs) {
    let shell = Shell::with_vault();
    let named = values.iter().enumerate().map(|(place, value)| (format!("V{place:04}"), value.clone()));
    let named: Pairs = named.collect();
    shell.write("values.json", serde_json::to_string(&named).unwrap());
    shell.ok(&["import", "values.json", "--in-parts"]);
    (shell, named)
}

fn only<'a>(command: &[&'a str], values: &'a Pairs) -> Vec<&'a str> {
    let names = values.keys().flat_map(|name| ["--only", name.as_str()]);
    command.iter().copied().chain(names).collect()
}

fn assert_reads(shell: &Shell, target: &str, text: &str, expected: &Pairs) {
    shell.write("exported", text);
    let file = shell.path("exported");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/readers/read.py");
    let ran = Command::new("python3").arg(script).arg(readers()).arg(target).arg(&file).output().unwrap();
    let stderr = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "the reader of {target} refused the file: {stderr}");
    let read: Value = serde_json::from_slice(&ran.stdout).unwrap();
    let read: Pairs = serde_json::from_value(read).unwrap();
    for (name, value) in expected {
        assert_eq!(read.get(name), Some(value), "{target} reads {name}");
    }
    assert_eq!(read.len(), expected.len(), "{target} reads other variables: {:?}", read.keys());
}

/// Where the readers are installed, the first time by this.
fn readers() -> &'static PathBuf {
    static READERS: OnceLock<PathBuf> = OnceLock::new();
    READERS.get_or_init(|| {
        let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("readers");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/readers/install");
        let ran = Command::new(script).arg(&place).output().unwrap();
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        place
    })
}

/// Values that one reader or another is known to misread, every printable character of ASCII, and 400 others.
fn awkward() -> Vec<String> {
    let known = [
        "",
        " ",
        "\t",
        "\n",
        "\r",
        "\r\n",
        "'",
        "\"",
        "`",
        "''",
        "\"\"",
        "``",
        "'a'",
        "\"a\"",
        "`a`",
        "'\"`",
        "\\",
        "\\\\",
        "a\\",
        "a\\\\",
        "C:\\dir\\",
        "\\\\server\\share",
        "\\'",
        "\\\"",
        "'\\",
        "\"\\",
        "\\n",
        "\\r\\n",
        "a\\tb",
        "\\$HOME",
        "$",
        "$$",
        "$HOME",
        "${HOME}",
        "${V0001}",
        "${V0001:-x}",
        "$V0001",
        "$(id)",
        "`id`",
        "{{ x }}",
        "<%= x %>",
        "%PATH%",
        "#",
        "#a",
        "a#b",
        "a #b",
        "a\t#b",
        " # ",
        "=",
        "=a",
        "a=b",
        "==ls",
        "a:=b",
        "~",
        "~/a",
        "a:~",
        "!",
        "!!",
        "a b",
        " a",
        "a ",
        "\ta\t",
        "\u{a0}a\u{a0}",
        "\u{feff}a",
        "\u{2028}",
        "a\u{2029}b",
        "\u{85}",
        "\u{b}",
        "\u{c}",
        "\u{1}",
        "\u{1b}[2J",
        "\u{7f}",
        "\u{fdd0}",
        "\u{ffff}",
        "\u{1f600}",
        "é",
        "null",
        "NO",
        "~",
        "1e3",
        "0x1",
        "1:30",
        "- a",
        "a: b",
        "[1]",
        "{\"a\": 1}",
        "{\"a\": \"#b\"}",
        "&a",
        "*a",
        "|",
        ">",
        "%",
        "@",
        "?",
        "\nV0001=x",
        "x\nV0002=y\n",
        "'\nV0003='y",
        "\"\nV0004=\"y",
        "`\nV0005=`y",
        "\\\nV0006=y",
        "x' V0007='y",
        "EOF",
        "STRONGROOM",
        "STRONGROOM\nSTRONGROOM_1\nV0008=x",
        "a\nb\r\nc\rd",
        "a\n",
        "\na",
        "a\n\n",
        "a\r",
        "export V0009=x",
        "-----BEGIN A-----\nZm8=\n-----END A-----\n",
        "::set-env name=V0010::x",
    ];
    let mut values: Vec<String> = known.map(str::to_owned).into();
    values.extend(
        (' '..='~').flat_map(|c| [c.to_string(), format!("a{c}"), format!("{c}a"), format!("a{c}b")]),
    );
    let parts = [
        "'", "\"", "`", "\\", "$", "{", "}", "#", "=", "\n", "\r", " ", "\t", "n", "r", "V0001", "é", ":",
        "-", "\nV0002=", "<<",
    ];
    let mut state = 20_u64;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    values
        .extend((0..400).map(|_| (0..1 + random(9)).map(|_| parts[random(parts.len())]).collect::<String>()));
    values
}
