//! What people and programs are told of jobs, against its files in `tests/golden/v1`.

#[path = "../../tests/golden/check.rs"]
mod check;

use std::collections::BTreeMap;

use check::golden;
use grid_api::{
    CopiesReceipt, DeadLetter, JobState, JobStatus, OperationReceipt, Receipt, RequestsReceipt, SlotTimeReceipt,
    StageReceipt, StageStatus,
};
use grid_core::ids::{JobId, StageName};
use grid_core::reason::{Failure, Reason};

fn stage(name: &str, records: Option<u64>) -> StageReceipt {
    StageReceipt {
        name: StageName::new(name),
        items: 10,
        ok: 6,
        reused: 2,
        skipped: 1,
        dead: 2,
        not_run: 1,
        attempts: 5,
        failures: BTreeMap::from([(Reason::Exit, 3), (Reason::Oom, 1)]),
        bytes_planned: 1 << 40,
        bytes_in: 900,
        records,
        bytes_out: 77,
        busy_secs: 1.5,
        copies: None,
    }
}

#[test]
fn a_receipt() {
    let balanced = Receipt {
        v: 1,
        job: JobId::new("0198c5a2-7b1e-7c3a-9d42-5f0a1b2c3d4e"),
        pipeline: "year-end-report".into(),
        state: JobState::Succeeded,
        message: None,
        submitted: "2025-12-31T23:59:59Z".into(),
        finished: "2026-01-01T00:01:00.5Z".into(),
        balanced: true,
        faults: Vec::new(),
        stages: vec![stage("clean", Some(12)), stage("report", None)],
        requests: None,
        slot_time: None,
        usd: None,
    };
    golden!("receipt.json").holds(&balanced, &["", "/stages/0"]);
    let copies = Some(CopiesReceipt { started: 3, won: 1, lost_secs: 12.25 });
    let copied = Receipt { stages: vec![StageReceipt { copies, ..stage("clean", None) }], ..balanced.clone() };
    golden!("receipt-copies.json").holds(&copied, &["", "/stages/0", "/stages/0/copies"]);
    let faults = vec!["clean: 10 items, but 9 ended".into()];
    let message = Some("2 of 10 items of clean failed".to_owned());
    let state = JobState::Failed;
    let unbalanced = Receipt { state, message, balanced: false, faults, stages: Vec::new(), ..balanced };
    golden!("receipt-unbalanced.json").holds(&unbalanced, &[""]);
    let put = OperationReceipt { operation: "S3 PutObject".into(), requests: 12, units: 12 };
    let row = OperationReceipt { operation: "DynamoDB PutItem".into(), requests: 3, units: 5 };
    let requests = RequestsReceipt {
        total: 15,
        usd: "0.000063125".into(),
        region: "us-east-1".into(),
        as_of: "2024-11-01".into(),
        unpriced: Vec::new(),
        operations: vec![row, put],
    };
    let billed = Receipt { requests: Some(requests), ..unbalanced };
    golden!("receipt-requests.json").holds(&billed, &["", "/requests", "/requests/operations/0"]);
    let slots = SlotTimeReceipt { secs: 3_600.5, usd_per_hour: "0.0425".into(), usd: "0.042505902777".into() };
    let priced = Receipt { slot_time: Some(slots), usd: Some("0.042569027777".into()), ..billed };
    golden!("receipt-slot-time.json").holds(&priced, &["", "/slot_time"]);
}

#[test]
fn where_a_job_stands() {
    let stage = StageStatus {
        name: StageName::new("clean"),
        items: 10,
        planned: false,
        ok: 6,
        reused: 2,
        skipped: 1,
        dead: 2,
        failed: true,
        running: 1,
        attempts: 5,
        failures: BTreeMap::from([(Reason::Exit, 3), (Reason::LeaseLost, 1)]),
        bytes_planned: 1 << 40,
        bytes_in: 900,
        bytes_out: 77,
        busy_secs: 1.5,
    };
    let running = JobStatus {
        job: JobId::new("0198c5a2-7b1e-7c3a-9d42-5f0a1b2c3d4e"),
        pipeline: "year-end-report".into(),
        state: JobState::Running,
        message: None,
        submitted: "2025-12-31T23:59:59Z".into(),
        finished: None,
        stages: vec![stage],
    };
    golden!("job-status.json").holds(&running, &["", "/stages/0"]);
    let failed = JobStatus {
        state: JobState::Failed,
        message: Some("2 of 10 items of clean failed".into()),
        finished: Some("2026-01-01T00:01:00.5Z".into()),
        stages: Vec::new(),
        ..running
    };
    golden!("job-status-failed.json").holds(&failed, &[""]);
}

#[test]
fn an_item_that_was_given_up_on() {
    let plain = DeadLetter {
        stage: StageName::new("clean"),
        item: "ledger.csv-000012".into(),
        index: 12,
        key: BTreeMap::from([("file".to_owned(), "ledger.csv".to_owned()), ("part".to_owned(), "12".to_owned())]),
        attempt: 5,
        failure: Failure::new(Reason::LeaseLost, "5 workers died or fell silent while they ran it"),
        input: None,
    };
    golden!("dead-letter-lost.json").holds(&plain, &[""]);
    let failure = Failure {
        exit: Some(3),
        signal: None,
        stderr: "no such account\n".into(),
        ..Failure::new(Reason::Exit, "exit status 3")
    };
    let told = DeadLetter { failure, input: Some("file:///data/ledger.csv bytes 0-99".into()), ..plain };
    golden!("dead-letter.json").holds(&told, &[""]);
}
