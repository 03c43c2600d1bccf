//! `edit`: the values of one scope in an editor.

use std::collections::{BTreeMap, HashMap};
use std::env;
use std::fs;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::PathBuf;
use std::process::{Command, ExitStatus};

use futures_executor::block_on;
use strongroom::{Org, Scope, Secret};
use strongroom_http::control;
use tempfile::TempDir;
#[cfg(unix)]
use tokio::runtime::Runtime;
use zeroize::Zeroizing;

use super::dangerous_names;
use super::import::{Entry, Plan, Unknown};
use crate::client::{Call, Client};
use crate::config::Config;
use crate::consent::{self, Consent, Deed};
use crate::failure::{Exit, Failure};
use crate::files::{PASSING, refuse_foreign};
use crate::input;
use crate::output::{Output, counted};
use crate::pages;
use crate::scope_args::{ScopeArgs, account_of, scope_field};
use crate::session::Session;
#[cfg(unix)]
use crate::signals::{self, Signals};
use crate::suggest;

/// `edit` as it is typed.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Edit {
    #[command(flatten)]
    scope: ScopeArgs,
    #[command(flatten)]
    consent: Consent,
}

/// Names and values, in the order of the names.
type Values = BTreeMap<String, Secret>;
type Changed = Vec<(String, Secret)>;

impl Edit {
    pub(crate) async fn run(self, config: &Config, output: &Output) -> Result<(), Failure> {
        config.store.refuse_unkept("edit")?;
        let scope = self.scope.scope_to_set()?;
        // The store is free while the editor is open.
        let before = with_org(config, output, async |org| {
            suggest::refuse_unknown_environment(org).await?;
            if let Some(account) = account_of(&scope) {
                suggest::note_new_account(org, account, output).await;
            }
            read(org, &scope).await
        });
        let before = before.await?;
        let write = async |changed: Changed| {
            let write = async |org: &Org| Ok(self.write(org, &scope, &before, &changed, output).await);
            loop {
                match with_org(config, output, write).await? {
                    // Here, since it was already edited.
                    Err(NotWritten::Failed(failure)) => consent::ask(failure, String::new)?,
                    done => return done,
                }
            }
        };
        write_edited(&before, &scope, output, write).await
    }

    /// With a key that may reveal and write. The server refuses values that were changed meanwhile.
    pub(crate) fn on_server(self, client: &Client, output: &Output) -> Result<(), Failure> {
        let scope = self.scope.scope();
        if let Some(account) = account_of(&scope) {
            client.note_new_account(account, output);
        }
        let field: Vec<_> = scope_field(&scope).into_iter().collect();
        let query = [field.as_slice(), &[("reveal", "true")]].concat();
        let values: Vec<control::Value> = client.control_items(Call { path: &["values"], query: &query })?;
        let (mut before, mut versions) = (Values::new(), HashMap::new());
        for one in values {
            let value = one.value.as_ref().map(|value| Secret::from(value.as_str()));
            versions.insert(one.name.clone(), one.version);
            before.extend(value.map(|value| (one.name, value)));
        }
        let known: Vec<String> =
            client.definitions()?.into_iter().map(|definition| definition.name).collect();
        let write = async |changed: Changed| {
            let entries = changed.into_iter().map(|(name, value)| Entry::new(&name, Ok(value)));
            let plan = Plan::for_server(&scope, entries.collect(), &known, &Unknown::Refuse)?;
            let mut plan = plan.over(&versions);
            plan.try_on(client)?;
            refuse_invalid(&plan, output)?;
            if let Err(failure) = self.ask(&plan, &scope, output) {
                consent::ask(failure, String::new)?;
            }
            plan.apply_on(client)?;
            Ok(plan.report(false, output)?)
        };
        block_on(write_edited(&before, &scope, output, write))
    }

    fn ask(&self, plan: &Plan, scope: &Scope, output: &Output) -> Result<(), Failure> {
        let count = plan.count("create") + plan.count("update");
        let deed = Deed::to(format!("set {} at {scope}", counted(count, "value")), plan.replaced());
        if !self.consent.is_given_to(&deed) {
            plan.preview(output)?;
        }
        self.consent.to(deed)
    }

    async fn write(
        &self,
        org: &Org,
        scope: &Scope,
        before: &Values,
        changed: &Changed,
        output: &Output,
    ) -> Result<(), NotWritten> {
        let now = read(org, scope).await?;
        let is_other = |name: &str| now.get(name).map(Secret::expose) != before.get(name).map(Secret::expose);
        if let Some((name, _)) = changed.iter().find(|(name, _)| is_other(name)) {
            let changed = Failure::invalid(format!("{name} was changed by somebody else meanwhile"));
            return Err(changed.next("nothing was written; edit again").into());
        }
        let entries =
            changed.iter().map(|(name, value)| Entry::new(name, Ok(Secret::from(value.expose())))).collect();
        let plan = Plan::of(org, scope.clone(), entries, &Unknown::Refuse).await?;
        refuse_invalid(&plan, output)?;
        self.ask(&plan, scope, output)?;
        plan.apply(org).await?;
        Ok(plan.report(false, output)?)
    }
}

