//! The bodies of linked accounts and integrations.

use minicbor::{Decode, Encode};

use crate::clock::Timestamp;
use crate::id::{DocumentId, IntegrationId, LinkedAccountId};
use crate::model::{Integration, LinkedAccount, Revision};
use crate::row::{RowError, infallible};

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
        let mut plaintext = Vec::new();
        infallible(minicbor::encode(self, &mut plaintext));
        plaintext
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

/// An integration. `deleting` works as for accounts.
#[derive(Encode, Decode, Clone)]
#[cbor(map)]
pub(crate) struct IntegrationBody {
    #[cbor(n(0), with = "minicbor::bytes")]
    id: [u8; 12],
    #[cbor(n(1), with = "minicbor::bytes")]
    pub(crate) deleting: Option<[u8; 12]>,
    #[n(2)]
    created_ms: u64,
}

impl IntegrationBody {
    pub(crate) fn new(id: DocumentId, now: Timestamp) -> Self {
        Self { id: *id.as_bytes(), deleting: None, created_ms: now.as_ms() }
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
        let mut plaintext = Vec::new();
        infallible(minicbor::encode(self, &mut plaintext));
        plaintext
    }

    pub(crate) fn decode(plaintext: &[u8]) -> Result<Self, RowError> {
        Ok(minicbor::decode(plaintext)?)
    }

    pub(crate) fn into_model(self, integration: IntegrationId) -> Option<Integration> {
        let id = DocumentId::from_bytes(&self.id)?;
        Some(Integration { id, integration, created_at: Timestamp::from_ms(self.created_ms) })
    }
}
