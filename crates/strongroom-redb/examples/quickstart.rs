//! Stores the variables of a `.env` file, reads them back and shows where each of them comes from:
//! `cargo run --release --example quickstart -- FILE.env`, or without a file for the bundled `example.env`.
//!
//! It works in a temporary directory and leaves nothing behind. Exit code 0: every value came back byte for byte;
//! 1: one did not; 2: the file cannot be read.

use std::path::Path;
use std::process::ExitCode;
use std::{fmt, fs, io};

use futures_executor::block_on;
use strongroom::{
    Environment, Error, LinkedAccountId, NewValue, Org, RawKey, Resolved, Scope, ScopePath, Unlock,
    VarFormat, VariableDefinition, Vault,
};
use strongroom_dotenv::{Entry, EnvFile};
use strongroom_redb::RedbStore;

fn main() -> ExitCode {
    let path = std::env::args_os().nth(1);
    let file = match read_file(path.as_deref().map(Path::new)) {
        Ok(file) => file,
        Err(reason) => {
            eprintln!("{reason}");
            return ExitCode::from(2);
        }
    };
    match block_on(round_trip(&file)).and_then(|report| Ok(report.print(&mut io::stdout())?)) {
        Ok(exit_code) => ExitCode::from(exit_code),
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// The file at `path` or the bundled one; else why it cannot be read, and on which line.
fn read_file(path: Option<&Path>) -> Result<EnvFile, String> {
    let bundled = || Ok(include_bytes!("example.env").to_vec());
    let name = path.unwrap_or(Path::new("example.env")).display();
    let bytes = path.map_or_else(bundled, fs::read).map_err(|error| format!("{name}: {error}"))?;
    let text = str::from_utf8(&bytes).map_err(|_| {
        let readable = bytes.utf8_chunks().next().map_or("", |chunk| chunk.valid());
        format!("{name}: line {}: the text is not UTF-8", readable.split('\n').count())
    })?;
    strongroom_dotenv::parse(text).map_err(|error| format!("{name}: {error}"))
}

/// The main job: a new vault, definitions, values at three scopes and a credential; then all of it read back.
async fn round_trip(file: &EnvFile) -> Result<Report, Box<dyn std::error::Error>> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("vault.redb");
    let key = RawKey::generate()?.dangerously_export(); // To be kept where whoever reads the store cannot read it.
    let org_id = "6500a1b2c3d4e5f6a7b8c9d0".parse()?;
    let user: LinkedAccountId = "user_12345".parse()?;
    let run = ScopePath::org().linked_account(user.clone()).workflow("wf_1".parse()?);
    let remarks = file.notes.iter().map(ToString::to_string).collect();
    let mut report = Report { variables: file.entries.len(), remarks, rows: Vec::new() };

    let store = RedbStore::open(&path)?;
    let vault = Vault::create(store, Unlock::raw_key(key.expose().parse()?)).await?;
    let org = vault.org(org_id, Environment::test());
    let stored = store_all(&org, &run, file, &mut report).await?;
    let account = org.create_account(user.clone()).with_default_app().await?;
    account.upsert_credential("api_key", "made up").await?;
    vault.close().await?;

    let store = RedbStore::open(&path)?;
    let vault = Vault::open(store, Unlock::raw_key(key.expose().parse()?)).await?;
    let org = vault.org(org_id, Environment::test());
    read_back(&org, &run, &stored, &mut report).await?;
    let credential = org.account(user).credential("api_key").await?;
    if credential.is_none_or(|credential| credential.value.expose() != "made up") {
        return Err("the credential did not come back as it was written".into());
    }
    vault.close().await?;
    directory.close()?;
    Ok(report)
}

/// Defines a variable an entry and sets its value. Answers what is stored; the rest was refused, with a remark.
async fn store_all<'f>(
    org: &Org,
    run: &ScopePath,
    file: &'f EnvFile,
    report: &mut Report,
) -> Result<Vec<Variable<'f>>, Error> {
    // Workflow, linked account and org in turn: two thirds of the values override others.
    let scopes: Vec<&Scope> = run.scopes().collect();
    let (mut stored, mut values) = (Vec::new(), Vec::new());
    for (entry, scope) in file.entries.iter().zip(scopes.into_iter().cycle()) {
        let definition = VariableDefinition::for_value(entry.name(), entry.expose());
        let variable = Variable { entry, definition, scope: scope.clone() };
        match define(org, &variable).await {
            Ok(()) => {
                values.extend(variable.values(run));
                stored.push(variable);
            }
            Err(error @ Error::Store(_)) => return Err(error),
            Err(error) => report.remark(entry, error),
        }
    }
    for batch in values.chunks(100) {
        org.set_values(batch).await?;
    }
    Ok(stored)
}

