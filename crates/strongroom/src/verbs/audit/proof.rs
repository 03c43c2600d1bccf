//! The audit as a text that can be checked without a key: each line an event, and a digest that says which events there
//! are.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::{BufRead, Write};
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::clock::Timestamp;
use crate::engine::observer::Call;
use crate::error::{Damage, Error};
use crate::model::{AuditEvent, ChainId, EventId};
use crate::row::body::{EventBody, EventHash};
use crate::store::{KeyRange, Scan};
use crate::tenant::{Needs, Tenant};
use crate::verbs::org::Org;

/// Which events the audit of one org had: for each chain of events which was the first, and the hash of the last, which
/// commits to all before. Whoever keeps a digest can tell later, without a key, whether an export still holds those
/// events unchanged. It says nothing of what they are, nor of other orgs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AuditDigest(BTreeMap<ChainId, DigestOfChain>);

/// What a digest says of one chain.
#[derive(Debug, Clone, PartialEq, Eq)]
struct DigestOfChain {
    /// The number of its last event.
    last: u64,
    hash: EventHash,
    /// The number of its first event that was not dropped for its age, and the time of the last; digests of the first
    /// release do not say.
    more: Option<(u64, Timestamp)>,
}

/// The events of an export that holds what a digest says.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuditCheck {
    /// Those of the digest: they are what they were when it was made, and none is missing.
    pub covered: Vec<AuditEvent>,
    /// The others. They follow those of the digest, if they are of the same chains, but whoever had the file could add
    /// them, or take some away.
    pub later: Vec<AuditEvent>,
}

impl Org {
    /// Writes all events of the audit as lines of text, and returns their digest. [`AuditDigest::check`] reads them.
    /// What is written meanwhile is left to the next export. Costs a look at all keys of events beside the events.
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
    /// [`Error::Damaged`], [`Error::UnknownKey`] and [`Error::UnknownVersion`] for an event that cannot be read;
    /// [`Error::BackupFile`] if the writer fails; [`Error::Store`].
    pub async fn export_audit(&self, writer: &mut impl Write) -> Result<AuditDigest, Error> {
        let run = async {
            let tenant = &*self.tenant;
            let events = tenant.id.events();
            let landed = landed(tenant, &events).await?;
            let (mut digest, mut rest) = (AuditDigest::default(), events.clone());
            loop {
                let scan = Scan::new(rest.clone(), PAGE_ROWS);
                let (view, ([], [page])) = tenant.read(&Needs::org_keys(), ([], [scan])).await?;
                for (key, row) in &page.rows {
                    let id =
                        key.as_bytes().strip_prefix(events.start.as_slice()).and_then(EventId::from_bytes);
                    let id = id.ok_or_else(|| Error::damaged("the key of an event", Damage::Malformed))?;
                    if landed.get(&id.chain).is_none_or(|last| id.sequence > *last) {
                        continue;
                    }
                    let Some((body, hash)) = tenant.open_event_body(&view, &id, row)? else { continue };
                    writeln!(writer, "{id} {}", STANDARD.encode(body.encode())).map_err(Error::BackupFile)?;
                    let first = digest.0.get(&id.chain).and_then(|chain| chain.more);
                    let more = Some((first.map_or(id.sequence, |(first, _)| first), id.at));
                    digest.0.insert(id.chain, DigestOfChain { last: id.sequence, hash, more });
                }
                match page.rows.last() {
                    Some((last, _)) if page.more => rest = rest.after(last.as_bytes()),
                    _ => break,
                }
            }
            writer.flush().map_err(Error::BackupFile)?;
            Ok(digest)
        };
        self.tenant.observed(Call::of("export_audit"), run).await
    }
}

impl AuditDigest {
    /// Checks an export, and returns its events: that none of those of the digest is missing, altered or out of its
    /// order, and that each of the others follows the one before. Needs no key.
    ///
    /// Events that were dropped for their age since ([`Org::drop_audit_before`]) are missing too: see
    /// [`check_after_drop`](Self::check_after_drop).
    ///
    /// # Errors
    /// [`Error::Damaged`] if it does not hold what the digest says, or is no export; [`Error::BackupFile`] if the
    /// reader fails.
    pub fn check(&self, export: impl BufRead) -> Result<AuditCheck, Error> {
        self.check_with(export, None)
    }

    /// The same of an audit whose events from before a time may have been dropped for their age since the digest was
    /// made. At the beginning of a chain some that are not as old may be missing unnoticed: a digest that is made after
    /// the drop tells.
    ///
    /// # Errors
    /// Those of [`check`](Self::check).
    pub fn check_after_drop(&self, export: impl BufRead, before: Timestamp) -> Result<AuditCheck, Error> {
        self.check_with(export, Some(before))
    }

