//! The end of a job: the receipt that must balance, and the tombstone that stops what runs.

use grid_api::{CopiesReceipt, OperationReceipt, Receipt, RequestsReceipt, SlotTimeReceipt, StageReceipt};
use grid_core::ids::JobId;
use grid_core::job::{Balance, Copies, Ended, Job, JobState, StageBalance};
use grid_core::layout;
use grid_core::limits::WIRE_VERSION;
use grid_core::price::{Cost, PriceList, Usd};
use grid_core::spending::Spending;
use infra::objects::ObjectStore;
use infra::{ErrorKind, Grid};

use crate::ManagerError;
use crate::objects::create_once;
use crate::submit::encode;

/// Writes the receipt of a job whose end its rows hold, unless it is there: the first one stands, and the rows follow it.
pub(crate) async fn finish(grid: &Grid, job: &mut Job, prices: &PriceList) -> Result<(), ManagerError> {
    let key = layout::receipt(&job.submission().job, job.round());
    let mut receipt = receipt_of(job, prices, grid.clock.now_ms());
    match grid.objects.create(&key, encode(&receipt).into()).await {
        Ok(()) => {}
        Err(error) if error.kind == ErrorKind::Conflict => {
            let there = read_receipt(grid.objects.as_ref(), &job.submission().job, job.round()).await?;
            let gone = || infra::Error::new(ErrorKind::Unavailable, format!("{key} is there and cannot be read"));
            receipt = there.ok_or_else(gone)?;
        }
        Err(error) => return Err(error.into()),
    }
    job.receipt_written(ended(receipt).map_err(|error| ManagerError::damaged(&key, error))?);
    Ok(())
}

/// Tells the workers that a round of a job is stopped.
pub(crate) async fn tombstone(grid: &Grid, job: &Job) -> Result<(), ManagerError> {
    create_once(grid, &layout::tombstone(&job.submission().job, job.round()), Vec::new()).await
}

/// The receipt of a round of a job; `None` while there is none.
pub(crate) async fn read_receipt(objects: &dyn ObjectStore, job: &JobId, round: u32) -> infra::Result<Option<Receipt>> {
    let key = layout::receipt(job, round);
    match objects.get(&key, None).await {
        Ok(body) => serde_json::from_slice(&body)
            .map(Some)
            .map_err(|error| infra::Error::caused(ErrorKind::Invalid, format!("{key} is no receipt"), error)),
        Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// How a job ended, by its receipt.
pub(crate) fn ended(receipt: Receipt) -> Result<Ended, jiff::Error> {
    let Receipt { state, message, finished, .. } = receipt;
    let finished: jiff::Timestamp = finished.parse()?;
    Ok(Ended { state, message, finished_ms: finished.as_millisecond().try_into().unwrap_or_default() })
}

fn receipt_of(job: &Job, prices: &PriceList, now_ms: u64) -> Receipt {
    let balance = job.balance();
    let (state, message) = match (job.state(), balance.faults.is_empty()) {
        (JobState::Committing, true) => (JobState::Succeeded, None),
        (JobState::Committing, false) => {
            let why = format!("the receipt does not balance: {}", balance.faults.join("; "));
            (JobState::Quarantined, Some(why))
        }
        (state, _) => (state, job.message().map(str::to_owned)),
    };
    let cost = prices.cost(&job.spending());
    let busy_us = balance.stages.iter().map(|stage| stage.view.busy_us + stage.view.copies.lost_us).sum();
    let slot_usd = prices.slot_time(busy_us);
    Receipt {
        usd: slot_usd.map(|usd| (usd + cost.usd).to_string()),
        requests: Some(requests(&job.spending(), cost, prices)),
        slot_time: slot_usd.zip(prices.slot_hour()).map(|(usd, hour)| slot_time(busy_us, usd, hour)),
        ..receipt(job, state, message, balance, now_ms)
    }
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
        slot_time: None,
        usd: None,
    }
}

fn slot_time(busy_us: u64, usd: Usd, hour: Usd) -> SlotTimeReceipt {
    SlotTimeReceipt { secs: busy_us as f64 / 1e6, usd_per_hour: hour.to_string(), usd: usd.to_string() }
}

fn requests(spending: &Spending, cost: Cost, prices: &PriceList) -> RequestsReceipt {
    let operations = spending.iter().map(|(operation, asked)| OperationReceipt {
        operation: operation.to_owned(),
        requests: asked.requests,
        units: asked.units(),
    });
    RequestsReceipt {
        total: spending.requests(),
        usd: cost.usd.to_string(),
        region: prices.region.clone(),
        as_of: prices.as_of.clone(),
        unpriced: cost.unknown,
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
        copies: (view.copies != Copies::default()).then(|| copies_receipt(view.copies)),
    }
}

fn copies_receipt(copies: Copies) -> CopiesReceipt {
    CopiesReceipt { started: copies.started, won: copies.won, lost_secs: copies.lost_us as f64 / 1e6 }
}

/// A time as RFC 3339 in UTC.
pub(crate) fn rfc3339(unix_ms: u64) -> String {
    let time = i64::try_from(unix_ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    time.unwrap_or(jiff::Timestamp::UNIX_EPOCH).to_string()
}
