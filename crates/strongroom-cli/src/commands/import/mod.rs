//! `import`: compares the content of a file, and then sets it.

mod infer;
mod plan;
mod report;
mod source;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use strongroom::{VarFormat, VariableDefinition};

use self::infer::Proposal;
pub(super) use self::plan::Plan;
pub(crate) use self::source::Entry;
use super::file_format::FileFormat;
use crate::client::Client;
use crate::failure::{Failure, word};
use crate::output::{Output, counted};
use crate::scope_args::{ScopeArgs, account_of};
use crate::session::Session;
use crate::suggest;
use crate::typo::closest;

/// `import` as it is typed.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Import {
    /// A `.env`, JSON or YAML file, for example a Kubernetes Secret or a Compose file; `-` is standard input
    file: PathBuf,
    #[command(flatten)]
    scope: ScopeArgs,
    /// The format of the file [default: by the ending of its name, otherwise env]
    #[arg(long, value_enum)]
    format: Option<FileFormat>,
    /// Accept a standard input without any names
    #[arg(long)]
    empty: bool,
    /// Show what would be done, and write nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Set it in several batches if everything is too large for one
    #[arg(long)]
    in_parts: bool,
    /// Refuse names that are not defined, instead of defining them
    #[arg(long)]
    no_define: bool,
    /// Define names with obvious booleans, short numbers or bare URLs as those, and without encryption; --dry-run shows
    /// why. Without it, new names are strings and encrypted
    #[arg(long, conflicts_with = "no_define")]
    infer: bool,
    /// Define all new names as encrypted, regardless of --infer
    #[arg(long, conflicts_with = "no_define")]
    encrypted: bool,
    /// Define this name without encryption: clients of a server then see its value; repeat it for several
    #[arg(long, value_name = "NAME", conflicts_with_all = ["no_define", "encrypted"])]
    plain: Vec<String>,
}

/// What to do with a name that is not defined.
#[derive(Debug)]
pub(super) enum Unknown {
    Refuse,
    Define(How),
    /// As they are defined elsewhere.
    DefineAs(HashMap<String, VariableDefinition>),
}

/// How new names are defined.
#[derive(Debug)]
pub(super) struct How {
    infer: bool,
    encrypt_all: bool,
    plain: Vec<String>,
}

impl How {
    fn propose(&self, name: &str, value: &str, is_bytes: bool) -> Proposal {
        let mut proposal = match self.infer {
            _ if is_bytes => Proposal::of_bytes(name),
            true => Proposal::of(name, value),
            false => Proposal::of_secret(name, "encrypted, as all names without --plain"),
        };
        if self.encrypt_all {
            proposal =
                Proposal { definition: proposal.definition.encrypted(), why: "encrypted, as was asked for" };
        }
        if self.plain.iter().any(|plain| plain == name) {
            proposal.definition.encrypted = false;
            proposal.why = "plain, as was asked for";
        }
        proposal
    }
}

impl Import {
    /// The content of the file.
    pub(crate) fn read(&self, output: &Output) -> Result<Vec<Entry>, Failure> {
        let entries = source::read(&self.file, self.format, output)?;
        // A failed command before the pipe has written nothing.
        if entries.is_empty() && self.file == Path::new("-") && !self.empty {
            return Err(Failure::usage("standard input holds no names")
                .next("nothing was written; --empty takes it as it is"));
        }
        let is_absent = |name: &&String| !entries.iter().any(|entry| entry.name == **name);
        if let Some(name) = self.plain.iter().find(is_absent) {
            let known = entries.iter().map(|entry| entry.name.as_str());
            return Err(Failure::usage(format!("--plain names {name}, which is not in the file"))
                .next("nothing was written")
                .meant(closest(name, known)));
        }
        Ok(entries)
    }

    pub(crate) async fn run(
        self,
        entries: Vec<Entry>,
        session: &Session,
        output: &Output,
    ) -> Result<(), Failure> {
        let org = &session.org;
        suggest::note_new_environment(&session.vault, org, output).await;
        let scope = self.scope.scope_to_set()?;
        if let Some(account) = account_of(&scope) {
            suggest::note_new_account(org, account, output).await;
        }
        let plan = Plan::of(org, scope, entries, &self.unknown()).await?;
        note_bytes(&plan, output);
        let invalid = plan.count("invalid");
        if invalid > 0 {
            plan.report(self.dry_run, output)?;
            return Err(invalid_values(invalid));
        }
        match (self.dry_run, self.in_parts) {
            (true, _) => {}
            (false, false) => plan.apply(org).await?,
            (false, true) => plan.apply_in_parts(org).await?,
        }
        plan.report(self.dry_run, output)?;
        note_left(&plan, output);
        self.say_how_to_undo(&plan, output);
        Ok(())
    }

