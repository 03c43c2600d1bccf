//! The bodies of the audit's rows: an event, the head of a chain, and the head of an org's whole audit.

use minicbor::{Decode, Decoder, Encode, Encoder};
use sha2::{Digest as _, Sha256};

use crate::clock::Timestamp;
use crate::id::{DefinitionId, DocumentId, IntegrationId, LinkedAccountId, WorkflowId};
use crate::model::{AuditChange, ChainId, EventId, EventKind, Revision};
use crate::row::{RowError, encode_body};

/// A hash of an event, which commits to all before it in its chain.
pub(crate) type EventHash = [u8; 32];

/// `{0: hash of the previous event, 1: [number, salt] in the first of a chain, 2: actor, 3: request, 4: changes}`.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub(crate) struct EventBody {
    /// The hash of the previous event in the chain. The first event of a chain has the hash of the first event of the
    /// chain begun before it.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub(crate) previous: EventHash,
    #[n(1)]
    pub(crate) start: Option<ChainStart>,
    #[n(2)]
    pub(crate) actor: Option<String>,
    #[n(3)]
    pub(crate) request_id: Option<String>,
    #[cbor(n(4), encode_with = "encode_changes", decode_with = "decode_changes")]
    pub(crate) changes: Vec<AuditChange>,
}

/// What only the first event of a chain has.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(crate) struct ChainStart {
    /// The number of the chain within the org, from 1.
    #[n(0)]
    pub(crate) number: u64,
    /// Random, so that a published hash reveals nothing about what it commits to.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub(crate) salt: [u8; 16],
}

impl EventBody {
    pub(crate) fn encode(&self) -> Vec<u8> {
        encode_body(self)
    }

    pub(crate) fn decode(plaintext: &[u8]) -> Result<Self, RowError> {
        decode_exact(plaintext)
    }

    /// The hash of the event with this id and plaintext.
    pub(crate) fn hash(id: &EventId, plaintext: &[u8]) -> EventHash {
        let hash = Sha256::new().chain_update(HASH_LABEL).chain_update(id.to_bytes());
        hash.chain_update(plaintext).finalize().into()
    }
}

/// `{0: number of chains, 1: hash of the first event of the last one}`.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub(crate) struct AuditHeadBody {
    #[n(0)]
    pub(crate) chains: u64,
    #[cbor(n(1), with = "minicbor::bytes")]
    pub(crate) last: EventHash,
}

impl AuditHeadBody {
    /// The head of an org without events.
    pub(crate) const NONE: Self = Self { chains: 0, last: [0; 32] };

    /// Replaces a head that cannot be read, or that is missing although there are events. The next chain, begun at
    /// `at`, gets a number that follows no earlier one, and names no earlier event. So `verify` reports a gap there as
    /// long as the first event of that chain is kept.
    pub(crate) fn lost(at: Timestamp, dropped: &AuditFloorBody) -> Self {
        // Above the number of any chain that may be missing because its first event was dropped for its age.
        let before = dropped.chains_begun().saturating_add(1);
        Self { chains: at.as_ms().max(before), last: [0; 32] }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        encode_body(self)
    }

    pub(crate) fn decode(plaintext: &[u8]) -> Result<Self, RowError> {
        decode_exact(plaintext)
    }
}

/// `{0: number of its last event, 1: its hash}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub(crate) struct ChainHeadBody {
    #[n(0)]
    pub(crate) sequence: u64,
    #[cbor(n(1), with = "minicbor::bytes")]
    pub(crate) hash: EventHash,
}

impl ChainHeadBody {
    pub(crate) fn encode(&self) -> Vec<u8> {
        encode_body(self)
    }

    pub(crate) fn decode(plaintext: &[u8]) -> Result<Self, RowError> {
        decode_exact(plaintext)
    }
}

