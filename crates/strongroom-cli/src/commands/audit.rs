//! `audit`: who changed what.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter};
use std::path::{Path, PathBuf};

use serde::Serialize;
use strongroom::{
    AuditCheck, AuditDigest, AuditFilter, Clock as _, Error, Org, PageRequest, SystemClock, Timestamp,
};
use strongroom_http::control::{
    self, AuditChange, AuditEvent, SettingsChange, Status, VaultSettings, next_of_whole,
};

use crate::client::{Call, Client};
use crate::consent::Consent;
use crate::failure::{Exit, Failure};
use crate::files::{self, NewFile, unwritable};
use crate::output::{Output, counted, time};
use crate::pages;
use crate::session::Session;
use crate::suggest;

/// `audit` as it is typed.
#[derive(Debug, Clone, clap::Args)]
#[command(after_long_help = FIELDS)]
pub(crate) struct Audit {
    /// Note every write to the vault from now on, whoever makes it
    #[arg(long, conflicts_with_all = ["off", "since", "actor"])]
    on: bool,
    /// Stop noting writes; existing events stay
    #[arg(long, conflicts_with_all = ["since", "actor"])]
    off: bool,
    /// Only events from this time on, such as 2026-01-31T12:00:00Z, or at most this old, such as 5m
    #[arg(long, value_name = "TIME", value_parser = moment_or_age)]
    since: Option<Timestamp>,
    /// Only writes on behalf of this actor, or of all of a kind, such as `session:`
    #[arg(long)]
    actor: Option<String>,
    /// Write all events to this new file, and a digest to check it by to FILE.digest, to be kept elsewhere; if any
    /// cannot be read or is missing, both have the rest and say so, and the command exits with 5
    #[arg(long, value_name = "FILE", conflicts_with_all = NARROWED)]
    export: Option<PathBuf>,
    /// Check a file of --export without a vault or a key, and list its events
    #[arg(long, value_name = "FILE", conflicts_with_all = [&NARROWED[..], &["export"]].concat())]
    check: Option<PathBuf>,
    /// The digest for --check [default: FILE.digest]
    #[arg(long, value_name = "FILE", requires = "check")]
    digest: Option<PathBuf>,
    /// With --check: events from before this time, or older than this, were dropped since the digest was made
    #[arg(long, value_name = "TIME", value_parser = moment_or_age, requires = "check")]
    dropped_before: Option<Timestamp>,
    /// Drop events from before this time, or older than this, such as 90d; those of the last two hours always stay
    #[arg(long, value_name = "TIME", value_parser = moment_or_age,
        conflicts_with_all = [&NARROWED[..], &["export", "check"]].concat())]
    drop_before: Option<Timestamp>,
    #[command(flatten)]
    consent: Consent,
}

#[derive(Serialize)]
struct SwitchView {
    audit: bool,
}

#[derive(Serialize)]
struct Exported<'e> {
    file: String,
    digest_file: String,
    /// What is damaged or missing.
    lacks: &'e [String],
}

#[derive(Serialize)]
struct Dropped {
    dropped: u64,
}

/// An event that no digest covers.
#[derive(Serialize)]
struct Unchecked {
    #[serde(flatten)]
    event: AuditEvent,
    unchecked: bool,
}

impl Audit {
    /// Whether it leaves the store unchanged.
    pub(crate) fn only_reads(&self) -> bool {
        !self.on && !self.off && self.drop_before.is_none()
    }

    /// Whether it needs no vault.
    pub(crate) fn is_offline(&self) -> bool {
        self.check.is_some()
    }

