//! Why a job waits although it could go on.

use grid_api::PoolStatus;
use grid_core::pipeline::DEFAULT_POOL;
use grid_core::rows::{WAITS, Wait, WaitsRow};
use grid_core::submission::Submission;
use infra::Grid;

use crate::ManagerError;
use crate::submit::read_row;
use crate::view::pools;

/// Why a job waits, in words, as the leader saw it some seconds ago.
pub async fn of(grid: &Grid, submission: &Submission) -> Result<Option<String>, ManagerError> {
    let row = read_row::<WaitsRow>(grid, WAITS, WAITS).await?;
    if let Some(wait) = row.as_ref().and_then(|(_, row)| row.jobs.get(&submission.job)) {
        return Ok(Some(words(wait, submission)));
    }
    let pools = pools(grid).await?;
    Ok(pools.iter().find(|pool| pool.pool == DEFAULT_POOL).and_then(of_pool))
}

/// What the pool waits for, if its workers have no place left.
fn of_pool(pool: &PoolStatus) -> Option<String> {
    if pool.busy < pool.slots {
        return None;
    }
    let coming: u32 = pool.groups.iter().map(|group| group.coming).sum();
    let booting = (coming > 0).then(|| format!("booting: {coming} machines are on their way"));
    let groups = pool.groups.iter().filter_map(|group| Some(format!("{}: {}", group.group, group.waits.as_ref()?)));
    let words: Vec<String> = booting.into_iter().chain(pool.waits.clone()).chain(groups).collect();
    (!words.is_empty()).then(|| words.join("; "))
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
    use grid_api::GroupStatus;
    use grid_core::ids::JobId;
    use grid_core::pipeline::Pipeline;
    use grid_core::terms::{Budget, OnExceed};

    use super::*;

    #[test]
    fn a_pool_that_has_no_place_left_says_what_it_waits_for() {
        let group = |coming, waits: Option<&str>| GroupStatus {
            group: "spot".into(),
            machines: 1,
            coming,
            leaving: 0,
            waits: waits.map(str::to_owned),
        };
        let (waits, groups) = (vec!["at maximum: 3".to_owned()], vec![group(2, Some("no capacity: none left"))]);
        let full = PoolStatus { pool: "default".into(), workers: 1, slots: 4, busy: 4, groups, waits };
        let told = "booting: 2 machines are on their way; at maximum: 3; spot: no capacity: none left";
        assert_eq!(of_pool(&full).as_deref(), Some(told));
        assert_eq!(of_pool(&PoolStatus { busy: 3, ..full.clone() }), None, "a place is free");
        assert_eq!(of_pool(&PoolStatus { groups: vec![group(0, None)], waits: vec![], ..full }), None);
    }

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
