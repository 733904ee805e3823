//! What the items of a job are, so that a later job can take their results.

use futures::future::BoxFuture;
use grid_core::identity::{self, ItemIdentity};
use grid_core::ids::{ItemIndex, StageItems, StageName};
use grid_core::items::Key;
use grid_core::job::{Job, MadeOf};
use grid_core::pipeline::ItemSource;
use grid_core::wire::KeySource;
use infra::Grid;
use infra::inputs::SliceReader;
use infra::plan::PlanReader;

use crate::ManagerError;

/// Tells the identities of a job's items.
pub(crate) struct IdentityReader<'a> {
    job: &'a Job,
    plans: PlanReader,
    slices: &'a SliceReader,
}

impl<'a> IdentityReader<'a> {
    pub fn new(grid: &Grid, job: &'a Job, slices: &'a SliceReader) -> Self {
        Self { job, plans: PlanReader::new(grid.objects.clone()), slices }
    }

    pub fn identity<'b>(
        &'b self,
        stage: &'b StageName,
        item: ItemIndex,
    ) -> BoxFuture<'b, Result<ItemIdentity, ManagerError>> {
        Box::pin(async move {
            match self.job.made_of(stage, item) {
                MadeOf::Itself => self.own(stage, item).await,
                MadeOf::Item(member, item) => {
                    let identity = self.identity(&member, item).await?;
                    Ok(identity::of_member(self.place(stage, &member), identity))
                }
                MadeOf::Items(members) => {
                    let mut identities = Vec::new();
                    for members in members {
                        for item in members.first..members.first + members.count {
                            // What was left out changes what is made of the others.
                            if self.job.is_ok(&members.stage, item) {
                                let identity = self.identity(&members.stage, item).await?;
                                identities.push((self.place(stage, &members.stage), identity));
                            }
                        }
                    }
                    Ok(identity::of_members(&self.key(stage, item).await?, identities.iter()))
                }
            }
        })
    }

    /// The place of a stage among those that `stage` reads; its own combiners come after them.
    fn place(&self, stage: &StageName, member: &StageName) -> u32 {
        let upstream = self.job.submission().pipeline.stage(stage).map(|stage| stage.items.upstream());
        let place = upstream.iter().flat_map(|names| names.iter()).position(|name| name == member);
        place.and_then(|place| u32::try_from(place).ok()).unwrap_or(u32::MAX)
    }

    async fn own(&self, stage: &StageName, item: ItemIndex) -> Result<ItemIdentity, ManagerError> {
        let submission = self.job.submission();
        let key = self.key(stage, item).await?;
        let Some(ItemSource::Split(split)) = submission.pipeline.stage(stage).map(|stage| &stage.items) else {
            return Ok(identity::of_key(&key));
        };
        let files = submission.inputs.get(&split.input).map_or(&[][..], Vec::as_slice);
        let slice = self.plans.slice(&submission.job, stage, item).await?;
        Ok(self.slices.identity(&key, &slice, files).await?)
    }

    async fn key(&self, stage: &StageName, item: ItemIndex) -> Result<Key, ManagerError> {
        if let Some(ItemSource::All { .. }) = self.job.submission().pipeline.stage(stage).map(|stage| &stage.items) {
            return Ok(self.job.combiner_key(stage, item));
        }
        let source = KeySource::Items(StageItems { stage: stage.clone(), first: item, count: 1 });
        let mut keys = infra::keys::keys(&self.plans, self.job.submission(), &source).await?;
        Ok(keys.pop().unwrap_or_default())
    }
}
