//! Conditions on a write, and records that are written with it.

use crate::error::Error;
use crate::model::{Expected, Revision};
use crate::tenant::RecordWrite;

/// A condition on a write, and records that are written in the same batch. The default has neither.
///
/// ```
/// # strongroom_conformance::with_port(async |org| {
/// use strongroom::{Error, Expected, Scope, WriteOptions};
/// let if_absent = || WriteOptions::expecting(Expected::Absent);
/// let noted = if_absent().with_record(org.records("audit".parse()?).write("1".parse()?, "PORT was set"));
/// org.set_value_with("PORT", Scope::Org, "80", noted).await?;
/// let late = org.set_value_with("PORT", Scope::Org, "81", if_absent()).await;
/// assert!(matches!(late, Err(Error::Unexpected { .. })));
/// # Ok(()) });
/// ```
#[derive(Debug, Default)]
pub struct WriteOptions {
    pub(crate) expected: Expected,
    pub(crate) records: Vec<RecordWrite>,
    pub(crate) ciphertext: bool,
}

impl WriteOptions {
    /// Refuses a write if the document is not as expected.
    pub(crate) fn check(&self, found: Option<Revision>) -> Result<(), Error> {
        if self.expected.holds(found) { Ok(()) } else { Err(Error::Unexpected { found }) }
    }

    /// Writes only if the document is as expected. Otherwise the error is
    /// [`Error::Unexpected`](crate::Error::Unexpected).
    #[must_use]
    pub fn expecting(expected: Expected) -> Self {
        Self { expected, ..Self::default() }
    }

    /// Writes a record of the host's own in the same batch: either both are written, or neither.
    #[must_use]
    pub fn with_record(mut self, record: RecordWrite) -> Self {
        self.records.push(record);
        self
    }

    /// Returns the ciphertext of the value too, if the definition is encrypted. Only verbs that set values use it.
    #[must_use]
    pub fn with_ciphertext(mut self) -> Self {
        self.ciphertext = true;
        self
    }
}
