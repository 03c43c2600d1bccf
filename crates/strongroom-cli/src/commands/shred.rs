//! `shred`: deletes a linked account or an environment with its keys, and reports how far that can be relied on; or
//! deletes what an unfinished restore wrote.

use std::fmt;

use serde::Serialize;
use strongroom::{
    DefinitionFilter, Environment, Error, LinkedAccountId, NotDestroyed, ShredEffect, ShredReceipt,
};
use strongroom_http::control::OpenSessions;

use crate::consent::{Consent, Deed};
use crate::failure::{Exit, Failure};
use crate::holdings::Holdings;
use crate::output::{Output, counted, time};
use crate::session::Session;
use crate::suggest;

/// `shred` as it is typed.
#[derive(Debug, Clone, clap::Subcommand)]
pub(crate) enum Shred {
    /// Permanently delete a linked account with its values, credentials, sessions and data keys
    Account(ShredAccount),
    /// Permanently delete an environment of the org with everything in it
    Environment(ShredEnvironment),
    /// Permanently delete what an unfinished restore of the org wrote, so that the org can be restored again
    Restore(ShredRestore),
}

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct ShredAccount {
    /// The id of the linked account
    id: LinkedAccountId,
    #[command(flatten)]
    consent: Consent,
}

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct ShredEnvironment {
    /// The name of the environment, regardless of --environment
    name: Environment,
    #[command(flatten)]
    consent: Consent,
}

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct ShredRestore {
    #[command(flatten)]
    consent: Consent,
}

#[derive(Serialize)]
struct Abandoned {
    org_id: String,
    rows: u64,
}

/// What was shredded.
#[derive(Serialize)]
#[serde(untagged)]
enum Shredded<'a> {
    Account { linked_account_id: &'a str },
    Environment { environment: &'a str },
}

#[derive(Serialize)]
struct ReceiptView<'a> {
    #[serde(flatten)]
    what: Shredded<'a>,
    keys: Vec<String>,
    root_id: String,
    effect: &'static str,
    because: Vec<ReasonView>,
    until: Option<String>,
    evidence: Vec<EvidenceView<'a>>,
}

#[derive(Serialize)]
struct ReasonView {
    reason: &'static str,
    message: String,
}

#[derive(Serialize)]
struct EvidenceView<'a> {
    provider: &'a str,
    key_id: &'a str,
    key_version: u64,
    evidence: &'a str,
}

impl ShredAccount {
    pub(crate) async fn run(self, session: &Session, output: &Output) -> Result<(), Failure> {
        let (id, org) = (&self.id, &session.org);
        let known = Holdings::of(org, id).await;
        let (holdings, seen) = match &known {
            Ok(holdings) => (holdings.to_string(), holdings.seen.as_str()),
            // An account that was deleted, or whose shred was interrupted, is shredded to the end.
            Err(failure) if failure.exit == Exit::NotFound => (LEFT.to_owned(), ""),
            Err(_) => return known.map(drop),
        };
        let whose = format!("org {}, environment {}", org.id(), org.environment());
        self.consent.to(Deed::to(format!("shred linked account {id} of {whose}: {holdings}"), seen))?;
        let receipt = match (OpenSessions::of(org)?.shred_account(id).await, known) {
            (Err(Error::AccountNotFound(_)), Err(absent)) => return Err(absent),
            (receipt, _) => receipt?,
        };
        // Without a provider nothing is destroyed here: settling only adds reasons to those in the receipt.
        let settled = session.vault.settle_shred(receipt.clone(), &[], &[]).await;
        show(Shredded::Account { linked_account_id: id.as_str() }, &settled.unwrap_or(receipt), output)
    }
}

impl ShredEnvironment {
    pub(crate) async fn run(self, session: &Session, output: &Output) -> Result<(), Failure> {
        let (name, chosen) = (&self.name, &session.org);
        let org = session.org_at(*chosen.id(), name.clone());
        if let Err(unknown) = suggest::refuse_unknown_environment(&org).await
            // A job of a shred that was planted where nothing else is.
            && org.verify().await?.jobs == 0
        {
            return Err(unknown);
        }
        let definitions = org.count_definitions(&DefinitionFilter::all()).await.ok();
        let count =
            |count: Option<u64>| count.map_or_else(|| "an unknown number".to_owned(), |n| n.to_string());
        let usage = org.usage().await.ok();
        let deed = format!(
            "shred environment {name} of org {}: its definitions ({}), values ({}), linked accounts ({}), credentials \
             ({}), API keys, audit and keys",
            chosen.id(),
            count(definitions.and_then(|count| u64::try_from(count).ok())),
            count(usage.map(|usage| usage.values)),
            count(usage.map(|usage| usage.accounts)),
            count(usage.map(|usage| usage.credentials)),
        );
        self.consent.to(&deed)?;
        // Its own audit goes with it.
        if name != chosen.environment() && chosen.environments().await?.contains(chosen.environment()) {
            session.note_operation(&format!("shred environment {name}")).await?;
        }
        let receipt = org.shred().await?;
        let settled = session.vault.settle_shred(receipt.clone(), &[], &[]).await;
        show(Shredded::Environment { environment: name.as_str() }, &settled.unwrap_or(receipt), output)
    }
}

impl ShredRestore {
    pub(crate) async fn run(self, session: &Session, output: &Output) -> Result<(), Failure> {
        let org = session.org.id();
        if !session.vault.unfinished_restores().await?.contains(org) {
            return Err(Failure::not_found(format!("no restore of org {org} is unfinished")));
        }
        let deed = format!("delete all that the unfinished restore of org {org} wrote, in every environment");
        self.consent.to(&deed)?;
        let rows = session.vault.abandon_restore(org).await?;
        output.done(
            &format!("deleted {} of the unfinished restore of org {org}", counted(rows, "row")),
            &Abandoned { org_id: org.to_string(), rows },
        )
    }
}

