//! Consent to what cannot be undone.

use crate::failure::{Exit, Failure};
use crate::input;

/// `--yes` of a command that destroys something.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Consent {
    /// Do not ask first; without a terminal to ask on, nothing is destroyed without it
    #[arg(long, short)]
    yes: bool,
}

impl Consent {
    /// Says what will be destroyed, such as "delete the value of A", and asks unless `--yes` was given.
    pub(crate) fn to(self, what: &str) -> Result<(), Failure> {
        if !self.yes && !input::can_prompt() {
            return Err(
                Failure::usage(format!("this would {what}")).next("nothing was changed; add --yes to do it")
            );
        }
        self.to_reversible(what)
    }

    /// The same for what can be undone in turn: without a terminal to ask on, it is done.
    pub(crate) fn to_reversible(self, what: &str) -> Result<(), Failure> {
        if self.yes || !input::can_prompt() {
            return Ok(());
        }
        if input::agrees(&format!("This will {what}."))? {
            return Ok(());
        }
        Err(Failure::new(Exit::Other, "nothing was changed"))
    }
}
