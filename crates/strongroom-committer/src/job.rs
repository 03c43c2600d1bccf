//! What the thread is asked to do.

use std::sync::Arc;

use futures_channel::oneshot;
use strongroom_store::WriteBatch;

use crate::Readers;
use crate::writer::{Answer, Writer};

/// One thing to do, in the order in which it was asked for.
pub(crate) enum Job<W: Writer> {
    Commit(Pending),
    Work(Work<W>),
    Close(oneshot::Sender<()>),
}

/// A batch that passed its check, and who waits for it.
pub(crate) struct Pending {
    pub(crate) batch: Arc<WriteBatch>,
    pub(crate) answer: oneshot::Sender<Answer>,
}

/// Something else that a backend does between two groups. It answers and poisons by itself.
pub(crate) type Work<W> = Box<dyn FnOnce(&mut W, &Readers<<W as Writer>::View>) + Send>;
