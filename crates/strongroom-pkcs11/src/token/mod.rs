//! A token, and the thread that speaks to it.

mod provider;

use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::thread::{self, JoinHandle};

use futures_channel::oneshot;
use strongroom::provider::{ProviderError, ProviderErrorKind, ProviderKey};

use crate::key;
use crate::link::Link;
use crate::options::TokenOptions;

pub use provider::TokenKey;

/// A token that is logged in to. Cheap to clone; every clone is the same session.
///
/// A PKCS #11 library blocks, so one thread speaks to it and its answers come through a channel that needs no runtime.
/// The last handle that is dropped waits until that thread has closed its session: a process that ends in the middle of
/// that may crash in the library.
#[derive(Clone)]
pub struct Token {
    worker: Arc<Worker>,
    label: Arc<str>,
}

struct Worker {
    /// `None` once it is to end.
    work: Option<Sender<Work>>,
    thread: Option<JoinHandle<()>>,
}

type Work = Box<dyn FnOnce(&mut Link) + Send>;

impl Token {
    /// Loads the library, finds the token and logs in.
    ///
    /// # Errors
    /// `Unavailable` when the library or the token is not there, `Denied` when the PIN is refused, `Unsupported` when
    /// the token has no mechanism that would do.
    pub async fn open(options: TokenOptions) -> Result<Self, ProviderError> {
        let label = options.token_label.as_str().into();
        let (work, inbox) = mpsc::channel::<Work>();
        let serve = move || {
            let mut link = Link::new(options);
            while let Ok(work) = inbox.recv() {
                work(&mut link);
            }
        };
        let named = thread::Builder::new().name("strongroom-pkcs11".to_owned());
        let thread = named.spawn(serve).map_err(|error| gone().with_source(error))?;
        let worker = Worker { work: Some(work), thread: Some(thread) };
        let token = Self { worker: Arc::new(worker), label };
        token.run(|link| link.with(|_| Ok(()))).await?;
        Ok(token)
    }

    /// Makes an AES-256 key on the token, which it can never leave, and answers its name.
    ///
    /// # Errors
    /// `Denied` when there is a key with this label, or the user may make none; else those of [`open`](Self::open).
    pub async fn generate_key(&self, label: &str) -> Result<ProviderKey, ProviderError> {
        let label = label.to_owned();
        self.run(move |link| link.with(|open| key::generate(open, &label))).await
    }

    /// The key with this label as a key provider: what opens a vault. Nothing is asked of the token yet.
    #[must_use]
    pub fn key(&self, label: &str) -> TokenKey {
        TokenKey::new(self.clone(), label)
    }

    /// Does some work on the token's thread.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Link) -> Result<T, ProviderError> + Send + 'static,
    ) -> Result<T, ProviderError> {
        let (answer, waiting) = oneshot::channel();
        let work: Work = Box::new(move |link| {
            // A caller that went away no longer wants the answer.
            let _ = answer.send(work(link));
        });
        let inbox = self.worker.work.as_ref().ok_or_else(gone)?;
        inbox.send(work).map_err(|_| gone())?;
        waiting.await.map_err(|_| gone())?
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.work.take());
        if let Some(thread) = self.thread.take() {
            // If it panicked, its session is closed as well.
            drop(thread.join());
        }
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("label", &self.label).finish_non_exhaustive()
    }
}

fn gone() -> ProviderError {
    ProviderError::new(ProviderErrorKind::Unavailable, "the thread that speaks to the token is gone")
}