/// `{0: the time before which events were dropped, 1: number of chains dropped whole, 2: chains that may continue}`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
#[cbor(map)]
pub(crate) struct AuditFloorBody {
    #[n(0)]
    pub(crate) before_ms: u64,
    #[n(1)]
    pub(crate) chains: u64,
    #[n(2)]
    pub(crate) cut: Vec<ChainCut>,
}

/// How far the events of a chain were dropped.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(crate) struct ChainCut {
    #[cbor(n(0), with = "minicbor::bytes")]
    pub(crate) chain: ChainId,
    /// The last event that was dropped: its number, its hash and its time.
    #[n(1)]
    pub(crate) sequence: u64,
    #[cbor(n(2), with = "minicbor::bytes")]
    pub(crate) hash: EventHash,
    #[n(3)]
    pub(crate) at_ms: u64,
}

impl AuditFloorBody {
    /// The highest number of a chain whose first event was dropped.
    pub(crate) fn chains_begun(&self) -> u64 {
        self.chains.saturating_add(self.cut.len() as u64)
    }

    /// Notes that an event is dropped, as the last of its chain so far. Events come in the order of their times.
    pub(crate) fn drop_event(&mut self, event: ChainCut, start: Option<&ChainStart>) {
        let before = self.chains_begun();
        let known = self.cut.iter_mut().find(|known| known.chain == event.chain);
        match (known, start) {
            (Some(known), _) if known.sequence < event.sequence => *known = event,
            (Some(_), _) => {}
            // Chains with lower numbers began earlier. One whose start could not be read is in this count, or was
            // counted before.
            (None, Some(start)) => {
                self.cut.push(event);
                self.chains = start.number.max(before).saturating_sub(self.cut.len() as u64);
            }
            // The start could not be read: the chain is already counted, or the next start that can be read counts it.
            (None, None) => {
                self.cut.push(event);
                self.chains = self.chains.saturating_sub(1);
            }
        }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        encode_body(self)
    }

    pub(crate) fn decode(plaintext: &[u8]) -> Result<Self, RowError> {
        decode_exact(plaintext)
    }
}

/// Decodes a body that has one valid form: input that the derive skips or reads leniently does not encode to the same
/// bytes.
fn decode_exact<'b, T: Encode<()> + Decode<'b, ()>>(plaintext: &'b [u8]) -> Result<T, RowError> {
    let body: T = minicbor::decode(plaintext)?;
    if encode_body(&body) == plaintext { Ok(body) } else { Err(RowError::Malformed) }
}

fn encode_changes<C, W: minicbor::encode::Write>(
    changes: &[AuditChange],
    cbor: &mut Encoder<W>,
    _: &mut C,
) -> Result<(), minicbor::encode::Error<W::Error>> {
    cbor.array(changes.len() as u64)?;
    for change in changes {
        let ids =
            [change.definition_id.map(|id| *id.as_bytes()), change.document_id.map(|id| *id.as_bytes())];
        let texts = [
            change.name.as_deref(),
            change.linked_account.as_ref().map(LinkedAccountId::as_str),
            change.workflow.as_ref().map(WorkflowId::as_str),
            change.integration.as_ref().map(IntegrationId::as_str),
        ];
        let revisions = [change.before, change.after];
        let entries = ids.iter().flatten().count()
            + texts.iter().flatten().count()
            + revisions.iter().flatten().count()
            + usize::from(change.connection.is_some());
        cbor.map(1 + entries as u64)?.u8(0)?.u8(change.kind as u8)?;
        for (key, id) in (1..).zip(ids) {
            if let Some(id) = id {
                cbor.u8(key)?.bytes(&id)?;
            }
        }
        for (key, text) in (3..).zip(texts) {
            if let Some(text) = text {
                cbor.u8(key)?.str(text)?;
            }
        }
        for (key, revision) in (7..).zip(revisions) {
            if let Some(revision) = revision {
                cbor.u8(key)?.u64(revision.as_u64())?;
            }
        }
        if let Some(connection) = &change.connection {
            cbor.u8(9)?.str(connection.as_str())?;
        }
    }
    Ok(())
}

