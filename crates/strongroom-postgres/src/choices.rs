//! What an address chooses from.

/// How a batch holds the rows that it expects to be as they were, and does not write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum RowLocks {
    /// By `FOR SHARE`: any number of batches at once.
    #[default]
    Shared,
    /// By `FOR UPDATE`: one batch of a vault after the other, since every one expects the vault's header row. For a
    /// server that has no `FOR SHARE`.
    Exclusive,
}

/// How statements get to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Prepare {
    /// Prepared once a connection, by a name, and then sent as that name: the faster way. A pooler between has to pool
    /// by sessions, or keep prepared statements by itself.
    Named,
    /// With their text, each time. For a pooler in transaction mode.
    Unnamed,
}

/// What a store is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Access {
    #[default]
    ReadWrite,
    ReadOnly,
}
