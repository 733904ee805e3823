use grid_core::ids::StageName;
use grid_core::items::Key;
use grid_core::wire::{KeySource, OutputFile, Pack, TaskInputs};

use super::*;
use crate::SubmitRequest;
use crate::accept::{Accepted, NewJob, accept, new_job_id};

/// Items 4, 5 and 6.
fn task() -> TaskMessage {
    TaskMessage {
        v: WIRE_VERSION,
        job: JobId::new("2"),
        stage: StageName::new("a"),
        first: 4,
        count: 3,
        attempt: 1,
        failures: 0,
        memory_factor: 1.0,
        round: 0,
        copy: 0,
        params: Default::default(),
        keys: KeySource::Given(Key::default()),
        inputs: TaskInputs::Plan,
    }
}

#[test]
fn what_was_reused_in_part_can_be_reused_again() {
    let own = Outputs { pack: Pack::Text("a".into()), stdout: vec![(1, 7)], files: Vec::new(), bundled: false };
    let reused = manifest(&task(), JobId::new("1"), 1, own.clone(), 0);
    assert_eq!(reused.committed(), [(4, 1)]);
    assert_eq!(reused.outputs_of(4, 1), Some(own));
}

#[test]
fn a_bundle_that_was_reused_in_a_larger_task_can_be_reused_again() {
    let own = Outputs { pack: Pack::Text("a".into()), stdout: vec![(1, 7)], files: Vec::new(), bundled: true };
    let reused = manifest(&task(), JobId::new("1"), 2, own.clone(), 0);
    assert_eq!(reused.committed(), [(4, 2)]);
    assert_eq!((reused.outputs_of(4, 2), reused.outputs_of(4, 1)), (Some(own), None));
}

#[test]
fn files_belong_to_the_items_that_they_were_reused_for() {
    let file = |item, name: &str| OutputFile { item, name: name.into(), len: 1, crc32: 7 };
    let files = |files| Outputs { pack: Pack::Text("fg".into()), stdout: Vec::new(), files, bundled: false };
    let theirs = files(vec![file(10, "f"), file(11, "g")]);
    assert_eq!(renumbered(theirs, 10, 4), files(vec![file(4, "f"), file(5, "g")]));
}

/// The jobs that a new job of each tenant asks: submitted one after the other, all with the same pipeline.
#[tokio::test]
async fn no_tenant_gets_what_another_computed() {
    let grid = infra::memory::grid();
    let text = "name: one\nstages:\n  work:\n    range: 1..1\n    run: [\"true\"]\n";
    let mut jobs = Vec::new();
    for tenant in ["finance", "claims", "finance", ""] {
        let pipeline = grid_core::pipeline::parse(text, "one.yaml").unwrap();
        let request = SubmitRequest::of_defaults(pipeline).unwrap();
        let new = NewJob {
            job: new_job_id(grid.clock.as_ref()),
            request,
            program_files: Vec::new(),
            tenant: tenant.into(),
            once: None,
        };
        let Accepted::New(job) = accept(&grid, new).await.unwrap() else { panic!("it is new") };
        let asked = earlier_jobs(&grid, JobTable::load(&grid, &job).await.unwrap().job.submission()).await.unwrap();
        jobs.push((job, asked));
    }
    let asked: Vec<_> = jobs.iter().map(|(_, asked)| asked.clone()).collect();
    assert_eq!(asked, [vec![], vec![], vec![jobs[0].0.clone()], vec![]]);
}