    fn check_with(&self, export: impl BufRead, dropped: Option<Timestamp>) -> Result<AuditCheck, Error> {
        let mut checked = AuditCheck { covered: Vec::new(), later: Vec::new() };
        let (mut last, mut seen) = (BTreeMap::<ChainId, (u64, EventHash)>::new(), BTreeSet::new());
        for line in export.lines() {
            let line = line.map_err(Error::BackupFile)?;
            let (id, body) = parse(&line).ok_or_else(|| bad(Damage::Malformed))?;
            let decoded = EventBody::decode(&body).map_err(|_| bad(Damage::Malformed))?;
            let known = self.0.get(&id.chain);
            let fits = match last.get(&id.chain) {
                Some((sequence, hash)) => {
                    sequence.checked_add(1) == Some(id.sequence) && *hash == decoded.previous
                }
                None => known.is_none_or(|chain| chain.may_begin_at(&id, dropped)),
            };
            if !fits {
                return Err(bad(Damage::Inconsistent));
            }
            let hash = EventBody::hash(&id, &body);
            if let Some(chain) = known.filter(|chain| chain.last == id.sequence) {
                if chain.hash != hash {
                    return Err(bad(Damage::Rejected));
                }
                seen.insert(id.chain);
            }
            last.insert(id.chain, (id.sequence, hash));
            let EventBody { actor, request_id, changes, .. } = decoded;
            let event = AuditEvent { id, at: id.at, actor, request_id, changes, unreadable: None };
            // The last one of the digest commits to those before it, and the check fails if it does not come.
            match known.is_some_and(|chain| id.sequence <= chain.last) {
                true => checked.covered.push(event),
                false => checked.later.push(event),
            }
        }
        let is_missing = |(id, chain): (&ChainId, &DigestOfChain)| {
            // All that there is of it now would be what came later.
            !seen.contains(id) && (last.contains_key(id) || !chain.may_be_gone(dropped))
        };
        if self.0.iter().any(is_missing) { Err(bad(Damage::Missing)) } else { Ok(checked) }
    }
}

impl DigestOfChain {
    /// Whether this may be the first event that is left of the chain.
    fn may_begin_at(&self, id: &EventId, dropped: Option<Timestamp>) -> bool {
        let is_complete = self.more.is_none_or(|(first, _)| id.sequence <= first);
        is_complete || dropped.is_some_and(|before| id.at >= before)
    }

    /// Whether all of the chain may have been dropped.
    fn may_be_gone(&self, dropped: Option<Timestamp>) -> bool {
        dropped.zip(self.more).is_some_and(|(before, (_, last_at))| last_at < before)
    }
}

/// The last event of each chain that has landed. An event lands after those before it in its chain, so all of them are
/// there for whoever reads from now on, while one that comes later may land behind the place that a reader has reached.
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

fn bad(damage: Damage) -> Error {
    Error::damaged("the export of the audit", damage)
}

fn parse(line: &str) -> Option<(EventId, Vec<u8>)> {
    let (id, body) = line.split_once(' ')?;
    Some((EventId::from_bytes(&hex::decode(id).ok()?)?, STANDARD.decode(body).ok()?))
}

/// A line for each chain: its id, the number of its last event, the hash of that, the number of the first that was not
/// dropped, and the time of the last in milliseconds.
impl fmt::Display for AuditDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (id, DigestOfChain { last, hash, more }) in &self.0 {
            write!(f, "{} {last} {}", hex::encode(id), hex::encode(hash))?;
            match more {
                Some((first, last_at)) => writeln!(f, " {first} {}", last_at.as_ms())?,
                None => writeln!(f)?,
            }
        }
        Ok(())
    }
}

impl FromStr for AuditDigest {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let read = |line: &str| {
            let mut words = line.split(' ');
            let (chain, sequence, hash) = (words.next()?, words.next()?, words.next()?);
            let (chain, hash) = (hex::decode(chain).ok()?, hex::decode(hash).ok()?);
            let more = match words.next() {
                Some(first) => Some((first.parse().ok()?, Timestamp::from_ms(words.next()?.parse().ok()?))),
                None => None,
            };
            let chain_digest =
                DigestOfChain { last: sequence.parse().ok()?, hash: hash.try_into().ok()?, more };
            Some((chain.try_into().ok()?, chain_digest))
        };
        let chains: Option<_> = text.lines().map(read).collect();
        chains.map(Self).ok_or_else(|| Error::damaged("the digest of the audit", Damage::Malformed))
    }
}

const PAGE_ROWS: usize = 500;
const KEYS_PAGE: usize = 1_000;
