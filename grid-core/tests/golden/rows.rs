//! Rows of the state table that are not a job's own.

use grid_core::ids::{GroupName, JobId, WorkerId};
use grid_core::rows::{
    ActiveRow, GroupRow, IdempotencyRow, JobRow, LeaderRow, PipelineRow, PoolRow, Scope, SubmissionRow, TokenRow,
    UploadRow, Wait, WaitsRow, WorkerRow, idempotency_partition, job_partition, pipeline_place, pipelines_partition,
    submission_partition, upload_partition,
};
use grid_core::spending::{Asked, Spending};
use grid_core::wire::Heartbeat;

use crate::check::golden;

#[test]
fn a_job_in_the_list_of_all_jobs() {
    let row = JobRow {
        pipeline: "year-end-report".into(),
        digest: "af1349b9f5f9a1a6a0404dea36dcc949".into(),
        submitted: "2025-12-31T23:59:59Z".into(),
        tenant: "finance".into(),
    };
    golden!("row-job.json").holds(&row, &[""]);
}

#[test]
fn a_job_that_is_looked_after() {
    golden!("row-active.json").holds(&ActiveRow::default(), &[""]);
    let mut asked = Spending::default();
    asked.ask("DynamoDB TransactWriteItems", Asked { requests: 1, extra_units: 5 });
    asked.ask("S3 PutObject", Asked { requests: 1, extra_units: 0 });
    golden!("row-active-asked.json").holds(&ActiveRow { asked }, &[""]);
}

#[test]
fn a_submission_that_became_a_job() {
    let row = SubmissionRow { job: JobId::new("0198c5a2-7b1e-7c3a-9d42-5f0a1b2c3d4e") };
    golden!("row-submission.json").holds(&row, &[""]);
}

#[test]
fn the_leader() {
    let row = LeaderRow { epoch: 12, name: "manager-a".into(), life: "0198c5a2-7b1e".into(), lease_ms: 15_000 };
    golden!("row-leader.json").holds(&row, &[""]);
    let free = LeaderRow { epoch: 12, ..LeaderRow::default() };
    golden!("row-leader-free.json").holds(&free, &[""]);
}

#[test]
fn a_worker() {
    let heartbeat = Heartbeat {
        v: 1,
        worker: WorkerId::new("w-1"),
        sequence: 7,
        pool: "default".into(),
        slots: 2,
        interval_secs: 20.0,
        machine: None,
        closed_by: None,
        running: Vec::new(),
    };
    golden!("row-worker.json").holds(&WorkerRow { seen_ms: 1_760_000_000_123, heartbeat }, &["", "/heartbeat"]);
}

#[test]
fn a_token() {
    let row = TokenRow {
        digest: "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262".into(),
        scope: Scope::Submit,
        tenant: Some("finance".into()),
        note: "nightly".into(),
        created_ms: 1_767_225_600_000,
        expires_ms: Some(1_769_817_600_000),
    };
    golden!("row-token.json").holds(&row, &[""]);
}

#[test]
fn a_job_behind_an_idempotency_key() {
    let row = IdempotencyRow {
        job: JobId::new("0198c5a2-7b1e-7c3a-9d42-5f0a1b2c3d4e"),
        body: "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262".into(),
        expires_ms: 1_767_830_400_000,
    };
    golden!("row-idempotency.json").holds(&row, &[""]);
}

#[test]
fn an_upload() {
    let row = UploadRow {
        tenant: "finance".into(),
        name: "claims.csv".into(),
        bytes: 40_000_000,
        part_bytes: 16_777_216,
        store_id: Some("2~abc".into()),
        done: false,
        created_ms: 1_767_225_600_000,
    };
    golden!("row-upload.json").holds(&row, &[""]);
}

#[test]
fn a_version_of_a_pipeline() {
    let row = PipelineRow {
        digest: "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262".into(),
        on_events: vec!["claims.arrived".into()],
        created_ms: 1_767_225_600_000,
    };
    golden!("row-pipeline.json").holds(&row, &[""]);
}

#[test]
fn jobs_that_wait() {
    let waits = [Wait::Share, Wait::Quota { max_out: 10 }, Wait::Suspended, Wait::Budget];
    let jobs = (190..).zip(waits).map(|(id, wait)| (JobId::new(format!("0{id}")), wait));
    golden!("row-waits.json").holds(&WaitsRow { jobs: jobs.collect() }, &["", "/jobs/0191/quota"]);
}

#[test]
fn a_pool_with_a_fleet() {
    let waits = Some("no capacity: none left".to_owned());
    let spot = GroupRow { group: GroupName::new("spot"), machines: 2, coming: 1, leaving: 0, waits };
    let row = PoolRow { groups: vec![spot], waits: vec!["at maximum: the fleet may have 3 machines".into()] };
    golden!("row-pool.json").holds(&row, &["", "/groups/0"]);
    assert_eq!((grid_core::rows::FLEET, grid_core::rows::POOLS, grid_core::rows::WAITS), ("FLEET", "POOLS", "WAITS"));
}

#[test]
fn partitions_keep_their_names() {
    assert_eq!(upload_partition("u"), "UPLOAD#u");
    assert_eq!(pipelines_partition("finance"), "PIPELINES#finance");
    assert_eq!(pipeline_place("report", 7), "report#0000000007");
    assert_eq!(job_partition(&JobId::new("j")), "JOB#j");
    assert_eq!(submission_partition("d"), "SUBMISSION#d");
    assert_eq!((idempotency_partition("af13"), grid_core::rows::TOKENS), ("IDEMPOTENCY#af".into(), "TOKENS"));
    assert_eq!((grid_core::rows::JOBS, grid_core::rows::ACTIVE, grid_core::rows::LEADER), ("JOBS", "ACTIVE", "LEADER"));
}