    /// Lists the events of an export that matches its digest.
    pub(crate) fn run_offline(&self, output: &Output) -> Result<(), Failure> {
        let Some(file) = &self.check else { return Ok(()) };
        let digest = self.digest.clone().unwrap_or_else(|| digest_of(file));
        let unreadable = |path: &Path, error: &io::Error| {
            Failure::usage(format!("{} could not be read: {error}", path.display()))
                .next("name a file of `strongroom audit --export`, and its digest with --digest")
        };
        let text = fs::read(&digest).map_err(|error| unreadable(&digest, &error))?;
        // If it is no longer text it is damaged, and not a digest.
        let text = String::from_utf8_lossy(&text);
        let export = File::open(file).map_err(|error| unreadable(file, &error))?;
        let digest_kept = text.parse::<AuditDigest>().map_err(|error| {
            let sentence = format!("{} is not whole: {}", digest.display(), Failure::from(error).message);
            Failure::new(Exit::Key, sentence).next("use another copy of the digest")
        })?;
        let export = BufReader::new(export);
        let checked = match self.dropped_before {
            Some(before) => digest_kept.check_after_drop(export, before),
            None => digest_kept.check(export),
        };
        let AuditCheck { covered, later, .. } = checked.map_err(|error| {
            // What the engine advises is for a row of a store.
            let why = match &error {
                Error::Damaged { row, cause } => format!("{row} is damaged: {cause}"),
                error => error.to_string(),
            };
            let sentence = format!("{} is not what {} says: {why}", file.display(), digest.display());
            Failure::new(Failure::from(error).exit, sentence).next(
                "use another copy; somebody or something has changed this one. If events were dropped since, \
                 say from before when with --dropped-before. If it was exported after the audit was damaged, what is \
                 left is checked by the digest of that export",
            )
        })?;
        if !later.is_empty() {
            output.warn(&format!(
                "{} came after {}, which does not tell whether they are true",
                counted(later.len() as u64, "event"),
                digest.display()
            ));
        }
        let (covered, later): (Vec<_>, Vec<_>) = (shown(covered), shown(later));
        if output.is_json() {
            covered.iter().try_for_each(|event| output.json_line(event))?;
            let mut later = later.into_iter().map(|event| Unchecked { event, unchecked: true });
            later.try_for_each(|event| output.json_line(&event))?;
        } else {
            let rows = rows_of(&covered, "yes").chain(rows_of(&later, "no"));
            output.list(["CHECKED", "TIME", "ACTOR", "EVENT", "OF"], rows, &())?;
        }
        refuse_lacking(&digest_kept, output)
    }

    pub(crate) async fn run(self, session: &Session, output: &Output) -> Result<(), Failure> {
        if self.only_reads() || self.drop_before.is_some() {
            suggest::refuse_unknown_org(&session.vault, &session.org).await?;
            suggest::refuse_unknown_environment(&session.org).await?;
        }
        if let Some(before) = self.drop_before {
            return self.trim(&session.org, before, output).await;
        }
        if let Some(file) = &self.export {
            return export(&session.org, file, output).await;
        }
        if !self.only_reads() {
            return switch(session, self.on, output).await;
        }
        if !session.vault.settings().await?.audit {
            output.note(NOTES_NOTHING);
        }
        let mut filter = AuditFilter::all();
        if let Some(since) = self.since {
            filter = filter.since(since);
        }
        if let Some(actor) = self.actor {
            filter = filter.actor(actor);
        }
        if output.is_json() {
            return lines(&session.org, &filter, output).await;
        }
        let events = pages::all(async |page| session.org.audit(&filter, page).await).await?;
        list(&shown(events), output)
    }

    async fn trim(&self, org: &Org, before: Timestamp, output: &Output) -> Result<(), Failure> {
        let at = time(before);
        if SystemClock.now_ms().saturating_sub(before.as_ms()) < TWO_HOURS_MS {
            output.note("events of the last two hours stay");
        }
        self.consent.to(&format!("drop the events of the audit from before {at}"))?;
        let dropped = org.drop_audit_before(before).await?;
        let sentence = format!("{} dropped, from before {at}", counted(dropped, "event"));
        output.done(&sentence, &Dropped { dropped })
    }
}

/// The events as a server shows them, so that a script need not know where they come from.
fn shown(events: Vec<strongroom::AuditEvent>) -> Vec<AuditEvent> {
    events.into_iter().map(AuditEvent::of).collect()
}

fn list(events: &[AuditEvent], output: &Output) -> Result<(), Failure> {
    let rows = rows_of(events, "").map(|[_, time, actor, event, of]| [time, actor, event, of]);
    output.list(["TIME", "ACTOR", "EVENT", "OF"], rows, &())?;
    refuse_unreadable(events.iter().filter_map(|event| event.unreadable.as_deref()), "event")
}

