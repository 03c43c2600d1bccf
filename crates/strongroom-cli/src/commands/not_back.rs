//! Why a version is not brought back, in the same words from a store and from a server.

use strongroom::{CredentialKey, DefinitionName, Error, Scope, Version};
use strongroom_http::control::Reason;

use super::credential::Place;
use crate::failure::{Exit, Failure};

/// What is to become what it was in a version.
pub(super) struct Wanted {
    /// Such as `X at the org`.
    pub(super) what: String,
    /// Which version; `None` for the one before its last change.
    version: Option<u64>,
    /// The command that lists its versions.
    history: &'static str,
    /// What removes it, if no version of it can be read.
    purges: &'static str,
}

impl Wanted {
    /// A value in this version, or in the one before its last change.
    pub(super) fn of_value(name: &DefinitionName, scope: &Scope, version: Option<u64>) -> Self {
        let (history, purges) = ("history", "`strongroom delete NAME --purge` removes it");
        Self { what: format!("{name} at {scope}"), version, history, purges }
    }

    pub(super) fn of_credential(key: &CredentialKey, place: &Place, version: Option<u64>) -> Self {
        let (history, purges) =
            ("credential history", "`strongroom credential delete KEY --purge` removes it");
        let what = format!("credential {key} of {}", place.shown());
        Self { what, version, history, purges }
    }

    pub(super) fn of_definition(name: &DefinitionName) -> Self {
        let purges = "`strongroom define NAME --replace-damaged` defines it again and keeps its values, `strongroom \
                      delete ID --definition --purge` removes it with them";
        Self { what: format!("the definition {name}"), version: None, history: "audit", purges }
    }

    pub(super) fn not_kept(&self) -> Failure {
        let Self { what, version, history, .. } = self;
        let version = match version {
            Some(version) => format!("version {version} of {what}"),
            None => format!("the version of {what} before this one"),
        };
        Failure::not_found(format!("{version} is not kept, cannot be read, or says that it was deleted"))
            .next(format!("`strongroom {history}` lists the versions; nothing was changed"))
    }

    /// Why none of some versions, the newest first, is to be brought back: no former one takes the place of a present
    /// one that is damaged or missing, or there is none.
    pub(super) fn none_of(&self, versions: &[Version]) -> Failure {
        match versions.first().and_then(|newest| newest.unreadable.as_ref()) {
            Some(why) => self.lost(why),
            None => self.not_kept(),
        }
    }

    fn lost(&self, why: &str) -> Failure {
        Failure::new(Exit::Key, why).next(format!(
            "nothing was changed; no former version is kept that can be read: a backup from before has it whole, and \
             {}",
            self.purges
        ))
    }

    /// The failure to write a version because somebody else was faster, so that the list is out of date.
    pub(super) fn overtaken(&self, error: Error) -> Failure {
        match error {
            Error::InvalidValue { rule, .. } => self.invalid(&rule.to_string()),
            Error::Unexpected { .. } | Error::VersionNotFound(_) => self.changed(),
            error => error.into(),
        }
    }

    fn invalid(&self, rule: &str) -> Failure {
        Failure::invalid(format!("that version of {} was refused: {rule}", self.what))
            .next("nothing was changed; `strongroom show NAME` shows what a value must be")
    }

    fn changed(&self) -> Failure {
        Failure::invalid(format!("{} was changed by somebody else at the same time", self.what))
            .next("nothing was written; look at its history, and run the command again if it is still meant")
    }

    /// What a server refused, as the same command says it where the store is; `absent` if there is nothing of it.
    pub(super) fn refused(&self, refused: Failure, absent: impl FnOnce() -> Failure) -> Failure {
        let said = refused.said();
        let why = |end: &str| said.split_once(end).map(|(why, _)| why);
        let local = match refused.reason {
            Some(Reason::Damaged) => why("; nothing was changed: replace_damaged")
                .map(replaces)
                .or_else(|| why("; none of its former versions can be read").map(|why| self.lost(why))),
            Some(_) if said.starts_with("the present one is not damaged") => Some(is_whole()),
            Some(Reason::VersionNotFound) => Some(self.not_kept()),
            Some(Reason::ValueNotFound | Reason::CredentialNotFound) => Some(absent()),
            Some(Reason::Conflict) => Some(self.changed()),
            Some(Reason::InvalidValue) => {
                said.strip_prefix("that version was refused: ").map(|rule| self.invalid(rule))
            }
            _ => None,
        };
        local.unwrap_or_else(|| refused.if_damaged("--replace-damaged puts a version in its place"))
    }
}

/// Whoever asks to replace a damaged one means no whole one.
pub(super) fn is_whole() -> Failure {
    Failure::invalid("the present one is not damaged, so --replace-damaged does not replace it").next(
        "nothing was changed; check --org, --environment and the account or workflow, or leave out --replace-damaged",
    )
}

/// A present one that is damaged or missing is only replaced for who asks for that.
pub(super) fn replaces(why: &str) -> Failure {
    Failure::new(Exit::Key, why).next(
        "nothing was changed; --replace-damaged puts this version in its place; the damaged content is lost",
    )
}
