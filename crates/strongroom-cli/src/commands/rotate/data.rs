//! `rotate data`: new data keys.

use std::time::Duration;

use strongroom::{DataKeys, LinkedAccountId};
use strongroom_http::control;

use crate::client::Client;

use crate::commands::job::{self, JobView, Ran};
use crate::commands::whole_secs::whole_secs;
use crate::failure::Failure;
use crate::output::Output;
use crate::session::Session;
use crate::suggest;

/// `rotate data` as it is typed.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Data {
    /// Only the key of this linked account
    #[arg(long, value_name = "ID")]
    account: Option<LinkedAccountId>,
    /// The keys of every org and environment, regardless of --org and --environment
    #[arg(long, conflicts_with = "account")]
    all: bool,
    /// Only keys that have been in use for at least this long, such as 90d
    #[arg(long, value_name = "TIME", value_parser = whole_secs, allow_hyphen_values = true)]
    older_than: Option<Duration>,
    /// Only keys that seal at least this many rows; with --older-than, either is enough
    #[arg(long, value_name = "ROWS")]
    rows_at_least: Option<u64>,
}

impl Data {
    /// Rotates data keys and runs the job to its end.
    pub(crate) async fn run(self, session: &Session, output: &Output) -> Result<(), Failure> {
        let keys = self.keys(session).await?;
        let job = session.vault.rotate_data_keys(&keys).await?;
        let Ran { report, elsewhere } = job::run_to_end(&job, output).await?;
        let progress = &report.progress;
        if progress.keys_made == 0 && !elsewhere {
            session.note_operation("rotate data: no key was due").await?;
        }
        job::show_unreadable(progress, output)?;
        let sentence = match progress.keys_made {
            _ if elsewhere => {
                format!("another process took the rotation over and finished it, as job {}", job.id())
            }
            0 => "no data key was due for rotation".to_owned(),
            made => format!(
                "{made} new data keys for {} rows; {} old keys destroyed, {} kept",
                progress.done, progress.keys_destroyed, progress.keys_kept
            ),
        };
        output.done(&sentence, &JobView::of(job.id(), &report))?;
        job::verdict(job.id(), &report)
    }

    /// Lets the server rotate them.
    pub(crate) fn on_server(self, client: &Client, output: &Output) -> Result<(), Failure> {
        let body = control::Rotate {
            linked_account_id: self.account.map(|id| id.to_string()),
            all: self.all,
            older_than_secs: self.older_than.map(|age| age.as_secs()),
            rows_at_least: self.rows_at_least,
        };
        let task = client.control_task(client.control_post(&["rotate"], &body)?)?;
        output.done(&task.message.clone().unwrap_or_default(), &task)
    }

    /// Whether it concerns only the keys of the chosen org and environment.
    pub(crate) fn is_of_chosen(&self) -> bool {
        !self.all
    }

    async fn keys(self, session: &Session) -> Result<DataKeys, Failure> {
        let (org, environment) = (*session.org.id(), session.org.environment().clone());
        let mut keys = match self.account {
            // An account has a key if it is registered or has values.
            Some(account) => {
                suggest::refuse_unknown_account(&session.org, Some(&account)).await?;
                DataKeys::of_account(org, environment, account)
            }
            None if self.all => DataKeys::all(),
            None => DataKeys::of_org(org, environment),
        };
        if let Some(age) = self.older_than {
            keys = keys.older_than(age);
        }
        if let Some(rows) = self.rows_at_least {
            keys = keys.rows_at_least(rows);
        }
        Ok(keys)
    }
}
