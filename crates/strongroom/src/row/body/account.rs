//! The bodies of linked accounts and integrations.

use std::time::Duration;

use minicbor::{Decode, Encode};

use crate::clock::Timestamp;
use crate::id::{AppId, DocumentId, LinkedAccountId};
use crate::model::{Integration, LinkedAccount, RefreshState, Revision};
use crate::row::{RowError, encode_body};

/// A linked account. With `deleting` it is absent for every reader, and the job with that id sweeps its rows.
#[derive(Encode, Decode, Clone)]
#[cbor(map)]
pub(crate) struct AccountBody {
    #[cbor(n(0), with = "minicbor::bytes")]
    id: [u8; 12],
    #[n(1)]
    pub(crate) name: Option<String>,
    #[n(2)]
    pub(crate) udf: Option<String>,
    #[n(3)]
    pub(crate) credential_generation: u64,
    #[cbor(n(4), with = "minicbor::bytes")]
    pub(crate) deleting: Option<[u8; 12]>,
    #[n(5)]
    created_ms: u64,
    #[n(6)]
    updated_ms: u64,
}

impl AccountBody {
    pub(crate) fn new(id: DocumentId, now: Timestamp) -> Self {
        Self {
            id: *id.as_bytes(),
            name: None,
            udf: None,
            credential_generation: 0,
            deleting: None,
            created_ms: now.as_ms(),
            updated_ms: now.as_ms(),
        }
    }

    pub(crate) fn created_at(&self) -> Timestamp {
        Timestamp::from_ms(self.created_ms)
    }

    pub(crate) fn updated_at(&self) -> Timestamp {
        Timestamp::from_ms(self.updated_ms)
    }

    /// Whether the account is this document.
    pub(crate) fn is(&self, id: &DocumentId) -> bool {
        self.id == *id.as_bytes()
    }

    /// The same account, changed now.
    pub(crate) fn touched(mut self, now: Timestamp) -> Self {
        self.updated_ms = now.as_ms();
        self
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        encode_body(self)
    }

    pub(crate) fn decode(plaintext: &[u8]) -> Result<Self, RowError> {
        Ok(minicbor::decode(plaintext)?)
    }

    pub(crate) fn into_model(self, account_id: LinkedAccountId, revision: Revision) -> Option<LinkedAccount> {
        Some(LinkedAccount {
            id: DocumentId::from_bytes(&self.id)?,
            account_id,
            name: self.name,
            udf: self.udf,
            credential_generation: self.credential_generation,
            revision,
            created_at: Timestamp::from_ms(self.created_ms),
            updated_at: Timestamp::from_ms(self.updated_ms),
        })
    }
}

/// A connection of an integration. `deleting` works as for accounts.
#[derive(Encode, Decode, Clone)]
#[cbor(map)]
pub(crate) struct IntegrationBody {
    #[cbor(n(0), with = "minicbor::bytes")]
    id: [u8; 12],
    #[cbor(n(1), with = "minicbor::bytes")]
    pub(crate) deleting: Option<[u8; 12]>,
    #[n(2)]
    created_ms: u64,
    #[n(3)]
    pub(crate) refresh: Option<RefreshNote>,
    /// The lifetime of the shortest-lived token from the last refresh.
    #[n(4)]
    token_life_ms: Option<u64>,
}

/// A refresh of an integration's credentials that began and has not succeeded: its lease and its journal.
#[derive(Encode, Decode, Clone, Copy)]
#[cbor(map)]
pub(crate) struct RefreshNote {
    /// Unique to each lease: the holder can write only while this id is here.
    #[cbor(n(0), with = "minicbor::bytes")]
    id: [u8; 12],
    #[n(1)]
    since_ms: u64,
    #[n(2)]
    until_ms: u64,
    #[n(3)]
    end: Option<RefreshEnd>,
}

/// How a refresh ended that gave no new credentials.
#[derive(Encode, Decode, Clone, Copy, PartialEq, Eq)]
#[cbor(index_only)]
pub(crate) enum RefreshEnd {
    /// Nobody knows whether the provider used up the credentials.
    #[n(0)]
    Unknown,
    /// The provider rejected them as invalid.
    #[n(1)]
    Rejected,
}

impl RefreshNote {
    pub(crate) fn new(id: DocumentId, since: Timestamp, until: Timestamp) -> Self {
        Self { id: *id.as_bytes(), since_ms: since.as_ms(), until_ms: until.as_ms(), end: None }
    }

    /// The same refresh under a new id, so that its holder can no longer write.
    pub(crate) fn ended(self, id: DocumentId, end: RefreshEnd) -> Self {
        Self { id: *id.as_bytes(), end: Some(end), ..self }
    }

