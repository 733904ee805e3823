//! Schemas of types that belong to `grid-core`, which knows nothing of HTTP.

/// Why an item failed, as the worker saw it.
#[derive(utoipa::ToSchema)]
#[schema(as = Failure)]
#[expect(dead_code, reason = "only its schema is wanted")]
pub(crate) struct FailureSchema {
    /// Of the closed list: `exit signal timeout oom disk_full input output setup lease_lost spot drain cancelled
    /// internal`.
    pub reason: String,
    /// The exit status, when the command ended by itself.
    #[schema(required = false)]
    pub exit: Option<i32>,
    /// The signal, when one ended the command.
    #[schema(required = false)]
    pub signal: Option<i32>,
    /// One sentence for people.
    pub message: String,
    /// The end of standard error.
    #[schema(required = false)]
    pub stderr: String,
}

/// Where a job stands.
#[derive(utoipa::ToSchema)]
#[schema(as = JobState, rename_all = "snake_case")]
pub enum JobStateSchema {
    /// Accepted; its items are being planned and executed.
    Running,
    /// Nothing more of it is handed out; what runs goes on to its end.
    Paused,
    /// Every item has ended; the receipt is being made.
    Committing,
    /// Done, and the receipt balances.
    Succeeded,
    /// A stage failed.
    Failed,
    /// Cancelled.
    Cancelled,
    /// The grid cannot go on with it; the job's message says why.
    Quarantined,
}

/// What becomes of a job whose budget is spent.
#[derive(utoipa::ToSchema)]
#[schema(as = OnExceed, rename_all = "snake_case")]
pub enum OnExceedSchema {
    /// Nothing more is handed out; what runs may finish.
    Finish,
    /// It is cancelled, and what runs of it is killed.
    Cancel,
}
