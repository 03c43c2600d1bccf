//! The quickstart, as its user meets it: output, remarks, exit code, and nothing left behind.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)] // A test may stop at what it did not expect.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Command;

#[test]
fn bundled_example_comes_back_whole_and_shows_no_secret() {
    let run = run_bundled();
    assert_eq!((run.exit_code, run.remarks.as_str()), (0, ""));
    assert_eq!(run.last_line(), "16 variables, 16 resolved, 0 lost");
    for shown in ["workflow", "linked_account", "org", "[REDACTED]", "https://api.example.com/v2#top"] {
        assert!(run.table.contains(shown), "{shown}");
    }
    for secret in ["p%40ss", "5f0a", "tk_live", "battery"] {
        assert!(!run.table.contains(secret), "{secret}");
    }
}

#[test]
fn any_readable_file_comes_back_whole() {
    let long = format!("A={}\n", "é".repeat(30_000));
    let many: String = (0..300).map(|n| format!("NAME_{n}=\"value\n{n}\"\n")).collect();
    for (text, tally) in [
        ("", "0 variables, 0 resolved, 0 lost"),
        ("\u{feff}A=1\r\nB='2\r\n3'\r\n", "2 variables, 2 resolved, 0 lost"),
        ("A=🗝\u{301}\u{202e}\nB=\"\\t\\\\\"\nC=\nD=a=b\n", "4 variables, 4 resolved, 0 lost"),
        (&long, "1 variables, 1 resolved, 0 lost"),
        (&many, "300 variables, 300 resolved, 0 lost"),
    ] {
        let run = run(text);
        assert_eq!((run.exit_code, run.remarks.as_str(), run.last_line()), (0, "", tally));
    }
}

#[test]
fn format_is_the_tightest_and_what_may_be_secret_is_not_shown() {
    for (line, format, value) in [
        ("A=https://h/@x?y=a@b", "url", "https://h/@x?y=a@b"),
        ("A=-1.5e3", "number", "-1.5e3"),
        ("A=true", "boolean", "true"),
        ("A=True", "string", "True"),
        ("A=007", "string", "007"),
        ("A=h/x", "string", "h/x"),
        ("monkey_id=7", "number", "[REDACTED]"),
        ("My.Token=a", "string", "[REDACTED]"),
        ("A=redis://:pw@h/1", "url", "[REDACTED]"),
        ("A=mongodb://u:p/w@h1:1,h2:2/db", "string", "[REDACTED]"),
    ] {
        let run = run(line);
        let cells: Vec<_> = run.table.lines().nth(1).unwrap().split_whitespace().skip(2).collect();
        assert_eq!(cells, [format, value], "{line}");
    }
}

#[test]
fn value_is_shown_on_one_line_and_steers_no_terminal() {
    let run = run("A=\"a\nb\u{1b}[2J\u{202e}\"\nB='-----BEGIN X-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n'\n");
    assert!(run.table.contains(r"a\nb\u{1b}[2J\u{202e}"));
    assert!(run.table.contains(r"-----BEGIN X-----\nMIIEvQIBADANBgkqhkiG9w0BAQ… (51 bytes)"));
    assert_eq!(run.table.lines().count(), 4);
}

#[test]
fn refused_variable_is_lost_by_name_and_its_value_not_shown() {
    let run = run(format!("A=1\nBIG={}\n..=hunter2\n{}=hunter2\n", "z".repeat(65_537), "N".repeat(257)));
    assert_eq!((run.exit_code, run.last_line()), (1, "4 variables, 1 resolved, 3 lost"));
    assert!(run.remarks.starts_with("line 2: BIG: a value must be at most 65536 bytes\nline 3: ..: "));
    assert_eq!(run.remarks.lines().count(), 3);
    for output in [run.remarks, run.table] {
        assert!(!output.contains("zz") && !output.contains("hunter2"));
    }
}

#[test]
fn variables_over_the_limit_are_lost_by_name() {
    let run = run((0..1_002).map(|n| format!("A{n}={n}\n")).collect::<String>());
    assert_eq!((run.exit_code, run.last_line()), (1, "1002 variables, 1000 resolved, 2 lost"));
    let remark = "there can be at most 1000 variable definitions: delete some first";
    assert_eq!(run.remarks, format!("line 1001: A1000: {remark}\nline 1002: A1001: {remark}\n"));
}

#[test]
fn entry_that_does_not_count_leaves_a_remark() {
    let run = run("A=1\nB\nA=2\n");
    assert_eq!((run.exit_code, run.last_line()), (0, "1 variables, 1 resolved, 0 lost"));
    assert_eq!(run.remarks, "line 1: overridden on line 3\nline 2: a name without a value\n");
}

#[test]
fn file_that_cannot_be_read_is_refused_with_its_line_and_without_its_text() {
    for (text, reason) in [
        (b"A=1\nB hunter2\n".as_slice(), "line 2: expected NAME=value"),
        (b"A=1\n\nB='hunter2\n", "line 3: the quotes of the value do not pair"),
        (b"A=1\nB=hunter2\xff\n", "line 2: the text is not UTF-8"),
        (b"\xff\xfeA\0=\0hunter2", "line 1: the text is not UTF-8"),
    ] {
        let run = run(text);
        assert_eq!((run.exit_code, run.table.as_str()), (2, ""));
        assert!(run.remarks.contains(reason) && !run.remarks.contains("hunter2"), "{}", run.remarks);
    }
    let missing = run_with([OsStr::new("no such file")]);
    assert!(missing.exit_code == 2 && missing.remarks.starts_with("no such file: "), "{}", missing.remarks);
}

struct Run {
    exit_code: i32,
    table: String,
    remarks: String,
}

impl Run {
    fn last_line(&self) -> &str {
        self.table.lines().last().unwrap_or_default()
    }
}

fn run(text: impl AsRef<[u8]>) -> Run {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, text).unwrap();
    run_with([file.path()])
}

fn run_bundled() -> Run {
    run_with::<&OsStr>([])
}

fn run_with<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Run {
    let directory = tempfile::tempdir().unwrap();
    let mut command = Command::new(example());
    let output = command.args(arguments).env("TMPDIR", directory.path()).output().unwrap();
    assert_eq!(directory.path().read_dir().unwrap().count(), 0, "something was left behind");
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Run { exit_code: output.status.code().unwrap(), table: text(output.stdout), remarks: text(output.stderr) }
}

/// Cargo builds a package's examples together with its tests, but not for one test that is named alone.
fn example() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let target = test.parent().and_then(std::path::Path::parent).unwrap();
    let example = target.join("examples").join("quickstart").with_extension(std::env::consts::EXE_EXTENSION);
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/quickstart.rs");
    let changed = |path: &std::path::Path| path.metadata().and_then(|metadata| metadata.modified()).ok();
    assert!(
        changed(&example) >= changed(source.as_ref()),
        "there is no current {}: run `cargo build --example quickstart` with the options of this test",
        example.display()
    );
    example
}
