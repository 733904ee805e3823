//! One job in the hands of the leader: what is under way for it outside of its state.

mod copies;
mod pass;
mod repair;
mod send;

use std::collections::{BTreeMap, BTreeSet};

use grid_core::copies::ItemTimes;
use grid_core::ids::{JobId, StageName};
use grid_core::items::plan::Group;
use grid_core::job::{Applied, Job};
use grid_core::layout;
use grid_core::random::Random;
use grid_core::spending::Spending;
use grid_core::wire::Manifest;
use infra::Grid;
use infra::queue::Receipt;
use tokio::time::Instant;

use crate::ManagerError;
use crate::notices::{Notices, refused_queue};
use crate::objects::{create_once, read_manifest};
use crate::redrive::redrive;
use crate::reuse::Reuse;
use crate::submit::encode;
use crate::table::{JobTable, Saved};
use crate::turns::Bill;

/// News of a stage's plan.
#[derive(Debug)]
pub(crate) struct PlanNews {
    pub job: JobId,
    pub stage: StageName,
    pub what: PlanWhat,
}

/// What is new.
#[derive(Debug)]
pub(crate) enum PlanWhat {
    /// Items were found: so many in all so far.
    Items { items: u32, bytes: u64, records: Option<u64>, complete: bool },
    /// The groups are known.
    Groups(Vec<Group>),
    /// What was submitted cannot be planned.
    Refused(String),
    /// A back end failed; it is tried again.
    Broken(infra::Error),
}

/// One job in the hands of the leader.
#[derive(Debug)]
pub(crate) struct Desk {
    pub table: JobTable,
    /// The version of its entry in the list of active jobs under which its rows were looked at.
    pub listed: u64,
    /// What its submission asked of services.
    asked: Spending,
    /// When the job was taken on, Unix milliseconds: messages of what was out then were sent before, if ever.
    taken_on_ms: u64,
    /// Stages that are being planned.
    planning: BTreeSet<StageName>,
    /// Reports whose news is in the job and not yet in its rows.
    acks: Vec<Receipt>,
    /// Reports whose news is in the rows.
    told: Vec<Receipt>,
    unsaved_since: Option<Instant>,
    /// What others are to be told before the rows are written.
    notices: Notices,
    /// What earlier jobs have for this one.
    reuse: Reuse,
    /// There is room again, without anybody reporting it.
    pub is_eager: bool,
    /// Passes that failed in a row.
    pub strikes: u32,
    /// How long items take, by stage.
    times: BTreeMap<StageName, ItemTimes>,
    /// What its tenant was charged for the tasks that are out.
    pub bill: Bill,
}

impl Desk {
    /// Takes on a job: what earlier jobs have for it is found out first.
    pub async fn take_on(grid: &Grid, table: JobTable, (listed, asked): (u64, Spending)) -> Result<Self, ManagerError> {
        let reuse = if table.job.state().is_final() { Reuse::default() } else { Reuse::look(grid, &table.job).await? };
        let mut desk = Self {
            table,
            notices: Notices::default(),
            listed,
            asked,
            taken_on_ms: grid.clock.now_ms(),
            planning: BTreeSet::new(),
            acks: Vec::new(),
            told: Vec::new(),
            unsaved_since: None,
            reuse,
            is_eager: false,
            strikes: 0,
            times: BTreeMap::new(),
            bill: Bill::default(),
        };
        desk.begin(grid);
        Ok(desk)
    }

    /// What follows whenever the job was read.
    fn begin(&mut self, grid: &Grid) {
        self.reuse.stages().for_each(|stage| self.table.job.expect_reuse(stage));
        if let Some(why) = refused_queue(grid, &self.table.job) {
            self.table.job.fail(why, grid.clock.now_ms());
        }
        self.charge_submission();
    }

    /// What the submission asked is in the same row as what is charged first: as long as none says that anything was, it is due.
    fn charge_submission(&mut self) {
        if self.table.job.spending().is_empty() {
            self.table.job.charge(&self.asked);
        }
    }

    /// Looks for the next items in earlier jobs, before they are handed out.
    pub async fn look_for_results(&mut self, grid: &Grid) -> Result<(), ManagerError> {
        while let Some(items) = self.table.job.to_look_for() {
            let is_reusable = self.reuse.is_reusable(grid, &self.table.job, &items).await?;
            self.table.job.looked_for(&items, &is_reusable);
        }
        Ok(())
    }

