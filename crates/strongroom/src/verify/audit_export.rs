//! The audit as text, with a list of what it lacks.

use std::collections::BTreeMap;
use std::io::Write;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Verification;
use super::report::{Cause, Finding};
use crate::engine::observer::Call;
use crate::error::Error;
use crate::model::{ChainId, EventId};
use crate::store::{KeyRange, Scan};
use crate::tenant::{Freshness, Needs, Tenant};
use crate::verbs::audit::AuditDigest;
use crate::verbs::org::Org;

impl Org {
    /// Writes all events of the audit as lines of text, and returns their digest. [`AuditDigest::check`] reads them.
    /// Events written meanwhile are left to the next export. Besides the events, it costs a read of all keys of events
    /// and a verification of the audit.
    ///
    /// An event that cannot be read does not fail the export: [`AuditDigest::lacks`] lists what is damaged or missing,
    /// and is empty if the export is complete.
    ///
    /// ```
    /// # strongroom_conformance::with_vault(async |vault| {
    /// use strongroom::{Environment, VarFormat, VariableDefinition};
    /// vault.change_settings(|settings| settings.audit = true).await?;
    /// let org = vault.org("6500a1b2c3d4e5f6a7b8c9d0".parse()?, Environment::test());
    /// let (mut earlier, mut later) = (Vec::new(), Vec::new());
    /// org.define(VariableDefinition::new("PORT", VarFormat::Integer)).await?;
    /// let kept = org.export_audit(&mut earlier).await?; // the customer keeps it
    /// org.delete_definition("PORT").await?;
    /// org.export_audit(&mut later).await?;
    /// let checked = kept.check(&later[..])?; // without a key
    /// assert_eq!((checked.covered.len(), checked.later.len()), (1, 1));
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::UnknownKey`] and [`Error::UnknownVersion`] if the org's keys cannot be read;
    /// [`Error::BackupFile`] if the writer fails; [`Error::Store`].
    pub async fn export_audit(&self, writer: &mut impl Write) -> Result<AuditDigest, Error> {
        let run = async {
            let (mut digest, gaps) = write_events(&self.tenant, writer).await?;
            let all = [self.tenant.id.audit()];
            let report = Verification::of(&self.tenant.engine, all).finish().await?;
            report.findings.iter().for_each(|finding| digest.note_lack(gaps.in_words(finding)));
            let more = report.findings_total.saturating_sub(report.findings.len() as u64);
            if more > 0 {
                digest.note_lack(format!("and {more} more"));
            }
            Ok(digest)
        };
        self.tenant.observed(Call::of("export_audit"), run).await
    }
}

/// Where events are missing: of each event, and each chain, which event of the chain is the last before.
#[derive(Default)]
struct Gaps {
    last: BTreeMap<ChainId, EventId>,
    /// By the text of the id of the event after the gap: how many are missing, and the event before.
    before: BTreeMap<String, (u64, Option<EventId>)>,
}

impl Gaps {
    /// Takes in the next event, in the order of keys.
    fn take_in(&mut self, id: &EventId) {
        let before = self.last.insert(id.chain, *id);
        let missing =
            id.sequence.saturating_sub(before.map_or(0, |before| before.sequence)).saturating_sub(1);
        // Those before the first one may have been dropped for their age: then there is no finding.
        if missing > 0 && self.before.len() < GAPS_MAX {
            self.before.insert(id.to_string(), (missing, before));
        }
    }

    /// What was found, with between which events something is missing.
    fn in_words(&self, finding: &Finding) -> String {
        let named = finding.path.name.as_deref().filter(|_| finding.cause == Cause::BrokenChain);
        let of_event = named.and_then(|name| self.before.get(name));
        let of_chain = || {
            let is_it = |chain: &&ChainId| named.is_some_and(|name| name == hex::encode(chain));
            self.last.keys().find(is_it).and_then(|chain| self.last.get(chain))
        };
        match of_event {
            Some((missing, Some(before))) => {
                format!("{finding}: {missing} between event {before} and this one")
            }
            Some((missing, None)) => format!("{finding}: the first {missing} of its chain"),
            None => of_chain()
                .map_or_else(|| finding.to_string(), |last| format!("{finding}: those after event {last}")),
        }
    }
}

/// Writes the events that can be read.
async fn write_events(tenant: &Tenant, writer: &mut impl Write) -> Result<(AuditDigest, Gaps), Error> {
    let (events, mut gaps) = (tenant.id.events(), Gaps::default());
    let landed = landed(tenant, &events).await?;
    let (mut digest, mut rest) = (AuditDigest::default(), events.clone());
    // With keys that may be out of date, events would seem to be damaged.
    let needs = Needs::org_keys().freshness(Freshness::Fresh);
    loop {
        let scan = Scan::new(rest.clone(), PAGE_ROWS);
        let (view, ([], [page])) = tenant.read(&needs, ([], [scan])).await?;
        for (key, row) in &page.rows {
            let id = key.as_bytes().strip_prefix(events.start.as_slice()).and_then(EventId::from_bytes);
            let Some(id) = id.filter(|id| landed.get(&id.chain).is_some_and(|last| id.sequence <= *last))
            else {
                continue;
            };
            gaps.take_in(&id);
            // The verification reports those that cannot be read.
            let (body, hash) = match tenant.open_event_body(&view, &id, row) {
                Ok(Some(opened)) => opened,
                Ok(None) => continue,
                Err(error) if error.is_damage() => continue,
                Err(error) => return Err(error),
            };
            writeln!(writer, "{id} {}", STANDARD.encode(body.encode())).map_err(Error::BackupFile)?;
            digest.take_in(&id, &body.previous, hash);
        }
        match page.rows.last() {
            Some((last, _)) if page.more => rest = rest.after(last.as_bytes()),
            _ => break,
        }
    }
    writer.flush().map_err(Error::BackupFile)?;
    Ok((digest, gaps))
}

/// The last event of each chain that has landed. An event lands after those before it in its chain, so every later
/// reader finds all of them. But a later event may land behind the position that a reader has reached.
async fn landed(tenant: &Tenant, events: &KeyRange) -> Result<BTreeMap<ChainId, u64>, Error> {
    let (mut last, mut rest) = (BTreeMap::<ChainId, u64>::new(), events.clone());
    loop {
        let page = tenant.engine.read(Scan::new(rest.clone(), KEYS_PAGE).keys_only()).await?;
        for (key, _) in &page.rows {
            let id = key.as_bytes().strip_prefix(events.start.as_slice()).and_then(EventId::from_bytes);
            if let Some(id) = id {
                let known = last.entry(id.chain).or_default();
                *known = id.sequence.max(*known);
            }
        }
        match page.rows.last() {
            Some((key, _)) if page.more => rest = rest.after(key.as_bytes()),
            _ => return Ok(last),
        }
    }
}

/// Of how many gaps it is known where they are: of each with a finding, as a report keeps no more.
const GAPS_MAX: usize = 1_000;
const PAGE_ROWS: usize = 500;
const KEYS_PAGE: usize = 1_000;
