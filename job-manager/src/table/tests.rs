use async_trait::async_trait;
use grid_core::job::JobState;
use infra::state::Row;

use super::*;
use crate::SubmitRequest;
use crate::accept::{Accepted, NewJob, accept, new_job_id};

/// A store that applies writes last to first, as one may that keeps no order among rows, and cannot write some of them.
#[derive(Debug)]
struct Backwards {
    store: Arc<dyn StateStore>,
    cannot_write: fn(&str) -> bool,
    why: ErrorKind,
}

impl Backwards {
    fn grid(grid: &Grid, why: ErrorKind, cannot_write: fn(&str) -> bool) -> Grid {
        let store = Arc::clone(&grid.state);
        Grid { state: Arc::new(Self { store, cannot_write, why }), ..grid.clone() }
    }
}

#[async_trait]
impl StateStore for Backwards {
    async fn get(&self, key: &RowKey) -> infra::Result<Option<Row>> {
        self.store.get(key).await
    }

    async fn query(&self, partition: &str, prefix: &str, after: Option<&str>, limit: usize) -> infra::Result<Vec<Row>> {
        self.store.query(partition, prefix, after, limit).await
    }

    async fn write(&self, writes: Vec<Write>) -> infra::Result<Vec<infra::Result<u64>>> {
        let mut answers = Vec::new();
        for write in writes.into_iter().rev() {
            if (self.cannot_write)(&write.key.sort) {
                answers.push(Err(infra::Error::new(self.why, "as the test wants it")));
            } else {
                answers.extend(self.store.write(vec![write]).await?);
            }
        }
        answers.reverse();
        Ok(answers)
    }

    async fn transact(&self, writes: Vec<Write>) -> infra::Result<()> {
        self.store.transact(writes).await
    }
}

/// A job of items of two shards, of which each makes one of a second stage.
async fn submit(grid: &Grid) -> JobId {
    let text = "name: two\nstages:\n  work: {range: 1..8193, run: [\"true\"]}\n  then: {each: work, run: [\"true\"]}\n";
    let request = SubmitRequest::of_defaults(grid_core::pipeline::parse(text, "two.yaml").unwrap()).unwrap();
    let (job, program_files) = (new_job_id(grid.clock.as_ref()), Vec::new());
    let new = NewJob { job, request, program_files, tenant: String::new(), once: None };
    let Accepted::New(job) = accept(grid, new).await.unwrap() else { panic!("it is new") };
    job
}

async fn rows(grid: &Grid, job: &JobId) -> Vec<String> {
    let rows = all_rows(grid.state.as_ref(), &job_partition(job)).await.unwrap();
    rows.into_iter().map(|row| row.key.sort).collect()
}

#[tokio::test]
async fn a_job_is_not_over_in_the_table_before_its_items_are_there() {
    let grid = Backwards::grid(&infra::memory::grid(), ErrorKind::Throttled, |row| row.contains(SHARD));
    let job = submit(&grid).await;
    let mut table = JobTable::load(&grid, &job).await.unwrap();
    table.job.dispatch(1, &Default::default(), 10);
    table.job.fail("as the test wants it".into(), 1);
    assert!(table.job.changes().iter().any(|change| change.sort.contains("SHARD")), "there is a task to be written");
    assert_eq!(table.save(&grid, 1).await.unwrap(), Saved::Unsure);

    assert_eq!(JobTable::load(&grid, &job).await.unwrap().job.state(), JobState::Running);
}

#[tokio::test]
async fn no_shard_is_in_the_table_before_its_stage_says_how_many_there_are() {
    let grid = Backwards::grid(&infra::memory::grid(), ErrorKind::Throttled, |row| row == "STAGE#work");
    let job = submit(&grid).await;
    let mut table = JobTable::load(&grid, &job).await.unwrap();
    table.job.dispatch(1, &Default::default(), 10);
    assert_eq!(table.save(&grid, 1).await.unwrap(), Saved::Unsure);
    assert_eq!(rows(&grid, &job).await, ["STAGE#then"]);
}

