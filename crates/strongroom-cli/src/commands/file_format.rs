//! The formats of a file of variables.

/// The format of a file of variables.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum FileFormat {
    /// `NAME=value` lines
    #[default]
    Env,
    /// One JSON object of names and values
    Json,
    /// The same in YAML
    Yaml,
}
