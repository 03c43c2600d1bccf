//! The audit as a text that can be checked without a key: one line for each event, and a digest of the events.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::BufRead;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::clock::Timestamp;
use crate::error::{Damage, Error};
use crate::model::{AuditEvent, ChainId, EventId};
use crate::row::body::{EventBody, EventHash};

/// Which events the audit of one org had: for each chain of events its first event, and the hash of its last, which
/// commits to all before it. With a digest, one can later check without a key whether an export still holds those
/// events unchanged. It reveals nothing about their content, nor about other orgs.
///
/// A chain in which events were damaged or missing has several parts, each with its first and last.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AuditDigest {
    parts: BTreeMap<PartId, Part>,
    lacks: Vec<String>,
}

/// A chain, and the number of the last event of a part of it.
type PartId = (ChainId, u64);

/// What a digest records about consecutive events.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Part {
    /// The hash of the last event.
    hash: EventHash,
    /// The number of the first event that was not dropped for its age, and the time of the last; absent in digests of
    /// the first release.
    more: Option<(u64, Timestamp)>,
}

/// The events of an export that matches its digest.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuditCheck {
    /// The events of the digest: they are unchanged since it was made, and none is missing.
    pub covered: Vec<AuditEvent>,
    /// The other events. In the same chains they follow those of the digest, but anyone who had the file could have
    /// added or removed some.
    pub later: Vec<AuditEvent>,
}

impl AuditDigest {
    /// Checks an export, and returns its events. None of the digest's events may be missing, altered or out of order,
    /// and each of the others must follow the one before it. Needs no key.
    ///
    /// Events that were dropped for their age since ([`Org::drop_audit_before`](crate::Org::drop_audit_before)) are
    /// missing too: see [`check_after_drop`](Self::check_after_drop).
    ///
    /// # Errors
    /// [`Error::Damaged`] if it does not match the digest, or is not an export; [`Error::BackupFile`] if the reader
    /// fails.
    pub fn check(&self, export: impl BufRead) -> Result<AuditCheck, Error> {
        self.check_with(export, None)
    }

    /// Checks an export of an audit whose events from before a time may have been dropped for their age since the
    /// digest was made. At the beginning of a chain, some newer events may be missing unnoticed; a digest made after
    /// the drop shows that.
    ///
    /// # Errors
    /// Those of [`check`](Self::check).
    pub fn check_after_drop(&self, export: impl BufRead, before: Timestamp) -> Result<AuditCheck, Error> {
        self.check_with(export, Some(before))
    }

    fn check_with(&self, export: impl BufRead, dropped: Option<Timestamp>) -> Result<AuditCheck, Error> {
        let mut checked = AuditCheck { covered: Vec::new(), later: Vec::new() };
        let mut last = BTreeMap::<ChainId, (u64, EventHash)>::new();
        let (mut met, mut seen) = (BTreeSet::new(), BTreeSet::new());
        for (number, line) in (1_u64..).zip(export.split(b'\n')) {
            let line = line.map_err(Error::BackupFile)?;
            let malformed = || bad(format_args!("line {number}"), Damage::Malformed);
            let (id, body) = parse(&line).ok_or_else(malformed)?;
            let decoded = EventBody::decode(&body).map_err(|_| malformed())?;
            let is_bad = |damage| bad(format_args!("line {number}, the event {id},"), damage);
            let known = self.part_of(&id);
            let fits = match last.get(&id.chain) {
                Some((sequence, hash)) => {
                    let follows = sequence.checked_add(1) == Some(id.sequence) && *hash == decoded.previous;
                    // Or the events between two parts of the digest were already missing when it was made.
                    let ends_part = id.sequence > *sequence && seen.contains(&(id.chain, *sequence));
                    follows || ends_part && known.is_some_and(|(_, part)| part.begins_at(&id))
                }
                None => known.is_none_or(|(_, part)| part.may_begin_at(&id, dropped)),
            };
            if !fits {
                return Err(is_bad(Damage::Inconsistent));
            }
            let hash = EventBody::hash(&id, &body);
            met.extend(known.map(|(part, _)| *part));
            if let Some((part, known)) = known.filter(|((_, last), _)| *last == id.sequence) {
                if known.hash != hash {
                    return Err(is_bad(Damage::Rejected));
                }
                seen.insert(*part);
            }
            last.insert(id.chain, (id.sequence, hash));
            let EventBody { actor, request_id, changes, .. } = decoded;
            let event = AuditEvent { id, at: id.at, actor, request_id, changes, unreadable: None };
            // The digest's last event commits to those before it, and the check fails if that event is missing.
            match known.is_some_and(|((_, last), _)| id.sequence <= *last) {
                true => checked.covered.push(event),
                false => checked.later.push(event),
            }
        }
        let is_missing = |(id, part): (&PartId, &Part)| {
            // A part may be missing only as a whole, and only if it may have been dropped for its age.
            !seen.contains(id) && (met.contains(id) || !part.may_be_gone(dropped))
        };
        match self.parts.iter().find(|part| is_missing(*part)) {
            Some(((chain, last), _)) => {
                let chain = hex::encode(chain);
                Err(bad(format_args!("the event {last} of the chain {chain}"), Damage::Missing))
            }
            None => Ok(checked),
        }
    }

