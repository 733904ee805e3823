//! Jobs of items that do nothing, through a whole grid.

use std::path::Path;
use std::time::Duration;

use anyhow::ensure;
use tokio::runtime::{Builder, Runtime};

use super::grid::LiveGrid;
use super::{Meter, Said};
use crate::cost::peak_kib;
use crate::rounds::median;

/// A job of so many items; memory is compared with a grid that has nothing to do.
pub fn noop(items: u64, folder: &Path) -> anyhow::Result<Said> {
    runtime()?.block_on(async {
        let mut grid = LiveGrid::start(folder)?;
        warm_up(&mut grid).await?;
        let idle_kib = peak_kib()?;
        let meter = Meter::start();
        let (ok, submit_us) = one_job(&mut grid, &pipeline("noop", items), &meter).await?;
        let said = meter.read();
        ensure!(ok == items, "{ok} of {items} items were committed");
        grid.stop().await?;
        Ok(Said { idle_kib, peak_kib: peak_kib()?, submit_us, ..said })
    })
}

/// The median job of one item, out of so many, one after the other.
pub fn latency(jobs: u64, folder: &Path) -> anyhow::Result<Said> {
    runtime()?.block_on(async {
        let mut grid = LiveGrid::start(folder)?;
        warm_up(&mut grid).await?;
        let mut said = Vec::new();
        for number in 0..jobs {
            let pipeline = pipeline(&format!("trivial-{number}"), 1);
            let meter = Meter::start();
            one_job(&mut grid, &pipeline, &meter).await?;
            said.push(meter.read());
        }
        grid.stop().await?;
        let middle = |of: fn(&Said) -> f64| median(said.iter().map(of));
        Ok(Said { cpu_us: middle(|said| said.cpu_us), wall_us: middle(|said| said.wall_us), ..Said::default() })
    })
}

/// The runtime of `gridmill run`.
fn runtime() -> std::io::Result<Runtime> {
    Builder::new_multi_thread().worker_threads(2).enable_all().build()
}

/// A job before those that are measured, so that the worker is known and every file is open.
async fn warm_up(grid: &mut LiveGrid) -> anyhow::Result<()> {
    one_job(grid, &pipeline("warm-up", 1), &Meter::start()).await?;
    // What is left of it - its row, its reports - is cleared behind it.
    tokio::time::sleep(Duration::from_millis(200)).await;
    Ok(())
}

/// Items that were committed, and the microseconds at which the job was submitted.
async fn one_job(grid: &mut LiveGrid, pipeline: &str, meter: &Meter) -> anyhow::Result<(u64, f64)> {
    let job = grid.submit(pipeline).await?;
    let submit_us = meter.read().wall_us;
    Ok((grid.wait(&job).await?, submit_us))
}

fn pipeline(name: &str, items: u64) -> String {
    format!("name: {name}\nstages:\n  work:\n    range: 1..{items}\n    run: [/bin/true]\n")
}
