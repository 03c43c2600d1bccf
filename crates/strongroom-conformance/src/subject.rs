//! Where the kit gets the stores it tests.

use std::fmt;
use std::sync::Arc;

use strongroom::store::Store;

use crate::opened::{Open, Opened};

/// A kind of store to test: makes new places and opens stores in them.
pub struct Subject {
    new_place: Box<dyn Fn() -> Arc<Open>>,
    durable: bool,
}

impl Subject {
    /// A store that is gone when it is closed. Each call of `new` gives an empty one.
    pub fn volatile<S: Store>(new: impl Fn() -> S + Send + Sync + 'static) -> Self {
        let open: Arc<Open> = Arc::new(move || Ok(Box::new(new())));
        Self { new_place: Box::new(move || Arc::clone(&open)), durable: false }
    }

    /// A store that outlives its handle. Each call of `new_place` gives an empty place, such as a temporary
    /// directory; `open` gives what the last store in that place left.
    pub fn durable<P, S, E>(
        new_place: impl Fn() -> P + 'static,
        open: impl Fn(&P) -> Result<S, E> + Send + Sync + 'static,
    ) -> Self
    where
        P: Send + Sync + 'static,
        S: Store,
        E: fmt::Display,
    {
        let open = Arc::new(open);
        let new_place = move || -> Arc<Open> {
            let (place, open) = (new_place(), Arc::clone(&open));
            Arc::new(move || match open(&place) {
                Ok(store) => Ok(Box::new(store)),
                Err(error) => Err(error.to_string()),
            })
        };
        Self { new_place: Box::new(new_place), durable: true }
    }

    /// Whether the stores of this kind can be closed and opened again.
    #[must_use]
    pub fn is_durable(&self) -> bool {
        self.durable
    }

    /// An empty store in a place of its own.
    pub(crate) fn fresh(&self) -> Opened {
        Opened::new((self.new_place)())
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subject").field("durable", &self.durable).finish_non_exhaustive()
    }
}
