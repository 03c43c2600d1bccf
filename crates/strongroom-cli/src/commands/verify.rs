//! `verify`: whether every row of the store is whole.

use std::collections::HashSet;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use serde::Serialize;
use strongroom::{Finding, KeyUse, Org, RowName, Verification, VerifyReport};
use strongroom_http::control;

use crate::client::{Client, NoBody};
use crate::consent::{Consent, Deed};
use crate::failure::{Exit, Failure, repeatable};
use crate::output::{Output, counted};
use crate::progress::Progress;
use crate::session::Session;

/// `verify` as it is typed.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Verify {
    /// Check only the rows of --org and --environment
    #[arg(long)]
    org_only: bool,
    /// Also compare the rows with this file of `checkpoint`: an older state of a row is damage; a row that is gone or
    /// was made again is only shown, since only you can know whether somebody deleted it
    #[arg(long, value_name = "FILE", conflicts_with = "org_only")]
    checkpoint: Option<PathBuf>,
    /// Delete rows that nothing uses, planted or left behind: keys that no vault has, index rows that lead nowhere, and
    /// parts of the audit that nobody can read and that no retention would remove; each deletion is noted in the audit.
    /// Refused if a later release has used this vault, since it may know them. Lost index rows are written again
    #[arg(long, conflicts_with = "checkpoint")]
    sweep: bool,
    /// With --sweep, also delete the rows that nobody can read and that no other command deletes, such as records, jobs
    /// and former versions: what was in them is lost for good. Not those of a later release, nor what keeps something
    /// out, such as the note that the vault moved
    #[arg(long, requires = "sweep")]
    unreadable: bool,
    #[command(flatten)]
    consent: Consent,
}

#[derive(Serialize)]
struct ReportView {
    clean: bool,
    /// How many stray rows were deleted before; left out unless that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    swept: Option<u64>,
    /// For how many rows something was written again, likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    mended: Option<u64>,
    rows: u64,
    findings_total: u64,
    findings: Vec<FindingView>,
    questions_total: u64,
    questions: Vec<FindingView>,
    added: u64,
    unverifiable: u64,
    grandfathered: u64,
    leftover: u64,
    jobs: u64,
    keys: Vec<KeyView>,
    keys_left_off: u64,
}

#[derive(Serialize)]
struct FindingView {
    row: &'static str,
    org_id: Option<String>,
    environment: Option<String>,
    linked_account_id: Option<String>,
    workflow_id: Option<String>,
    variable_definition_id: Option<String>,
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connection: Option<String>,
    key: Option<String>,
    cause: &'static str,
    message: String,
    next: String,
}

#[derive(Serialize)]
struct KeyView {
    dek_id: String,
    org_id: String,
    environment: String,
    linked_account_id: Option<String>,
    state: &'static str,
    rows: u64,
}

impl Verify {
    /// Whether it checks only the chosen org and environment.
    pub(crate) fn is_of_chosen(&self) -> bool {
        self.org_only
    }

    /// Whether it leaves the store as it is.
    pub(crate) fn only_reads(&self) -> bool {
        !self.sweep
    }

    pub(crate) async fn run(self, session: &Session, output: &Output) -> Result<(), Failure> {
        let check = || match self.org_only {
            true => session.org.verification(),
            false => session.vault.verification(),
        };
        let mut report = match &self.checkpoint {
            Some(file) => walk(check().against(BufReader::new(open(file)?))?).await?,
            None => walk(check()).await?,
        };
        let mut swept = None;
        if self.sweep {
            swept = Some(self.sweep(session, &report).await?);
            report = walk(check()).await?;
        }
        show(&report, &session.org, swept.as_ref(), output)?;
        if report.questions_total > 0 {
            let asked = report.questions_total;
            output.warn(&format!(
                "gone or made again since the checkpoint: {}; did somebody delete each?",
                counted(asked, "row")
            ));
        }
        if report.is_clean() { Ok(()) } else { Err(unclean(&report, &session.org)) }
    }
}