/// Why the edited values were not written.
enum NotWritten {
    /// The text breaks a rule, and can be edited again.
    Refused(Failure),
    Failed(Failure),
}

impl From<Failure> for NotWritten {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// Opens the editor until the changes are written or given up, so that a mistake does not lose what was typed.
async fn write_edited(
    before: &Values,
    scope: &Scope,
    output: &Output,
    write: impl AsyncFn(Changed) -> Result<(), NotWritten>,
) -> Result<(), Failure> {
    let mut draft = Zeroizing::new(as_text(before)?.as_bytes().to_vec());
    loop {
        draft = in_editor(&draft)?;
        let read = std::str::from_utf8(&draft).map_err(|_| {
            Failure::invalid("what was edited is not UTF-8")
                .next("nothing was written; edit again, and save it as UTF-8")
        });
        let refused = match read.and_then(|text| changed(before, text, output)) {
            Ok(changed) if changed.is_empty() => return unchanged(scope, output),
            Ok(changed) => match write(changed).await {
                Ok(()) => return Ok(()),
                Err(NotWritten::Failed(failure)) => return Err(failure),
                Err(NotWritten::Refused(refused)) => refused,
            },
            Err(unreadable) => unreadable,
        };
        edit_again(refused, output)?;
    }
}

/// Asks whether to open the editor on the same text again, if there is somebody to ask.
fn edit_again(refused: Failure, output: &Output) -> Result<(), Failure> {
    if !input::can_prompt() {
        return Err(refused);
    }
    output.warn(&refused.message);
    match input::answer("Nothing was written.", "Edit again? [Y/n] ")?.as_str() {
        "" | "y" | "yes" => Ok(()),
        _ => Err(refused),
    }
}

fn refuse_invalid(plan: &Plan, output: &Output) -> Result<(), NotWritten> {
    let invalid = plan.count("invalid");
    if invalid == 0 {
        return Ok(());
    }
    match output.is_json() {
        // The one document is of what was written, perhaps after another edit.
        true => plan.refusals().for_each(|why| output.warn(&why)),
        false => plan.report(true, output)?,
    }
    let refused = Failure::invalid(format!("{invalid} cannot be set, so nothing was written"));
    Err(NotWritten::Refused(refused.next(
        "edit again; `strongroom show NAME` shows what a value must be, `strongroom define` adds a name",
    )))
}

async fn with_org<T>(
    config: &Config,
    output: &Output,
    work: impl AsyncFnOnce(&Org) -> Result<T, Failure>,
) -> Result<T, Failure> {
    Session::with(config, output, async |session| work(&session.org).await).await
}

async fn read(org: &Org, scope: &Scope) -> Result<Values, Failure> {
    let mut names: BTreeMap<_, _> = pages::definitions(org)
        .await?
        .into_iter()
        .map(|stored| (stored.id, stored.definition.name))
        .collect();
    let values = pages::values(org, scope).await?.into_iter();
    Ok(values.filter_map(|value| Some((names.remove(&value.definition_id)?, value.value))).collect())
}

/// The text for the editor.
fn as_text(values: &Values) -> Result<Zeroizing<String>, Failure> {
    let text = strongroom_dotenv::write(values.iter().map(|(name, value)| (name.as_str(), value.expose())));
    text.map(Zeroizing::new).map_err(|error| {
        let name = values.keys().nth(error.index).map_or("", String::as_str);
        Failure::invalid(format!("a .env file cannot hold the name {name}")).next("`strongroom set` sets it")
    })
}

fn unchanged(scope: &Scope, output: &Output) -> Result<(), Failure> {
    match output.is_json() {
        true => Plan::nothing(scope).report(false, output),
        false => output.text("nothing was changed\n"),
    }
}

/// The differences from before. A missing line deletes nothing: it may have been lost in the editor.
fn changed(before: &Values, text: &str, output: &Output) -> Result<Changed, Failure> {
    let file = strongroom_dotenv::parse(text).map_err(|error| {
        Failure::invalid(format!("what was edited cannot be read: {error}"))
            .next("nothing was written; edit again")
    })?;
    for note in &file.notes {
        output.note(&format!("what was edited, {note}"));
    }
    let is_left = |name: &&String| file.entries.iter().any(|entry| entry.name() == name.as_str());
    let gone: Vec<_> = before.keys().filter(|name| !is_left(name)).map(String::as_str).collect();
    if !gone.is_empty() {
        output
            .note(&format!("{} stay as they are: `strongroom delete NAME` deletes a value", gone.join(", ")));
    }
    let is_new = |name: &str, value: &str| before.get(name).is_none_or(|old| old.expose() != value);
    let entries = file.entries.into_iter().filter(|entry| is_new(entry.name(), entry.expose()));
    Ok(entries
        .map(|entry| {
            let (name, value) = entry.into_parts();
            (name, Secret::from(value))
        })
        .collect())
}

/// The text as the user left it. The draft is overwritten before it is removed, even if a signal ends this process
/// meanwhile: the editor then gets that signal. Only one that cannot be caught, such as SIGKILL, leaves it behind.
fn in_editor(text: &[u8]) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let editor =
        ["VISUAL", "EDITOR"].into_iter().find_map(|name| env::var_os(name).filter(|value| !value.is_empty()));
    let Some(editor) = editor else {
        return Err(Failure::usage("no editor is chosen").next("set EDITOR, such as EDITOR=vi"));
    };
    let opening = Opening::begin()?;
    let draft = Draft::of(text).map_err(|error| {
        Failure::new(Exit::Other, format!("no private directory could be made: {error}"))
            .next("set XDG_RUNTIME_DIR or TMPDIR to a directory of your own")
    })?;
    // Through a shell, as git does: an editor may have options.
    let mut shell = Command::new("sh");
    shell.arg("-c").arg("set -f; exec $0 \"$1\"").arg(editor).arg(&draft.path);
    // Code that runs in an editor, such as a plugin, gets the draft and not the means to read the rest.
    for name in dangerous_names::own() {
        shell.env_remove(name);
    }
    let edited = opening.run(shell);
    let edited = edited.and_then(|status| Ok((status, Zeroizing::new(fs::read(&draft.path)?))));
    draft.wipe();
    match edited {
        Ok((status, edited)) if status.success() => Ok(edited),
        Ok((status, _)) => {
            Err(Failure::new(Exit::Other, format!("the editor ended with {status}"))
                .next("nothing was written"))
        }
        Err(error) => {
            Err(Failure::new(Exit::Other, format!("the editor did not work: {error}")).next("check EDITOR"))
        }
    }
}

