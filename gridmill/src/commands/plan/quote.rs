//! Time and cost of a job before it runs, by what earlier jobs of the same pipeline took, or a pilot.

use std::collections::BTreeMap;
use std::num::NonZero;

use grid_api::{JobState, StageStatus};
use grid_core::ids::{JobId, StageName};
use grid_core::quote::{self, Past, Range, Size};
use serde::Serialize;

use crate::cli::{PlaceArgs, PlanArgs};
use crate::exit::Outcome;
use crate::place::Place;
use crate::text;

/// Earlier jobs that are looked at, the newest ones of all pipelines.
const LOOKED_AT: usize = 100;

/// Jobs of this pipeline that count: what it did long ago tells less.
const COUNTED: usize = 10;

const HOUR_SECS: f64 = 3_600.0;

/// What earlier jobs of a pipeline took.
#[derive(Debug, Default, PartialEq)]
pub struct History {
    jobs: usize,
    stages: BTreeMap<StageName, Vec<Past>>,
}

/// Time and cost.
#[derive(Debug, PartialEq, Serialize)]
pub struct Quote {
    /// Earlier jobs that tell.
    jobs: usize,
    /// Stages of which none tells: they are in no number.
    unknown: Vec<StageName>,
    /// Slot time of the other stages.
    slot_secs: Range,
    /// Items at once.
    slots: u32,
    /// From beginning to end on so many slots.
    elapsed_secs: Range,
    /// Of slot time, where it has a price.
    #[serde(skip_serializing_if = "Option::is_none")]
    usd: Option<Range>,
}

impl History {
    /// What succeeded jobs of the pipeline of that name took, here or at a manager, and how far its pilot came. Where there
    /// is no state folder yet, nothing is known.
    pub async fn of(args: &PlaceArgs, pipeline: &str, pilot: Option<&JobId>) -> Outcome<Self> {
        if let PlaceArgs::State(state) = args
            && !state.exists()
        {
            return Ok(Self::default());
        }
        let place = Place::open(args)?;
        let mut jobs = place.newest(Some(JobState::Succeeded), LOOKED_AT).await?;
        if let Some(pilot) = pilot.filter(|pilot| jobs.iter().all(|job| job.job != **pilot)) {
            jobs.insert(0, place.chosen(Some(pilot.as_str())).await?);
        }
        let mut history = Self::default();
        for job in jobs.into_iter().filter(|job| job.pipeline == pipeline) {
            if history.jobs == COUNTED {
                break;
            }
            history.add(&job.stages);
        }
        Ok(history)
    }

    fn add(&mut self, stages: &[StageStatus]) {
        let mut tells = false;
        for stage in stages {
            let items = stage.ok.saturating_sub(stage.reused);
            if items == 0 {
                continue;
            }
            // What was taken over was read by nobody; its bytes are counted all the same.
            let bytes = if stage.reused == 0 { stage.bytes_in } else { 0 };
            let past = Past { items, bytes, busy_secs: stage.busy_secs };
            self.stages.entry(stage.name.clone()).or_default().push(past);
            tells = true;
        }
        self.jobs += usize::from(tells);
    }

    /// Slot time of a stage.
    pub fn slot_secs(&self, stage: &StageName, size: Size) -> Option<Range> {
        quote::slot_secs(size, self.stages.get(stage)?)
    }
}

impl Quote {
    /// Of the stages that are known, with their numbers of items.
    pub fn new(history: &History, known: &[(Range, u64)], unknown: Vec<StageName>, args: &PlanArgs) -> Self {
        let cores = || std::thread::available_parallelism().map_or(1, NonZero::get);
        let slots = args.workers.unwrap_or_else(|| u32::try_from(cores()).unwrap_or(1));
        let slot_secs: Range = known.iter().map(|(range, _)| *range).sum();
        Self {
            jobs: history.jobs,
            unknown,
            slot_secs,
            slots,
            elapsed_secs: quote::elapsed(known, slots),
            usd: args.usd_per_slot_hour.map(|usd| slot_secs.times(usd.dollars() / HOUR_SECS)),
        }
    }

    /// In words.
    pub fn shown(&self) -> String {
        if self.jobs == 0 {
            let pilot = "a pilot would tell: --pilot 30s";
            return format!("no quote: no job of this pipeline has ended here that tells how long it takes; {pilot}\n");
        }
        let jobs = text::counted(self.jobs as u64, "earlier job");
        let time = between(self.elapsed_secs, text::seconds);
        let at_once = text::counted(u64::from(self.slots), "slot");
        let mut words = format!("by {jobs}: {time} on {at_once}");
        match self.usd {
            Some(usd) => words.push_str(&format!(", ${} of slot time", between(usd, dollars))),
            None => words.push_str("; slot time costs nothing here, unless --usd-per-slot-hour says what it costs"),
        }
        if !self.unknown.is_empty() {
            let names: Vec<&str> = self.unknown.iter().map(StageName::as_str).collect();
            words.push_str(&format!("; without {}, of which nothing is known", names.join(", ")));
        }
        words.push('\n');
        words
    }
}

/// `LEAST to MOST, likely LIKELY`.
pub fn between(range: Range, shown: impl Fn(f64) -> String) -> String {
    let (least, likely, most) = (shown(range.least), shown(range.likely), shown(range.most));
    if least == most { least } else { format!("{least} to {most} (likely {likely})") }
}

/// Two digits that count.
fn dollars(usd: f64) -> String {
    let places = if usd >= 0.1 || usd <= 0.0 { 2 } else { (1.0 - usd.log10().floor()).min(9.0) as usize };
    format!("{usd:.places$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(name: &str, ok: u64, reused: u64, busy_secs: f64) -> StageStatus {
        let json = serde_json::json!({
            "name": name, "items": ok, "planned": true, "ok": ok, "reused": reused, "skipped": 0, "dead": 0,
            "failed": false, "running": 0, "attempts": ok, "failures": {}, "bytes_planned": 0, "bytes_in": 0,
            "bytes_out": 0, "busy_secs": busy_secs,
        });
        serde_json::from_value(json).expect("it is a status")
    }

    #[test]
    fn only_what_was_run_tells() {
        let mut history = History::default();
        history.add(&[status("a", 10, 10, 0.0)]);
        assert_eq!(history, History::default());
        history.add(&[status("a", 10, 4, 12.0), status("b", 1, 1, 0.0)]);
        assert_eq!(history.jobs, 1);
        let size = Size { items: 100, bytes: None };
        let known = history.slot_secs(&StageName::new("a"), size).map(|range| range.likely);
        assert_eq!((known, history.slot_secs(&StageName::new("b"), size)), (Some(200.0), None));
    }

    #[test]
    fn small_sums_keep_two_digits() {
        assert_eq!([0.0, 12.345, 0.1, 0.0123, 0.000_045].map(dollars), ["0.00", "12.35", "0.10", "0.012", "0.000045"]);
    }
}
