//! Why a command failed, and the exit code that says so to programs.

/// Why a command failed. Each message ends with what to do next, where that is known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// What was asked for can't be done as it was asked: an unknown profile, a file that is not there.
    #[error("{0}")]
    Usage(String),
    /// Nobody answers there, or nobody that speaks this protocol.
    #[error("{0}")]
    Unreachable(String),
    /// The host refused.
    #[error("{0}")]
    Refused(String),
}

impl Failure {
    /// The exit code of the process.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Refused(_) => 1,
            Self::Usage(_) => 2,
            Self::Unreachable(_) => 3,
        }
    }
}
