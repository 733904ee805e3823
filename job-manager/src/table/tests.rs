use async_trait::async_trait;
use grid_core::job::JobState;
use infra::state::Row;

use super::*;
use crate::SubmitRequest;
use crate::accept::{Accepted, NewJob, accept, new_job_id};

/// A store that applies writes last to first, as one may that keeps no order among rows, and cannot write the rows of items.
#[derive(Debug)]
struct Backwards(Arc<dyn StateStore>);

#[async_trait]
impl StateStore for Backwards {
    async fn get(&self, key: &RowKey) -> infra::Result<Option<Row>> {
        self.0.get(key).await
    }

    async fn query(&self, partition: &str, prefix: &str, after: Option<&str>, limit: usize) -> infra::Result<Vec<Row>> {
        self.0.query(partition, prefix, after, limit).await
    }

    async fn write(&self, writes: Vec<Write>) -> infra::Result<Vec<infra::Result<u64>>> {
        let mut answers = Vec::new();
        for write in writes.into_iter().rev() {
            if write.key.sort.contains("SHARD") {
                answers.push(Err(infra::Error::new(ErrorKind::Throttled, "too fast")));
            } else {
                answers.extend(self.0.write(vec![write]).await?);
            }
        }
        answers.reverse();
        Ok(answers)
    }

    async fn transact(&self, writes: Vec<Write>) -> infra::Result<()> {
        self.0.transact(writes).await
    }
}

#[tokio::test]
async fn a_job_is_not_over_in_the_table_before_its_items_are_there() {
    let mut grid = infra::memory::grid();
    grid.state = Arc::new(Backwards(grid.state));
    let text = "name: one\nstages:\n  work:\n    range: 1..1\n    run: [\"true\"]\n";
    let request = SubmitRequest::of_defaults(grid_core::pipeline::parse(text, "one.yaml").unwrap()).unwrap();
    let (job, program_files) = (new_job_id(grid.clock.as_ref()), Vec::new());
    let new = NewJob { job, request, program_files, tenant: String::new(), once: None };
    let Accepted::New(job) = accept(&grid, new).await.unwrap() else { panic!("it is new") };

    let mut table = JobTable::load(&grid, &job).await.unwrap();
    table.job.dispatch(1, &Default::default(), 10);
    table.job.fail("as the test wants it".into(), 1);
    assert!(table.job.changes().iter().any(|change| change.sort.contains("SHARD")), "there is a task to be written");
    assert_eq!(table.save(&grid, 1).await.unwrap(), Saved::Unsure);

    assert_eq!(JobTable::load(&grid, &job).await.unwrap().job.state(), JobState::Running);
}
