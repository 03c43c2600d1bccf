//! The body of a job: which rows to sweep or mark.

use minicbor::{Decode, Encode};

use crate::id::{AppId, DefinitionId, LinkedAccountId};
use crate::model::Revision;
use crate::row::{RowError, encode_body};
use crate::scope::Scopes;

/// A job as it is stored.
#[derive(Encode, Decode)]
#[cbor(map)]
pub(crate) struct Job {
    #[n(0)]
    kind: u8,
    #[cbor(n(1), with = "minicbor::bytes")]
    definition: Option<[u8; 12]>,
    #[n(2)]
    account: Option<String>,
    #[n(3)]
    integration: Option<String>,
    #[n(4)]
    scopes: Option<u8>,
    #[n(5)]
    revision: Option<u64>,
}

/// The task of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Sweep {
    /// Deletes the values of a deleted definition.
    Definition(DefinitionId),
    /// Marks the values of a definition that do not match its changed format.
    Recheck(DefinitionId),
    /// Allows the scopes again that a definition lost at a revision, if a value was set there meanwhile. Jobs of the
    /// first release do not name the revision.
    Narrow(DefinitionId, Scopes, Option<Revision>),
    /// Deletes what was sealed under the dropped keys of an account, and its integrations.
    Account(LinkedAccountId),
    /// Deletes the credentials of one connection of an integration, then the connection.
    Integration(LinkedAccountId, AppId),
    /// Drops the keys of an org's accounts, then deletes all rows of the org.
    Org,
}

impl Sweep {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut job =
            Job { kind: 0, definition: None, account: None, integration: None, scopes: None, revision: None };
        match self {
            Self::Definition(id) => {
                job.kind = SWEEP_DEFINITION;
                job.definition = Some(*id.as_bytes());
            }
            Self::Recheck(id) => {
                job.kind = RECHECK_DEFINITION;
                job.definition = Some(*id.as_bytes());
            }
            Self::Narrow(id, removed, revision) => {
                job.kind = NARROW_DEFINITION;
                job.definition = Some(*id.as_bytes());
                job.scopes = Some(removed.bits());
                job.revision = revision.map(Revision::as_u64);
            }
            Self::Account(account) => {
                job.kind = SWEEP_ACCOUNT;
                job.account = Some(account.to_string());
            }
            Self::Integration(account, integration) => {
                job.kind = SWEEP_INTEGRATION;
                job.account = Some(account.to_string());
                job.integration = Some(integration.as_stored().to_owned());
            }
            Self::Org => job.kind = SWEEP_ORG,
        }
        encode_body(&job)
    }

    pub(crate) fn decode(plaintext: &[u8]) -> Result<Self, RowError> {
        Self::parse(minicbor::decode(plaintext)?).ok_or(RowError::Malformed)
    }

    fn parse(job: Job) -> Option<Self> {
        let account = job.account.and_then(|text| text.parse().ok());
        match job.kind {
            SWEEP_DEFINITION => DefinitionId::from_bytes(&job.definition?).map(Self::Definition),
            RECHECK_DEFINITION => DefinitionId::from_bytes(&job.definition?).map(Self::Recheck),
            NARROW_DEFINITION => {
                let id = DefinitionId::from_bytes(&job.definition?)?;
                let revision = job.revision.map(Revision::from_u64);
                Some(Self::Narrow(id, Scopes::from_bits(job.scopes?)?, revision))
            }
            SWEEP_ACCOUNT => account.map(Self::Account),
            SWEEP_INTEGRATION => Some(Self::Integration(account?, job.integration?.parse().ok()?)),
            SWEEP_ORG => Some(Self::Org),
            _ => None,
        }
    }
}

const SWEEP_DEFINITION: u8 = 1;
const SWEEP_ACCOUNT: u8 = 2;
const SWEEP_INTEGRATION: u8 = 3;
const RECHECK_DEFINITION: u8 = 4;
const NARROW_DEFINITION: u8 = 5;
const SWEEP_ORG: u8 = 6;
