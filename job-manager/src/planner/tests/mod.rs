//! Plans of real inputs, in memory.

mod lists;
mod splits;

use std::io::Write;

use bytes::Bytes;
use futures::TryStreamExt;
use grid_core::ids::JobId;
use grid_core::limits::SHARD_ITEMS;
use grid_core::pipeline::{Stage, parse};
use grid_core::split::Slice;
use grid_core::submission::{Compression, Submission};
use infra::grid::Grid;
use infra::inputs::{PinOptions, pin_object, read_slice};
use infra::plan::PlanReader;

use super::*;

/// A job of one stage, and the grid that it runs on.
struct Job {
    grid: Grid,
    submission: Submission,
}

impl Job {
    /// A job whose pipeline has the input `data`, as `input` says, and the stage `work` with the items of `items`.
    fn new(input: &str, items: &str) -> Self {
        let text = format!("name: test\ninputs:\n  data: {input}\nstages:\n  work:\n    {items}\n    run: cat\n");
        let pipeline = parse(&text, "test.yaml").unwrap_or_else(|faults| panic!("{}", faults.render(false)));
        let submission = Submission {
            inputs: [("data".to_owned(), Vec::new())].into(),
            ..Submission::new(JobId::new("job"), jiff::Timestamp::UNIX_EPOCH, "/", pipeline)
        };
        Self { grid: infra::memory::grid(), submission }
    }

    async fn with_file(mut self, name: &str, content: &[u8]) -> Self {
        self.grid.objects.put(name, Bytes::copy_from_slice(content)).await.unwrap();
        let uri = format!("grid://{name}");
        let file = pin_object(&self.grid.sources, &uri, name, PinOptions::default());
        self.submission.inputs.get_mut("data").unwrap().push(file.await.unwrap());
        self
    }

    async fn with_list(mut self, content: &[u8]) -> Self {
        self.grid.objects.put("list", Bytes::copy_from_slice(content)).await.unwrap();
        let file = pin_object(&self.grid.sources, "grid://list", "list", PinOptions::default());
        self.submission.lists.insert("work".into(), file.await.unwrap());
        self
    }

    fn stage(&self) -> &Stage {
        &self.submission.pipeline.stages[0]
    }

    async fn split(&self) -> Result<PlanSummary, PlanError> {
        plan(&self.grid, &self.submission, self.stage(), |_| {}).await
    }

    /// Plans, and reads the plan back.
    async fn slices(&self) -> (PlanSummary, Vec<Slice>) {
        let summary = self.split().await.unwrap();
        let (reader, stage) = (PlanReader::new(self.grid.objects.clone()), &self.stage().name);
        let mut slices = Vec::new();
        for first in (0..summary.items).step_by(SHARD_ITEMS as usize) {
            let count = SHARD_ITEMS.min(summary.items - first);
            slices.extend(reader.slices(&self.submission.job, stage, first, count).await.unwrap());
        }
        (summary, slices)
    }

    /// Plans, and reads the input of every item.
    async fn contents(&self) -> Vec<String> {
        let mut contents = Vec::new();
        for slice in self.slices().await.1 {
            let stream = read_slice(&self.grid.sources, &self.submission.inputs["data"], &slice);
            let pieces: Vec<Bytes> = stream.try_collect().await.unwrap();
            contents.push(String::from_utf8(pieces.concat()).unwrap());
        }
        contents
    }

    async fn keys(&self) -> Vec<String> {
        let planned = self.grid.objects.list("jobs/", None, 100).await.unwrap();
        planned.into_iter().map(|meta| meta.key).collect()
    }
}

fn compress(content: &[u8], compression: Compression) -> Vec<u8> {
    match compression {
        Compression::None => content.to_vec(),
        Compression::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(content).unwrap();
            encoder.finish().unwrap()
        }
        Compression::Zstd => zstd::stream::encode_all(content, 1).unwrap(),
        Compression::Bzip2 => {
            let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
            encoder.write_all(content).unwrap();
            encoder.finish().unwrap()
        }
    }
}

/// The message of an error that is the user's to mend.
fn input_fault(result: Result<PlanSummary, PlanError>) -> String {
    match result {
        Err(PlanError::Input(message)) => message,
        other => panic!("no fault of the input: {other:?}"),
    }
}
