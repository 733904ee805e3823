//! The end of a job: the receipt that must balance, and the tombstone that stops what runs.

use grid_api::{OperationReceipt, Receipt, RequestsReceipt, StageReceipt};
use grid_core::job::{Balance, Job, JobState, StageBalance};
use grid_core::layout;
use grid_core::limits::WIRE_VERSION;
use grid_core::price::{Cost, PriceList};
use grid_core::spending::Spending;
use infra::Grid;

use crate::ManagerError;
use crate::submit::encode;

/// Builds and writes the receipt; the job succeeds if it balances, and is quarantined if not.
pub(crate) async fn finish(grid: &Grid, job: &mut Job, prices: &PriceList) -> Result<(), ManagerError> {
    let now_ms = grid.clock.now_ms();
    let balance = job.balance();
    let is_committing = job.state() == JobState::Committing;
    let state = match (is_committing, balance.faults.is_empty()) {
        (true, true) => JobState::Succeeded,
        (true, false) => JobState::Quarantined,
        (false, _) => job.state(),
    };
    let message = message(job, state, &balance);
    let receipt = Receipt {
        requests: Some(requests(&job.spending(), prices)),
        ..receipt(job, state, message.clone(), balance, now_ms)
    };
    grid.objects.put(&layout::receipt(&job.submission().job), encode(&receipt).into()).await?;
    match state {
        JobState::Succeeded => job.succeeded(now_ms),
        JobState::Quarantined if is_committing => job.quarantine(message.unwrap_or_default(), now_ms),
        JobState::Running
        | JobState::Paused
        | JobState::Committing
        | JobState::Failed
        | JobState::Cancelled
        | JobState::Quarantined => {}
    }
    job.receipt_written();
    Ok(())
}

/// Why a job ends as it does.
fn message(job: &Job, state: JobState, balance: &Balance) -> Option<String> {
    if job.state() == JobState::Committing && state == JobState::Quarantined {
        return Some(format!("the receipt does not balance: {}", balance.faults.join("; ")));
    }
    job.message().map(str::to_owned)
}

/// Tells the workers that a job is cancelled.
pub(crate) async fn tombstone(grid: &Grid, job: &Job) -> Result<(), ManagerError> {
    grid.objects.put(&layout::tombstone(&job.submission().job), bytes::Bytes::new()).await?;
    Ok(())
}

fn receipt(job: &Job, state: JobState, message: Option<String>, balance: Balance, now_ms: u64) -> Receipt {
    Receipt {
        v: WIRE_VERSION,
        job: job.submission().job.clone(),
        pipeline: job.submission().pipeline.name.clone(),
        state,
        message,
        submitted: job.submission().submitted.to_string(),
        finished: rfc3339(job.finished_ms().unwrap_or(now_ms)),
        balanced: balance.faults.is_empty(),
        faults: balance.faults,
        stages: balance.stages.into_iter().map(stage_receipt).collect(),
        requests: None,
    }
}

fn requests(spending: &Spending, prices: &PriceList) -> RequestsReceipt {
    let Cost { usd, unknown } = prices.cost(spending);
    let operations = spending.iter().map(|(operation, asked)| OperationReceipt {
        operation: operation.to_owned(),
        requests: asked.requests,
        units: asked.units(),
    });
    RequestsReceipt {
        total: spending.requests(),
        usd: usd.to_string(),
        region: prices.region.clone(),
        as_of: prices.as_of.clone(),
        unpriced: unknown,
        operations: operations.collect(),
    }
}

fn stage_receipt(balance: StageBalance) -> StageReceipt {
    let view = balance.view;
    StageReceipt {
        name: balance.stage,
        items: view.items,
        ok: view.ok,
        reused: view.reused,
        skipped: view.skipped,
        dead: view.dead,
        not_run: balance.not_run,
        attempts: view.attempts,
        failures: view.failures,
        bytes_planned: view.bytes_planned,
        bytes_in: view.bytes_in,
        records: view.records,
        bytes_out: view.bytes_out,
        busy_secs: view.busy_us as f64 / 1e6,
    }
}

/// A time as RFC 3339 in UTC.
pub(crate) fn rfc3339(unix_ms: u64) -> String {
    let time = i64::try_from(unix_ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    time.unwrap_or(jiff::Timestamp::UNIX_EPOCH).to_string()
}
