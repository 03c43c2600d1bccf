//! Choices that an address can make.

/// How a batch locks the rows that it expects to be unchanged and does not write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum RowLocks {
    /// With `FOR SHARE`: any number of batches at once.
    #[default]
    Shared,
    /// With `FOR UPDATE`: one batch of a vault after the other, since every batch expects the vault's header row. For a
    /// server without `FOR SHARE`.
    Exclusive,
}

/// How statements get to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Prepare {
    /// Prepared once per connection under a name, and then sent by that name: the faster way. A pooler in between must
    /// pool sessions, or keep prepared statements itself.
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