impl Verify {
    /// Deletes what is stray, and what nobody can read if that is asked for, once somebody agrees to it. Writes again
    /// what was lost.
    async fn sweep(&self, session: &Session, report: &VerifyReport) -> Result<Swept, Failure> {
        let is_taken = |found: &&Finding| found.is_stray() || (self.unreadable && found.is_unreadable());
        let taken: Vec<_> = report.findings.iter().filter(is_taken).collect();
        let of_audit = |found: &&Finding| matches!(found.path.row, RowName::Event | RowName::ChainHead);
        if taken.iter().any(of_audit) && !session.vault.settings().await?.audit {
            return Err(Failure::invalid(
                "rows of the audit are only deleted with a note in it, and it is off",
            )
            .next("nothing was changed; `strongroom audit --on` turns it on"));
        }
        if let Some(first) = taken.first() {
            let kinds = if self.unreadable { "stray and unreadable rows" } else { "stray rows" };
            let count = counted(taken.len() as u64, "finding");
            let seen = taken.iter().map(|found| format!("{found}\n")).collect::<String>();
            let deed = format!("delete the {kinds} of {count}, the first of them {first}");
            self.consent.to(Deed::to(deed, seen))?;
        } else if !report.findings.iter().any(Finding::is_mendable) {
            return Ok(Swept::default());
        }
        let vault = &session.vault;
        let deed = async {
            let unreadable = if self.unreadable { vault.sweep_unreadable(report).await } else { Ok(0) };
            // What one of them cannot read keeps the others from nothing.
            let (stray, mended) = (vault.sweep_stray(report).await, vault.mend(report).await);
            Ok(Swept { deleted: unreadable? + stray?, mended: mended? })
        };
        session.operate("verify: rows swept", deed).await
    }

    /// Lets the server check the whole vault.
    pub(crate) fn on_server(self, client: &Client, output: &Output) -> Result<(), Failure> {
        if self.org_only || self.checkpoint.is_some() || self.sweep {
            return Err(Failure::not_on_server("a server checks the whole vault as it is"));
        }
        let task = client.control_task(client.control_post(&["verify"], &NoBody {})?)?;
        let rows = task.findings.iter().map(|one| [one.row.clone(), one.message.clone()]);
        match task.findings.is_empty() {
            true => output.done(&task.message.clone().unwrap_or_default(), &task),
            false => output.list(["WHERE", "WHAT"], rows, &task),
        }?;
        if task.findings.is_empty() {
            return Ok(());
        }
        let steps = task.findings.into_iter().map(|finding| finding.next);
        // Some of the commands need the store, and the API key is of one org and environment.
        let first = "nothing was changed; take the steps without --url where the store is, with --store";
        let failure = Failure::new(Exit::Key, task.message.unwrap_or_default()).next(first);
        Err(Failure { steps: each_once(steps), ..failure })
    }
}

/// What a sweep did.
#[derive(Default)]
pub(super) struct Swept {
    deleted: u64,
    mended: u64,
}

/// The failure of a store in which something is wrong.
pub(super) fn unclean(report: &VerifyReport, org: &Org) -> Failure {
    let sentence =
        format!("{} in {} checked", counted(report.findings_total, "finding"), counted(report.rows, "row"));
    let steps = report.findings.iter().map(|finding| next_of(finding, org));
    Failure { steps: each_once(steps), ..Failure::new(Exit::Key, sentence).next("nothing was changed") }
}

/// What to do about a finding, with the commands that do it there.
fn next_of(finding: &Finding, org: &Org) -> String {
    control::next_of(finding, Some((org.id(), org.environment())))
}

/// What to do about all that was found.
fn each_once(steps: impl Iterator<Item = String>) -> Vec<String> {
    let mut seen = HashSet::new();
    steps.filter(|step| seen.insert(step.clone())).collect()
}

fn open(file: &Path) -> Result<File, Failure> {
    File::open(file).map_err(|error| {
        Failure::usage(format!("{} could not be read: {error}", repeatable::file(file)))
            .next("name a file that `strongroom checkpoint` wrote")
    })
}

async fn walk(mut check: Verification<'_>) -> Result<VerifyReport, Failure> {
    let progress = Progress::without_end("rows verified");
    let mut seen = 0;
    while check.step().await? {
        progress.advance((check.report().rows - seen) as usize);
        seen = check.report().rows;
    }
    Ok(check.into_report())
}

