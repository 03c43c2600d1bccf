//! `checkpoint`: what the store holds now, in a file to compare it with later.

use std::io::BufWriter;
use std::path::PathBuf;

use serde::Serialize;

use super::verify;
use crate::failure::{Failure, repeatable};
use crate::files::{NewFile, unwritable};
use crate::output::{Output, counted};
use crate::session::Session;

/// `checkpoint` as it is typed.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Checkpoint {
    /// A file that does not exist yet; keep it away from the store
    file: PathBuf,
}

#[derive(Serialize)]
struct Written {
    file: String,
    rows: u64,
}

impl Checkpoint {
    /// Checks every row, and writes the file if nothing is wrong.
    pub(crate) async fn run(self, session: &Session, output: &Output) -> Result<(), Failure> {
        let file = &self.file;
        if file.symlink_metadata().is_ok() {
            return Err(Failure::usage(format!("{} exists already", repeatable::file(file)))
                .next("name another file"));
        }
        let new = NewFile::beside(file).map_err(|error| unwritable(file, &error))?;
        let report = session.vault.checkpoint(BufWriter::with_capacity(1 << 20, new.file())).await?;
        if !report.is_clean() {
            verify::show(&report, &session.org, None, output)?;
            return Err(verify::unclean(&report, &session.org));
        }
        new.publish(file).map_err(|error| unwritable(file, &error))?;
        let view = Written { file: file.display().to_string(), rows: report.rows };
        output.done(
            &format!("checked {}; {} is what to compare with", counted(report.rows, "row"), view.file),
            &view,
        )
    }
}