/// Defines one variable, and asks in advance whether its value can be set: a refused batch would not tell which.
async fn define(org: &Org, variable: &Variable<'_>) -> Result<(), Error> {
    let id = org.define(variable.definition.clone()).await?;
    org.validate(id, &variable.scope, variable.entry.expose()).await
}

/// Resolves everything that `run` sees and compares it with what was stored.
async fn read_back(
    org: &Org,
    run: &ScopePath,
    stored: &[Variable<'_>],
    report: &mut Report,
) -> Result<(), Error> {
    let seen = org.resolve_all(run).await?;
    for Variable { entry, definition, scope } in stored {
        match seen.get(entry.name()) {
            None => report.remark(entry, "no value came back"),
            Some(resolved) if resolved.value.expose() != entry.expose() => {
                report.remark(entry, "another value came back than was stored");
            }
            Some(resolved) if resolved.scope.kind() != Some(scope.kind()) => {
                report.remark(entry, "the value came back from another scope");
            }
            Some(resolved) => report.rows.push(row(resolved, &definition.var_format)),
        }
    }
    Ok(())
}

/// An entry of the file, and the scope at which its value is to stand.
struct Variable<'f> {
    entry: &'f Entry,
    definition: VariableDefinition,
    scope: Scope,
}

impl<'f> Variable<'f> {
    /// The file's value at the variable's scope, and others to be overridden at the less specific ones.
    fn values(&self, run: &ScopePath) -> Vec<NewValue<'f>> {
        let overridden = match self.definition.var_format {
            VarFormat::Url => "https://overridden.example",
            VarFormat::Number => "0",
            VarFormat::Boolean => "false",
            _ => "overridden",
        };
        let scopes = run.scopes().skip_while(|scope| **scope != self.scope);
        let values = std::iter::once(self.entry.expose()).chain(std::iter::repeat(overridden));
        let new = |(scope, value): (&Scope, &str)| NewValue::new(self.entry.name(), scope.clone(), value);
        scopes.zip(values).map(new).collect()
    }
}

/// What came back, and a remark on each entry that did not.
struct Report {
    variables: usize,
    rows: Vec<String>,
    remarks: Vec<String>,
}

impl Report {
    fn remark(&mut self, entry: &Entry, text: impl fmt::Display) {
        self.remarks.push(format!("line {}: {}: {text}", entry.line(), entry.name()));
    }

    /// Answers the exit code.
    fn print(&self, output: &mut impl io::Write) -> io::Result<u8> {
        self.remarks.iter().for_each(|remark| eprintln!("{remark}"));
        writeln!(output, "{:28}  {:14}  {:7}  VALUE", "NAME", "SCOPE", "FORMAT")?;
        self.rows.iter().try_for_each(|row| writeln!(output, "{row}"))?;
        let (variables, resolved) = (self.variables, self.rows.len());
        writeln!(output, "{variables} variables, {resolved} resolved, {} lost", variables - resolved)?;
        Ok(u8::from(resolved != variables))
    }
}

fn row(resolved: &Resolved, format: &VarFormat) -> String {
    let value = if resolved.encrypted { "[REDACTED]".to_owned() } else { shown(resolved.value.expose()) };
    format!("{:28}  {:14}  {:7}  {value}", resolved.name, resolved.scope.as_str(), format.name())
}

/// The start of a value on one line, without characters that would steer the terminal.
fn shown(value: &str) -> String {
    let steers = |c: char| c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let escaped = |c: char| if steers(c) { c.escape_default().to_string() } else { c.to_string() };
    let start: String = value.chars().take(44).map(escaped).collect();
    let more = value.chars().nth(44).map(|_| format!("… ({} bytes)", value.len()));
    start + &more.unwrap_or_default()
}
