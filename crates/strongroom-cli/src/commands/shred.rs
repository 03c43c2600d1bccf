//! `shred`: a linked account goes together with its keys, and what that is worth is told.

use serde_json::{Value, json};
use strongroom::{LinkedAccountId, NotDestroyed, ShredEffect, ShredReceipt};

use crate::config::Config;
use crate::failure::{Exit, Failure};
use crate::input;
use crate::output::{Output, time};
use crate::session::Session;

/// What is to be shredded, as it is typed.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Shred {
    /// Delete a linked account with its values and credentials, and drop its data keys for good
    Account {
        id: LinkedAccountId,
        /// Do not ask first
        #[arg(long)]
        yes: bool,
    },
}

impl Shred {
    /// Asks whoever sits at a terminal, before the vault is opened.
    pub(crate) fn ask(&self, config: &Config) -> Result<(), Failure> {
        let Self::Account { id, yes } = self;
        if *yes || !input::can_prompt() {
            return Ok(());
        }
        let (org, environment) = (&config.org, &config.environment);
        let question = format!(
            "Shred linked account {id} of org {org}, environment {environment}, with all that is its own?"
        );
        if input::agrees(&question)? {
            return Ok(());
        }
        Err(Failure::new(Exit::Other, "nothing was shredded"))
    }
}

pub(crate) async fn account(session: &Session, id: &LinkedAccountId, output: &Output) -> Result<(), Failure> {
    let receipt = session.org.shred_account(id).await?;
    // Without a provider nothing is destroyed here: it only adds reasons to those that the receipt has already.
    let settled = session.vault.settle_shred(receipt.clone(), &[], &[]).await;
    show(id, &settled.unwrap_or(receipt), output)
}

fn show(id: &LinkedAccountId, receipt: &ShredReceipt, output: &Output) -> Result<(), Failure> {
    let mut text = match receipt.keys.len() {
        0 => format!("shredded linked account {id}, which had no data key of its own\n"),
        keys => format!("shredded linked account {id}: {keys} data keys are accepted no more\n"),
    };
    text.push_str(&worth(&receipt.effect));
    output.done(&text, &as_json(id, receipt))?;
    output.note(
        "whoever has a copy of the store from before and a passphrase or root key of then still reads that copy; \
         only keys that a key provider destroys end that",
    );
    Ok(())
}

/// How far the shred can be relied on, a reason a line.
fn worth(effect: &ShredEffect) -> String {
    match effect {
        ShredEffect::Logical { because } => {
            let head = "logical: nothing of it can be read through this vault, a copy of the store from before may \
                        still be opened";
            because.iter().fold(head.to_owned(), |text, reason| format!("{text}\n- {}", sentence(reason)))
        }
        ShredEffect::Scheduled { until } => {
            format!("scheduled: the last key that opens a copy from before is gone on {}", time(*until))
        }
        ShredEffect::KeyDestroyed { evidence } => {
            let head = "key destroyed: every key that opened a copy from before is gone".to_owned();
            evidence.iter().fold(head, |text, gone| {
                format!("{text}\n- {} key {}: {}", gone.kind, gone.key.id, gone.evidence)
            })
        }
        _ => "unknown: a newer release may tell".to_owned(),
    }
}

fn as_json(id: &LinkedAccountId, receipt: &ShredReceipt) -> Value {
    let (effect, because, until, evidence) = match &receipt.effect {
        ShredEffect::Logical { because } => ("logical", because.as_slice(), None, &[][..]),
        ShredEffect::Scheduled { until } => ("scheduled", &[][..], Some(time(*until)), &[][..]),
        ShredEffect::KeyDestroyed { evidence } => ("key_destroyed", &[][..], None, evidence.as_slice()),
        _ => ("unknown", &[][..], None, &[][..]),
    };
    let because = because.iter().map(|reason| json!({ "reason": name(reason), "message": sentence(reason) }));
    let evidence = evidence.iter().map(|gone| {
        let key = &gone.key;
        json!({ "provider": gone.kind, "key_id": key.id, "key_version": key.version, "evidence": gone.evidence })
    });
    json!({
        "linked_account_id": id.as_str(),
        "keys": receipt.keys.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "root_id": receipt.root_id.to_string(),
        "effect": effect,
        "because": because.collect::<Vec<_>>(),
        "until": until,
        "evidence": evidence.collect::<Vec<_>>(),
    })
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
            "a passphrase or root key file led to a former root, and nobody can show that it is forgotten"
                .to_owned()
        }
        NotDestroyed::KeyInUse(key) => {
            format!("a slot still uses key {}, which led to a former root", key.id)
        }
        NotDestroyed::NoProvider(kind) => {
            format!("keys of {kind} led to a former root, and were not destroyed")
        }
        NotDestroyed::NotConfirmed(key) => format!("nobody confirmed that key {} is destroyed", key.id),
        NotDestroyed::OtherProcesses => "other processes may hold former keys in memory".to_owned(),
        NotDestroyed::Backups => {
            "backups may hold it, those of the store and those under other keys".to_owned()
        }
        _ => "a newer release may tell why".to_owned(),
    }
}