    /// Takes over what somebody has written into the job's own row, if the job's entry in the list says that there may
    /// be something.
    pub async fn hear_wish(&mut self, grid: &Grid, listed: u64) -> Result<(), ManagerError> {
        if self.listed != listed {
            if self.table.adopt_meta(grid).await? == Saved::Unsure {
                self.reload(grid).await?;
            }
            self.listed = listed;
        }
        Ok(())
    }

    pub fn job(&self) -> &Job {
        &self.table.job
    }

    /// Stages that somebody has to begin planning now; they count as begun.
    pub fn plans_to_begin(&mut self) -> Vec<StageName> {
        let stages = self.table.job.to_plan();
        stages.into_iter().filter(|stage| self.planning.insert(stage.clone())).collect()
    }

    pub fn hear_plan(&mut self, stage: &StageName, what: PlanWhat, now_ms: u64) {
        let job = &mut self.table.job;
        if !job.state().is_under_way() {
            // The rows of a round that has ended change no more: the next one plans again what this one did not.
            self.planning.remove(stage);
            return;
        }
        match what {
            PlanWhat::Items { items, bytes, records, complete } => {
                job.planned(stage, items, bytes, records, complete);
                if !complete {
                    return;
                }
            }
            PlanWhat::Groups(groups) => job.grouped(stage, &groups),
            PlanWhat::Refused(why) => job.fail(why, now_ms),
            PlanWhat::Broken(error) => tracing::warn!(%error, %stage, "planning failed; trying again"),
        }
        self.planning.remove(stage);
    }

    /// What a worker has asked of services since it last told.
    pub fn charge(&mut self, spending: &Spending) {
        self.table.job.charge(spending);
    }

    /// Takes in a manifest, and answers whether it was news; `receipt` is deleted once the news is in the rows.
    pub fn hear_manifest(
        &mut self,
        manifest: &Manifest,
        receipt: Option<Receipt>,
        now_ms: u64,
        random: &mut Random,
    ) -> bool {
        let applied = self.table.job.apply(manifest, now_ms, &mut || random.unit());
        match &applied {
            Applied::Counted => {
                tracing::debug!(stage = %manifest.stage, attempt = %manifest.key(), "counted");
                self.notices.note(&self.table.job, manifest);
                self.bill.ended(manifest);
                self.learn(manifest);
                self.unsaved_since.get_or_insert_with(Instant::now);
            }
            Applied::Stale => {}
            Applied::Malformed(why) => {
                let why = format!("manifest {} of {} cannot be right: {why}", manifest.key(), manifest.stage);
                self.table.job.quarantine(why, now_ms);
            }
        }
        if let Some(receipt) = receipt {
            self.hear_again(receipt);
        }
        applied == Applied::Counted
    }

    /// Commits an attempt of which no worker will report anything, unless somebody came first, and takes in the manifest that stands.
    async fn commit(&mut self, grid: &Grid, manifest: &Manifest, random: &mut Random) -> Result<(), ManagerError> {
        let Manifest { job, stage, .. } = manifest;
        create_once(grid, &layout::manifest(job, stage, manifest.key()), encode(manifest)).await?;
        if let Some(stands) = read_manifest(grid, job, stage, manifest.key()).await? {
            self.hear_manifest(&stands, None, grid.clock.now_ms(), random);
        }
        Ok(())
    }

    /// A report says what was heard before: it is deleted once that is in the rows.
    pub fn hear_again(&mut self, receipt: Receipt) {
        self.acks.push(receipt);
        self.unsaved_since.get_or_insert_with(Instant::now);
    }

    /// Reports whose news is in the rows by now.
    pub fn take_told(&mut self) -> Vec<Receipt> {
        std::mem::take(&mut self.told)
    }

    /// Fulfils the wish that failed items run again, where there is one.
    pub async fn redrive(&mut self, grid: &Grid) -> Result<(), ManagerError> {
        if redrive(grid, &mut self.table.job).await? {
            self.unsaved_since.get_or_insert_with(Instant::now);
        }
        Ok(())
    }

    /// Since when there is news that no row holds.
    pub fn unsaved_since(&self) -> Option<Instant> {
        self.unsaved_since
    }
}
