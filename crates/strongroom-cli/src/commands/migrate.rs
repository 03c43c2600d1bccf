//! `migrate`: the vault moves to another store.

use serde_json::json;

use crate::failure::Failure;
use crate::output::Output;
use crate::progress::Progress;
use crate::session::Session;
use crate::store::Spec;

pub(crate) async fn run(session: &Session, to: &str, output: &Output) -> Result<(), Failure> {
    let spec: Spec = to.parse()?;
    if !spec.is_kept() {
        return Err(Failure::usage("a store in memory is gone when `migrate` ends").next("name a path"));
    }
    let target = spec.open()?;
    let progress = Progress::without_end("rows copied");
    let copied = session.vault.copy_to(&target, |done| progress.at(&done)).await;
    target.close().await?;
    let summary = copied?;
    output.note("open it with the same key, given by --root-key-file or --passphrase-file");
    let json = json!({ "to": to, "rows": summary.rows, "digest": summary.digest });
    output.done(&format!("moved {} rows to {to}; the old store takes no more writes", summary.rows), &json)
}
