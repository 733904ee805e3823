//! Progress on a terminal: one bar a stage, drawn again a few times a second.

use std::collections::BTreeMap;
use std::time::Duration;

use grid_api::{JobStatus, StageStatus};
use grid_core::ids::StageName;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::meter::{Meter, Pace, complete, ended};
use super::words;

/// Bars at once: a screen is seldom higher than 24 lines, and the shell's prompt should stay in sight.
const MAX_BARS: usize = 16;

/// Columns of a stage's name: a bar that is wider than the screen is drawn over two lines, and then over others.
const MAX_NAME: usize = 24;

/// The bars of one job.
#[derive(Debug)]
pub struct Bars {
    screen: MultiProgress,
    bars: BTreeMap<StageName, ProgressBar>,
    meter: Meter,
}

impl Bars {
    /// No bars yet, on this screen.
    pub fn on(screen: MultiProgress) -> Self {
        Self { screen, bars: BTreeMap::new(), meter: Meter::default() }
    }

    /// Draws what is known at `at`.
    pub fn draw(&mut self, status: &JobStatus, at: Duration) {
        let paces = self.meter.observe(status, at);
        let width = status.stages.iter().map(|stage| short(stage.name.as_str()).chars().count()).max().unwrap_or(0);
        let shown = shown(&status.stages);
        self.bars.retain(|name, bar| {
            let stays = shown.iter().any(|place| status.stages[*place].name == *name);
            if !stays {
                self.screen.remove(bar);
            }
            stays
        });
        for (row, place) in shown.into_iter().enumerate() {
            let stage = &status.stages[place];
            let screen = &self.screen;
            let bar = self.bars.entry(stage.name.clone()).or_insert_with(|| screen.insert(row, new_bar(stage, width)));
            update(bar, stage, paces[place]);
        }
    }

    /// Takes the bars away: the receipt says the same.
    pub fn clear(&self) {
        let _ = self.screen.clear();
    }
}

/// The places of the stages that get a bar: all while they fit, else first those at work, then those to come.
fn shown(stages: &[StageStatus]) -> Vec<usize> {
    let mut places: Vec<usize> = (0..stages.len()).collect();
    if places.len() > MAX_BARS {
        places.sort_by_key(|place| match &stages[*place] {
            stage if complete(stage) => (2, usize::MAX - place),
            stage if stage.running > 0 => (0, *place),
            _ => (1, *place),
        });
        places.truncate(MAX_BARS);
        places.sort_unstable();
    }
    places
}

fn new_bar(stage: &StageStatus, width: usize) -> ProgressBar {
    // Hidden until it has its place: it would draw itself where the cursor is.
    let bar = ProgressBar::with_draw_target(Some(stage.items), ProgressDrawTarget::hidden());
    bar.set_style(style());
    bar.set_prefix(format!("{:<width$}", short(stage.name.as_str())));
    bar
}

/// The name, or its beginning and its end.
fn short(name: &str) -> String {
    let letters: Vec<char> = name.chars().collect();
    if letters.len() <= MAX_NAME {
        return name.to_owned();
    }
    let half = (MAX_NAME - 1) / 2;
    letters[..half].iter().chain(&['…']).chain(&letters[letters.len() - (MAX_NAME - 1 - half)..]).collect()
}

fn update(bar: &ProgressBar, stage: &StageStatus, pace: Pace) {
    bar.set_length(stage.items.max(1));
    // A stage without items is as done as it will ever be.
    bar.set_position(if complete(stage) { stage.items.max(1) } else { ended(stage) });
    bar.set_message(words::stage_words(stage, pace));
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{prefix} {bar:24.cyan/dim} {wide_msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("━╸─")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::tests::{job, stage};

    #[test]
    fn the_template_is_sound() {
        assert!(ProgressStyle::with_template("{prefix} {bar:24.cyan/dim} {wide_msg}").is_ok());
    }

    #[test]
    fn long_names_keep_their_beginning_and_their_end() {
        assert_eq!(short("department-summaries-eur"), "department-summaries-eur");
        assert_eq!(short("summaries-of-departments-2024"), "summaries-o…rtments-2024");
    }

    #[test]
    fn of_many_stages_those_at_work_are_shown() {
        let mut stages: Vec<StageStatus> = (0..40).map(|n| stage(&format!("s{n:02}"), 5)).collect();
        for done in &mut stages[..30] {
            done.ok = 5;
        }
        stages[30].running = 2;
        stages[39].running = 1;
        let places = shown(&stages);
        assert_eq!(places, [24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39]);
    }

    #[test]
    fn bars_come_and_go_with_the_stages() {
        let mut bars = Bars::on(MultiProgress::with_draw_target(ProgressDrawTarget::hidden()));
        bars.draw(&job(vec![stage("a", 4), stage("b", 0)]), Duration::ZERO);
        let positions: Vec<u64> = bars.bars.values().map(ProgressBar::position).collect();
        assert_eq!(positions, [0, 1], "an empty stage is complete");
        bars.draw(&job(vec![stage("b", 0)]), Duration::from_secs(1));
        assert_eq!(bars.bars.len(), 1);
    }
}