/// A row for each change of some events. Each row begins with the same word.
fn rows_of<'e>(events: &'e [AuditEvent], first: &'e str) -> impl Iterator<Item = [String; 5]> + 'e {
    events.iter().flat_map(move |event| {
        let row = move |kind: String, of: String| {
            let actor = event.actor.clone().unwrap_or_else(|| "-".to_owned());
            [first.to_owned(), event.at.clone(), actor, kind, of]
        };
        let unreadable = event.unreadable.as_ref().map(|why| row("cannot be read".to_owned(), why.clone()));
        unreadable
            .into_iter()
            .chain(event.changes.iter().map(move |change| row(change.kind.clone(), words(change))))
    })
}

/// Fails after a list in which some items could not be read: the list has the rest, and these are named.
pub(super) fn refuse_unreadable<'w>(all: impl Iterator<Item = &'w str>, what: &str) -> Result<(), Failure> {
    let all: Vec<_> = all.collect();
    // The one that is named decides the step.
    let Some(one) = all.iter().find(|why| next_of_whole(why).is_some()).or(all.first()) else {
        return Ok(());
    };
    let sentence = match all.len() {
        1 => (*one).to_owned(),
        count => format!("{} cannot be read, one of them since {one}", counted(count as u64, what)),
    };
    Err(Failure::new(Exit::Key, sentence).next(
        "the list has the others; `strongroom verify` names all damaged rows, and a backup from before has them whole",
    ))
}

/// Fails after a list that leaves out what cannot be read: it says why for each, and what to do.
pub(super) fn refuse_left_out(
    unreadable: &[String],
    what: &str,
    step: &str,
    output: &Output,
) -> Result<(), Failure> {
    if unreadable.len() > 1 {
        unreadable.iter().for_each(|why| output.warn(&format!("left out: {why}")));
    }
    let refused = refuse_unreadable(unreadable.iter().map(String::as_str), what);
    refused.map_err(|failure| failure.next(format!("the list has the others; {step}")))
}

/// Writes the events, then their digest: a digest without its events would refuse every file.
async fn export(org: &Org, file: &Path, output: &Output) -> Result<(), Failure> {
    let digest_file = digest_of(file);
    // Before anything is written, so that no events are left behind without their digest.
    for place in [file, &digest_file] {
        if place.symlink_metadata().is_ok() {
            return Err(Failure::usage(format!("{} is there already", place.display()))
                .next("name a new file; nothing was written"));
        }
    }
    let new = NewFile::beside(file).map_err(|error| unwritable(file, &error))?;
    let digest = org.export_audit(&mut BufWriter::new(new.file())).await?;
    new.publish(file).map_err(|error| unwritable(file, &error))?;
    files::write_new(&digest_file, &digest.to_string()).inspect_err(|_| {
        // By themselves they are checked by nothing, and keep the command from being repeated.
        let _ = fs::remove_file(file);
    })?;
    let (file, digest_file) = (file.display().to_string(), digest_file.display().to_string());
    let sentence = format!("{file} has the events; keep {digest_file} elsewhere, for `audit --check`");
    output.done(&sentence, &Exported { file, digest_file, lacks: digest.lacks() })?;
    refuse_lacking(&digest, output)
}

/// Fails after an export, or the list of one, that is not complete, and names what it lacks.
fn refuse_lacking(digest: &AuditDigest, output: &Output) -> Result<(), Failure> {
    let lacks = digest.lacks();
    if lacks.is_empty() {
        return Ok(());
    }
    // Of a gap, the events around it are named, which are in the export.
    lacks.iter().for_each(|lack| output.warn(&format!("found in the audit: {lack}")));
    let sentence =
        format!("the audit was not whole when it was exported: {}", counted(lacks.len() as u64, "finding"));
    Err(Failure::new(Exit::Key, sentence).next(
        "the file has every event that could be read; an earlier export or a backup may have the others",
    ))
}

fn digest_of(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".digest");
    name.into()
}

