//! Why a job waits although it could go on.

use grid_core::rows::{WAITS, Wait, WaitsRow};
use grid_core::submission::Submission;
use infra::Grid;

use crate::ManagerError;
use crate::submit::read_row;

/// Why a job waits, in words, as the leader saw it some seconds ago.
pub async fn of(grid: &Grid, submission: &Submission) -> Result<Option<String>, ManagerError> {
    let row = read_row::<WaitsRow>(grid, WAITS, WAITS).await?;
    Ok(row.and_then(|(_, row)| row.jobs.get(&submission.job).map(|wait| words(wait, submission))))
}

fn words(wait: &Wait, submission: &Submission) -> String {
    let budget = || submission.pipeline.terms.budget.map_or(0.0, |budget| budget.usd);
    match wait {
        Wait::Share => "its job has its share of the slots; other jobs have theirs".to_owned(),
        Wait::Quota { max_out } => {
            format!("its tenant `{}` has as many tasks out as it may have: {max_out}", submission.tenant)
        }
        Wait::Suspended => {
            "nearly everything that its job runs fails: one task at a time is handed out until some succeed".to_owned()
        }
        Wait::Budget => format!("what runs of its job may spend the rest of its budget of ${}", budget()),
    }
}

#[cfg(test)]
mod tests {
    use grid_core::ids::JobId;
    use grid_core::pipeline::Pipeline;
    use grid_core::terms::{Budget, OnExceed};

    use super::*;

    #[test]
    fn every_reason_to_wait_is_told_in_words() {
        let pipeline = Pipeline::new("p", Vec::new());
        let mut submission = Submission::new(JobId::new("0190"), jiff::Timestamp::UNIX_EPOCH, "/", pipeline);
        submission.tenant = "finance".into();
        submission.pipeline.terms.budget = Some(Budget { usd: 2.5, on_exceed: OnExceed::Finish });
        let told: Vec<String> = [Wait::Share, Wait::Quota { max_out: 10 }, Wait::Suspended, Wait::Budget]
            .iter()
            .map(|wait| words(wait, &submission))
            .collect();
        assert_eq!(
            told,
            [
                "its job has its share of the slots; other jobs have theirs",
                "its tenant `finance` has as many tasks out as it may have: 10",
                "nearly everything that its job runs fails: one task at a time is handed out until some succeed",
                "what runs of its job may spend the rest of its budget of $2.5",
            ]
        );
    }
}