    pub(crate) fn end(&self) -> Option<RefreshEnd> {
        self.end
    }

    /// Whether its end was recorded.
    pub(crate) fn has_ended(&self) -> bool {
        self.end.is_some()
    }

    pub(crate) fn is_of(&self, other: &Self) -> bool {
        self.id == other.id
    }

    /// The state of a refresh with this note.
    fn state(&self, now: Timestamp) -> RefreshState {
        match self.end {
            Some(RefreshEnd::Rejected) => RefreshState::Rejected { since: self.since() },
            Some(RefreshEnd::Unknown) => RefreshState::Uncertain { since: self.since() },
            None if now < self.until() => RefreshState::Underway { until: self.until() },
            None => RefreshState::Uncertain { since: self.since() },
        }
    }

    pub(crate) fn since(&self) -> Timestamp {
        Timestamp::from_ms(self.since_ms)
    }

    pub(crate) fn until(&self) -> Timestamp {
        Timestamp::from_ms(self.until_ms)
    }
}

impl IntegrationBody {
    pub(crate) fn new(id: DocumentId, now: Timestamp) -> Self {
        Self {
            id: *id.as_bytes(),
            deleting: None,
            created_ms: now.as_ms(),
            refresh: None,
            token_life_ms: None,
        }
    }

    /// The same integration with the lifetime of its provider's tokens; `None` if none of them expires.
    pub(crate) fn answered(mut self, token_life: Option<Duration>) -> Self {
        self.token_life_ms = token_life.map(|life| u64::try_from(life.as_millis()).unwrap_or(u64::MAX));
        self
    }

    pub(crate) fn token_life(&self) -> Option<Duration> {
        self.token_life_ms.map(Duration::from_millis)
    }

    /// Whether this is the same document. An integration that was deleted and added again is another one.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.id == other.id
    }

    /// The same integration, with this note of a refresh.
    pub(crate) fn refreshing(mut self, note: Option<RefreshNote>) -> Self {
        self.refresh = note;
        self
    }

    /// Whether the credentials are being refreshed.
    pub(crate) fn refresh_state(&self, now: Timestamp) -> RefreshState {
        self.refresh.as_ref().map_or(RefreshState::Idle, |note| note.state(now))
    }

    /// Whether the provider rejected the credentials, and nobody has set any since.
    pub(crate) fn is_rejected(&self) -> bool {
        self.refresh.as_ref().and_then(RefreshNote::end) == Some(RefreshEnd::Rejected)
    }

    pub(crate) fn created_at(&self) -> Timestamp {
        Timestamp::from_ms(self.created_ms)
    }

    /// The same integration, absent for every reader while `job` sweeps its credentials.
    pub(crate) fn deleting(mut self, job: &DocumentId) -> Self {
        self.deleting = Some(*job.as_bytes());
        self
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        encode_body(self)
    }

    pub(crate) fn decode(plaintext: &[u8]) -> Result<Self, RowError> {
        Ok(minicbor::decode(plaintext)?)
    }

    pub(crate) fn into_model(self, app: &AppId) -> Option<Integration> {
        Some(Integration {
            id: DocumentId::from_bytes(&self.id)?,
            integration: app.integration(),
            connection: app.connection(),
            created_at: Timestamp::from_ms(self.created_ms),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_those_of_the_format() {
        let body = IntegrationBody::new([1; 12].into(), Timestamp::from_ms(5));
        assert_eq!(hex::encode(body.encode()), "a2004c01010101010101010101010102".to_owned() + "05");
        let note = RefreshNote::new([2; 12].into(), Timestamp::from_ms(6), Timestamp::from_ms(7));
        let with = body.clone().refreshing(Some(note)).encode();
        let refresh = "a3004c02020202020202020202020201060207";
        assert_eq!(hex::encode(&with), "a3004c010101010101010101010101020503".to_owned() + refresh);
        let note = IntegrationBody::decode(&with).unwrap().refresh.unwrap();
        assert_eq!((note.since().as_ms(), note.until().as_ms(), note.has_ended()), (6, 7, false));
        let answered = body.clone().answered(Some(Duration::from_millis(9))).encode();
        assert_eq!(hex::encode(answered), "a3004c010101010101010101010101020504".to_owned() + "09");
        let ended = body.refreshing(Some(note.ended([3; 12].into(), RefreshEnd::Rejected))).encode();
        let refresh = "a4004c0303030303030303030303030106020703".to_owned() + "01";
        assert_eq!(hex::encode(ended), "a3004c010101010101010101010101020503".to_owned() + &refresh);
    }
}