fn decode_changes<C>(cbor: &mut Decoder<'_>, _: &mut C) -> Result<Vec<AuditChange>, minicbor::decode::Error> {
    let malformed = || minicbor::decode::Error::message("not a change of an event");
    let len = cbor.array()?.ok_or_else(malformed)?;
    let mut changes = Vec::new();
    for _ in 0..len {
        let entries = cbor.map()?.ok_or_else(malformed)?;
        if cbor.u8()? != 0 {
            return Err(malformed());
        }
        let mut change = AuditChange::new(EventKind::from_u8(cbor.u8()?).ok_or_else(malformed)?);
        for _ in 1..entries {
            match cbor.u8()? {
                1 => change.definition_id = DefinitionId::from_bytes(cbor.bytes()?),
                2 => change.document_id = DocumentId::from_bytes(cbor.bytes()?),
                3 => change.name = Some(cbor.str()?.to_owned()),
                4 => change.linked_account = cbor.str()?.parse().ok(),
                5 => change.workflow = cbor.str()?.parse().ok(),
                6 => change.integration = cbor.str()?.parse().ok(),
                7 => change.before = Some(Revision::from_u64(cbor.u64()?)),
                8 => change.after = Some(Revision::from_u64(cbor.u64()?)),
                9 => change.connection = cbor.str()?.parse().ok(),
                _ => return Err(malformed()),
            }
        }
        changes.push(change);
    }
    Ok(changes)
}

const HASH_LABEL: &[u8] = b"strongroom event\0";

#[cfg(test)]
mod tests {
    use super::*;

    fn body() -> EventBody {
        let mut change = AuditChange::new(EventKind::ValueSet);
        change.definition_id = DefinitionId::from_bytes(&[1; 12]);
        change.name = Some("V".to_owned());
        change.linked_account = "a".parse().ok();
        change.workflow = "w".parse().ok();
        change.integration = "crm".parse().ok();
        change.document_id = DocumentId::from_bytes(&[3; 12]);
        change.before = Some(Revision::from_u64(6));
        change.connection = "work".parse().ok();
        change.after = Some(Revision::from_u64(7));
        let start = Some(ChainStart { number: 1, salt: [2; 16] });
        let changes = vec![change, AuditChange::new(EventKind::RecordDeleted)];
        EventBody { previous: [0; 32], start, actor: Some("user:a".to_owned()), request_id: None, changes }
    }

    #[test]
    fn a_body_reads_back_and_nothing_else_does() {
        let bytes = body().encode();
        assert_eq!(EventBody::decode(&bytes), Ok(body()));
        assert!(EventBody::decode(&[&bytes[..], &[0]].concat()).is_err());
        for len in 0..bytes.len() {
            assert!(EventBody::decode(&bytes[..len]).is_err());
        }
        for at in 0..bytes.len() {
            let mut other = bytes.clone();
            other[at] ^= 1;
            assert_ne!(EventBody::decode(&other), Ok(body()), "byte {at}");
        }
    }

    #[test]
    fn an_event_that_is_dropped_late_takes_no_later_one_back() {
        let cut = |sequence| ChainCut { chain: [1; 8], sequence, hash: [2; 32], at_ms: sequence };
        let mut floor = AuditFloorBody::default();
        for (dropped, last) in [(2, 2), (3, 3), (1, 3)] {
            floor.drop_event(cut(dropped), None);
            assert_eq!(floor.cut, [cut(last)]);
        }
    }

    #[test]
    fn a_hash_commits_to_the_id_and_to_every_byte() {
        let id = EventId { at: crate::clock::Timestamp::from_ms(1), chain: [1; 8], sequence: 1 };
        let hash = EventBody::hash(&id, &body().encode());
        assert_ne!(hash, EventBody::hash(&EventId { sequence: 2, ..id }, &body().encode()));
        let other = EventBody { previous: [1; 32], ..body() };
        assert_ne!(hash, EventBody::hash(&id, &other.encode()));
    }
}
