//! Consent to actions that cannot be undone. A command that asks ends with its question, which closes the store, and
//! begins again once there is an answer: no other process waits for the store while somebody thinks.

use std::sync::{Mutex, PoisonError};

pub(crate) use crate::failure::Deed;
use crate::failure::{Exit, Failure};
use crate::input;

/// What a person has agreed to in this process. If the action, or the state of its object, has changed since, the
/// question is asked again.
static AGREED: Mutex<Vec<Deed>> = Mutex::new(Vec::new());

/// `--yes` of a command that destroys something.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Consent {
    /// Do not ask first; required to destroy anything if there is no terminal to ask on
    #[arg(long, short)]
    yes: bool,
}

impl Consent {
    /// Says what will be destroyed and asks, unless `--yes` was given.
    pub(crate) fn to(self, deed: impl Into<Deed>) -> Result<(), Failure> {
        let deed = deed.into();
        if !self.yes && !input::can_prompt() {
            let refused = Failure::usage(format!("this would {}", deed.what));
            let refused = refused.next("nothing was changed; add --yes to do it");
            return Err(Failure { question: Some(Box::new(deed)), ..refused });
        }
        self.to_reversible(deed)
    }

    /// The same for an action that can be undone: without a terminal to ask on, it is done.
    pub(crate) fn to_reversible(self, deed: impl Into<Deed>) -> Result<(), Failure> {
        let deed = deed.into();
        if !input::can_prompt() || self.is_given_to(&deed) {
            return Ok(());
        }
        let asked = Failure::usage(format!("this would {}", deed.what));
        Err(Failure { question: Some(Box::new(deed)), ..asked })
    }

    /// Whether it was agreed to, with --yes or before the command began again.
    pub(crate) fn is_given_to(self, deed: &Deed) -> bool {
        self.yes || AGREED.lock().unwrap_or_else(PoisonError::into_inner).contains(deed)
    }
}

/// Asks the question that a command ended with, adding where that happens; then the command begins again. If it did not
/// end with a question, or nobody can answer, fails as it did.
pub(crate) fn ask(ended: Failure, place: impl FnOnce() -> String) -> Result<(), Failure> {
    let Some(deed) = ended.question else { return Err(ended) };
    let place = place();
    if !input::can_prompt() {
        let message = format!("{}{place}", ended.message);
        return Err(Failure { message, question: None, ..ended });
    }
    let agreed = || AGREED.lock().unwrap_or_else(PoisonError::into_inner);
    let again =
        if agreed().iter().any(|old| old.what == deed.what) { "It has changed meanwhile. " } else { "" };
    if !input::agrees(&format!("{again}This will {}{place}.", deed.what))? {
        return Err(Failure::new(Exit::Other, "nothing was changed"));
    }
    agreed().push(*deed);
    Ok(())
}

/// Whether a definition keeps or shows no former version of its values: then overwritten values are lost.
pub(crate) fn keeps_nothing(history_versions: Option<u8>, history_age_secs: Option<u64>) -> bool {
    history_versions == Some(0) || history_age_secs == Some(0)
}
