//! `rotate data`: new data keys.

use std::time::Duration;

use strongroom::{DataKeys, Error, LinkedAccountId, PageRequest};
use strongroom_http::control;

use crate::client::Client;

use crate::commands::job::{self, JobView};
use crate::failure::Failure;
use crate::output::Output;
use crate::session::Session;

/// `rotate data` as it is typed.
#[derive(Debug, clap::Args)]
pub(crate) struct Data {
    /// Only the key of this linked account
    #[arg(long, value_name = "ID")]
    account: Option<LinkedAccountId>,
    /// The keys of every org and environment, whatever --org and --environment say
    #[arg(long, conflicts_with = "account")]
    all: bool,
    /// Only keys that have been in use for at least this long, such as 90d
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    older_than: Option<Duration>,
    /// Only keys that seal at least this many rows; with --older-than, one of the two is enough
    #[arg(long, value_name = "ROWS")]
    rows_at_least: Option<u64>,
}

impl Data {
    /// Rotates data keys and runs the job to its end.
    pub(crate) async fn run(self, session: &Session, output: &Output) -> Result<(), Failure> {
        let keys = self.keys(session).await?;
        let job = session.vault.rotate_data_keys(&keys).await?;
        let report = job::run_to_end(&job).await?;
        let progress = &report.progress;
        if progress.keys_made == 0 {
            session.note_operation("rotate data: no key was due").await?;
        }
        job::show_unreadable(progress, output)?;
        let sentence = match progress.keys_made {
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

    async fn keys(self, session: &Session) -> Result<DataKeys, Failure> {
        let (org, environment) = (*session.org.id(), session.org.environment().clone());
        let mut keys = match self.account {
            Some(account) => {
                refuse_unknown(session, &account).await?;
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

/// An account has a key if it is registered or has values.
async fn refuse_unknown(session: &Session, account: &LinkedAccountId) -> Result<(), Failure> {
    let org = &session.org;
    let has_key = org.linked_account(account).await?.is_some()
        || !org.account(account.clone()).values(PageRequest::first(1)).await?.items.is_empty();
    if has_key { Ok(()) } else { Err(Error::AccountNotFound(account.clone()).into()) }
}
