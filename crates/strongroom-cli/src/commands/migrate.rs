//! `migrate`: the vault moves to another store.

use serde::Serialize;

use crate::failure::Failure;
use crate::marks::KeptMark;
use crate::output::{Output, counted};
use crate::progress::Progress;
use crate::session::Session;
use crate::store::Spec;

/// `migrate` as it is typed.
#[derive(Debug, clap::Args)]
pub(crate) struct Migrate {
    /// The new store: `redb:PATH`, `sled:PATH`, `postgres://USER@HOST/DATABASE`, or a PATH
    #[arg(long, value_name = "SPEC")]
    to: String,
}

#[derive(Serialize)]
struct Moved<'a> {
    to: &'a str,
    rows: u64,
    digest: &'a str,
}

impl Migrate {
    pub(crate) async fn run(self, session: &Session, output: &Output) -> Result<(), Failure> {
        let to = &self.to;
        let spec: Spec = to.parse()?;
        spec.refuse_unkept("migrate")?;
        let target = spec.open()?;
        let mark = session.vault.mark().await?;
        let progress = Progress::without_end("rows copied");
        let copied = session.vault.copy_to(&target, |done| progress.at(&done)).await;
        target.close().await?;
        let summary = copied?;
        if let Err(error) = KeptMark::unset(&spec)?.keep(mark) {
            output.warn(&format!("the mark of {to} was not kept: {error}"));
        }
        output.note("open it with the same key: name it with --root-key-file or --passphrase-file");
        let view = Moved { to, rows: summary.rows, digest: &summary.digest };
        let sentence =
            format!("moved {} to {to}; the old store takes no more writes", counted(summary.rows, "row"));
        output.done(&sentence, &view)
    }
}
