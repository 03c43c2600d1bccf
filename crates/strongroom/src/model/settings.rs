//! The settings that every engine of a vault obeys, whoever opened it.

/// The settings that every engine of a vault obeys. They are sealed in the vault, so no process needs to be told, and a
/// batch that was planned under other settings does not land.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Settings {
    /// Whether each write to a definition, a value, an account or a credential also changes its org's
    /// [`generation`](crate::Org::generation). Off unless set: it adds one row to each such batch, the same row for all
    /// writers of an org and environment.
    pub generations: bool,
    /// Whether each write leaves an event in its org's audit, in the same batch: [`Org::audit`](crate::Org::audit). Off
    /// unless set: it adds one row to each write, which may never be read. The day on which an API key was last used is
    /// stored without an event.
    ///
    /// Turning it off is no event by itself, since it concerns all orgs: [note](crate::Org::note) it first in the
    /// audits that should end with it.
    pub audit: bool,
}

impl Settings {
    /// The number that is sealed, with one bit for each setting.
    pub(crate) fn as_bits(self) -> u64 {
        u64::from(self.generations) * GENERATIONS + u64::from(self.audit) * AUDIT
    }

    /// `None` for a setting of a later release, which this one could not obey.
    pub(crate) fn from_bits(bits: u64) -> Option<Self> {
        let settings = Self { generations: bits & GENERATIONS != 0, audit: bits & AUDIT != 0 };
        (settings.as_bits() == bits).then_some(settings)
    }
}

const GENERATIONS: u64 = 1;
const AUDIT: u64 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_read_back_and_those_of_a_later_release_do_not() {
        for bits in 0..=GENERATIONS | AUDIT {
            assert_eq!(Settings::from_bits(bits).map(Settings::as_bits), Some(bits));
        }
        assert_eq!(Settings::from_bits(AUDIT << 1), None);
        assert_eq!(Settings::from_bits(0), Some(Settings::default()));
    }
}
