//! `.env` files.

use strongroom_dotenv::{EnvFile, parse, write};

/// Any text is read or refused; what was read is read again from what is written; line endings change nothing; and
/// what is shown of a file holds no value.
pub fn dotenv(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let unix = text.replace("\r\n", "\n").replace('\r', "\n");
    let (file, of_unix) = (parse(&text), parse(&unix));
    assert!(file.as_ref().err() == of_unix.as_ref().err(), "a line ending makes an error");
    let lines = 1 + unix.matches('\n').count();
    match (&file, &of_unix) {
        (Ok(file), Ok(of_unix)) => {
            assert!(pairs(file) == pairs(of_unix), "a line ending changes a value");
            assert!(
                file.notes.iter().all(|note| (1..=lines).contains(&note.line)),
                "a note is beyond the file"
            );
            reads_back(file);
            shows_no_value(file);
        }
        (Err(error), _) => assert!((1..=lines).contains(&error.line), "an error is beyond the file"),
        (Ok(_), Err(_)) => {}
    }
}

fn reads_back(file: &EnvFile) {
    let written = write(pairs(file)).expect("a name that was read can be written");
    let again = parse(&written).expect("what was written can be read");
    assert!(pairs(&again) == pairs(file), "a value reads back as another");
    assert!(again.notes.is_empty(), "what was written leaves notes");
}

/// The debug form is made of names and lines alone.
fn shows_no_value(file: &EnvFile) {
    for entry in &file.entries {
        let (name, line) = (entry.name(), entry.line());
        let known = format!("Entry {{ name: {name:?}, value: \"[REDACTED]\", line: {line} }}");
        assert!(format!("{entry:?}") == known, "an entry shows more than its name and its line");
    }
}

fn pairs(file: &EnvFile) -> Vec<(&str, &str)> {
    file.entries.iter().map(|entry| (entry.name(), entry.expose())).collect()
}
