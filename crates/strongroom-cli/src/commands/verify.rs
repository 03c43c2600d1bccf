//! `verify`: whether every row of the store is whole.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use serde::Serialize;
use strongroom::{Finding, KeyUse, RowName, Verification, VerifyReport};
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
    /// Delete the rows that mean nothing to anybody, since they were planted or left behind: keys that no vault has,
    /// index rows that lead nowhere, and of the audit what nobody can read and no age reaches; each is noted in the
    /// audit. Not if a later release has used this vault: it may know them
    #[arg(long, conflicts_with = "checkpoint")]
    sweep: bool,
    #[command(flatten)]
    consent: Consent,
}

#[derive(Serialize)]
struct ReportView {
    clean: bool,
    /// How many stray rows were deleted before; left out unless that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    swept: Option<u64>,
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
    next: &'static str,
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
            swept = Some(sweep(session, &report, self.consent).await?);
            report = walk(check()).await?;
        }
        show(&report, swept, output)?;
        if report.questions_total > 0 {
            let asked = report.questions_total;
            output.warn(&format!(
                "gone or made again since the checkpoint: {}; did somebody delete each?",
                counted(asked, "row")
            ));
        }
        if report.is_clean() { Ok(()) } else { Err(unclean(&report)) }
    }
}

impl Verify {
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
        let steps = task.findings.iter().map(|finding| finding.next.as_str());
        Err(Failure::new(Exit::Key, task.message.unwrap_or_default()).next(steps_of(steps)))
    }
}

/// The failure of a store in which something is wrong.
pub(super) fn unclean(report: &VerifyReport) -> Failure {
    let sentence =
        format!("{} in {} checked", counted(report.findings_total, "finding"), counted(report.rows, "row"));
    Failure::new(Exit::Key, sentence).next(steps_of(report.findings.iter().map(control::next_of)))
}

/// What to do about all that was found: each step once.
fn steps_of<'s>(steps: impl Iterator<Item = &'s str>) -> String {
    let mut all = vec!["nothing was changed"];
    for step in steps {
        if !all.contains(&step) {
            all.push(step);
        }
    }
    all.join("; ")
}

/// Deletes what is stray, if somebody agrees to it. Returns how many rows that were.
async fn sweep(session: &Session, report: &VerifyReport, consent: Consent) -> Result<u64, Failure> {
    let stray: Vec<_> = report.findings.iter().filter(|found| found.is_stray()).collect();
    let Some(first) = stray.first() else { return Ok(0) };
    let of_audit = |found: &&Finding| matches!(found.path.row, RowName::Event | RowName::ChainHead);
    if stray.iter().any(of_audit) && !session.vault.settings().await?.audit {
        return Err(Failure::invalid("rows of the audit are only deleted with a note in it, and it is off")
            .next("nothing was changed; `strongroom audit --on` turns it on"));
    }
    let count = counted(stray.len() as u64, "finding");
    let seen = stray.iter().map(|found| format!("{found}\n")).collect::<String>();
    consent.to(Deed::to(format!("delete the stray rows of {count}, the first of them {first}"), seen))?;
    let deed = async { Ok(session.vault.sweep_stray(report).await?) };
    session.operate("verify: stray rows deleted", deed).await
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

pub(super) fn show(report: &VerifyReport, swept: Option<u64>, output: &Output) -> Result<(), Failure> {
    if output.is_json() {
        return output.json(&ReportView { swept, ..ReportView::of(report) });
    }
    if let Some(swept) = swept {
        let stay = report.findings.iter().filter(|found| found.is_stray()).count();
        output.note(&format!("{} deleted, {} may still be needed", counted(swept, "stray row"), stay));
    }
    if !report.findings.is_empty() || !report.questions.is_empty() {
        let rows = report
            .findings
            .iter()
            .chain(&report.questions)
            .map(|found| [found.path.to_string(), found.cause.to_string()]);
        output.list(["WHERE", "WHAT"], rows, &())?;
    }
    let keys = report.keys.iter().filter(|key| key.linked_account.is_none() || key.rows == 0);
    let rows = keys.map(|key| {
        let account = key.linked_account.as_ref().map(ToString::to_string).unwrap_or_default();
        let owner = format!("{} {}", key.org, key.environment);
        [key.dek_id.to_string(), owner, account, key.state.as_str().to_owned(), key.rows.to_string()]
    });
    output.list(["DATA KEY", "ORG", "ACCOUNT", "STATE", "ROWS"], rows, &())?;
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

impl ReportView {
    fn of(report: &VerifyReport) -> Self {
        Self {
            clean: report.is_clean(),
            swept: None,
            rows: report.rows,
            findings_total: report.findings_total,
            findings: report.findings.iter().map(FindingView::of).collect(),
            questions_total: report.questions_total,
            questions: report.questions.iter().map(FindingView::of).collect(),
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
    fn of(finding: &Finding) -> Self {
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
            next: control::next_of(finding),
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
