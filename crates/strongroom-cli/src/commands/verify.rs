//! `verify`: whether every row of the store is whole.

use serde_json::{Value, json};
use strongroom::{Finding, KeyUse, Verification, VerifyReport};

use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::progress::Progress;
use crate::session::Session;

/// Which rows are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    Store,
    Org,
}

pub(crate) async fn run(session: &Session, extent: Extent, output: &Output) -> Result<(), Failure> {
    let check = match extent {
        Extent::Store => session.vault.verification(),
        Extent::Org => session.org.verification(),
    };
    let report = walk(check).await?;
    show(&report, output)?;
    if report.is_clean() {
        return Ok(());
    }
    let sentence = format!("{} of {} rows are not as they should be", report.findings_total, report.rows);
    Err(Failure::new(Exit::Key, sentence)
        .next("nothing was changed; set or delete what is damaged, or restore the store from a backup"))
}

async fn walk(mut check: Verification) -> Result<VerifyReport, Failure> {
    let progress = Progress::without_end("rows verified");
    let mut seen = 0;
    while check.step().await? {
        progress.advance((check.report().rows - seen) as usize);
        seen = check.report().rows;
    }
    Ok(check.into_report())
}

fn show(report: &VerifyReport, output: &Output) -> Result<(), Failure> {
    if output.is_json() {
        return output.json(&as_json(report));
    }
    if !report.findings.is_empty() {
        let rows = report.findings.iter().map(|found| [found.path.to_string(), found.cause.to_string()]);
        output.list(["WHERE", "WHAT"], rows, &())?;
    }
    let keys = report.keys.iter().filter(|key| key.linked_account.is_none() || key.rows == 0);
    let rows = keys.map(|key| {
        let account = key.linked_account.as_ref().map(ToString::to_string).unwrap_or_default();
        let owner = format!("{} {}", key.org, key.environment);
        [key.dek_id.to_string(), owner, account, key.state.as_str().to_owned(), key.rows.to_string()]
    });
    output.list(["DATA KEY", "ORG", "ACCOUNT", "STATE", "ROWS"], rows, &())?;
    let left_off = report.findings_total - report.findings.len() as u64;
    if left_off > 0 {
        output.note(&format!("{left_off} more findings are not shown"));
    }
    let VerifyReport { rows, findings_total, unverifiable, grandfathered, leftover, jobs, .. } = report;
    output.text(&format!(
        "{rows} rows: {findings_total} findings, {unverifiable} could not be checked, {grandfathered} values from \
         before a change of format, {leftover} left over from {jobs} unfinished jobs\n"
    ))
}

fn as_json(report: &VerifyReport) -> Value {
    json!({
        "clean": report.is_clean(),
        "rows": report.rows,
        "findings_total": report.findings_total,
        "findings": report.findings.iter().map(finding).collect::<Vec<_>>(),
        "unverifiable": report.unverifiable,
        "grandfathered": report.grandfathered,
        "leftover": report.leftover,
        "jobs": report.jobs,
        "keys": report.keys.iter().map(key).collect::<Vec<_>>(),
        "keys_left_off": report.keys_left_off,
    })
}

fn finding(Finding { path, cause, .. }: &Finding) -> Value {
    json!({
        "row": path.row.as_str(),
        "org_id": path.org.map(|id| id.to_string()),
        "environment": path.environment.as_ref().map(ToString::to_string),
        "linked_account_id": path.linked_account.as_ref().map(ToString::to_string),
        "workflow_id": path.workflow.as_ref().map(ToString::to_string),
        "variable_definition_id": path.definition_id.map(|id| id.to_string()),
        "name": path.name,
        "key": path.key_name,
        "cause": cause.as_str(),
        "message": cause.to_string(),
    })
}

fn key(key: &KeyUse) -> Value {
    json!({
        "dek_id": key.dek_id.to_string(),
        "org_id": key.org.to_string(),
        "environment": key.environment.as_str(),
        "linked_account_id": key.linked_account.as_ref().map(ToString::to_string),
        "state": key.state.as_str(),
        "rows": key.rows,
    })
}
