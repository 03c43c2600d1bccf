//! `migrate`: the vault moves to another store.

use serde::Serialize;

use crate::config::Config;
use crate::consent::Consent;
use crate::failure::Failure;
use crate::marks::KeptMark;
use crate::output::{Output, counted};
use crate::progress::Progress;
use crate::session::Session;
use crate::store::Spec;

/// `migrate` as it is typed.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Migrate {
    /// The new store: `redb:PATH`, `sled:PATH`, `sqlite:PATH`, `postgres://USER@HOST/DATABASE`, or a PATH
    #[arg(long, value_name = "SPEC")]
    to: String,
    #[command(flatten)]
    consent: Consent,
}

#[derive(Serialize)]
struct Moved<'a> {
    to: &'a str,
    rows: u64,
    digest: &'a str,
}

impl Migrate {
    pub(crate) async fn run(
        self,
        config: &Config,
        session: &Session,
        output: &Output,
    ) -> Result<(), Failure> {
        let spec: Spec = self.to.parse()?;
        spec.refuse_unkept("migrate")?;
        let is_served = config.store.is_served();
        self.consent.to(&if is_served {
            "move the vault away from a server that has it open: the server refuses writes from then on, and what it \
             would have to note, as what it reveals"
                .to_owned()
        } else {
            format!("move the vault to {}: this store takes no writes from then on", shown(&spec, &self.to))
        })?;
        session.operate("migrate", self.copy(session, &spec, output)).await?;
        if is_served || config.store.address().is_some() {
            output.note("a server of the old store refuses writes: stop it, and start one on the new store");
        }
        Ok(())
    }

    async fn copy(&self, session: &Session, spec: &Spec, output: &Output) -> Result<(), Failure> {
        let to = &shown(spec, &self.to);
        let target = spec.open()?;
        let mark = session.vault.mark().await?;
        let progress = Progress::without_end("rows copied");
        let copied = session.vault.copy_to(&target, |done| progress.at(&done)).await;
        target.close().await?;
        let summary = copied?;
        if let Err(error) = KeptMark::unset(spec)?.keep(mark) {
            output.warn(&format!("the mark of {to} was not kept: {error}"));
        }
        output.note("open it with the same key: name it with --root-key-file or --passphrase-file");
        let view = Moved { to, rows: summary.rows, digest: &summary.digest };
        let sentence =
            format!("moved {} to {to}; the old store takes no more writes", counted(summary.rows, "row"));
        output.done(&sentence, &view)
    }
}

/// The store as it was named, without the password of an address.
fn shown(spec: &Spec, named: &str) -> String {
    spec.address().unwrap_or_else(|| named.to_owned())
}