pub(super) fn show(
    report: &VerifyReport,
    org: &Org,
    swept: Option<&Swept>,
    output: &Output,
) -> Result<(), Failure> {
    if output.is_json() {
        let (deleted, mended) = (swept.map(|swept| swept.deleted), swept.map(|swept| swept.mended));
        return output.json(&ReportView { swept: deleted, mended, ..ReportView::of(report, org) });
    }
    if let Some(Swept { deleted, mended }) = swept {
        let stay = report.findings.iter().filter(|found| found.is_stray()).count();
        output.note(&format!(
            "{} deleted, {stay} may still be needed; index rows written again for {}",
            counted(*deleted, "row"),
            counted(*mended, "row")
        ));
    }
    if !report.findings.is_empty() || !report.questions.is_empty() {
        let rows = report
            .findings
            .iter()
            .chain(&report.questions)
            .map(|found| [found.path.to_string(), found.cause.to_string()]);
        output.list(["WHERE", "WHAT"], rows, &())?;
    }
    show_keys(report, output)?;
    let shown = report.findings.len() as u64 + report.questions.len() as u64;
    let left_off = report.findings_total + report.questions_total - shown;
    if left_off > 0 {
        output.note(&format!("{left_off} more findings are not shown"));
    }
    let VerifyReport { rows, findings_total, unverifiable, grandfathered, leftover, jobs, .. } = report;
    output.text(&format!(
        "{}: {}, {unverifiable} could not be checked, {} from before a change of format, {leftover} left over from \
         {}\n",
        counted(*rows, "row"),
        counted(*findings_total, "finding"),
        counted(*grandfathered, "value"),
        counted(*jobs, "unfinished job")
    ))
}

/// The data keys of orgs, and those of accounts that seal nothing. There may be one in use for each account, so these
/// are only counted.
fn show_keys(report: &VerifyReport, output: &Output) -> Result<(), Failure> {
    let (shown, counted_only): (Vec<_>, Vec<_>) =
        report.keys.iter().partition(|key| key.linked_account.is_none() || key.rows == 0);
    let rows = shown.into_iter().map(|key| {
        let account = key.linked_account.as_ref().map(ToString::to_string).unwrap_or_default();
        let owner = format!("{} {}", key.org, key.environment);
        [key.dek_id.to_string(), owner, account, key.state.as_str().to_owned(), key.rows.to_string()]
    });
    output.list(["DATA KEY", "ORG", "ACCOUNT", "STATE", "ROWS"], rows, &())?;
    if !counted_only.is_empty() {
        let sealed: u64 = counted_only.iter().map(|key| key.rows).sum();
        let keys = counted(counted_only.len() as u64, "data key");
        output.note(&format!(
            "{keys} of accounts: {} sealed with them; --json lists them",
            counted(sealed, "row")
        ));
    }
    if report.keys_left_off > 0 {
        output.note(&format!("{} more are not listed", counted(report.keys_left_off, "data key")));
    }
    Ok(())
}

impl ReportView {
    fn of(report: &VerifyReport, org: &Org) -> Self {
        Self {
            clean: report.is_clean(),
            swept: None,
            mended: None,
            rows: report.rows,
            findings_total: report.findings_total,
            findings: report.findings.iter().map(|found| FindingView::of(found, org)).collect(),
            questions_total: report.questions_total,
            questions: report.questions.iter().map(|found| FindingView::of(found, org)).collect(),
            added: report.added,
            unverifiable: report.unverifiable,
            grandfathered: report.grandfathered,
            leftover: report.leftover,
            jobs: report.jobs,
            keys: report.keys.iter().map(KeyView::of).collect(),
            keys_left_off: report.keys_left_off,
        }
    }
}

impl FindingView {
    fn of(finding: &Finding, org: &Org) -> Self {
        let Finding { path, cause, .. } = finding;
        Self {
            row: path.row.as_str(),
            org_id: path.org.map(|id| id.to_string()),
            environment: path.environment.as_ref().map(ToString::to_string),
            linked_account_id: path.linked_account.as_ref().map(ToString::to_string),
            workflow_id: path.workflow.as_ref().map(ToString::to_string),
            variable_definition_id: path.definition_id.map(|id| id.to_string()),
            name: path.name.clone().or_else(|| path.definition_name.clone()),
            connection: path.connection.as_ref().map(ToString::to_string),
            key: path.key_name.clone(),
            cause: cause.as_str(),
            message: cause.to_string(),
            next: next_of(finding, org),
        }
    }
}

impl KeyView {
    fn of(key: &KeyUse) -> Self {
        Self {
            dek_id: key.dek_id.to_string(),
            org_id: key.org.to_string(),
            environment: key.environment.to_string(),
            linked_account_id: key.linked_account.as_ref().map(ToString::to_string),
            state: key.state.as_str(),
            rows: key.rows,
        }
    }
}
