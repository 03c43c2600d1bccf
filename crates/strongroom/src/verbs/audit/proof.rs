//! The audit as a text that can be checked without a key: each line an event, and a digest that says which events there
//! are.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{BufRead, Write};
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::engine::observer::Call;
use crate::error::{Damage, Error};
use crate::model::{AuditEvent, ChainId, EventId};
use crate::row::body::{EventBody, EventHash};
use crate::store::Scan;
use crate::tenant::Needs;
use crate::verbs::org::Org;

/// Which events the audit of one org had: for each chain of events how many, and the hash of the last, which commits to
/// all before. Whoever keeps a digest can tell later, without a key, whether an export still holds those events
/// unchanged. It says nothing of what they are, nor of other orgs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AuditDigest(BTreeMap<ChainId, (u64, EventHash)>);

impl Org {
    /// Writes all events of the audit as lines of text, and returns their digest. [`AuditDigest::check`] reads them.
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
    /// assert_eq!(kept.check(&later[..])?.len(), 2); // without a key
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
            let (mut digest, mut rest) = (AuditDigest::default(), events.clone());
            loop {
                let scan = Scan::new(rest.clone(), PAGE_ROWS);
                let (view, ([], [page])) = tenant.read(&Needs::org_keys(), ([], [scan])).await?;
                for (key, row) in &page.rows {
                    let id =
                        key.as_bytes().strip_prefix(events.start.as_slice()).and_then(EventId::from_bytes);
                    let id = id.ok_or_else(|| Error::damaged("the key of an event", Damage::Malformed))?;
                    let Some((body, hash)) = tenant.open_event_body(&view, &id, row)? else { continue };
                    writeln!(writer, "{id} {}", STANDARD.encode(body.encode())).map_err(Error::BackupFile)?;
                    digest.0.insert(id.chain, (id.sequence, hash));
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
    /// # Errors
    /// [`Error::Damaged`] if it does not hold what the digest says, or is no export; [`Error::BackupFile`] if the
    /// reader fails.
    pub fn check(&self, export: impl BufRead) -> Result<Vec<AuditEvent>, Error> {
        let (mut events, mut last) = (Vec::new(), BTreeMap::<ChainId, (u64, EventHash)>::new());
        let mut seen = 0;
        for line in export.lines() {
            let line = line.map_err(Error::BackupFile)?;
            let (id, body) = parse(&line).ok_or_else(|| bad(Damage::Malformed))?;
            let decoded = EventBody::decode(&body).map_err(|_| bad(Damage::Malformed))?;
            // The first that is there may follow one that was dropped for its age.
            if let Some((sequence, hash)) = last.get(&id.chain)
                && (sequence.checked_add(1) != Some(id.sequence) || *hash != decoded.previous)
            {
                return Err(bad(Damage::Inconsistent));
            }
            let hash = EventBody::hash(&id, &body);
            if let Some((sequence, known)) = self.0.get(&id.chain)
                && *sequence == id.sequence
            {
                if *known != hash {
                    return Err(bad(Damage::Rejected));
                }
                seen += 1;
            }
            last.insert(id.chain, (id.sequence, hash));
            let EventBody { actor, request_id, changes, .. } = decoded;
            events.push(AuditEvent { id, at: id.at, actor, request_id, changes });
        }
        if seen == self.0.len() { Ok(events) } else { Err(bad(Damage::Missing)) }
    }
}

fn bad(damage: Damage) -> Error {
    Error::damaged("the export of the audit", damage)
}

fn parse(line: &str) -> Option<(EventId, Vec<u8>)> {
    let (id, body) = line.split_once(' ')?;
    Some((EventId::from_bytes(&hex::decode(id).ok()?)?, STANDARD.decode(body).ok()?))
}

/// A line for each chain: its id, how many events it has, and the hash of the last.
impl fmt::Display for AuditDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (chain, (sequence, hash)) in &self.0 {
            writeln!(f, "{} {sequence} {}", hex::encode(chain), hex::encode(hash))?;
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
            Some((chain.try_into().ok()?, (sequence.parse().ok()?, hash.try_into().ok()?)))
        };
        let chains: Option<_> = text.lines().map(read).collect();
        chains.map(Self).ok_or_else(|| Error::damaged("the digest of the audit", Damage::Malformed))
    }
}

const PAGE_ROWS: usize = 500;
