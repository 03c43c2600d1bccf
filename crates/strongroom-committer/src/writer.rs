//! What a backend does on the thread of its committer.

use strongroom_store::{Committed, StoreError, WriteBatch};

use crate::Readers;

/// The half of a backend that writes. It lives on the committer's thread and ends with it.
pub trait Writer: Send + Sized + 'static {
    /// What readers look at.
    type View: Send + Sync + 'static;

    /// Applies the batches in order, each conditional on what those before it left, makes them durable with one sync
    /// and returns the answer to each. Every batch has passed [`WriteBatch::check`].
    ///
    /// # Errors
    /// A group of which nobody can say what the disk holds. It poisons the store.
    fn commit(
        &mut self,
        group: &[&WriteBatch],
        readers: &Readers<Self::View>,
    ) -> Result<Vec<Answer>, StoreError>;

    /// Makes durable what is not yet and closes everything. No reader has the view any more.
    ///
    /// # Errors
    /// What kept it from being durable. The store counts as poisoned.
    fn close(self) -> Result<(), StoreError>;
}

/// What became of one batch of a group.
pub type Answer = Result<Committed, StoreError>;
