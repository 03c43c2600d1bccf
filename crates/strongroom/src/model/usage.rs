//! How much an org or an account stores.

/// How much one org in one environment, or one linked account, stores, in the units that [`Quotas`](crate::Quotas)
/// limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Usage {
    /// Registered linked accounts; always 0 for an account.
    pub accounts: u64,
    /// Values at every scope; for an account, its own values.
    pub values: u64,
    /// Values of workflows, which are among `values`.
    pub workflow_values: u64,
    /// Integrations of linked accounts.
    pub integrations: u64,
    /// Credentials of linked accounts.
    pub credentials: u64,
    /// Bytes of the rows of all of these, sealed and padded, with their keys. Index rows are not counted.
    pub bytes: u64,
}
