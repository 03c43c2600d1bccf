//! `import`: what a file holds, compared and then set.

mod plan;
mod source;

use std::path::PathBuf;

use serde_json::{Value, json};

use self::plan::{Action, Plan, Row};
use crate::args::FileFormat;
use crate::failure::Failure;
use crate::output::{MASK, Output, yes};
use crate::scope_args::ScopeArgs;
use crate::session::Session;

/// An import as it is typed.
#[derive(Debug, clap::Args)]
pub(crate) struct Import {
    /// A `.env` or JSON file; `-` is standard input
    file: PathBuf,
    #[command(flatten)]
    scope: ScopeArgs,
    /// The form of the file [default: json for a name that ends in .json, else env]
    #[arg(long, value_enum)]
    format: Option<FileFormat>,
    /// Show what would be done, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Set one part after the other where the whole is too large for one batch
    #[arg(long)]
    in_parts: bool,
    /// Refuse names that are not defined, instead of defining them with the tightest format that fits
    #[arg(long)]
    no_define: bool,
    /// Define new names as encrypted, instead of those alone whose name or value looks like a secret
    #[arg(long, conflicts_with = "no_define")]
    encrypted: bool,
}

/// What becomes of a name that is not defined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unknown {
    Refuse,
    Define,
    DefineEncrypted,
}

pub(crate) async fn run(session: &Session, import: &Import, output: &Output) -> Result<(), Failure> {
    let org = &session.org;
    let entries = source::read(&import.file, import.format, output)?;
    let plan = Plan::of(org, import.scope.scope(), entries, import.unknown()).await?;
    let invalid = plan.count("invalid");
    if invalid > 0 {
        report(&plan, import.dry_run, output)?;
        return Err(Failure::invalid(format!("{invalid} cannot be set, so nothing was written"))
            .next("change the file or the definitions"));
    }
    match (import.dry_run, import.in_parts) {
        (true, _) => {}
        (false, false) => plan.apply(org).await?,
        (false, true) => plan.apply_in_parts(org).await?,
    }
    report(&plan, import.dry_run, output)
}

impl Import {
    fn unknown(&self) -> Unknown {
        match (self.no_define, self.encrypted) {
            (true, _) => Unknown::Refuse,
            (false, true) => Unknown::DefineEncrypted,
            (false, false) => Unknown::Define,
        }
    }
}

fn report(plan: &Plan, dry_run: bool, output: &Output) -> Result<(), Failure> {
    let rows: Vec<_> = plan.rows.iter().map(row_json).collect();
    let json = json!({
        "dry_run": dry_run,
        "scope": plan.scope.kind().as_str(),
        "create": plan.count("create"),
        "update": plan.count("update"),
        "unchanged": plan.count("unchanged"),
        "invalid": plan.count("invalid"),
        "variables": rows,
    });
    let cells = plan.rows.iter().map(|row| {
        let definition = row.definition.as_ref();
        [
            row.action.as_str().to_owned(),
            row.name.clone(),
            definition.map_or_else(String::new, |definition| definition.var_format.to_string()),
            yes(definition.is_some_and(|definition| definition.encrypted)),
            yes(row.is_new),
            MASK.to_owned(),
            reason(row).unwrap_or_default().to_owned(),
        ]
    });
    output.list(["ACTION", "NAME", "FORMAT", "ENCRYPTED", "NEW", "VALUE", "REASON"], cells, &json)?;
    if output.is_json() {
        return Ok(());
    }
    let counts =
        ["create", "update", "unchanged", "invalid"].map(|action| format!("{} {action}", plan.count(action)));
    let end = if dry_run { "; nothing was written" } else { "" };
    output.text(&format!("{}{end}\n", counts.join(", ")))
}

fn row_json(row: &Row) -> Value {
    let definition = row.definition.as_ref();
    json!({
        "name": row.name,
        "action": row.action.as_str(),
        "var_format": definition.map(|definition| definition.var_format.name()),
        "encrypted": definition.map(|definition| definition.encrypted),
        "defines": row.is_new,
        "value": MASK,
        "reason": reason(row),
    })
}

fn reason(row: &Row) -> Option<&str> {
    match &row.action {
        Action::Invalid(reason) => Some(reason),
        _ => None,
    }
}
