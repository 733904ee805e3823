//! The table.

use crate::bound::Bound;
use crate::outcome::Outcome;
use crate::restarts::Restarts;

/// One run.
pub struct Row {
    /// Of the trace.
    pub name: String,
    /// Which run of it.
    pub seed: u64,
    /// Slots a machine.
    pub slots: f64,
    /// In the trace.
    pub jobs: usize,
    /// What nothing can be below.
    pub bound: Bound,
    /// What reclaims add to that, on spot machines only.
    pub restarts: Restarts,
    /// What came of it.
    pub outcome: Outcome,
}

impl Row {
    /// Machine-hours over the bound's.
    pub fn ratio(&self) -> f64 {
        self.outcome.billed / self.bound.machine_secs
    }

    /// The share of what was billed in which a slot of a machine that was there did nothing.
    fn idle_share(&self) -> f64 {
        let used = (self.outcome.worked + self.outcome.lost) / self.slots;
        1.0 - (used + self.outcome.booting) / self.outcome.billed
    }

    /// Of a hundred jobs.
    pub fn late_percent(&self) -> f64 {
        100.0 * self.outcome.late.len() as f64 / self.jobs as f64
    }
}

/// Prints the head of the table.
pub fn head() {
    println!(
        "machine-hours over the clairvoyant bound: median [least .. most] of the seeds; the other columns are medians, killed is the sum"
    );
    println!(
        "{:14} {:>5} {:>22} {:>8} {:>8} {:>16} {:>7} {:>9} {:>9} {:>7} {:>7} {:>6} {:>8} {:>7} {:>7} {:>7} {:>7} {:>7}",
        "trace",
        "seeds",
        "hours / bound",
        "bound h",
        "gap",
        "late %",
        "killed",
        "p50",
        "p99",
        "launched",
        "unused",
        "again",
        "acts/h",
        "boot %",
        "idle %",
        "lost %",
        "stay %",
        "usd"
    );
}

/// Prints one line for the runs of one trace.
pub fn rows(rows: &[Row]) {
    let Some(first) = rows.first() else { return };
    let of = |value: &dyn Fn(&Row) -> f64| Spread::of(rows.iter().map(value).collect());
    let ratio = of(&Row::ratio);
    let late = of(&Row::late_percent);
    let completion = |share: f64| of(&|row: &Row| percentile(&row.outcome.completion, share)).median;
    println!(
        "{:14} {:>5} {:>22} {:>8.1} {:>7.1}% {:>16} {:>7} {:>8.0}s {:>8.0}s {:>8.0} {:>7.0} {:>6.0} {:>8.1} {:>6.1}% {:>6.1}% {:>6.1}% {:>6.1}% {:>7.2}",
        first.name,
        rows.len(),
        format!("{:.3} [{:.3} .. {:.3}]", ratio.median, ratio.least, ratio.most),
        of(&|row| row.bound.machine_secs / 3_600.0).median,
        of(&|row| 100.0 * (row.bound.relaxed_secs / row.bound.machine_secs - 1.0)).most,
        format!("{:.1} [{:.1} .. {:.1}]", late.median, late.least, late.most),
        rows.iter().map(|row| row.outcome.killed).sum::<usize>(),
        completion(0.5),
        completion(0.99),
        of(&|row| row.outcome.launched as f64).median,
        of(&|row| row.outcome.unused as f64).median,
        of(&|row| row.outcome.bought_again as f64).median,
        of(&|row| row.outcome.actions as f64 / (row.outcome.end / 3_600.0)).median,
        of(&|row| 100.0 * row.outcome.booting / row.outcome.billed).median,
        of(&|row| 100.0 * row.idle_share()).median,
        of(&|row| 100.0 * row.outcome.lost / row.slots / row.outcome.billed).median,
        of(&|row| 100.0 * row.outcome.billed_staying / row.outcome.billed).median,
        of(&|row| row.outcome.usd).median,
    );
}

struct Spread {
    least: f64,
    median: f64,
    most: f64,
}

impl Spread {
    fn of(mut values: Vec<f64>) -> Self {
        values.sort_unstable_by(f64::total_cmp);
        let at = |place: usize| values.get(place).copied().unwrap_or(f64::NAN);
        Self { least: at(0), median: at(values.len() / 2), most: at(values.len().saturating_sub(1)) }
    }
}

fn percentile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let place = (sorted.len() as f64 * share) as usize;
    sorted.get(place.min(sorted.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
}
