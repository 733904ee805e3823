//! Broken variants of the grid. Each is made between the code and its back ends, where code that was written wrongly would
//! look just like it; so there is nothing of them in the code itself, and nothing to switch on in a release.
//!
//! A mutant that lives shows what the invariants do not see.

use std::time::Duration;

use clap::ValueEnum;

/// A broken variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Mutant {
    /// A worker deletes a message when it receives it, not when its task is committed.
    DeletesOnReceive,
    /// A leader deletes reports when it receives them, not when its rows hold the news.
    ReportsDeletedOnReceive,
    /// What an execution writes lies under the name of its task; another execution overwrites it.
    DataByTask,
    /// A manifest is written whether or not there is one.
    ManifestOverwritten,
    /// That a manifest is there already is taken for a failure of one's own.
    ConflictIsFailure,
    /// A manifest is reported before it is stored.
    ReportBeforeManifest,
    /// Outputs are stored after the manifest that names them.
    ManifestBeforeData,
    /// Failed entries of a batch that is sent are taken for sent.
    FailedEntriesIgnored,
    /// Rows are written whatever version they have.
    NoVersions,
    /// The lead is taken whoever has it.
    BlindLead,
    /// What was written to the rows is acted on before it is known to be there.
    UnconfirmedRows,
    /// Nobody looks at the dead tasks.
    NoDeadLetters,
    /// Nothing is ever sent again.
    NoResend,
    /// Leases are not extended.
    NoHeartbeat,
    /// The plan is not stored.
    PlanNotStored,
    /// The inputs of a task that are too many for its message are not stored.
    InputsNotStored,
    /// The rest of a stream that broke off is taken for its end.
    TruncationIgnored,
    /// A job is entered without looking whether the same was submitted before.
    SubmissionNotUnique,
    /// The entry of a job in the list of active ones is not written.
    NotListed,
    /// The receipt is not written.
    NoReceipt,
}

impl Mutant {
    /// Every mutant.
    pub fn all() -> &'static [Self] {
        Self::value_variants()
    }

    /// So many seeds are enough to catch it.
    pub fn within(self) -> u64 {
        match self {
            Self::DeletesOnReceive
            | Self::ReportsDeletedOnReceive
            | Self::ReportBeforeManifest
            | Self::UnconfirmedRows
            | Self::NotListed
            | Self::NoReceipt => 5,
            Self::NoVersions | Self::TruncationIgnored => 300,
            Self::InputsNotStored => 1_000,
            _ => 100,
        }
    }
}

/// How long a mutant that does things in the wrong order takes for the second one.
pub const BEHIND: Duration = Duration::from_secs(2);