    /// Sets the content of the file in one call, all of it or nothing.
    pub(crate) fn on_server(self, client: &Client, output: &Output) -> Result<(), Failure> {
        if self.in_parts {
            return Err(Failure::not_on_server("a server takes a file as a whole"));
        }
        let entries = self.read(output)?;
        let definitions = client.definitions()?;
        let formats: HashMap<&str, &VarFormat> =
            definitions.iter().map(|one| (one.name.as_str(), &one.var_format)).collect();
        let entries = entries.into_iter().map(|entry| {
            let present = formats.get(entry.name.as_str()).copied();
            entry.for_format(present)
        });
        let known: Vec<_> = definitions.iter().map(|definition| definition.name.clone()).collect();
        let scope = self.scope.scope();
        if let Some(account) = account_of(&scope) {
            client.note_new_account(account, output);
        }
        let mut plan = Plan::for_server(&scope, entries.collect(), &known, &self.unknown())?;
        let uncompared = plan.try_on(client)?;
        if uncompared > 0 {
            let values = counted(uncompared, "value");
            output
                .note(&format!("{values} could not be compared with what is there without the right reveal"));
        }
        note_bytes(&plan, output);
        let invalid = plan.count("invalid");
        if invalid > 0 {
            plan.report(self.dry_run, output)?;
            return Err(invalid_values(invalid));
        }
        if !self.dry_run {
            plan.apply_on(client)?;
        }
        plan.report(self.dry_run, output)?;
        note_left(&plan, output);
        self.say_how_to_undo(&plan, output);
        Ok(())
    }

    /// The proposals of --infer may be wrong, which shows when the next version of the file arrives.
    fn say_how_to_undo(&self, plan: &Plan, output: &Output) {
        let is_asked = |name: &&str| self.plain.iter().any(|plain| plain == name);
        // Bytes are no guess.
        let inferred = plan.new_names(|new| match new.var_format {
            VarFormat::Bytes => false,
            VarFormat::String => !new.encrypted,
            _ => true,
        });
        let names: Vec<_> = inferred.filter(|name| !is_asked(name)).map(word).collect();
        if let Some((first, others)) = names.split_first().filter(|_| self.infer && !self.dry_run) {
            let also: String = others.iter().map(|name| format!(" --also {name}")).collect();
            output.note(&format!(
                "`strongroom define {first} --change --format string --encrypted{also}` takes back what was proposed"
            ));
        }
    }

    fn unknown(&self) -> Unknown {
        if self.no_define {
            return Unknown::Refuse;
        }
        Unknown::Define(How { infer: self.infer, encrypt_all: self.encrypted, plain: self.plain.clone() })
    }
}

/// What a later version of a file no longer has keeps its value.
fn note_left(plan: &Plan, output: &Output) {
    let left = plan.left.len();
    if left == 0 || !plan.is_repeated() {
        return;
    }
    let mut names = plan.left.iter().take(NAMES_SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    if left > NAMES_SHOWN {
        names.push_str(&format!(" and {} more", left - NAMES_SHOWN));
    }
    let scope = &plan.scope;
    output.note(&format!(
        "not in the file, but with a value at {scope}, which stays: {names}; `strongroom delete NAME` deletes one"
    ));
}

/// As many as a person can look through.
const NAMES_SHOWN: usize = 20;

/// Bytes are seen as base64 by everything that takes text.
fn note_bytes(plan: &Plan, output: &Output) {
    let names: Vec<_> = plan.new_names(|new| new.var_format == VarFormat::Bytes).collect();
    if !names.is_empty() {
        output.note(&format!(
            "{}: not text, so defined as `bytes`, which `run` gives in base64",
            names.join(", ")
        ));
    }
}

fn invalid_values(count: usize) -> Failure {
    Failure::invalid(format!("{count} cannot be set, so nothing was written")).next(
        "change the file or the definitions: `strongroom define NAME --change --format string` takes a format back, \
         and --format bytes takes what is not text",
    )
}