impl Audit {
    /// Uses the control calls, whose fields have the same names as those of the documented ones.
    pub(crate) fn on_server(self, client: &Client, output: &Output) -> Result<(), Failure> {
        if self.export.is_some() || self.drop_before.is_some() {
            return Err(Failure::not_on_server("an API key neither cuts the audit nor takes it as a whole"));
        }
        if !self.only_reads() {
            let change = SettingsChange { audit: Some(self.on), generations: None };
            let _: VaultSettings = client.control_patch(&["settings"], &change)?;
            return switched(self.on, output);
        }
        let status: Status = client.control_get(Call { path: &["status"], query: &[] })?;
        if !status.settings.audit {
            output.note(NOTES_NOTHING);
        }
        let since = self.since.map(time);
        let since = since.as_deref().map(|since| ("since", since));
        let actor = self.actor.as_deref().map(|actor| ("actor", actor));
        let query: Vec<_> = since.into_iter().chain(actor).collect();
        let events: Vec<AuditEvent> = client.control_items(Call { path: &["audit"], query: &query })?;
        if !output.is_json() {
            return list(&events, output);
        }
        events.iter().try_for_each(|event| output.json_line(event))?;
        refuse_unreadable(events.iter().filter_map(|event| event.unreadable.as_deref()), "event")
    }
}

/// Turning it on is the first event, and turning it off the last.
async fn switch(session: &Session, audit: bool, output: &Output) -> Result<(), Failure> {
    let change = async { Ok(session.vault.change_settings(|settings| settings.audit = audit).await?) };
    let [on, off] = SWITCHES;
    let deed = if audit { on } else { off };
    match (session.vault.settings().await?.audit, audit) {
        (true, true) | (false, false) => {}
        (true, false) => session.operate(deed, change).await?,
        (false, true) => {
            change.await?;
            session.note_operation(deed).await?;
        }
    }
    switched(audit, output)
}

fn switched(audit: bool, output: &Output) -> Result<(), Failure> {
    let sentence = match audit {
        true => "every write is noted from now on",
        false => "writes are no longer noted; what was noted stays",
    };
    output.done(sentence, &SwitchView { audit })
}

/// One event per line, page by page, so that memory stays constant.
async fn lines(org: &Org, filter: &AuditFilter, output: &Output) -> Result<(), Failure> {
    let mut page = PageRequest::first(PageRequest::LIMIT_MAX);
    let mut unreadable = Vec::new();
    loop {
        let found = org.audit(filter, page).await?;
        for event in shown(found.items) {
            output.json_line(&event)?;
            unreadable.extend(event.unreadable);
        }
        let Some(next) = found.next else { break };
        page = PageRequest::first(PageRequest::LIMIT_MAX).after(next);
    }
    refuse_unreadable(unreadable.iter().map(String::as_str), "event")
}

/// The change in words: the name, then what it belongs to.
fn words(change: &AuditChange) -> String {
    let parts = [
        change.name.clone(),
        change.integration.as_ref().map(|id| format!("integration {id}")),
        change.connection.as_ref().map(|id| format!("connection {id}")),
        change.linked_account_id.as_ref().map(|id| format!("account {id}")),
        change.workflow_id.as_ref().map(|id| format!("workflow {id}")),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// A moment as it is typed, or as an age.
pub(super) fn moment_or_age(text: &str) -> Result<Timestamp, String> {
    let Ok(age) = humantime::parse_duration(text) else {
        return moment(text).map_err(|wrong| format!("{wrong}, or how long ago it is, such as 5m or 90d"));
    };
    let age = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
    Ok(Timestamp::from_ms(SystemClock.now_ms().saturating_sub(age)))
}

const NOTES_NOTHING: &str = "this vault notes no writes: `strongroom audit --on` begins to";
const FIELDS: &str = "\
With --json, each event is an object on a line of its own, with the same fields from a store and from a server: id, \
at, actor, request_id and changes, each of which has kind, name, variable_definition_id, linked_account_id, \
workflow_id, integration, connection (but for the default one), document_id, version_before and version. One that \
cannot be read has unreadable, which says why; the command then exits with 5 after the list.";

/// Younger events are not dropped.
const TWO_HOURS_MS: u64 = 2 * 60 * 60 * 1_000;

/// The audit's own notes about being turned on and off.
pub(super) const SWITCHES: [&str; 2] = ["settings: audit on", "settings: audit off"];

/// Options that narrow a list down or switch the audit.
const NARROWED: [&str; 4] = ["on", "off", "since", "actor"];

/// A moment as it is typed.
pub(super) fn moment(text: &str) -> Result<Timestamp, String> {
    let wrong = || "a time is written 2026-01-31T12:00:00Z or 2026-01-31T14:00:00+02:00".to_owned();
    control::moment(text).ok_or_else(wrong)
}
