//! `import`: what a file holds, compared and then set.

mod infer;
mod plan;
mod source;

use std::path::PathBuf;

use serde::Serialize;

use self::infer::Proposal;
use self::plan::{Action, Plan, Row};
use super::file_format::FileFormat;
use crate::failure::Failure;
use crate::output::{MASK, Output, yes};
use crate::scope_args::ScopeArgs;
use crate::session::Session;
use crate::typo::closest;

/// `import` as it is typed.
#[derive(Debug, clap::Args)]
pub(crate) struct Import {
    /// A `.env` or JSON file; `-` is standard input
    file: PathBuf,
    #[command(flatten)]
    scope: ScopeArgs,
    /// The format of the file [default: json for a name that ends in .json, otherwise env]
    #[arg(long, value_enum)]
    format: Option<FileFormat>,
    /// Show what would be done, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Set one part after the other where everything is too large for one batch
    #[arg(long)]
    in_parts: bool,
    /// Refuse names that are not defined, instead of defining them
    #[arg(long)]
    no_define: bool,
    /// Propose a format for each new name, and which of them need not be encrypted; --dry-run shows why. Without it,
    /// new names are strings and encrypted
    #[arg(long, conflicts_with = "no_define")]
    infer: bool,
    /// Define all new names as encrypted, whatever --infer proposes
    #[arg(long, conflicts_with = "no_define")]
    encrypted: bool,
    /// Define this name without encryption: clients of a server then see its value; repeat it for several
    #[arg(long, value_name = "NAME", conflicts_with_all = ["no_define", "encrypted"])]
    plain: Vec<String>,
}

/// What to do with a name that is not defined.
#[derive(Debug)]
enum Unknown {
    Refuse,
    Define(How),
}

/// How new names are defined.
#[derive(Debug)]
struct How {
    infer: bool,
    encrypt_all: bool,
    plain: Vec<String>,
}

impl How {
    fn propose(&self, name: &str, value: &str) -> Proposal {
        let mut proposal = match self.infer {
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

#[derive(Serialize)]
struct PlanView<'a> {
    dry_run: bool,
    scope: &'static str,
    create: usize,
    update: usize,
    unchanged: usize,
    invalid: usize,
    variables: Vec<RowView<'a>>,
}

#[derive(Serialize)]
struct RowView<'a> {
    name: &'a str,
    action: &'static str,
    var_format: Option<&'static str>,
    encrypted: Option<bool>,
    defines: bool,
    value: &'static str,
    /// Why it cannot be set.
    reason: Option<&'a str>,
    /// Why it is defined so.
    why: Option<&'static str>,
}

impl Import {
    pub(crate) async fn run(self, session: &Session, output: &Output) -> Result<(), Failure> {
        let org = &session.org;
        let entries = source::read(&self.file, self.format, output)?;
        let is_absent = |name: &&String| !entries.iter().any(|entry| entry.name == **name);
        if let Some(name) = self.plain.iter().find(is_absent) {
            let known = entries.iter().map(|entry| entry.name.as_str());
            return Err(Failure::usage(format!("--plain names {name}, which is not in the file"))
                .next("nothing was written")
                .meant(closest(name, known)));
        }
        let plan = Plan::of(org, self.scope.scope(), entries, &self.unknown()).await?;
        let invalid = plan.count("invalid");
        if invalid > 0 {
            self.report(&plan, output)?;
            return Err(Failure::invalid(format!("{invalid} cannot be set, so nothing was written"))
                .next("change the file or the definitions"));
        }
        match (self.dry_run, self.in_parts) {
            (true, _) => {}
            (false, false) => plan.apply(org).await?,
            (false, true) => plan.apply_in_parts(org).await?,
        }
        self.report(&plan, output)
    }

    fn unknown(&self) -> Unknown {
        if self.no_define {
            return Unknown::Refuse;
        }
        Unknown::Define(How { infer: self.infer, encrypt_all: self.encrypted, plain: self.plain.clone() })
    }

    fn report(&self, plan: &Plan, output: &Output) -> Result<(), Failure> {
        let view = PlanView::of(plan, self.dry_run);
        let headers = ["ACTION", "NAME", "FORMAT", "ENCRYPTED", "NEW", "VALUE", "REASON"];
        output.list(headers, view.variables.iter().map(RowView::cells), &view)?;
        if output.is_json() {
            return Ok(());
        }
        let PlanView { create, update, unchanged, invalid, .. } = view;
        let end = if self.dry_run { "; nothing was written" } else { "" };
        output.text(&format!(
            "{create} create, {update} update, {unchanged} unchanged, {invalid} invalid{end}\n"
        ))
    }
}

impl<'a> PlanView<'a> {
    fn of(plan: &'a Plan, dry_run: bool) -> Self {
        Self {
            dry_run,
            scope: plan.scope.kind().as_str(),
            create: plan.count("create"),
            update: plan.count("update"),
            unchanged: plan.count("unchanged"),
            invalid: plan.count("invalid"),
            variables: plan.rows.iter().map(RowView::of).collect(),
        }
    }
}

impl<'a> RowView<'a> {
    fn of(row: &'a Row) -> Self {
        let definition = row.definition.as_ref();
        Self {
            name: &row.name,
            action: row.action.as_str(),
            var_format: definition.map(|definition| definition.var_format.name()),
            encrypted: definition.map(|definition| definition.encrypted),
            defines: row.is_new,
            value: MASK,
            reason: match &row.action {
                Action::Invalid(reason) => Some(reason),
                Action::Create | Action::Update | Action::Unchanged => None,
            },
            why: row.why,
        }
    }

    fn cells(&self) -> [String; 7] {
        [
            self.action.to_owned(),
            self.name.to_owned(),
            self.var_format.unwrap_or_default().to_owned(),
            yes(self.encrypted == Some(true)),
            yes(self.defines),
            self.value.to_owned(),
            self.reason.or(self.why).unwrap_or_default().to_owned(),
        ]
    }
}
