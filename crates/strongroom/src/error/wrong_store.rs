//! Why a store is not the one that a verb needs.

/// Why a store is not one that the verb can use. Nothing was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WrongStore {
    /// The store holds no vault.
    #[error("the store holds no vault: check the path, or create a vault there")]
    NoVault,
    /// The store already holds a vault.
    #[error("the store already holds a vault: open it instead")]
    HoldsVault,
    /// The store is not empty, and its rows are not a vault's.
    #[error("the store is not empty and holds no vault: check the path; nothing was written")]
    Foreign,
    /// The store does not hold the vault that the caller expected.
    #[error("the store does not hold the expected vault: check the path")]
    OtherVault,
    /// The store holds an unfinished copy or restore.
    #[error("a copy or restore into this store is unfinished: run the same one again")]
    Unfinished,
}