/// While an editor is open, no signal ends this process before the file is wiped, as in git.
#[cfg(unix)]
struct Opening {
    runtime: Runtime,
    signals: Signals,
}

#[cfg(unix)]
impl Opening {
    fn begin() -> Result<Self, Failure> {
        signals::hide_from_commands()?;
        let runtime = signals::runtime()?;
        let signals = runtime.block_on(async { Signals::new() })?;
        Ok(Self { runtime, signals })
    }

    fn run(mut self, mut editor: Command) -> io::Result<ExitStatus> {
        let mut editor = editor.spawn()?;
        self.runtime.block_on(signals::wait(&mut editor, &mut self.signals))
    }
}

#[cfg(not(unix))]
struct Opening;

#[cfg(not(unix))]
impl Opening {
    fn begin() -> Result<Self, Failure> {
        Ok(Self)
    }

    fn run(self, mut editor: Command) -> io::Result<ExitStatus> {
        editor.status()
    }
}

/// A text in its own directory, where an editor also leaves its backups and undo files.
struct Draft {
    directory: TempDir,
    path: PathBuf,
    file: fs::File,
}

impl Draft {
    fn of(text: &[u8]) -> io::Result<Self> {
        let directory = tempfile::Builder::new().prefix(PASSING).tempdir_in(directory())?;
        let path = directory.path().join("values.env");
        let mut file = fs::OpenOptions::new().write(true).create_new(true).open(&path)?;
        file.write_all(text)?;
        file.flush()?;
        Ok(Self { directory, path, file })
    }

    /// Wipes what was written here and what an editor put in its place or beside it. Files that cannot be overwritten
    /// are still removed.
    fn wipe(mut self) {
        let _ = overwrite(&mut self.file);
        for beside in fs::read_dir(self.directory.path()).into_iter().flatten().flatten() {
            let is_file = beside.file_type().is_ok_and(|kind| kind.is_file());
            if let Ok(mut file) = fs::OpenOptions::new().write(is_file).open(beside.path()) {
                let _ = overwrite(&mut file);
            }
        }
        let _ = self.directory.close();
    }
}

fn overwrite(file: &mut fs::File) -> io::Result<()> {
    let length = file.metadata()?.len();
    file.rewind()?;
    io::copy(&mut io::repeat(0).take(length), file)?;
    file.sync_data()
}

/// The directory for drafts: one that the user chose, otherwise in memory, so that a killed command leaves nothing on a
/// disk.
pub(super) fn directory() -> PathBuf {
    env::var_os("XDG_RUNTIME_DIR")
        .map(PathBuf::from)
        .filter(|path| path.is_dir() && refuse_foreign(path, Exit::Other).is_ok())
        .or_else(|| env::var_os("TMPDIR").map(PathBuf::from))
        .or_else(|| {
            Some(PathBuf::from("/dev/shm")).filter(|memory| cfg!(target_os = "linux") && memory.is_dir())
        })
        .unwrap_or_else(env::temp_dir)
}