fn show(what: Shredded<'_>, receipt: &ShredReceipt, output: &Output) -> Result<(), Failure> {
    let mut text = match receipt.keys.len() {
        0 => format!("shredded {what}; the store showed no data key of its own\n"),
        1 => format!("shredded {what}: 1 data key is no longer accepted\n"),
        keys => format!("shredded {what}: {keys} data keys are no longer accepted\n"),
    };
    text.push_str(&worth(&receipt.effect));
    output.done_lines(&text, &ReceiptView::of(what, receipt))?;
    output.note(
        "whoever has an older copy of the store and a passphrase or root key from that time can still read that copy; \
         only destroying keys at a key provider prevents that",
    );
    Ok(())
}

impl fmt::Display for Shredded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Account { linked_account_id } => write!(f, "linked account {linked_account_id}"),
            Self::Environment { environment } => write!(f, "environment {environment}"),
        }
    }
}

/// What may remain of an account that is gone.
pub(super) const LEFT: &str =
    "there is no such account now, only what an earlier one of this id may have left";

/// How far the shred can be relied on, one reason per line.
fn worth(effect: &ShredEffect) -> String {
    match effect {
        ShredEffect::Logical { because } => {
            let head = "logical: none of it can be read through this vault, but an older copy of the store may still \
                        be opened";
            because.iter().fold(head.to_owned(), |text, reason| format!("{text}\n- {}", sentence(reason)))
        }
        ShredEffect::Scheduled { until } => {
            format!("scheduled: the last key that opens an older copy is gone on {}", time(*until))
        }
        ShredEffect::KeyDestroyed { evidence } => {
            let head = "key destroyed: every key that opened an older copy is gone".to_owned();
            evidence.iter().fold(head, |text, gone| {
                format!("{text}\n- {} key {}: {}", gone.kind, gone.key.id, gone.evidence)
            })
        }
        _ => "unknown: this release does not know this effect".to_owned(),
    }
}

impl<'a> ReceiptView<'a> {
    fn of(what: Shredded<'a>, receipt: &'a ShredReceipt) -> Self {
        let (effect, because, until, evidence) = match &receipt.effect {
            ShredEffect::Logical { because } => ("logical", because.as_slice(), None, &[][..]),
            ShredEffect::Scheduled { until } => ("scheduled", &[][..], Some(time(*until)), &[][..]),
            ShredEffect::KeyDestroyed { evidence } => ("key_destroyed", &[][..], None, evidence.as_slice()),
            _ => ("unknown", &[][..], None, &[][..]),
        };
        let because =
            because.iter().map(|reason| ReasonView { reason: name(reason), message: sentence(reason) });
        let evidence = evidence.iter().map(|gone| EvidenceView {
            provider: &gone.kind,
            key_id: &gone.key.id,
            key_version: gone.key.version,
            evidence: &gone.evidence,
        });
        Self {
            what,
            keys: receipt.keys.iter().map(ToString::to_string).collect(),
            root_id: receipt.root_id.to_string(),
            effect,
            because: because.collect(),
            until,
            evidence: evidence.collect(),
        }
    }
}

fn name(reason: &NotDestroyed) -> &'static str {
    match reason {
        NotDestroyed::RootInUse => "root_in_use",
        NotDestroyed::KnownSecret => "known_secret",
        NotDestroyed::KeyInUse(_) => "key_in_use",
        NotDestroyed::NoProvider(_) => "no_provider",
        NotDestroyed::NotConfirmed(_) => "not_confirmed",
        NotDestroyed::OtherProcesses => "other_processes",
        NotDestroyed::Backups => "backups",
        NotDestroyed::OrgBackup => "org_backup",
        NotDestroyed::NotNoted => "not_noted",
        NotDestroyed::KeyIsBack => "key_is_back",
        NotDestroyed::HistoryLost => "history_lost",
        _ => "other",
    }
}

fn sentence(reason: &NotDestroyed) -> String {
    match reason {
        NotDestroyed::RootInUse => {
            "the root key that sealed its keys is still in use: `strongroom rotate root` makes a new one"
                .to_owned()
        }
        NotDestroyed::KnownSecret => {
            "a passphrase or root key file leads or led to its root, and nobody can prove that no copy is left"
                .to_owned()
        }
        NotDestroyed::KeyInUse(key) => {
            format!("a slot still uses key {}, which opened a former root", key.id)
        }
        NotDestroyed::NoProvider(kind) => {
            format!("keys of {kind} opened a former root and were not destroyed")
        }
        NotDestroyed::NotConfirmed(key) => format!("no provider confirmed that key {} is destroyed", key.id),
        NotDestroyed::OtherProcesses => "other processes may hold former keys in memory".to_owned(),
        NotDestroyed::Backups => {
            "backups may contain it, those of the store and those under other keys".to_owned()
        }
        NotDestroyed::OrgBackup => {
            "a backup of this org was made under a key of its own, and whoever has both reads it".to_owned()
        }
        NotDestroyed::NotNoted => {
            "the vault no longer notes that its keys were shredded, so an older keyring may have come back"
                .to_owned()
        }
        NotDestroyed::KeyIsBack => {
            "the store has put back a keyring with one of its keys: `strongroom rotate root` drops it"
                .to_owned()
        }
        NotDestroyed::HistoryLost => {
            "the store has put back an older row of the vault, which does not know every former slot"
                .to_owned()
        }
        _ => "a reason that this release does not know".to_owned(),
    }
}
