//! One job in the hands of the leader: what is under way for it outside of its state.

use std::collections::BTreeSet;

use grid_core::ids::{AttemptKey, JobId, StageName, WorkerId};
use grid_core::items::plan::Group;
use grid_core::job::{Applied, Ending, Job, JobState, Message, TaskPhase};
use grid_core::limits::{MAX_DEATHS, MAX_RESENDS, QUEUE_BATCH};
use grid_core::pipeline::ItemSource;
use grid_core::spending::Spending;
use grid_core::split::Slice;
use grid_core::submission::Submission;
use grid_core::wire::{Manifest, to_ascii_json};
use grid_core::{layout, random::Random};
use infra::plan::PlanReader;
use infra::queue::Receipt;
use infra::{ErrorKind, Grid};
use tokio::time::Instant;

use crate::ManagerError;
use crate::accounts::Accounts;
use crate::finish::{finish, tombstone};
use crate::lease::check_lead;
use crate::notices::{Notices, refused_queue};
use crate::reconcile::Surroundings;
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
    /// What its tenant was charged for the tasks that are out.
    pub bill: Bill,
}

impl Desk {
    /// Takes on a job: what earlier jobs have for it is found out first.
    pub async fn take_on(
        grid: &Grid,
        mut table: JobTable,
        (listed, asked): (u64, Spending),
    ) -> Result<Self, ManagerError> {
        let reuse = if table.job.state().is_final() { Reuse::default() } else { Reuse::look(grid, &table.job).await? };
        reuse.stages().for_each(|stage| table.job.expect_reuse(stage));
        if let Some(why) = refused_queue(grid, &table.job) {
            table.job.fail(why, grid.clock.now_ms());
        }
        let mut desk = Self {
            table,
            notices: Notices::default(),
            listed,
            asked,
            planning: BTreeSet::new(),
            acks: Vec::new(),
            told: Vec::new(),
            unsaved_since: None,
            reuse,
            is_eager: false,
            strikes: 0,
            bill: Bill::default(),
        };
        desk.charge_submission();
        Ok(desk)
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

    /// Commits what earlier jobs have of the tasks that are due, in place of sending them.
    async fn commit_reused(&mut self, grid: &Grid, random: &mut Random) -> Result<(), ManagerError> {
        if self.reuse.stages().next().is_none() {
            return Ok(());
        }
        for message in self.table.job.due() {
            let Some(manifest) = self.reuse.manifest(grid, &self.table.job, &message.task).await? else { continue };
            let key = message.task.key();
            create_once(grid, &layout::manifest(&manifest.job, &manifest.stage, key), encode(&manifest)).await?;
            if let Some(manifest) = read_manifest(grid, &manifest.job, &manifest.stage, key).await? {
                self.hear_manifest(&manifest, None, grid.clock.now_ms(), random);
                self.is_eager = true;
            }
        }
        Ok(())
    }

    /// Takes over what somebody has written into the job's own row, if the job's entry in the list says that there may
    /// be something.
    pub async fn hear_wish(&mut self, grid: &Grid, listed: u64) -> Result<(), ManagerError> {
        if self.listed != listed {
            self.table.adopt_meta(grid).await?;
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
        match what {
            PlanWhat::Items { items, bytes, records, complete } => {
                job.planned(stage, items, bytes, records, complete);
                if complete {
                    self.planning.remove(stage);
                }
            }
            PlanWhat::Groups(groups) => {
                job.grouped(stage, &groups);
                self.planning.remove(stage);
            }
            PlanWhat::Refused(why) => job.fail(why, now_ms),
            PlanWhat::Broken(error) => {
                tracing::warn!(%error, %stage, "planning failed; trying again");
                self.planning.remove(stage);
            }
        }
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

    /// A report says what was heard before: it is deleted once that is in the rows.
    pub fn hear_again(&mut self, receipt: Receipt) {
        self.acks.push(receipt);
        self.unsaved_since.get_or_insert_with(Instant::now);
    }

    /// Reports whose news is in the rows by now.
    pub fn take_told(&mut self) -> Vec<Receipt> {
        std::mem::take(&mut self.told)
    }

    /// Hands out tasks, writes what changed, sends what is due. `Ok(true)` when the job is over and written.
    pub async fn pass(
        &mut self,
        grid: &Grid,
        epoch: u64,
        flush_due: bool,
        random: &mut Random,
        accounts: &Accounts,
    ) -> Result<bool, ManagerError> {
        self.is_eager = false;
        let ending = self.table.job.settle(grid.clock.now_ms());
        let has_due = self.table.job.out().any(|(_, task)| task.phase == TaskPhase::Due);
        if !(ending.is_some() || self.table.job.state().is_final() || has_due || flush_due) {
            return Ok(false);
        }
        if !self.tell_others(grid).await? {
            return Ok(false);
        }
        if ending.is_some() || self.table.job.is_dirty() {
            accounts.charge(&mut self.table.job);
        }
        if let Some(ending) = ending {
            self.end(grid, ending, accounts).await?;
        }
        let is_over = self.table.job.state().is_final();
        if self.table.save(grid, epoch).await? == Saved::Unsure {
            check_lead(grid, epoch).await?;
            self.reload(grid).await?;
            return Ok(false);
        }
        self.unsaved_since = None;
        self.told.append(&mut self.acks);
        if has_due && !is_over {
            self.commit_reused(grid, random).await?;
            self.send_due(grid).await?;
        }
        Ok(is_over)
    }

    /// Tells others what was committed. `Ok(false)` when they cannot be told now: then no row may say that it was.
    async fn tell_others(&mut self, grid: &Grid) -> Result<bool, ManagerError> {
        if self.notices.tell(grid, &self.table.job).await? {
            return Ok(true);
        }
        if self.table.job.state() == JobState::Cancelled {
            // Nobody waits for it any longer: what others were not told of does not count.
            self.reload(grid).await?;
            return Ok(true);
        }
        self.unsaved_since = Some(Instant::now());
        Ok(false)
    }

    async fn end(&mut self, grid: &Grid, ending: Ending, accounts: &Accounts) -> Result<(), ManagerError> {
        match ending {
            Ending::Commit | Ending::Over => {}
            Ending::Stop => tombstone(grid, &self.table.job).await?,
        }
        finish(grid, &mut self.table.job, &accounts.prices).await
    }

    /// Writes what changed, whether or not anything waits for it.
    pub async fn close(&mut self, grid: &Grid, epoch: u64, accounts: &Accounts) -> Result<(), ManagerError> {
        if !self.tell_others(grid).await? {
            return Ok(());
        }
        if self.table.job.is_dirty() {
            accounts.charge(&mut self.table.job);
        }
        if let Some(ending) = self.table.job.owed() {
            self.end(grid, ending, accounts).await?;
        }
        if self.table.save(grid, epoch).await? == Saved::All {
            self.told.append(&mut self.acks);
        }
        Ok(())
    }

    /// Since when there is news that no row holds.
    pub fn unsaved_since(&self) -> Option<Instant> {
        self.unsaved_since
    }

    /// Gives up what kills its workers. Looks for the manifests of tasks of which nothing is known, and of those that are silent; where there is none,
    /// and no message can be left either, the task is sent again.
    pub async fn reconcile(
        &mut self,
        grid: &Grid,
        around: &Surroundings,
        random: &mut Random,
    ) -> Result<(), ManagerError> {
        self.give_up_poison(grid, random).await?;
        let job = self.job().submission().job.clone();
        let is_silent = |phase: TaskPhase| match phase {
            TaskPhase::Unknown => true,
            TaskPhase::Sent { at_ms } => at_ms < around.silent_before_ms,
            TaskPhase::Waiting { .. } | TaskPhase::Due => false,
        };
        let silent: Vec<_> = (self.job().out())
            .filter(|(_, task)| is_silent(task.phase))
            .map(|(stage, task)| (stage.clone(), task.key(), task.phase))
            .filter(|(stage, key, _)| !around.running.contains(&(job.clone(), stage.clone(), *key)))
            .collect();
        for (stage, key, phase) in silent {
            if let Some(manifest) = read_manifest(grid, &job, &stage, key).await? {
                self.hear_manifest(&manifest, None, grid.clock.now_ms(), random);
            } else if around.is_caught_up && phase == TaskPhase::Unknown {
                self.table.job.not_found(&stage, key);
            } else if around.is_caught_up {
                self.resend(grid, &stage, key, random).await?;
            }
        }
        Ok(())
    }

    async fn resend(
        &mut self,
        grid: &Grid,
        stage: &StageName,
        key: AttemptKey,
        random: &mut Random,
    ) -> Result<(), ManagerError> {
        let resends = self.table.job.resend(stage, key);
        tracing::warn!(%stage, attempt = %key, resends, "nothing was heard of a task; sending it again");
        if resends <= MAX_RESENDS {
            return Ok(());
        }
        let why = format!("it was sent again {MAX_RESENDS} times, and nothing was ever heard of it");
        self.give_up(grid, stage, key, &why, random).await
    }

    /// A worker fell silent while it ran an attempt.
    pub fn worker_died(&mut self, stage: &StageName, key: AttemptKey, worker: &WorkerId) {
        self.table.job.worker_died(stage, key, worker);
        self.unsaved_since.get_or_insert_with(Instant::now);
    }

    /// Gives up the attempts under which too many workers died.
    async fn give_up_poison(&mut self, grid: &Grid, random: &mut Random) -> Result<(), ManagerError> {
        let is_poison = |died: usize| died >= MAX_DEATHS as usize;
        let poison: Vec<_> = (self.job().out())
            .filter(|(_, task)| is_poison(task.died.len()))
            .map(|(stage, task)| (stage.clone(), task.key(), task.died.len()))
            .collect();
        for (stage, key, deaths) in poison {
            let why = format!("{deaths} workers died or fell silent while they ran it");
            self.give_up(grid, &stage, key, &why, random).await?;
        }
        Ok(())
    }

    /// The queue has received an attempt's message so often that it keeps it no longer. That may be the doing of many
    /// drains: what becomes of the attempt is for its manifest to say, and for the deaths of workers.
    pub async fn queue_gave_up(
        &mut self,
        grid: &Grid,
        stage: &StageName,
        key: AttemptKey,
        random: &mut Random,
    ) -> Result<(), ManagerError> {
        let job = self.job().submission().job.clone();
        match read_manifest(grid, &job, stage, key).await? {
            Some(manifest) => _ = self.hear_manifest(&manifest, None, grid.clock.now_ms(), random),
            None => self.resend(grid, stage, key, random).await?,
        }
        Ok(())
    }

    /// An attempt of which nobody will report anything: its failure is committed here, unless it did end after all.
    async fn give_up(
        &mut self,
        grid: &Grid,
        stage: &StageName,
        key: AttemptKey,
        why: &str,
        random: &mut Random,
    ) -> Result<(), ManagerError> {
        let bytes_in = self.bytes_in(grid, stage, key).await?;
        let Some(lost) = self.job().lost_manifest(stage, key, bytes_in, why) else { return Ok(()) };
        create_once(grid, &layout::manifest(&lost.job, stage, key), encode(&lost)).await?;
        if let Some(manifest) = read_manifest(grid, &lost.job, stage, key).await? {
            self.hear_manifest(&manifest, None, grid.clock.now_ms(), random);
        }
        Ok(())
    }

    /// Bytes of the job's input in a task that is out: they count as read, whoever gives up on them.
    async fn bytes_in(&self, grid: &Grid, stage: &StageName, key: AttemptKey) -> Result<u64, ManagerError> {
        let Submission { job, pipeline, .. } = &**self.job().submission();
        let cuts_input = pipeline.stage(stage).is_some_and(|stage| matches!(stage.items, ItemSource::Split(_)));
        let Some(task) = self.job().out_task(stage, key).filter(|_| cuts_input) else { return Ok(0) };
        let plans = PlanReader::new(grid.objects.clone());
        let slices = plans.slices(job, stage, task.first, task.count).await?;
        Ok(slices.iter().map(Slice::bytes).sum())
    }

    /// Reads the job again: what it holds beyond its rows is not to be relied on.
    async fn reload(&mut self, grid: &Grid) -> Result<(), ManagerError> {
        let id = self.job().submission().job.clone();
        self.table = JobTable::load(grid, &id).await?;
        self.reuse.stages().for_each(|stage| self.table.job.expect_reuse(stage));
        self.planning.clear();
        // Their news may not be in the rows: they come again.
        self.acks.clear();
        self.notices.clear();
        self.unsaved_since = None;
        self.charge_submission();
        Ok(())
    }

    /// Sends every due task. What could not be sent stays due.
    async fn send_due(&mut self, grid: &Grid) -> Result<(), ManagerError> {
        let messages = self.table.job.due();
        for batch in messages.chunks(QUEUE_BATCH) {
            list_inputs(grid, batch).await?;
            let bodies = batch.iter().map(|message| to_ascii_json(&message.task)).collect::<Result<Vec<_>, _>>();
            let bodies = bodies.map_err(|error| ManagerError::damaged("a task message", error))?;
            let answers = match grid.tasks.send(&bodies).await {
                Ok(answers) => answers,
                Err(error) => {
                    tracing::warn!(%error, "tasks were not sent; they stay due");
                    return Ok(());
                }
            };
            let now_ms = grid.clock.now_ms();
            for (message, answer) in batch.iter().zip(answers) {
                match answer {
                    Ok(()) => self.table.job.sent(&message.task.stage, message.task.key(), now_ms),
                    Err(error) => tracing::warn!(%error, "a task was not sent; it stays due"),
                }
            }
        }
        Ok(())
    }
}

/// Writes the inputs that are too many for their messages.
async fn list_inputs(grid: &Grid, messages: &[Message]) -> Result<(), ManagerError> {
    for (key, inputs) in messages.iter().filter_map(|message| message.listed.as_ref()) {
        create_once(grid, key, encode(inputs)).await?;
    }
    Ok(())
}

/// Writes an object unless there is one: whoever wrote that, it says the same or it came first.
async fn create_once(grid: &Grid, key: &str, body: Vec<u8>) -> Result<(), ManagerError> {
    match grid.objects.create(key, body.into()).await {
        Err(error) if error.kind != ErrorKind::Conflict => Err(error.into()),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Reads the manifest of an attempt, if there is one.
pub(crate) async fn read_manifest(
    grid: &Grid,
    job: &JobId,
    stage: &StageName,
    key: AttemptKey,
) -> Result<Option<Manifest>, ManagerError> {
    let object = layout::manifest(job, stage, key);
    match grid.objects.get(&object, None).await {
        Ok(body) => serde_json::from_slice(&body).map(Some).map_err(|error| ManagerError::damaged(object, error)),
        Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}