/// Rows were on their way when their leader gave them up, and another one has brought the round to its end without them.
#[tokio::test]
async fn what_is_written_late_is_refused_once_the_round_is_over() {
    let grid = infra::memory::grid();
    let job = submit(&grid).await;
    JobTable::load(&grid, &job).await.unwrap().save(&grid, 1).await.unwrap();
    let there = rows(&grid, &job).await;
    let stages = ["work", "then"].map(StageName::new);
    let shards = stages.iter().flat_map(|stage| [0, 1].map(|shard| shard_place(stage, shard)));
    let late = shards.chain(there.clone()).map(|sort| Write {
        expect: if there.contains(&sort) { Expect::Version(1) } else { Expect::Absent },
        key: RowKey { partition: job_partition(&job), sort },
        epoch: 1,
        body: Some(b"late".to_vec()),
        expires_ms: None,
    });

    let mut table = JobTable::load(&grid, &job).await.unwrap();
    table.job.fail("as the test wants it".into(), 1);
    assert_eq!(table.save(&grid, 1).await.unwrap(), Saved::All);

    let answers = grid.state.write(late.clone().collect()).await.unwrap();
    for (write, answer) in late.zip(answers) {
        assert_eq!(answer.map_err(|error| error.kind), Err(ErrorKind::Conflict), "{}", write.key.sort);
    }
}

/// A leader was about to end a job when another one took it over.
#[tokio::test]
async fn what_an_earlier_leader_says_of_a_job_is_refused_once_another_has_written_of_it() {
    let grid = infra::memory::grid();
    let job = submit(&grid).await;
    JobTable::load(&grid, &job).await.unwrap().save(&grid, 1).await.unwrap();
    let mut earlier = JobTable::load(&grid, &job).await.unwrap();
    let mut later = JobTable::load(&grid, &job).await.unwrap();
    later.job.dispatch(1, &Default::default(), 1);
    assert_eq!(later.save(&grid, 2).await.unwrap(), Saved::All);

    earlier.job.fail("as the test wants it".into(), 1);
    assert_eq!(earlier.save(&grid, 1).await.unwrap(), Saved::Unsure);
    let own = |table: &JobTable| table.versions[META];
    assert_eq!((own(&earlier), own(&later)), (1, 2));
    let now = JobTable::load(&grid, &job).await.unwrap();
    assert_eq!((now.job.state(), now.job.out().count()), (JobState::Running, 1));

    later.job.dispatch(1, &Default::default(), 1);
    assert_eq!(later.save(&grid, 2).await.unwrap(), Saved::All);
    assert_eq!(own(&later), 2, "once is enough");
}

#[tokio::test]
async fn a_job_whose_row_could_not_be_claimed_is_claimed_once_there_is_room() {
    let grid = infra::memory::grid();
    let job = submit(&grid).await;
    JobTable::load(&grid, &job).await.unwrap().save(&grid, 1).await.unwrap();
    let mut table = JobTable::load(&grid, &job).await.unwrap();
    table.job.dispatch(1, &Default::default(), 1);

    let full = Backwards::grid(&grid, ErrorKind::Full, |row| row == META);
    assert!(table.save(&full, 2).await.is_err());
    assert_eq!(table.save(&grid, 2).await.unwrap(), Saved::All);
    assert_eq!(table.versions[META], 2);
}

/// A redrive has begun here, and no row says so, when somebody cancels the job.
#[tokio::test]
async fn what_somebody_has_written_does_not_stand_beside_what_was_to_be_written_here() {
    let grid = infra::memory::grid();
    let job = submit(&grid).await;
    JobTable::load(&grid, &job).await.unwrap().save(&grid, 1).await.unwrap();
    let (mut clean, mut changed) =
        (JobTable::load(&grid, &job).await.unwrap(), JobTable::load(&grid, &job).await.unwrap());
    clean.save(&grid, 1).await.unwrap();
    changed.job.fail("as the test wants it".into(), 1);
    crate::control::pause(&grid, &job).await.unwrap();

    assert_eq!(changed.adopt_meta(&grid).await.unwrap(), Saved::Unsure);
    assert_eq!(changed.job.state(), JobState::Failed, "it has to be read again");
    assert_eq!(clean.adopt_meta(&grid).await.unwrap(), Saved::All);
    assert_eq!(clean.job.state(), JobState::Paused);
}