    /// What was damaged or missing in the audit when it was exported, each with its row as
    /// [`Org::verify`](crate::Org::verify) names it. The export has the rest.
    #[must_use]
    pub fn lacks(&self) -> &[String] {
        &self.lacks
    }

    pub(crate) fn note_lack(&mut self, what: String) {
        self.lacks.push(what);
    }

    /// Adds the next event of its chain, to the previous part if it follows that.
    pub(crate) fn take_in(&mut self, id: &EventId, previous: &EventHash, hash: EventHash) {
        let before = id.sequence.checked_sub(1).map(|before| (id.chain, before));
        let follows =
            before.filter(|before| self.parts.get(before).is_some_and(|part| part.hash == *previous));
        let first = follows.and_then(|before| self.parts.remove(&before)?.more).map(|(first, _)| first);
        let more = Some((first.unwrap_or(id.sequence), id.at));
        self.parts.insert((id.chain, id.sequence), Part { hash, more });
    }

    /// The part that an event belongs to; for a later event, the last part of its chain.
    fn part_of(&self, id: &EventId) -> Option<(&PartId, &Part)> {
        let mut from_here = self.parts.range((id.chain, id.sequence)..=(id.chain, u64::MAX));
        let mut before = self.parts.range((id.chain, 0)..=(id.chain, id.sequence));
        from_here.next().or_else(|| before.next_back())
    }
}

impl Part {
    fn begins_at(&self, id: &EventId) -> bool {
        self.more.is_some_and(|(first, _)| first == id.sequence)
    }

    /// Whether this may be the first event that is left of the chain.
    fn may_begin_at(&self, id: &EventId, dropped: Option<Timestamp>) -> bool {
        let is_complete = self.more.is_none_or(|(first, _)| id.sequence <= first);
        is_complete || dropped.is_some_and(|before| id.at >= before)
    }

    /// Whether all of the part may have been dropped.
    fn may_be_gone(&self, dropped: Option<Timestamp>) -> bool {
        dropped.zip(self.more).is_some_and(|(before, (_, last_at))| last_at < before)
    }
}

fn bad(what: impl fmt::Display, damage: Damage) -> Error {
    Error::damaged(format!("{what} of the export of the audit"), damage)
}

fn parse(line: &[u8]) -> Option<(EventId, Vec<u8>)> {
    let (id, body) = std::str::from_utf8(line).ok()?.trim_end_matches('\r').split_once(' ')?;
    Some((EventId::from_bytes(&hex::decode(id).ok()?)?, STANDARD.decode(body).ok()?))
}

/// A line with the number of lines that follow, so that a truncated digest is noticed. Then one for each part of a
/// chain: its id, the number of its last event, its hash, the number of the first event that was not dropped, and the
/// time of the last in milliseconds. Then one line, beginning with `!`, for each item that the export lacks.
impl fmt::Display for AuditDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{COUNT}{}", self.parts.len() + self.lacks.len())?;
        for ((id, last), Part { hash, more }) in &self.parts {
            write!(f, "{} {last} {}", hex::encode(id), hex::encode(hash))?;
            match more {
                Some((first, last_at)) => writeln!(f, " {first} {}", last_at.as_ms())?,
                None => writeln!(f)?,
            }
        }
        self.lacks.iter().try_for_each(|lack| writeln!(f, "! {lack}"))
    }
}

/// Digests of the first release do not state their number of lines, but can still be read.
impl FromStr for AuditDigest {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let malformed = || Error::damaged("the digest of the audit", Damage::Malformed);
        let text = match text.strip_prefix(COUNT) {
            Some(counted) => {
                let (count, lines) = counted.split_once('\n').ok_or_else(malformed)?;
                let is_whole = lines.is_empty() || lines.ends_with('\n');
                let is_counted = count.parse() == Ok(lines.lines().count());
                if is_whole && is_counted { lines } else { return Err(malformed()) }
            }
            // Truncated to nothing.
            None if text.is_empty() => return Err(malformed()),
            None => text,
        };
        let read = |line: &str| {
            let mut words = line.split(' ');
            let (chain, sequence, hash) = (words.next()?, words.next()?, words.next()?);
            let (chain, hash) = (hex::decode(chain).ok()?, hex::decode(hash).ok()?);
            let more = match words.next() {
                Some(first) => Some((first.parse().ok()?, Timestamp::from_ms(words.next()?.parse().ok()?))),
                None => None,
            };
            let part = (chain.try_into().ok()?, sequence.parse().ok()?);
            Some((part, Part { hash: hash.try_into().ok()?, more }))
        };
        let (lacks, parts): (Vec<_>, Vec<_>) = text.lines().partition(|line| line.starts_with("! "));
        let parts: Option<_> = parts.into_iter().map(read).collect();
        let parts = parts.ok_or_else(malformed)?;
        let lacks = lacks.iter().filter_map(|line| line.strip_prefix("! ")).map(str::to_owned).collect();
        Ok(Self { parts, lacks })
    }
}

/// The prefix of the first line of a digest.
const COUNT: &str = "= ";
