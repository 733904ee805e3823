//! What ends a manager.

/// What ends a manager, or refuses a submission.
#[derive(Debug, thiserror::Error)]
pub enum ManagerError {
    /// Another manager leads now.
    #[error("another manager has taken the lead")]
    Fenced,
    /// A back end failed in a way that waiting does not mend.
    #[error(transparent)]
    Store(#[from] infra::Error),
    /// What is stored cannot be understood.
    #[error("{what} cannot be read")]
    Damaged {
        /// The object or row.
        what: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl ManagerError {
    pub(crate) fn damaged(what: impl Into<String>, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Damaged { what: what.into(), source: Box::new(source) }
    }
}
